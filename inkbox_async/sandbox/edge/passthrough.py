"""A third party's TLS connection carried unopened to a passthrough listener, over a tcp bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from inkbox_async.sandbox.edge.bridge_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    BridgeProtocolError,
    FrameReader,
    encode_close,
    encode_frame,
)
from inkbox_async.sandbox.edge.http2 import Stream, StreamReset
from inkbox_async.sandbox.edge.ingress import Ingress, Refusal
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.relay import Relay

CHUNK: Final = 16_384
"""Largest payload of a frame on a tcp bridge."""

_UNRECOGNIZED_NAME: Final = 112
_INTERNAL_ERROR: Final = 80
_FRAME_LIMIT: Final = 16 << 20
_CAREFUL_WINDOW: Final = 65_535
_HIGH_WATER: Final = 262_144


def alert(description: int) -> bytes:
    """A fatal TLS alert in the clear, as a server sends it before it has agreed to anything."""
    return bytes((21, 3, 3, 0, 2, 2, description))


class RawConnection(asyncio.Protocol):
    """The third party's TCP connection after its ClientHello: bytes to read, bytes to write, nothing opened.

    Args:
        transport: The accepted connection; this object must be made its protocol.
        received: What has been read from it already.
        on_lost: Called once when it is gone.
    """

    def __init__(
        self, transport: asyncio.Transport, received: bytes, on_lost: Callable[[asyncio.Transport], None]
    ) -> None:
        self.transport = transport
        self._on_lost = on_lost
        self._buffer = bytearray(received)
        self._at_end = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def read(self) -> bytes:
        """The next bytes, at most `CHUNK`; `b""` when the third party has ended its side."""
        while not self._buffer:
            if self._at_end:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._buffer[:CHUNK])
        del self._buffer[:CHUNK]
        if len(self._buffer) < _HIGH_WATER:
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the third party does not read.

        Raises:
            ConnectionResetError: It has gone.
        """
        if self.transport.is_closing():
            raise ConnectionResetError("the third party has gone")
        self.transport.write(data)
        await self._writable.wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._changed.set()
        if len(self._buffer) >= _HIGH_WATER:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._at_end = True
        self._changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = True
        self._changed.set()
        self._writable.set()
        self._on_lost(self.transport)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


async def pass_through(
    ingress: Ingress, relay: Relay, server_name: str, third_party: RawConnection, limits: EdgeLimits
) -> None:
    """Carry one connection to the tunnel's listener and close it when either side has ended."""
    transport = third_party.transport
    try:
        if relay.record.status != "active":
            transport.write(alert(_UNRECOGNIZED_NAME))
            return
        peer = transport.get_extra_info("peername")
        async with ingress.open_tcp(
            relay, server_name, peer[0] if isinstance(peer, tuple) else None
        ) as bridge:
            await _carry(third_party, bridge.stream, limits)
    except Refusal:
        transport.write(alert(_INTERNAL_ERROR))
    finally:
        transport.close()


async def _carry(third_party: RawConnection, bridge: Stream, limits: EdgeLimits) -> None:
    upward = asyncio.create_task(_to_listener(third_party, bridge))
    downward = asyncio.create_task(_to_third_party(third_party, bridge))
    try:
        await asyncio.wait({upward, downward}, return_when=asyncio.FIRST_COMPLETED)
        # a third party that ended its side may still be owed bytes; a listener that did wants no more of them
        await asyncio.wait({downward}, timeout=limits.closing_seconds)
        bridge.write_now(b"", end=True)
    finally:
        for task in (upward, downward):
            task.cancel()
        await asyncio.gather(upward, downward, return_exceptions=True)


async def _to_listener(third_party: RawConnection, bridge: Stream) -> None:
    connection = bridge.connection
    careful = connection.core.peer_initial_window <= _CAREFUL_WINDOW
    try:
        while data := await third_party.read():
            frame = encode_frame(BINARY, data)
            if careful:
                # such a listener credits whole frames only, out of a window that all its bridges share
                async with connection.turn:
                    await bridge.write(frame)
            else:
                await bridge.write(frame)
        await bridge.write(b"", end=True)
    except StreamReset:
        pass  # the listener has ended the bridge; what it sent is still being written


async def _to_third_party(third_party: RawConnection, bridge: Stream) -> None:
    frames = FrameReader(_FRAME_LIMIT)
    try:
        while data := await bridge.read():
            for frame in frames.feed(data):
                if frame.opcode in (BINARY, CONTINUATION):
                    await third_party.write(frame.payload)
                elif frame.opcode == PING:
                    await bridge.write(encode_frame(PONG, frame.payload))
                elif frame.opcode == CLOSE:
                    return
                elif frame.opcode != PONG:
                    raise BridgeProtocolError("a frame on a tcp bridge has an unknown opcode")
    except BridgeProtocolError:
        if not bridge.is_over:
            bridge.write_now(encode_close(1002, "protocol-error"), end=True)
    except (StreamReset, ConnectionResetError):
        pass  # one side has gone; the other one is closed by the caller
