"""One HTTP/2 connection of the edge on its transport: streams read and written under flow control."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from inkbox_async.sandbox.edge.http2_codes import (
    ENABLE_CONNECT_PROTOCOL,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    ErrorCode,
    Http2Error,
)
from inkbox_async.sandbox.edge.http2_core import LARGEST_STREAM_ID, CoreStream, Http2Core
from inkbox_async.sandbox.edge.http2_headers import Header, RequestHead

STREAM_WINDOW: Final = 2 << 20
_CONNECTION_WINDOW: Final = 16 << 20
_MAX_FRAME: Final = 16 << 10  # the default of HTTP/2, and what one TLS record holds
_MAX_STREAMS: Final = 4096
_FLUSH_AT: Final = 128 << 10
_UNREAD_LIMIT: Final = 16 << 20
_QUIET_AFTER_GOAWAY: Final = 1.0
"""Seconds in which nothing follows GOAWAY on the wire, unless the peer shows before that it has read it:
hyper-h2, which official clients use, takes a frame that it reads together with GOAWAY for a protocol error,
and the whole drain for a broken connection."""
_SETTINGS: Final = {
    INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    MAX_FRAME_SIZE: _MAX_FRAME,
    MAX_CONCURRENT_STREAMS: _MAX_STREAMS,
    MAX_HEADER_LIST_SIZE: 65_536,
    ENABLE_CONNECT_PROTOCOL: 1,
}


class StreamReset(Exception):
    """The stream ended before its message was whole: the peer reset it, or the connection is gone."""


class Stream(CoreStream):
    """One request on a connection: its head, its body to read, its answer to write.

    One task reads and one task writes at a time. Consumed bytes are credited to the peer, so at most
    `STREAM_WINDOW` bytes of a body wait here.
    """

    __slots__ = (
        "_chunks",
        "_readable",
        "_writable",
        "connection",
        "reset_code",
        "when_ended",
        "when_reset",
    )

    def __init__(
        self,
        connection: Http2Connection,
        stream_id: int,
        head: RequestHead,
        send_window: int,
        receive_window: int,
    ) -> None:
        super().__init__(stream_id, head, send_window, receive_window)
        self.connection = connection
        self.reset_code: int | None = None
        self.when_ended: Callable[[Stream], None] | None = None
        self.when_reset: Callable[[Stream], None] | None = None
        self._chunks: deque[bytes] = deque()
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a field, None without it."""
        for candidate, value in self.headers:
            if candidate == name:
                return value
        return None

    @property
    def is_over(self) -> bool:
        """Nothing can be sent on it any more."""
        return self.local_closed

    @property
    def is_read_out(self) -> bool:
        """The whole body has arrived and been read."""
        return self.remote_closed and not self._chunks and self.reset_code is None

    # Reading

    def take(self) -> bytes:
        """All body bytes that have arrived and were not read, without waiting."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if not self.remote_closed:
            self.connection.credit(self, len(data))
        return data

    async def read(self) -> bytes:
        """The next body bytes, `b""` at the end of the body.

        Raises:
            StreamReset: The body will never be whole.
        """
        while not self._chunks:
            if self.reset_code is not None:
                raise StreamReset
            if self.remote_closed:
                return b""
            self._readable = asyncio.get_running_loop().create_future()
            try:
                await self._readable
            finally:
                self._readable = None
        return self.take()

    # Writing

    def respond(self, headers: Sequence[Header], *, end: bool = False) -> None:
        """Send the answer's head; nothing happens on a stream that is over."""
        if not self.local_closed:
            self.connection.send_headers(self, headers, end)

    def write_now(self, data: bytes, *, end: bool = False) -> bool:
        """Send `data` whole if the windows have room for all of it, else send nothing and return False."""
        connection = self.connection
        if self.local_closed or connection.paused or len(data) > connection.core.room(self):
            return False
        step = connection.core.peer_max_frame
        if len(data) > step:
            view = memoryview(data)
            while len(view) > step:
                connection.send_data(self, view[:step], False)
                view = view[step:]
            data = bytes(view)
        connection.send_data(self, data, end)
        return True

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send body bytes as the peer's windows and the transport allow; with `end`, end this side.

        Raises:
            StreamReset: The peer wants no more of it.
        """
        connection = self.connection
        view = memoryview(data)
        while True:
            if self.local_closed:
                raise StreamReset
            room = connection.room(self)
            if len(view) <= room:
                connection.send_data(self, view, end)
                return
            if room > 0:
                connection.send_data(self, view[:room], False)
                view = view[room:]
            else:
                self._writable = asyncio.get_running_loop().create_future()
                try:
                    await self._writable
                finally:
                    self._writable = None

    def reset(self, code: int = ErrorCode.CANCEL) -> None:
        """End the stream at once in both directions; nothing happens on one that is over in both."""
        if not (self.local_closed and self.remote_closed):
            self.connection.reset(self, code)
        if self.reset_code is None:
            self.on_reset(code)

    # What the core tells

    def on_open(self) -> None:
        self.connection.stream_opened(self)

    def on_data(self, data: bytes) -> None:
        self._chunks.append(data)
        _wake(self._readable)

    def on_end(self) -> None:
        _wake(self._readable)
        if self.when_ended is not None:
            self.when_ended(self)

    def on_reset(self, code: int) -> None:
        self.reset_code = code
        _wake(self._readable)
        _wake(self._writable)
        if self.when_reset is not None:
            self.when_reset(self)

    def on_window(self) -> None:
        _wake(self._writable)


class Http2Connection(asyncio.Protocol):
    """The protocol object of one HTTP/2 peer.

    Args:
        on_stream: Called for every request as soon as its head is here, on the event loop. It must not block;
            longer work is started with `spawn`.
        on_lost: Called once when the connection is gone and its streams have been reset.
        spawn: Starts a task that someone waits for in the end.
    """

    def __init__(
        self,
        on_stream: Callable[[Stream], None],
        on_lost: Callable[[Http2Connection], None],
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._on_stream = on_stream
        self._on_lost = on_lost
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush_due = False
        self._receiving = False
        self._pending = 0
        self._held = False
        self.paused = False
        self.peer: str | None = None
        self.turn = asyncio.Lock()
        """Held while a message is sent to a peer that credits whole messages only."""
        self.core = Http2Core(
            self._make_stream, _SETTINGS, max_streams=_MAX_STREAMS, connection_window=_CONNECTION_WINDOW
        )

    @property
    def is_closed(self) -> bool:
        """No transport under it, or one that is closing."""
        return self._transport is None or self._transport.is_closing()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` as a task of this connection: it is cancelled when the connection is lost."""
        task = self._spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def goaway(self, code: int, debug: bytes = b"", *, last_stream_id: int = LARGEST_STREAM_ID) -> None:
        """Tell the peer to open no more streams; the open ones go on until `close`.

        The default `last_stream_id` promises to serve everything already under way (RFC 9113, 6.8).
        """
        if not self.is_closed:
            self.core.goaway(code, last_stream_id, debug)
            self._flush()
            self._held = True
            self._loop.call_later(_QUIET_AFTER_GOAWAY, self.release)

    def release(self) -> None:
        """Send what was held back behind GOAWAY: the peer has read it, or has had its time."""
        if self._held:
            self._held = False
            self._flush()

    def close(self) -> None:
        """Send what is queued and close the transport."""
        if self._transport is not None:
            self._held = False
            self._flush()
            self._transport.close()

    # For the streams

    def room(self, stream: Stream) -> int:
        """How many bytes one DATA frame of this stream may hold now."""
        if self.paused:
            return 0
        return min(self.core.room(stream), self.core.peer_max_frame)

    def send_headers(self, stream: Stream, headers: Sequence[Header], end: bool) -> None:
        self.core.send_headers(stream, headers, end)
        self._schedule_flush()

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool) -> None:
        self.core.send_data(stream, data, end)
        self._pending += len(data)
        if self._pending >= _FLUSH_AT and not self._receiving:
            self._flush()
        else:
            self._schedule_flush()

    def credit(self, stream: Stream, size: int) -> None:
        self.core.credit(stream, size)
        self._schedule_flush()

    def reset(self, stream: Stream, code: int) -> None:
        self.core.reset(stream, code)
        self._schedule_flush()

    def stream_opened(self, stream: Stream) -> None:
        self._on_stream(stream)

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else None
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        try:
            self.core.receive(data)
        finally:
            self._receiving = False
        self._flush()
        if self.core.failed is not None and self._transport is not None:
            self._transport.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.core.abandon(ErrorCode.CONNECT_ERROR)
        for task in self._tasks:
            task.cancel()
        self._on_lost(self)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        for stream in list(self.core.streams.values()):
            stream.on_window()

    def _make_stream(self, stream_id: int, head: RequestHead, send: int, receive: int) -> Stream:
        return Stream(self, stream_id, head, send, receive)

    def _schedule_flush(self) -> None:
        if not (self._flush_due or self._receiving):
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._held:
            return
        self._pending = 0
        output = self.core.output
        if output and self._transport is not None:
            data = b"".join(output)
            output.clear()
            self._transport.write(data)
            if self.paused and self._transport.get_write_buffer_size() > _UNREAD_LIMIT:
                self.core.failed = Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "the peer sends and does not read")
                self._transport.abort()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
