"""The client's side of a WebSocket to a local URL, and the relay between it and a third party."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .bridge_frames import Close, Message
from .exceptions import LocalAnswer
from .exchange import WebSocketPeer
from .protocol import HOP_BY_HOP_RESPONSE, Headers, SdkReason

logger = logging.getLogger("inkbox_async.tunnels")

MAX_HEAD: Final = 1 << 16
CLOSE_TIMEOUT: Final = 2.0
_PIECE: Final = 1 << 16


class UpstreamWebSocket:
    """One WebSocket to the upstream.

    Args:
        url: The http or https URL of the endpoint.
        context: For https.
    """

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._netloc = parts.netloc
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._target = parts.path + (f"?{parts.query}" if "?" in url else "")
        self._context = context
        self._websocket = WSConnection(ConnectionType.CLIENT)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._parts: list[str | bytes] = []
        self._ready: list[Message] = []
        self._over = False
        self.subprotocol: str | None = None
        """The subprotocol that the upstream chose."""

    async def connect(self, headers: Headers, subprotocols: list[str], timeout: float) -> Headers:
        """Connect and complete the handshake.

        Args:
            headers: The forwarded request headers, with `host`.
            subprotocols: What the third party offers.
            timeout: Seconds for all of it.

        Returns:
            The upstream's response headers that are the third party's business.

        Raises:
            LocalAnswer: There is no WebSocket to be had; what to say instead.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(headers, subprotocols)
        except TimeoutError:
            stage = "upstream-connect-timeout" if self._writer is None else "upstream-handshake-timeout"
            raise LocalAnswer(504, stage) from None
        except OSError as error:
            raise LocalAnswer(502, "upstream error", SdkReason.UPSTREAM_ERROR) from error
        except (RemoteProtocolError, LocalProtocolError) as error:
            logger.info("tunnel: the upstream's WebSocket handshake is wrong: %s", error)
            raise LocalAnswer(502, "bad websocket handshake", SdkReason.UPSTREAM_ERROR) from error

    async def _connect(self, headers: Headers, subprotocols: list[str]) -> Headers:
        self._reader, self._writer = await asyncio.open_connection(
            self._host,
            self._port,
            ssl=self._context if self._secure else None,
            server_hostname=self._host if self._secure else None,
        )
        extra = [field for field in headers if field[0] not in (b"host", b"forwarded", b"content-length")]
        extra = [field for field in extra if field[0] != b"sec-websocket-protocol"]
        handshake = Handshake(
            host=self._netloc, target=self._target, extra_headers=extra, subprotocols=subprotocols
        )
        self._writer.write(self._websocket.send(handshake))
        received = 0
        while True:
            data = await self._reader.read(_PIECE)
            received += len(data)
            self._websocket.receive_data(data or None)
            for event in self._websocket.events():
                if isinstance(event, AcceptConnection):
                    self.subprotocol = event.subprotocol
                    self._take_early_messages()
                    return _own_headers([(bytes(n), bytes(v)) for n, v in event.extra_headers])
                if isinstance(event, (RejectConnection, RejectData)):
                    status = event.status_code if isinstance(event, RejectConnection) else 502
                    raise LocalAnswer(status, f"upstream returned {status}")
                if isinstance(event, CloseConnection):
                    raise ConnectionResetError("the upstream closed the connection")
            if not data or received > MAX_HEAD:
                raise ConnectionResetError("the upstream did not complete the handshake")

    def _take_early_messages(self) -> None:
        """Messages may arrive together with the handshake's answer."""
        for event in self._websocket.events():
            self._take(event)

    async def receive(self) -> Message:
        """The upstream's next message, or how the WebSocket ended."""
        assert self._reader is not None
        while not self._ready:
            if self._over:
                return Close(1006)
            try:
                data = await self._reader.read(_PIECE)
                if not data:
                    self._over = True
                    continue
                self._websocket.receive_data(data)
                for event in self._websocket.events():
                    self._take(event)
                await self._drain()
            except RemoteProtocolError as error:
                logger.info("tunnel: the upstream broke the WebSocket protocol: %s", error)
                self._over = True
            except OSError:
                self._over = True
        message = self._ready.pop(0)
        self._over = self._over or isinstance(message, Close)
        return message

    def _take(self, event: Event) -> None:
        assert self._writer is not None
        if isinstance(event, (TextMessage, BytesMessage)):
            self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
            if event.message_finished:
                texts = [part for part in self._parts if isinstance(part, str)]
                binary = [part for part in self._parts if isinstance(part, bytes)]
                self._ready.append("".join(texts) if isinstance(event, TextMessage) else b"".join(binary))
                self._parts = []
        elif isinstance(event, Ping):
            self._writer.write(self._websocket.send(event.response()))
        elif isinstance(event, CloseConnection):
            self._ready.append(Close(1000 if event.code == 1005 else int(event.code), event.reason or ""))
            if self._websocket.state is ConnectionState.REMOTE_CLOSING:
                self._writer.write(self._websocket.send(event.response()))

    async def send(self, message: str | bytes) -> None:
        """Send one message; waits while the upstream reads slower than that.

        Raises:
            ConnectionResetError: The upstream is gone.
        """
        assert self._writer is not None
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        try:
            self._writer.write(self._websocket.send(event))
        except LocalProtocolError as error:
            raise ConnectionResetError("the upstream closed the WebSocket") from error
        await self._drain()

    async def close(self, close: Close) -> None:
        """Tell the upstream how the third party ended the WebSocket."""
        if self._writer is None or self._websocket.state is not ConnectionState.OPEN:
            return
        code = 1001 if close.code in (1005, 1006, 1015) else close.code
        self._writer.write(self._websocket.send(CloseConnection(code)))
        await self._drain()

    async def _drain(self) -> None:
        assert self._writer is not None
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionResetError("the upstream is gone") from error

    async def aclose(self) -> None:
        """Close the connection."""
        if self._writer is None:
            return
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


async def relay(peer: WebSocketPeer, upstream: UpstreamWebSocket) -> None:
    """Move messages both ways until one side ends, then end the other."""

    async def inward() -> None:
        while not isinstance(message := await peer.receive(), Close):
            await upstream.send(message)
        await upstream.close(message)

    async def outward() -> None:
        while not isinstance(message := await upstream.receive(), Close):
            await peer.send(message)
        await peer.close(message.code if message.code != 1006 else 1011, message.reason)

    ways = [asyncio.create_task(inward()), asyncio.create_task(outward())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        results = await asyncio.gather(*ways, return_exceptions=True)
    failures = [result for result in results if isinstance(result, Exception)]
    for failure in failures:
        if not isinstance(failure, ConnectionResetError):
            logger.error("tunnel: an internal error in a WebSocket", exc_info=failure)
    if failures:
        await peer.close(1011, "")


def _own_headers(headers: Headers) -> Headers:
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in HOP_BY_HOP_RESPONSE and not name.lower().startswith(b"sec-websocket-")
    ]
