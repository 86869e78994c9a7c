"""The connections and background tasks that all copies of one transport share, and their one closer."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType
from yarl import URL

from .connector import WaryConnector
from .deadlines import Deadlines
from .direct import DirectLine, usable
from .errors import InkboxError
from .secrecy import hiding
from .settings import LOOPBACK_HOSTS

T = TypeVar("T")

CONNECTIONS = 100
KEEP_ALIVE_SECONDS = 30.0
DNS_CACHE_SECONDS = 300


class ConnectionPool:
    """One aiohttp session, made inside the running loop when the first request needs it.

    A session given by the caller is used as it is: never configured, never closed.

    Args:
        base_url: Where requests go; it decides about the proxy.
        session: The caller's session, or None.
        timeout: Seconds that the session made here waits for an answer; None for ever.

    Attributes:
        line: The short way for short requests, when there is one; from the first call of `session` on.
        proxy: The proxy that the environment asks for.
    """

    def __init__(self, base_url: URL, session: aiohttp.ClientSession | None, timeout: float | None) -> None:
        self._url = base_url
        self._timeout = timeout
        self._given = session
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: tasks of every kind
        self._closed = False
        self._deadlines: Deadlines | None = None
        self.line: DirectLine | None = None
        self.proxy: URL | None = None

    def session(self) -> aiohttp.ClientSession:
        """The session to send with.

        Raises:
            InkboxError: The client or its session is closed, or belongs to another event loop.
        """
        session = self._session
        if session is None:
            session = self._open()
        if self._loop is not asyncio.get_running_loop():
            raise InkboxError(
                "this client was first used in another event loop; make one client a loop and close it there"
            )
        if session.closed:
            raise InkboxError("the aiohttp session given to this client is closed")
        return session

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise InkboxError("this client is closed; make a new one")
        self._loop = asyncio.get_running_loop()
        if self._given is not None:
            self._session = self._given
            return self._given
        self.proxy = environment_proxy(self._url)
        self._session = aiohttp.ClientSession(
            connector=WaryConnector(
                limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS
            ),
            # Load balancers stick clients by cookie, also at bare addresses, and expect values verbatim.
            cookie_jar=_CookieJar(unsafe=True, quote_cookie=False),
        )
        # aiohttp would repeat idempotent requests by itself when a connection breaks; `retry` decides that.
        self._session._retry_connection = False
        if self.proxy is None and usable(self._session):
            if self._timeout is not None:
                self._deadlines = Deadlines(self._timeout)
            self.line = DirectLine(self._session, self._url.origin(), self._deadlines)
        return self._session

    def middlewares(self) -> tuple[ClientMiddlewareType, ...] | None:
        """What one request passes on its way; None for what the session has."""
        if self._given is None:
            return None
        return (_once(), *self._given._middlewares)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that the pool owns: ended by `aclose` at the latest; no failure goes unretrieved."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Looking at the exception marks it as retrieved; whoever awaits the task still gets it.
            task.exception()

    async def aclose(self) -> None:
        """End the background tasks and close the connections; closing twice is harmless."""
        session, self._session = self._session, None
        self._closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            if self._deadlines is not None:
                self._deadlines.close()
            if session is not None and session is not self._given:
                await session.close()


def _once() -> ClientMiddlewareType:
    """Keeps a given session, whose settings are not ours, from repeating a request when a connection breaks.

    aiohttp does so for PUT and DELETE too. The second time, this one answers with the first failure.
    """
    failure: Exception | None = None

    async def send(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal failure
        if failure is not None:
            raise failure
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            failure = error
            raise

    return send


class _CookieJar(aiohttp.CookieJar):
    """aiohttp's jar, except that a cookie which expires at the epoch, as deleted ones do, is really gone."""

    @classmethod
    def _parse_date(cls, date_str: str) -> int | None:
        # aiohttp reads the timestamp 0 as no date at all.
        return 1 if (when := super()._parse_date(date_str)) == 0 else when


@hiding
def environment_proxy(url: URL) -> URL | None:
    """The proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` ask for; loopback never has one.

    Raises:
        InkboxError: The proxy is of a kind that aiohttp cannot use.
    """
    host = url.host or ""
    if host in LOOPBACK_HOSTS or host.endswith(".localhost"):
        return None
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    # The name is public on every platform, but typeshed does not know it.
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not address or bypass(f"{host}:{url.port}", proxies):
        return None
    try:
        proxy = URL(address if "://" in address else f"http://{address}")
        usable = proxy.scheme in ("http", "https") and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        raise InkboxError(
            "the proxy named by the environment is not an http:// or https:// address; correct the variable, "
            "or pass a session whose connector knows this kind of proxy"
        )
    return proxy
