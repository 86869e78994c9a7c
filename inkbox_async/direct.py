"""Short requests written straight onto the connections of aiohttp's pool.

Two thirds of the processor time of a small request are what aiohttp's client does for every kind of
request: streams, forms, tracing, middlewares, redirects, authentication. A short JSON request needs none of
it. Connections, TLS, name resolution, the pool and the parser of responses are aiohttp's here, too; only
the request itself is put together by hand, in one write.

The objects between aiohttp's client and its connections are not part of its documented interface. So the
short way is taken with releases of aiohttp that it was tested with, and only while nobody looks over
aiohttp's shoulder: see `usable`.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import aiohttp.client
from aiohttp.connector import Connection
from aiohttp.helpers import TimerNoop
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from .call import Call, RawResponse
from .deadlines import Deadlines
from .retry import SAFE_METHODS

TESTED_RELEASES: Final = frozenset({("3", "13"), ("3", "14")})


def usable(session: aiohttp.ClientSession) -> bool:
    """Whether short requests may bypass the client of this session.

    They may not when something that has to see every request was put into aiohttp's way: a mock or a recorder
    (aioresponses, vcrpy) in place of `ClientSession._request`, or the tracing of an observability tool.
    """
    release = tuple(aiohttp.__version__.split(".")[:2])
    code = getattr(aiohttp.ClientSession._request, "__code__", None)
    untouched = code is not None and code.co_filename == aiohttp.client.__file__
    return release in TESTED_RELEASES and untouched and not session.trace_configs


class DirectLine:
    """Exchanges short requests for responses on the connections of one session.

    Args:
        session: Owns connections and cookies.
        origin: Where all requests go.
        deadlines: How long answers may take; None for ever.
    """

    def __init__(self, session: aiohttp.ClientSession, origin: URL, deadlines: Deadlines | None) -> None:
        connector = session.connector
        assert connector is not None  # only a closed session has none
        self._connector = connector
        self._cookies = session.cookie_jar
        self._origin = origin
        self._deadlines = deadlines
        seconds = None if deadlines is None else deadlines.seconds
        self._timeout = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds)
        self._no_timer = TimerNoop()
        loop = asyncio.get_running_loop()
        # Tells the connector where to connect to, and how; it is never sent.
        self._address = aiohttp.ClientRequest("GET", origin, loop=loop, session=session)
        self._host = self._address.headers["Host"]
        self._bypassed = aiohttp.ClientSession._request

    @property
    def open(self) -> bool:
        """False while a mock has taken the place of aiohttp's client."""
        return aiohttp.ClientSession._request is self._bypassed

    async def exchange(self, call: Call) -> RawResponse:
        """Send one request, whose body is short enough for one write, and read its whole response.

        Raises:
            aiohttp.ClientError: No answer came, in the words of aiohttp's own client.
            OSError: A time-out, or the network.
            ValueError: A header has a line break; nothing was sent.
        """
        try:
            connection = await self._connector.connect(self._address, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self._origin}") from error
        try:
            answer = await self._converse(connection, call)
        except BaseException:
            connection.close()
            raise
        # The connection goes back to the pool, or is closed where the response asks for it.
        connection.release()
        if "Set-Cookie" in answer.headers:
            self._cookies.update_cookies_from_headers(answer.headers.getall("Set-Cookie"), self._url(call))
        return answer

    def _url(self, call: Call) -> URL:
        return self._origin.join(URL(call.target, encoded=True))

    def _request(self, call: Call) -> bytes:
        """The request as it is written, header fields in the order in which aiohttp's client writes them."""
        fields = [f"{name}: {value}\r\n" for name, value in call.headers.items()]
        if self._cookies and (cookies := self._cookies.filter_cookies(self._url(call))):
            fields.append(f"Cookie: {'; '.join(f'{c.key}={c.coded_value}' for c in cookies.values())}\r\n")
        body: bytes = call.data or b""
        if body or call.method not in SAFE_METHODS:
            fields.append(f"Content-Length: {len(body)}\r\n")
        head = f"{call.method} {call.target} HTTP/1.1\r\nHost: {self._host}\r\n{''.join(fields)}\r\n"
        lines = len(fields) + 3
        if not lines == head.count("\n") == head.count("\r") or "\0" in head:
            del fields, head  # a key among them would show beside the traceback
            raise ValueError("a header or the path has a line break or another control character")
        return head.encode() + body

    async def _converse(self, connection: Connection, call: Call) -> RawResponse:
        peer, transport = connection.protocol, connection.transport
        if peer is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed before the request")
        peer.set_response_params(
            timer=self._no_timer, skip_payload=call.method == "HEAD", read_until_eof=True
        )
        transport.write(self._request(call))
        deadlines = self._deadlines
        if deadlines is not None:
            deadlines.start(peer)
        try:
            while True:
                message, payload = await peer.read()
                # Interim responses (RFC 9110, 15.2) announce the final one.
                if not 100 <= message.code < 200 or message.code == 101:
                    break
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                self._address.request_info, (), status=error.code, message=error.message
            ) from error
        finally:
            if deadlines is not None:
                deadlines.end(peer)
        if payload.is_eof():
            # It came with the head, as most bodies do.
            return RawResponse(message.code, message.headers, payload.read_nowait())
        if deadlines is not None:
            # The time between the pieces of a body is aiohttp's to measure.
            peer.read_timeout = deadlines.seconds
            peer.start_timeout()
        try:
            body = await payload.read()
        except RuntimeError as error:
            raise broken_off(error) from None
        return RawResponse(message.code, message.headers, body)


def broken_off(error: RuntimeError) -> aiohttp.ClientPayloadError:
    """What aiohttp means by a RuntimeError: the session was closed in the middle of an answer."""
    return aiohttp.ClientPayloadError(str(error))
