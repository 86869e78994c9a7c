"""The one way to the server: a request goes out, is repeated where safe, and comes back as a model."""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from .call import Call, RawResponse
from .direct import broken_off
from .error_mapping import (
    api_error,
    connection_error,
    redirect_error,
)
from .errors import InkboxError
from .observe import (
    APIResponse,
    NoticeCollector,
    RequestMetadata,
    ResponseMetadata,
    ResponseObserver,
    logger,
    response_notices,
    tell,
)
from .pool import ConnectionPool
from .query import query_string
from .retry import SAFE_METHODS, Idempotency, idempotency_headers, retry_delay
from .secrecy import hiding, public_path, without_frames
from .settings import Settings, check_timeout
from .unset import UNSET, Unset
from .upload import Body, Pieces, is_short

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from .encoding import Decoder

__all__ = ["Idempotency", "RawResponse", "Transport", "collect_notices"]

T = TypeVar("T")

MAX_REDIRECTS = 5
NO_TYPE = ("Content-Type",)
LARGE = 256 * 1024
"""Bytes from which an answer is too large to be read in one go in the event loop."""

RawData = bytes | Callable[[], Any]  # Any: what aiohttp takes as `data`


class Transport:
    """Sends requests for one API key over one pool of connections.

    Args:
        settings: Key, address, time-outs, hooks.
        session: An aiohttp session to share; it is neither changed nor closed. Its own settings decide about
            proxies and cookies. Without one, a session is made at the first request and closed by `aclose`.
    """

    _encoding_loaded: ClassVar = False

    def __init__(self, settings: Settings, *, session: aiohttp.ClientSession | None = None) -> None:
        self.settings = settings
        base_url = URL(settings.base_url)
        self._pool = ConnectionPool(base_url, session, settings.timeout)
        self._origin = str(base_url.origin())
        self._prefix = base_url.raw_path.rstrip("/")
        self._timeout = _phases(settings.timeout)
        self._request_observer = settings.request_observer
        observer = settings.response_observer
        self._observers: tuple[ResponseObserver, ...] = () if observer is None else (observer,)
        self._owns_pool = True
        headers = CIMultiDict[str](
            {
                "Accept": "application/json",
                # A shared session that leaves bodies compressed must not be sent compressed ones.
                "Accept-Encoding": "gzip, deflate"
                if session is None or session.auto_decompress
                else "identity",
                "User-Agent": settings.user_agent,
            }
        )
        if settings.api_key is not None:
            headers["X-API-Key"] = settings.api_key
        self._headers = headers
        self._json_headers = headers.copy()
        self._json_headers["Content-Type"] = "application/json"

    def __repr__(self) -> str:
        return f"<Transport {self.settings.base_url}>"

    @overload
    async def request(
        self,
        method: str,
        path: str,
        response_type: None,
        *,
        query: Mapping[str, object] | None = None,
        body: object = UNSET,
        headers: Mapping[str, str] | None = None,
        idempotency: Idempotency = Idempotency.NONE,
        idempotency_key: str | None = None,
        data: RawData | None = None,
        timeout: float | Unset | None = UNSET,
    ) -> None: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        response_type: TypeForm[T],
        *,
        query: Mapping[str, object] | None = None,
        body: object = UNSET,
        headers: Mapping[str, str] | None = None,
        idempotency: Idempotency = Idempotency.NONE,
        idempotency_key: str | None = None,
        data: RawData | None = None,
        timeout: float | Unset | None = UNSET,
    ) -> T: ...

    async def request(
        self,
        method: str,
        path: str,
        response_type: Any,  # Any: a type in every form that pydantic knows
        *,
        query: Mapping[str, object] | None = None,
        body: object = UNSET,
        headers: Mapping[str, str] | None = None,
        idempotency: Idempotency = Idempotency.NONE,
        idempotency_key: str | None = None,
        data: RawData | None = None,
        timeout: float | Unset | None = UNSET,
    ) -> Any:  # Any: what `response_type` says
        """Send one request and read its answer.

        Args:
            method: HTTP method in capitals.
            path: Percent-encoded path from `/api` on.
            response_type: What the JSON of the answer is read as; `bytes` and `str` are the body itself, None
                drops it.
            query: None and UNSET are left out.
            body: Sent as JSON: dicts and lists of plain values, models, ids, enums and aware datetimes.
            headers: Headers beside or instead of the usual ones.
            idempotency: What the operation does with idempotency keys.
            idempotency_key: 1 to 255 printable ASCII characters.
            data: A body that is not JSON: bytes, or a function that makes, for each attempt anew, something
                aiohttp can send. The caller names its `Content-Type`.
            timeout: Seconds a phase, instead of the client's.

        Raises:
            ValueError: An argument is unusable; nothing was sent.
            InkboxAPIError: The server refused.
            InkboxConnectionError: No answer came.
            InkboxResponseError: The answer is not a `response_type`.
        """
        if not Transport._encoding_loaded:
            await _load_encoding()
        import inkbox_async.encoding as encoding

        call = self._prepare(method, path, query, headers, data, timeout)
        if not isinstance(body, Unset):
            call.data, later = encoding.json_body(body)
            if later is not None:
                call.data = await asyncio.to_thread(later)
            if headers is None:
                call.headers = self._json_headers
            else:
                call.headers.setdefault("Content-Type", "application/json")
        del path, query, body, headers, data
        decode = encoding.decoders.get(response_type, UNSET)
        if isinstance(decode, Unset):
            decode = await asyncio.to_thread(encoding.decoder, response_type)
        if idempotency is Idempotency.NONE and idempotency_key is None:
            return await self._perform(call, decode)
        keyed = idempotency_headers(idempotency, idempotency_key)
        call.headers = call.headers.copy()
        call.headers.update(keyed)
        if idempotency is Idempotency.SEND:
            call.repeatable = True
        try:
            return await self._perform(call, decode)
        except InkboxError as error:
            error.idempotency_key = keyed.get("Idempotency-Key")
            raise

    async def request_raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | Unset | None = UNSET,
    ) -> RawResponse:
        """Send one request without a body and give the response as it came, redirects not followed.

        Args and errors are those of `request`.
        """
        call = self._prepare(method, path, query, headers, None, timeout)
        del path, query, headers
        answer: RawResponse = await self._perform(call, None)
        return answer

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a background task that ends with this transport, at the latest."""
        return self._pool.spawn(work)

    def scoped(self, observer: ResponseObserver) -> Transport:
        """A copy that shares everything and tells one observer more; closing it closes nothing.

        Scopes collect separately: a copy of a copy tells the client's observer and its own only.
        """
        copy = object.__new__(Transport)
        copy.__dict__.update(self.__dict__)
        overall = self.settings.response_observer
        copy._observers = (observer,) if overall is None else (overall, observer)
        copy._owns_pool = False
        return copy

    async def aclose(self) -> None:
        """End background tasks and close the connections, unless they are shared; twice is harmless."""
        if self._owns_pool:
            await self._pool.aclose()

    def _prepare(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
        data: RawData | None,
        timeout: float | Unset | None,
    ) -> Call:
        target = self._prefix + path
        if query and (text := query_string(query)):
            target = f"{target}?{text}"
        all_headers = self._headers
        if headers:
            all_headers = all_headers.copy()
            all_headers.update(headers)
        if isinstance(timeout, Unset):
            phases = self._timeout
        else:
            check_timeout(timeout)
            phases = _phases(timeout)
        return Call(
            method,
            path,
            target,
            all_headers,
            data,
            phases,
            method in SAFE_METHODS,
            self.settings.max_retries,
        )

    async def _perform(self, call: Call, decode: Decoder | None) -> Any:  # Any: what `decode` makes
        """Send the request until it has an answer or an error that repeating does not mend."""
        attempt = 1
        while True:
            try:
                if self._request_observer is not None:
                    tell(
                        self._request_observer, RequestMetadata(call.method, public_path(call.path), attempt)
                    )
                answer = await self._send(call, attempt)
                if answer.status_code >= 300:
                    answer = await self._follow(call, attempt, answer, redirects=decode is not None)
                if decode is None:
                    return answer
                if len(answer.body) < LARGE:
                    return decode(answer.body, call.method, call.path)
                return await asyncio.to_thread(decode, answer.body, call.method, call.path)
            except InkboxError as error:
                delay = retry_delay(error, attempt, max_retries=call.max_retries, repeatable=call.repeatable)
                if delay is None:
                    raise
                logger.debug("%s; attempt %d follows in %.2f s", type(error).__name__, attempt + 1, delay)
            await pause(delay)
            attempt += 1

    async def _follow(self, call: Call, attempt: int, answer: RawResponse, *, redirects: bool) -> RawResponse:
        """What is behind redirects within the origin, or the error that the status means."""
        place = self._url(call)
        for hop in range(MAX_REDIRECTS + 1):
            status = answer.status_code
            if status >= 400:
                raise api_error(status, answer.headers, answer.body, method=call.method, path=call.path)
            if status < 300 or not redirects:
                break
            place = _redirect_target(call, place, answer, last=hop == MAX_REDIRECTS)
            answer = await self._send(call, attempt, place)
        return answer

    def _url(self, call: Call) -> URL:
        return URL(self._origin + call.target, encoded=True)

    async def _send(self, call: Call, attempt: int, place: URL | None = None) -> RawResponse:
        """One HTTP request and its whole response; to another place when a redirect has named one."""
        session = self._pool.session()
        line = self._pool.line
        if line is not None and not (
            place is None and line.open and call.timeout is self._timeout and is_short(call.data)
        ):
            line = None
        if line is None:
            # What the caller's function raises is not the connection's failure.
            body = Body(call.data() if callable(call.data) else call.data)
        started = perf_counter()
        try:
            if line is not None:
                answer = await line.exchange(call)
            elif is_short(body.data):
                answer = await self._exchange(session, call, body, place)
            else:
                async with asyncio.timeout(None) as deadline:
                    body.pace(deadline, call.timeout.sock_read)
                    answer = await self._exchange(session, call, body, place)
        except (aiohttp.ClientError, OSError) as error:
            failure, cause = connection_error(
                error,
                method=call.method,
                path=call.path,
                origin=self._origin,
                timeout=call.timeout.sock_read,
            )
        else:
            if self._observers or logger.isEnabledFor(logging.DEBUG):
                self._report(call, attempt, answer, perf_counter() - started)
            return answer
        # Raised out here, so that the original error, which may hold headers, is not its context.
        try:
            raise failure from without_frames(cause)
        finally:
            del failure, cause

    @hiding
    async def _exchange(
        self, session: aiohttp.ClientSession, call: Call, body: Body, place: URL | None
    ) -> RawResponse:
        """Through aiohttp's client, which can do everything."""
        headers = call.headers
        if isinstance(body.data, Pieces):
            headers = headers.copy()
            headers["Content-Length"] = str(body.data.size)
        response = await session.request(
            call.method,
            place or self._url(call),
            headers=headers,
            data=body.data,
            allow_redirects=False,
            raise_for_status=False,
            timeout=call.timeout,
            proxy=self._pool.proxy,
            middlewares=self._pool.middlewares(),
            # aiohttp would name a type for a body that is not there.
            skip_auto_headers=NO_TYPE if body.data is None and call.method not in SAFE_METHODS else None,
        )
        try:
            content = await response.read()
        except RuntimeError as error:
            raise broken_off(error) from None
        if response.status == 101:
            # Nobody asked for another protocol, and aiohttp leaves the connection to whoever did.
            response.close()
        return RawResponse(response.status, response.headers, content)

    def _report(self, call: Call, attempt: int, answer: RawResponse, elapsed: float) -> None:
        path = public_path(call.path)
        status, headers = answer.status_code, answer.headers
        logger.debug("%s %s -> %d in %.1f ms", call.method, path, status, elapsed * 1000)
        if not self._observers:
            return
        metadata = ResponseMetadata(
            notices=response_notices(call.method, call.path, status, headers, answer.body),
            method=call.method,
            path=path,
            status_code=status,
            request_id=headers.get("X-Request-ID"),
            elapsed=elapsed,
            attempt=attempt,
        )
        for observer in self._observers:
            tell(observer, metadata)


