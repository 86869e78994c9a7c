"""A third party's WebSocket over its own decrypted connection (RFC 6455, RFC 8441)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .bridge_frames import Close, Message
from .inbox import Inbox
from .protocol import Headers
from .tcp_bridge import ByteStream

logger = logging.getLogger("inkbox_async.tunnels")

_TURN: Final = 100
"""Frames taken in one turn of the event loop."""

_UNSPEAKABLE: Final = (1005, 1006, 1015)
"""Close codes that RFC 6455 forbids on the wire."""


class ServerWebSocket:
    """Speaks the server's side of a WebSocket; see `WebSocketPeer`.

    Args:
        stream: The connection after the handshake.
        offered: Subprotocols the third party offers.
        accept: Sends the handshake's success.
        reject: Sends a refusal.
        limit: Largest accepted message in bytes.
        masked: Whether the third party must mask its frames; None to go by its first frame.
        received: Bytes of the WebSocket that came along with the handshake.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        offered: list[str],
        accept: Callable[[str | None, Headers], Awaitable[None]],
        reject: Callable[[int, Headers, bytes], Awaitable[None]],
        limit: int,
        masked: bool | None,
        received: bytes = b"",
    ) -> None:
        self._stream = stream
        self._offered = offered
        self._accept = accept
        self._reject = reject
        self._limit = limit
        self._unread = received
        self._sender = Connection(ConnectionType.SERVER)
        self._receiver = Connection(ConnectionType.SERVER) if masked else None
        self._parts: list[str | bytes] = []
        self._size = 0
        self._inbox = Inbox()
        self._pump: asyncio.Task[None] | None = None
        self.answered = False
        """Whether the handshake was accepted or refused."""

    @property
    def subprotocols(self) -> list[str]:
        """The offered subprotocols; see `WebSocketPeer`."""
        return self._offered

    async def accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Complete the handshake; see `WebSocketPeer`."""
        if not self.answered:
            self.answered = True
            await self._accept(subprotocol, headers)
            self._pump = asyncio.create_task(self._read(), name="inkbox-tunnel-websocket")

    async def reject(self, status: int, headers: Headers, body: bytes) -> None:
        """Refuse the handshake; see `WebSocketPeer`."""
        if not self.answered:
            self.answered = True
            self._inbox.finish(Close(1006))
            await self._reject(status, headers, body)

    async def receive(self) -> Message:
        """The next message; see `WebSocketPeer`."""
        return await self._inbox.receive()

    async def send(self, message: str | bytes) -> None:
        """Send one message; see `WebSocketPeer`."""
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        try:
            data = self._sender.send(event)
        except LocalProtocolError as error:
            raise ConnectionResetError("the WebSocket is closed") from error
        await self._stream.write(data)

    async def close(self, code: int, reason: str) -> None:
        """End the WebSocket; see `WebSocketPeer`."""
        self._inbox.finish(Close(code, reason))
        await self._send_close(code, reason)

    async def _send_close(self, code: int, reason: str = "") -> None:
        if self._pump is None or self._sender.state is not ConnectionState.OPEN:
            return
        event = CloseConnection(1000 if code in _UNSPEAKABLE else code, reason or None)
        try:
            await self._stream.write(self._sender.send(event))
        except ConnectionResetError:
            logger.debug("tunnel: a WebSocket was gone before it could be closed")

    async def aclose(self) -> None:
        """Stop reading."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while self._inbox.end is None:
                await self._inbox.wait_for_room()
                data, self._unread = self._unread or await self._stream.read(), b""
                if not data:
                    self._inbox.finish(Close(1006))
                else:
                    await self._received(data)
        except ConnectionResetError:
            self._inbox.finish(Close(1006))

    async def _received(self, data: bytes) -> None:
        if self._receiver is None:
            if len(data) < 2:
                self._unread = data + await self._stream.read()
                return
            # RFC 8441 clients mask or not; the mask bit of the first frame tells.
            masked = bool(data[1] & 0x80)
            self._receiver = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
        self._receiver.receive_data(data)
        try:
            for number, event in enumerate(self._receiver.events(), 1):
                if not number % _TURN:
                    await asyncio.sleep(0)  # thousands of tiny frames must not keep the others waiting
                if isinstance(event, (TextMessage, BytesMessage)):
                    if event.data or not self._parts:  # empty fragments have no end and no size
                        self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                    self._size += len(event.data)
                    if self._size > self._limit:
                        self._inbox.finish(Close(1009))
                        await self._send_close(1009, "message too big")
                        return
                    if event.message_finished:
                        self._inbox.put(_joined(self._parts))
                        self._parts, self._size = [], 0
                elif isinstance(event, Ping):
                    await self._stream.write(self._sender.send(event.response()))
                elif isinstance(event, CloseConnection):
                    code = 1000 if event.code == 1005 else int(event.code)
                    self._inbox.finish(Close(code, event.reason or ""))
                    await self._send_close(code)
                    return
        except RemoteProtocolError as error:
            hint = error.event_hint
            code = int(hint.code) if isinstance(hint, CloseConnection) else 1002
            # Text that is no UTF-8 is 1007 for the third party and 1003 for the application.
            self._inbox.finish(Close(1003 if code == 1007 else code))
            await self._send_close(code)


def _joined(parts: list[str | bytes]) -> str | bytes:
    if len(parts) == 1:
        return parts[0]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else b"".join(part for part in parts if isinstance(part, bytes))
