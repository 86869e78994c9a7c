"""One TLS connection to the edge: the rim between the HTTP/2 core and asyncio."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable

from .http2 import ErrorCode, Http2Connection, Http2Error, Stream
from .limits import PING_INTERVAL, PING_TIMEOUT
from .protocol import Headers

logger = logging.getLogger("inkbox_async.tunnels")

CONNECT_TIMEOUT = 10.0
WRITE_HIGH_WATER = 256 * 1024
MAX_WRITE = 64 * 1024
FLUSH_AT = 256 * 1024
"""Bytes that are written before the end of the turn: more would fall out of the processor's cache."""
UNSENT_LIMIT = 512 * 1024
"""Bytes that may wait in the kernel: pings and other streams' answers queue behind them."""


class EdgeConnection(asyncio.Protocol):
    """Moves bytes between the network and an `Http2Connection`, and watches that the edge is alive.

    Everything written during one turn of the event loop leaves in one write.

    Args:
        on_goaway: Called with code, last stream id and debug data of a GOAWAY.
        on_closed: Called once, when the connection is gone, with the reason or None for a clean end.
    """

    def __init__(
        self,
        *,
        on_goaway: Callable[[int, int, bytes], None],
        on_closed: Callable[[Exception | None], None],
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.http2 = Http2Connection(on_goaway=on_goaway, on_ping_ack=self._ping_acked)
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._flush_scheduled = False
        self._paused = False
        self._drained: deque[asyncio.Future[None]] = deque()
        self._slots: deque[asyncio.Future[None]] = deque()
        self.closed = False
        self._error: Exception | None = None
        self._closed_future: asyncio.Future[None] = self._loop.create_future()
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        _tune_socket(transport.get_extra_info("socket"))
        self._timer = self._loop.call_later(self._ping_interval, self._ping)
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self.http2.receive(data)
        except Http2Error as error:
            logger.warning("tunnel: the edge broke the HTTP/2 protocol: %s", error)
            self.http2.goaway(error.code)
            self._error = error
            self.close()
            return
        if self._slots:
            self._wake_slots()
        if self.http2.has_output:
            self.flush_soon()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._release(self._drained)
        self._release(self._slots)
        streams = list(self.http2.streams.values())
        self.http2.streams.clear()
        self._on_closed(self._error or exc)
        for stream in streams:
            stream.reset_received(ErrorCode.CANCEL)
        if not self._closed_future.done():
            self._closed_future.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._release(self._drained)

    def time(self) -> float:
        """Seconds on the event loop's clock."""
        return self._loop.time()

    def future(self) -> asyncio.Future[None]:
        """A new future of the connection's event loop."""
        return self._loop.create_future()

    # Streams

    def open(self, stream: Stream, headers: Headers, *, end_stream: bool = False) -> None:
        """Start a stream at once; `http2.can_open` must hold."""
        self.http2.open(stream, headers, end_stream=end_stream)
        self.flush_soon()

    async def open_when_possible(self, stream: Stream, headers: Headers, *, end_stream: bool = False) -> None:
        """Start a stream as soon as the edge's limit of concurrent streams allows one more.

        Raises:
            ConnectionResetError: The connection ended first.
        """
        while not self.closed and not self.http2.can_open:
            if self.http2.next_stream_id > self.http2.last_stream_id:
                raise ConnectionResetError("the edge takes no new streams on this connection")
            waiter = self._loop.create_future()
            self._slots.append(waiter)
            await waiter
        if self.closed:
            raise ConnectionResetError("the connection to the edge was lost")
        self.open(stream, headers, end_stream=end_stream)

    async def send(self, stream: DuplexStream, data: bytes | memoryview, *, end_stream: bool = False) -> None:
        """Send data on a stream as the flow control of stream, connection and network allow.

        Cancelled when a part of it has left, it gives the stream up: nothing could follow that part.

        Raises:
            ConnectionResetError: The edge gave the stream up, or the connection ended.
        """
        view = memoryview(data) if len(data) > MAX_WRITE else data
        try:
            await self._send(stream, view, end_stream)
        except asyncio.CancelledError:
            if stream.torn:
                stream.reset()
            raise

    async def _send(self, stream: DuplexStream, view: bytes | memoryview, end_stream: bool) -> None:
        http2 = self.http2
        while True:
            if stream.reset_code is not None or stream.id not in http2.streams:
                raise ConnectionResetError("the edge no longer takes this stream")
            if self._paused:
                waiter = self._loop.create_future()
                self._drained.append(waiter)
                await waiter
                continue
            size = len(view)
            room = min(http2.sendable(stream), MAX_WRITE)
            if size <= room:
                http2.send(stream, view, end_stream=end_stream)
                stream.torn = False
                if http2.pending >= FLUSH_AT:
                    self.flush()
                else:
                    self.flush_soon()
                return
            if room > 0:
                http2.send(stream, view[:room])
                stream.torn = True
                view = view[room:]
                self.flush()
            else:
                await stream.wait_window()

    def reset(self, stream: Stream, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Give a stream up."""
        if not self.closed:
            self.http2.reset(stream, code)
            self.flush_soon()

    def credit(self, stream: Stream, size: int) -> None:
        """Let the edge send more on a stream whose bytes were consumed."""
        self.http2.credit(stream, size)
        if self.http2.has_output:
            self.flush_soon()

    # Ending

    def close(self) -> None:
        """Send what is waiting, then close."""
        if self._transport is not None and not self._transport.is_closing():
            self.flush()
            self._transport.close()

    def abort(self, error: Exception | None = None) -> None:
        """Drop the connection at once."""
        self._error = self._error or error
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self, timeout: float, *, abort: bool = True) -> None:
        """Wait for `timeout` seconds until the connection is gone; then, with `abort`, drop it."""
        if self._transport is None:
            return
        await asyncio.wait((self._closed_future,), timeout=timeout)
        if abort and not self.closed:
            self.abort()

    # Writing

    def flush_soon(self) -> None:
        """Write at the end of this turn of the event loop."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._scheduled_flush)

    def _scheduled_flush(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Hand everything waiting to the transport."""
        if self._transport is not None and self.http2.has_output:
            output = self.http2.take_output()
            if not self._transport.is_closing():
                self._transport.write(output)

    def _release(self, waiters: deque[asyncio.Future[None]]) -> None:
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _wake_slots(self) -> None:
        room = self.http2.max_concurrent_streams - len(self.http2.streams)
        if self.http2.next_stream_id > self.http2.last_stream_id:
            room = len(self._slots)
        while room > 0 and self._slots:
            waiter = self._slots.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    # Signs of life

    def _ping(self) -> None:
        payload = int(self._loop.time() * 1e9).to_bytes(8, "big")
        self.http2.ping(payload)
        self.flush_soon()
        self._heard = False
        self._timer = self._loop.call_later(self._ping_timeout, self._ping_lost)

    def _ping_acked(self, payload: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._ping_interval, self._ping)

    def _ping_lost(self) -> None:
        if self._heard:
            # On a slow line a ping waits behind bodies; an edge that goes on with those is alive.
            self._heard = False
            self._timer = self._loop.call_later(self._ping_timeout, self._ping_lost)
            return
        logger.warning("tunnel: no sign of life from the edge for %g s", self._ping_timeout)
        self.abort(ConnectionResetError("the edge stopped answering pings"))


class DuplexStream(Stream):
    """A stream of one connection whose data is read and written by tasks, with back-pressure."""

    __slots__ = ("_chunks", "_reader", "_writer", "connection", "ended", "reset_code", "torn")

    def __init__(self, connection: EdgeConnection) -> None:
        super().__init__()
        self.connection = connection
        self.ended = False
        self.reset_code: int | None = None
        self.torn = False
        """Whether a part of what is being written has left, and the rest has not."""
        self._chunks: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def data_received(self, data: bytes, ended: bool) -> None:
        if data:
            self._chunks.append(data)
        if ended:
            self.ended = True
        self._wake_reader()

    def window_opened(self) -> None:
        writer = self._writer
        if writer is not None and not writer.done():
            writer.set_result(None)

    def reset_received(self, code: int) -> None:
        self.reset_code = int(code)
        self._wake_reader()
        self.window_opened()

    def _wake_reader(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    async def read(self) -> bytes:
        """The next piece of data; empty at the end of the stream.

        Reading a piece lets the edge send more.

        Raises:
            ConnectionResetError: The edge gave the stream up, or the connection ended.
        """
        while not self._chunks:
            if self.ended:
                return b""
            if self.reset_code is not None:
                raise ConnectionResetError("the edge gave the stream up")
            self._reader = self.connection.future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._chunks.popleft()
        self.connection.credit(self, len(data))
        return data

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not read yet."""
        return sum(map(len, self._chunks))

    def take_whole(self) -> bytes | None:
        """All data at once if the stream has ended; otherwise None."""
        if not self.ended:
            return None
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        return data

    async def wait_window(self) -> None:
        """Wait until the edge takes more data, or the stream is over."""
        self._writer = self.connection.future()
        try:
            await self._writer
        finally:
            self._writer = None

    async def write(self, data: bytes | memoryview, *, end_stream: bool = False) -> None:
        """Send data; see `EdgeConnection.send`."""
        await self.connection.send(self, data, end_stream=end_stream)

    def reset(self, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Give the stream up from our side; readers and writers are told."""
        if self.reset_code is None:
            self.connection.reset(self, code)
            self.reset_received(code)


def _tune_socket(sock: socket.socket | None) -> None:
    if sock is None:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_NOTSENT_LOWAT", UNSENT_LIMIT),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def dial(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    connection: EdgeConnection,
    *,
    timeout: float = CONNECT_TIMEOUT,
) -> None:
    """Connect to the edge over TCP and TLS.

    Raises:
        OSError: The edge could not be reached, or its certificate is not trusted.
        TimeoutError: That took longer than `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        await loop.create_connection(
            lambda: connection,
            host,
            port,
            ssl=context,
            server_hostname=host if context is not None else None,
        )


def data_plane_context(extra_ca: bytes | None = None) -> ssl.SSLContext:
    """The client-side TLS context for the data plane; see `edge_context`."""
    context = edge_context(extra_ca)
    context.set_alpn_protocols(["h2"])
    return context


def edge_context(extra_ca: bytes | None = None) -> ssl.SSLContext:
    """A client-side TLS context for the edge: the system's authorities, plus `extra_ca` (PEM).

    Raises:
        ValueError: `extra_ca` holds no usable certificate.
    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not extra_ca:
        _load_certifi(context)
    if extra_ca:
        try:
            context.load_verify_locations(cadata=extra_ca.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError("the extra CA holds no certificate in PEM form") from error
    return context


def _load_certifi(context: ssl.SSLContext) -> None:
    """Minimal images come without a certificate store; use certifi's when it happens to be installed."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())
