"""HTTP/1.1 with third parties of a passthrough tunnel: keep-alive, streamed bodies, WebSocket upgrades."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
from typing import Final

import h11

from . import access_log
from .exceptions import LocalAnswer
from .exchange import CANCEL_GRACE, Request
from .protocol import HOP_BY_HOP_RESPONSE, Headers, content_length, is_valid_path
from .server_websocket import ServerWebSocket
from .site import Site
from .tcp_bridge import ByteStream

logger = logging.getLogger("inkbox_async.tunnels")

KEEP_ALIVE: Final = 75.0
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ORIGIN: Final = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_PLAIN: Final = (b"content-type", b"text/plain")


class Http1Server:
    """One connection of one third party.

    Args:
        stream: Decrypted bytes.
        site: What is served.
    """

    def __init__(self, stream: ByteStream, site: Site) -> None:
        self._stream = stream
        self._site = site
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)

    async def serve(self) -> None:
        """Answer requests until the connection ends.

        Raises:
            ConnectionResetError: The third party went away in the middle of something.
        """
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    event = await self.next_event()
            except TimeoutError:
                return
            except h11.RemoteProtocolError as error:
                await self._bad_request(error)
                return
            if not isinstance(event, h11.Request):
                return
            if not await self._exchange(event):
                return
            try:
                self._h11.start_next_cycle()
            except h11.LocalProtocolError:
                return

    async def next_event(self) -> object:
        """What the third party sends next."""
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                await self.send_event(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._stream.read())

    async def wait_for_more(self) -> bool:
        """Wait until the third party sends something ahead of its turn; False when it has left instead."""
        if self._h11.trailing_data[0]:
            return True
        data = await self._stream.read()
        self._h11.receive_data(data)
        return bool(data)

    async def send_event(self, event: h11.Event) -> None:
        """Send a piece of a response."""
        data = self._h11.send(event)
        if data:
            await self._stream.write(data)

    async def _bad_request(self, error: h11.RemoteProtocolError) -> None:
        logger.info("tunnel: a third party sent no HTTP: %s", error)
        if self._h11.our_state is h11.IDLE or self._h11.our_state is h11.SEND_RESPONSE:
            await self.respond(400, "bad request")

    async def respond(self, status: int, text: str) -> None:
        """A whole response of our own, after which the connection ends."""
        body = text.encode()
        headers = [_PLAIN, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await self.send_event(h11.Response(status_code=status, headers=headers))
        await self.send_event(h11.Data(data=body))
        await self.send_event(h11.EndOfMessage())

    async def _exchange(self, head: h11.Request) -> bool:
        """Answer one request; returns whether the connection may serve another."""
        headers: Headers = list(head.headers)
        target = _origin_form(head.target)
        if not is_valid_path(target):
            await self.respond(400, "invalid path")
            return False
        exchange = _Http1Exchange(self, head, self._site)
        request = Request(
            method=head.method.decode("ascii"),
            target=target,
            headers=headers,
            client=None,
            public_host=self._site.public_host,
            body=exchange,
            http_version=head.http_version.decode("ascii"),
        )
        exchange.request = request
        if _wants_websocket(head):
            await self._websocket(head, request)
            return False
        if (content_length(headers) or 0) > self._site.limits.inbound_body:
            await self.respond(413, "payload too large")
            return False
        return await exchange.run()

    # WebSocket

    async def _websocket(self, head: h11.Request, request: Request) -> None:
        headers: Headers = list(head.headers)
        offered: list[str] = []
        for name, value in headers:
            if name == b"sec-websocket-protocol":
                offered += [token.strip() for token in value.decode("latin-1").split(",") if token.strip()]
        key = next((value for name, value in headers if name == b"sec-websocket-key"), b"")

        async def accept(subprotocol: str | None, extra: Headers) -> None:
            digest = hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest()
            fields = [
                (b"upgrade", b"websocket"),
                (b"connection", b"Upgrade"),
                (b"sec-websocket-accept", base64.b64encode(digest)),
            ]
            if subprotocol:
                fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
            fields += websocket_headers(extra)
            await self.send_event(h11.InformationalResponse(status_code=101, headers=fields))

        async def reject(status: int, extra: Headers, body: bytes) -> None:
            fields = [*websocket_headers(extra), (b"content-length", b"%d" % len(body))]
            fields.append((b"connection", b"close"))
            await self.send_event(h11.Response(status_code=status, headers=fields))
            await self.send_event(h11.Data(data=body))
            await self.send_event(h11.EndOfMessage())

        # Reading up to the end of the request makes h11 hand over what came after it.
        while not isinstance(await self.next_event(), (h11.EndOfMessage, h11.ConnectionClosed)):
            pass
        peer = ServerWebSocket(
            self._stream,
            offered=offered,
            accept=accept,
            reject=reject,
            limit=self._site.limits.inbound_body,
            masked=True,
            received=self._h11.trailing_data[0],
        )
        await self._site.serve_websocket(request, peer)


class _Http1Exchange:
    """One request and its response; body and responder at once."""

    def __init__(self, server: Http1Server, head: h11.Request, site: Site) -> None:
        self._server = server
        self._site = site
        self._is_head = head.method == b"HEAD"
        self.request: Request | None = None
        self._handler: asyncio.Task[None] | None = None
        self._body_done = False
        self._body_read = asyncio.Event()
        self._bodiless = not _announces_body(head)
        if self._bodiless:
            self._body_read.set()
        self._received = 0
        self._sent = 0
        self._settled = False
        self._complete = False
        self._started = False
        self._status: int | None = None

    async def run(self) -> bool:
        """Serve the request; returns whether the connection may serve another."""
        request = self.request
        assert request is not None
        started_at = asyncio.get_running_loop().time()
        handler = self._handler = asyncio.create_task(self._site.target.http(request, self))
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait((handler,))
        finally:
            request.disconnected.set()
            handler.cancel()
            watch.cancel()
            await asyncio.gather(handler, watch, return_exceptions=True)
        error = None if handler.cancelled() else handler.exception()
        if error is not None and not isinstance(error, (LocalAnswer, ConnectionResetError)):
            logger.error("tunnel: an internal error during a request", exc_info=error)
        if access_log.is_enabled():
            seconds = asyncio.get_running_loop().time() - started_at
            access_log.log(request.method, request.target, self._status or "no answer", seconds)
        if not self._started and not self._settled:
            await self._server.respond(502, "upstream error")
            return False
        if self._complete and self._bodiless:
            await self.read()
        return self._complete and self._body_done

    async def _watch(self) -> None:
        """Notice, once the body was read, when the third party leaves before it has its response."""
        await self._body_read.wait()
        if not await self._server.wait_for_more():
            self._third_party_left()

    def _third_party_left(self) -> None:
        """Tell the application that nobody waits any more, and cancel it soon after."""
        assert self.request is not None
        if self.request.disconnected.is_set():
            return
        self.request.disconnected.set()
        if self._handler is not None:
            asyncio.get_running_loop().call_later(CANCEL_GRACE, self._handler.cancel)

    # Body

    whole = None

    async def read(self) -> bytes:
        """The next piece of the body; see `Body.read`."""
        if self._body_done:
            return b""
        try:
            event = await self._server.next_event()
        except h11.RemoteProtocolError as error:
            self._settled = True
            raise ConnectionResetError("the third party broke off its request") from error
        if isinstance(event, h11.Data):
            self._received += len(event.data)
            if self._received > self._site.limits.inbound_body:
                if not self._started:
                    self._settled = True
                    await self._server.respond(413, "payload too large")
                self._settled = True
                raise ConnectionResetError("the request body is too large")
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self._body_done = True
            self._body_read.set()
            return b""
        self._settled = True
        raise ConnectionResetError("the third party broke off its request")

    # Response

    @property
    def started(self) -> bool:
        """Whether a response was begun; see `Responder.started`."""
        return self._started or self._settled

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head; see `Responder.start`."""
        if self.started:
            return
        self._started = True
        self._status = status
        clean = [field for field in headers if field[0].lower() not in HOP_BY_HOP_RESPONSE]
        try:
            await self._server.send_event(h11.Response(status_code=status, headers=clean))
        except h11.LocalProtocolError as error:
            self._settled = True
            raise RuntimeError(f"the application's response is not HTTP: {error}") from error

    async def send(self, data: bytes, more: bool) -> None:
        """Send a piece of the body; see `Responder.send`."""
        if self._settled or self._complete:
            await asyncio.sleep(0)
            return
        self._sent += len(data)
        if self._sent > self._site.limits.outbound_body:
            self._settled = True
            logger.warning("tunnel: a response was broken off because it exceeds the limit")
            raise ConnectionResetError("the response is too large")
        try:
            if data and not self._is_head:
                await self._server.send_event(h11.Data(data=data))
            if not more:
                await self._server.send_event(h11.EndOfMessage())
                self._complete = True
        except h11.LocalProtocolError as error:
            self._settled = True
            logger.warning("tunnel: the application sent another length than its content-length")
            raise ConnectionResetError("the response does not fit its content-length") from error
        except ConnectionResetError:
            self._third_party_left()
            raise


def websocket_headers(headers: Headers) -> Headers:
    """An application's handshake headers without those that belong to the protocol itself."""
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in HOP_BY_HOP_RESPONSE
        and not name.lower().startswith(b"sec-websocket-")
        and name.lower() != b"content-length"
    ]


def _origin_form(target: bytes) -> bytes:
    """Path and query of a request target, which may be a whole URL (RFC 9112, 3.2.2)."""
    origin = _ORIGIN.match(target)
    if origin is None:
        return target
    path = target[origin.end() :]
    return path if path.startswith(b"/") else b"/" + path


def _announces_body(head: h11.Request) -> bool:
    return bool(content_length(list(head.headers))) or any(
        name == b"transfer-encoding" for name, _ in head.headers
    )


def _wants_websocket(head: h11.Request) -> bool:
    fields = {name: value.lower() for name, value in head.headers}
    return (
        head.method == b"GET"
        and fields.get(b"upgrade") == b"websocket"
        and b"upgrade" in fields.get(b"connection", b"")
        and bool(fields.get(b"sec-websocket-key"))
    )
