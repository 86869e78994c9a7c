"""The one way to the server: a request goes out, is repeated where safe, and comes back as a model."""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

import aiohttp
from multidict import CIMultiDict
from pydantic import ValidationError
from yarl import URL

from .encoding import LARGE, Decoder, decoder, json_body, query_string
from .error_mapping import (
    api_error,
    connection_error,
    redirect_error,
    response_error,
)
from .errors import InkboxError
from .modeling import UNSET, Unset
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
from .retry import SAFE_METHODS, Idempotency, idempotency_headers, retry_delay
from .secrecy import hiding, public_path, without_frames
from .settings import Settings, check_timeout
from .upload import PIECE, Pieces

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["Idempotency", "RawResponse", "Transport", "collect_notices"]

T = TypeVar("T")

MAX_REDIRECTS = 5
NO_TYPE = ("Content-Type",)

RawData = bytes | Callable[[], Any]  # Any: what aiohttp takes as `data`


@dataclass(slots=True, eq=False)
class RawResponse:
    """A response as it came, below the error statuses. Its repr shows the status only.

    Attributes:
        status_code: HTTP status, 200 to 399.
        headers: Response headers, names in any case.
        body: The whole body.
    """

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def location(self) -> str | None:
        """Where a redirect points to, or None."""
        return self.headers.get("Location")


@dataclass(slots=True)
class _Call:
    """One request in the form in which every attempt sends it.

    Its repr is safe to show, and no frame that may fail holds its parts in variables of their own: tools that
    report the variables beside a traceback would show keys and queries.
    """

    method: str
    path: str = field(repr=False)
    url: URL = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)
    data: Any = field(repr=False)  # Any: bytes, pieces of bytes, or what aiohttp takes as `data`
    timeout: aiohttp.ClientTimeout
    safe: bool
    repeatable: bool
    max_retries: int
    raw: bool = False
    place: URL = field(init=False, repr=False)


class Transport:
    """Sends requests for one API key over one pool of connections.

    Args:
        settings: Key, address, time-outs, hooks.
        session: An aiohttp session to share; it is neither changed nor closed. Its own settings decide about
            proxies and cookies. Without one, a session is made at the first request and closed by `aclose`.
    """

    def __init__(self, settings: Settings, *, session: aiohttp.ClientSession | None = None) -> None:
        self.settings = settings
        self._pool = ConnectionPool(settings.base_url, session)
        self._origin = str(URL(settings.base_url).origin())
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
        call = await self._prepare(method, path, query, body, headers, data, timeout)
        del path, query, body, headers, data
        decode = decoder(response_type)
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
        call = await self._prepare(method, path, query, UNSET, headers, None, timeout)
        del path, query, headers
        call.raw = True
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

    async def _prepare(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
        headers: Mapping[str, str] | None,
        data: RawData | None,
        timeout: float | Unset | None,
    ) -> _Call:
        target = self.settings.base_url + path
        if query and (text := query_string(query)):
            target = f"{target}?{text}"
        all_headers = self._headers
        content: Any = data  # Any: bytes, pieces of bytes, or a function
        if not isinstance(body, Unset):
            all_headers = self._json_headers
            content, later = json_body(body)
            if later is not None:
                content = await asyncio.to_thread(later)
        if headers:
            all_headers = all_headers.copy()
            all_headers.update(headers)
        if isinstance(timeout, Unset):
            phases = self._timeout
        else:
            check_timeout(timeout)
            phases = _phases(timeout)
        safe = method in SAFE_METHODS
        return _Call(
            method,
            path,
            URL(target, encoded=True),
            all_headers,
            content,
            phases,
            safe,
            safe,
            self.settings.max_retries,
        )

    async def _perform(self, call: _Call, decode: Decoder | None) -> Any:  # Any: what `decode` makes
        """Send the request until it has an answer or an error that repeating does not mend."""
        attempt = 1
        while True:
            try:
                answer = await self._exchange(call, attempt)
                if decode is None:
                    return answer
                if len(answer.body) < LARGE:
                    return _decoded(call, decode, answer)
                return await asyncio.to_thread(_decoded, call, decode, answer)
            except InkboxError as error:
                delay = retry_delay(error, attempt, max_retries=call.max_retries, repeatable=call.repeatable)
                if delay is None:
                    raise
                logger.debug("%s; attempt %d follows in %.2f s", type(error).__name__, attempt + 1, delay)
            await pause(delay)
            attempt += 1

    async def _exchange(self, call: _Call, attempt: int) -> RawResponse:
        """One attempt: the request, the redirects within its origin, and the status check."""
        if self._request_observer is not None:
            tell(self._request_observer, RequestMetadata(call.method, public_path(call.path), attempt))
        call.place = call.url
        for hop in range(MAX_REDIRECTS + 1):
            answer = await self._send(call, attempt)
            status = answer.status_code
            if status < 300:
                break
            if status >= 400:
                raise api_error(status, answer.headers, answer.body, method=call.method, path=call.path)
            if call.raw:
                break
            call.place = _redirect_target(call, answer, last=hop == MAX_REDIRECTS)
        return answer

    @hiding
    async def _send(self, call: _Call, attempt: int) -> RawResponse:
        """One HTTP request and its whole response."""
        session = self._pool.session()
        # What the caller's function raises is not the connection's failure.
        made = call.data() if callable(call.data) else None
        started = perf_counter()
        try:
            if made is None and (call.data is None or _is_short(call.data)):
                response = await self._open(session, call, call.data)
                answer = RawResponse(response.status, response.headers, await _whole_body(response))
            else:
                async with asyncio.timeout(None) as deadline:
                    data = _paced(call.data if made is None else made, deadline, call.timeout.sock_read)
                    response = await self._open(session, call, data)
                    answer = RawResponse(response.status, response.headers, await _whole_body(response))
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

    def _open(
        self, session: aiohttp.ClientSession, call: _Call, data: Any
    ) -> Awaitable[aiohttp.ClientResponse]:
        headers = call.headers
        if isinstance(data, Pieces):
            headers = headers.copy()
            headers["Content-Length"] = str(data.size)
        return session.request(
            call.method,
            call.place,
            headers=headers,
            data=data,
            allow_redirects=False,
            raise_for_status=False,
            timeout=call.timeout,
            proxy=self._pool.proxy,
            middlewares=self._pool.middlewares(),
            # aiohttp would name a type for a body that is not there.
            skip_auto_headers=NO_TYPE if data is None and not call.safe else None,
        )

    def _report(self, call: _Call, attempt: int, answer: RawResponse, elapsed: float) -> None:
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