async def collect_notices(transport: Transport, work: Callable[[Transport], Awaitable[T]]) -> APIResponse[T]:
    """Await `work` on a scoped copy of the transport and add the notices of its responses to the result."""
    collector = NoticeCollector()
    try:
        data = await work(transport.scoped(collector))
    finally:
        notices = collector.close()
    return APIResponse(data, notices)


def _phases(timeout: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=timeout, sock_connect=timeout, sock_read=timeout)


async def _load_encoding() -> None:
    """Import what stands on pydantic, which takes some fifty milliseconds, outside the event loop."""
    await asyncio.to_thread(import_module, ".encoding", __package__)
    Transport._encoding_loaded = True


@hiding
def _redirect_target(call: Call, place: URL, answer: RawResponse, *, last: bool) -> URL:
    """Where the request goes next, or the error that says why it goes nowhere."""
    status, location = answer.status_code, answer.location
    followed = (307, 308) if call.method not in ("GET", "HEAD") else (301, 302, 303, 307, 308)
    if location is None or status not in followed:
        reason = f"an answer of status {status} to {call.method} is no answer; is base_url right?"
    elif last:
        reason = f"more than {MAX_REDIRECTS} redirects; is base_url right?"
    else:
        try:
            target = place.join(URL(location, encoded=True))
            origin = str(target.origin())
        except ValueError:
            reason = "a redirect to something that is not a URL"
        else:
            if origin == str(place.origin()):
                return target
            reason = (
                f"a redirect to another origin, {origin}, was not followed, so that it gets neither key nor "
                "data; if it is the right server, make it the base_url"
            )
    raise redirect_error(status, answer.headers, reason, method=call.method, path=call.path)
