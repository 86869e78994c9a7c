"""The raw bytes of one third party's connection, carried in frames over a stream of the edge connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from enum import StrEnum
from typing import Final, Protocol

from .bridge_frames import FrameError, FrameParser, Opcode, encode_close, encode_frame
from .http2 import ErrorCode
from .session import AnswerStream, Session

logger = logging.getLogger("inkbox_async.tunnels")

OPEN_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 1.0
PIECE: Final = 1 << 16


class ByteStream(Protocol):
    """A connection to a third party."""

    async def read(self) -> bytes:
        """The next bytes; empty when the other side will send no more.

        Raises:
            ConnectionResetError: The connection is gone.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the other side reads slower than that.

        Raises:
            ConnectionResetError: The connection is gone.
        """
        ...


class TcpCloseReason(StrEnum):
    """Why a bridge ends."""

    CLEAN_EOF = "clean-eof"
    CANCELLED = "cancelled"
    PROTOCOL_ERROR = "protocol-error"
    INBOUND_ERROR = "inbound-error"
    OUTBOUND_ERROR = "outbound-error"
    TLS_ERROR = "tls-error"

    @property
    def code(self) -> int:
        """The WebSocket close code that goes with the reason."""
        return _CODES.get(self, 1011)


_CODES: Final = {
    TcpCloseReason.CLEAN_EOF: 1000,
    TcpCloseReason.CANCELLED: 1001,
    TcpCloseReason.PROTOCOL_ERROR: 1002,
}


class TcpBridge:
    """A `ByteStream` whose other end is the third party's socket at the edge."""

    def __init__(self, stream: AnswerStream) -> None:
        self._stream = stream
        self._frames = FrameParser(allow_text=False)
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._writing = asyncio.Lock()
        self.broken = False
        """Whether the edge sent something that is no frame of a bridge."""

    @classmethod
    async def open(cls, session: Session, tcp_id: bytes) -> TcpBridge:
        """Open the bridge of one connection.

        Raises:
            ConnectionResetError: The edge refused, did not answer in time, or is gone.
        """
        stream = AnswerStream(session.connection)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await session.connection.open_when_possible(stream, session.plane.tcp_bridge(tcp_id))
                status = (await stream.answer)[0][1]
        except TimeoutError:
            stream.reset(ErrorCode.CANCEL)
            raise ConnectionResetError("the edge did not open the bridge in time") from None
        except BaseException:
            stream.reset(ErrorCode.CANCEL)
            raise
        if status != b"200":
            stream.reset(ErrorCode.CANCEL)
            raise ConnectionResetError(f"the edge refused the bridge (status {int(status)})")
        return cls(stream)

    async def read(self) -> bytes:
        """The next bytes; see `ByteStream`."""
        while not self._pieces:
            if self._ended:
                return b""
            data = await self._stream.read()
            if not data:
                self._ended = True
                continue
            pings: list[bytes] = []
            try:
                for opcode, payload in self._frames.feed(data):
                    if opcode is Opcode.BINARY:
                        self._pieces.append(payload)
                    elif opcode is Opcode.PING:
                        pings.append(payload)
                    elif opcode is Opcode.CLOSE:
                        self._ended = True
                        break
            except FrameError as error:
                logger.warning("tunnel: the edge sent a broken frame on a TCP bridge: %s", error)
                self._ended = self.broken = True
            for payload in pings:
                await self._write(encode_frame(Opcode.PONG, payload))
        return self._pieces.popleft()

    async def write(self, data: bytes) -> None:
        """Send bytes; see `ByteStream`. Cancelled, it gives the bridge up: nothing fits what has left."""
        try:
            async with self._writing:
                for start in range(0, len(data), PIECE):
                    await self._stream.write(encode_frame(Opcode.BINARY, data[start : start + PIECE]))
        except asyncio.CancelledError:
            self._stream.reset()
            raise

    async def _write(self, frame: bytes) -> None:
        async with self._writing:
            await self._stream.write(frame)

    async def close(self, reason: TcpCloseReason) -> None:
        """Say why the bridge ends, and end it."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT), self._writing:
                await self._stream.write(encode_close(reason.code, reason), end_stream=True)
        except (ConnectionResetError, TimeoutError):
            logger.debug("tunnel: a TCP bridge was gone before it could be closed")
        finally:
            if not (self._stream.ended and self._stream.local_closed):
                # Whatever the third party still sends has no reader; the edge may stop at once.
                code = ErrorCode.NO_ERROR if self._stream.local_closed else ErrorCode.CANCEL
                self._stream.reset(code)
