"""A third party's WebSocket carried over a ws bridge: whole messages, one close, the slower side's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

from inkbox_async.sandbox.edge.bridge_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    BridgeProtocolError,
    CloseMessage,
    EnvelopeReader,
    FrameReader,
    Message,
    close_code,
    encode_envelope,
    encode_frame,
)
from inkbox_async.sandbox.edge.http2 import Stream, StreamReset
from inkbox_async.sandbox.edge.ingress import OpenBridge
from inkbox_async.sandbox.edge.limits import EdgeLimits

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
LOST: Final = 1006
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
EDGE_DRAINING: Final = 4500

_FRAME_PAYLOAD: Final = 32_768
_CAREFUL_WINDOW: Final = 65_535
_CAREFUL_ENVELOPE: Final = _CAREFUL_WINDOW - 64


class MessageTooBig(Exception):
    """A message that the listener's windows cannot take."""


class PublicSocket(Protocol):
    """The third party's end of a WebSocket."""

    async def receive(self) -> Message:
        """The next message; the last one is a `CloseMessage`, with code 1006 when the connection was lost."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message; returns when there is room for the next."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close and wait for the other side's part of it."""
        ...


class WsBridge:
    """The listener's end: envelopes in BINARY frames on an extended CONNECT stream."""

    def __init__(self, stream: Stream, limits: EdgeLimits) -> None:
        self._stream = stream
        envelope_limit = limits.max_websocket_message_bytes * 4 // 3 + 1024
        self._frames = FrameReader(envelope_limit + 4)
        self._envelopes = EnvelopeReader(envelope_limit)

    async def send(self, message: Message) -> None:
        """Send one message as one envelope.

        Raises:
            MessageTooBig: It does not fit into the window of a listener that credits whole messages only.
            StreamReset: The bridge is gone.
        """
        envelope = encode_envelope(message)
        connection = self._stream.connection
        if connection.core.peer_initial_window > _CAREFUL_WINDOW:
            await self._send_frames(envelope)
            return
        # A listener with default windows credits a message when it has all of it, out of a window that all
        # its bridges share: a larger message, or two that are half way through at once, would wait for ever.
        if len(envelope) > _CAREFUL_ENVELOPE:
            raise MessageTooBig
        async with connection.turn:
            await self._send_frames(envelope)

    async def _send_frames(self, envelope: bytes) -> None:
        for at in range(0, len(envelope), _FRAME_PAYLOAD):
            await self._stream.write(encode_frame(BINARY, envelope[at : at + _FRAME_PAYLOAD]))

    async def messages(self) -> AsyncGenerator[Message, None]:
        """What the listener sends; ends when it has ended its side.

        Raises:
            StreamReset: The bridge was cut off.
            BridgeProtocolError: What came is no bridge frame or envelope.
        """
        while data := await self._stream.read():
            for frame in self._frames.feed(data):
                if frame.opcode in (BINARY, TEXT, CONTINUATION):
                    for message in self._envelopes.feed(frame.payload):
                        yield message
                elif frame.opcode == PING:
                    await self._stream.write(encode_frame(PONG, frame.payload))
                elif frame.opcode == CLOSE:
                    yield CloseMessage(close_code(frame.payload) or NORMAL)
                elif frame.opcode != PONG:
                    raise BridgeProtocolError("a bridge frame has an unknown opcode")

    async def drain(self) -> None:
        """Read and forget until the listener ends its side.

        Raises:
            StreamReset: The bridge was cut off.
        """
        while await self._stream.read():
            pass

    async def end(self) -> None:
        """End this side."""
        if not self._stream.is_over:
            await self._stream.write(b"", end=True)


async def carry(socket: PublicSocket, bridge: OpenBridge, limits: EdgeLimits) -> None:
    """Move messages both ways until either side ends; the first close decides what the other side is told."""
    ws = WsBridge(bridge.stream, limits)
    to_listener = asyncio.create_task(_to_listener(socket, ws))
    to_third_party = asyncio.create_task(_to_third_party(socket, ws))
    try:
        await asyncio.wait({to_listener, to_third_party}, return_when=asyncio.FIRST_COMPLETED)
        closed_by_third_party = to_listener.result() if to_listener.done() else None
        if closed_by_third_party is None:
            await asyncio.wait({to_third_party}, timeout=limits.closing_seconds)
            end = to_third_party.result() if to_third_party.done() else None
            if end is None:
                end = CloseMessage(EDGE_DRAINING if bridge.session.is_drained else INTERNAL_ERROR)
            to_listener.cancel()  # from here on `close` reads what the third party still sends
            await asyncio.wait({to_listener})
            await socket.close(sendable_code(end.code), end.reason)
        elif closed_by_third_party.code == TOO_BIG:
            await socket.close(TOO_BIG, closed_by_third_party.reason)
        await _let_end(ws, to_third_party, limits.closing_seconds)
    finally:
        for task in (to_listener, to_third_party):
            task.cancel()
        await asyncio.gather(to_listener, to_third_party, return_exceptions=True)


async def _to_listener(socket: PublicSocket, ws: WsBridge) -> CloseMessage | None:
    """Third party to listener. The close that ended it, or None when the bridge is gone."""
    try:
        while True:
            message = await socket.receive()
            if isinstance(message, CloseMessage):
                code = {NO_STATUS: NORMAL, LOST: GOING_AWAY}.get(message.code, message.code)
                await ws.send(CloseMessage(code, message.reason))
                return message
            try:
                await ws.send(message)
            except MessageTooBig:
                end = CloseMessage(TOO_BIG, "message too big for the listener")
                await ws.send(end)
                return end
    except StreamReset:
        return None


async def _to_third_party(socket: PublicSocket, ws: WsBridge) -> CloseMessage | None:
    """Listener to third party. The listener's close, or None when the bridge broke off without one."""
    try:
        async with aclosing(ws.messages()) as messages:
            async for message in messages:
                if isinstance(message, CloseMessage):
                    return message
                await socket.send(message)
    except (StreamReset, ConnectionError):
        return None
    except BridgeProtocolError:
        return CloseMessage(INTERNAL_ERROR)
    return None


async def _let_end(ws: WsBridge, reading: asyncio.Task[CloseMessage | None], seconds: float) -> None:
    """End this side of the bridge and give the listener time to end its own."""
    try:
        async with asyncio.timeout(seconds):
            await ws.end()
            await asyncio.wait({reading})
            await ws.drain()
    except (TimeoutError, StreamReset):
        pass  # the bridge is reset by the one who opened it


def sendable_code(code: int) -> int:
    """The code if it may stand in a CLOSE frame (RFC 6455, 7.4), else 1011."""
    if 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, NO_STATUS, LOST)):
        return code
    return NORMAL if code == NO_STATUS else INTERNAL_ERROR