async def _whole_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        body = await response.read()
    except RuntimeError as error:
        # What aiohttp says when the session is closed in the middle of an answer.
        raise aiohttp.ClientPayloadError(str(error)) from None
    if response.status == 101:
        # Nobody asked for another protocol, and aiohttp leaves the connection to whoever did.
        response.close()
    return body


def _is_short(data: Any) -> bool:  # Any: what aiohttp takes as `data`
    return isinstance(data, bytes) and len(data) <= PIECE


def _paced(data: Any, deadline: asyncio.Timeout, seconds: float | None) -> Any:  # Any: what aiohttp takes
    """A long body in pieces; what aiohttp sends piece by piece on its own as it is."""
    if isinstance(data, (bytes, list)):
        return Pieces([data] if isinstance(data, bytes) else data, deadline, seconds)
    return data


def _decoded(call: _Call, decode: Decoder, answer: RawResponse) -> Any:  # Any: what `decode` makes
    try:
        return decode(answer.body)
    except ValidationError as error:
        failure = response_error(error, method=call.method, path=call.path, size=len(answer.body))
    # Raised out here, because the validation error quotes the values.
    raise failure


@hiding
def _redirect_target(call: _Call, answer: RawResponse, *, last: bool) -> URL:
    """Where the request goes next, or the error that says why it goes nowhere."""
    status, location = answer.status_code, answer.location
    followed = (307, 308) if call.method not in ("GET", "HEAD") else (301, 302, 303, 307, 308)
    if location is None or status not in followed:
        reason = f"an answer of status {status} to {call.method} is no answer; is base_url right?"
    elif last:
        reason = f"more than {MAX_REDIRECTS} redirects; is base_url right?"
    else:
        try:
            target = call.place.join(URL(location, encoded=True))
            origin = str(target.origin())
        except ValueError:
            reason = "a redirect to something that is not a URL"
        else:
            if origin == str(call.place.origin()):
                return target
            reason = (
                f"a redirect to another origin, {origin}, was not followed, so that it gets neither key nor "
                "data; if it is the right server, make it the base_url"
            )
    raise redirect_error(status, answer.headers, reason, method=call.method, path=call.path)
