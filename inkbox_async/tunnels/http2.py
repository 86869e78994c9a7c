"""The client role of one HTTP/2 connection (RFC 9113) without I/O, made for many short streams.

The header compression is jh2's; the framing is done here, because a listener needs what a general
HTTP/2 state machine does not give: streams that go on after GOAWAY, credit under the control of
whoever consumes a stream, and little work per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import Final

from jh2.connection import Decoder, Encoder

from .protocol import Headers

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
INITIAL_WINDOW: Final = 65535

STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 16 << 20
MAX_FRAME_SIZE: Final = 1 << 16
MAX_HEADER_LIST_SIZE: Final = 1 << 16
MAX_HEADER_BLOCK: Final = 1 << 18

_FRAME_HEADER: Final = Struct(">HBBBL")
_SETTING: Final = Struct(">HL")
_LONG: Final = Struct(">L")
_GOAWAY: Final = Struct(">LL")

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS = range(5)
_PUSH_PROMISE, _PING, _GOAWAY_TYPE, _WINDOW_UPDATE, _CONTINUATION = range(5, 10)
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _HAS_PRIORITY = 0x4, 0x8, 0x20


class ErrorCode(IntEnum):
    """Error codes of RFC 9113 that this connection sends or looks at."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


class SettingCode(IntEnum):
    """Settings of RFC 9113 and RFC 8441."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8


class Http2Error(Exception):
    """The peer broke the protocol; the connection is of no further use."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class Stream:
    """One request of ours; whoever opens it overrides the methods that tell what arrives."""

    __slots__ = (
        "id",
        "local_closed",
        "recv_window",
        "remote_closed",
        "seen_headers",
        "send_window",
        "uncredited",
    )

    def __init__(self) -> None:
        self.id = 0
        self.send_window = 0
        self.recv_window = STREAM_WINDOW
        self.uncredited = 0
        self.local_closed = False
        self.remote_closed = False
        self.seen_headers = False

    def headers_received(self, headers: Headers, ended: bool) -> None:
        """The head of the answer; interim (1xx) heads are not reported."""

    def data_received(self, data: bytes, ended: bool) -> None:
        """A piece of the answer; `ended` may come with an empty piece."""

    def window_opened(self) -> None:
        """The peer will take more data."""

    def reset_received(self, code: int) -> None:
        """The peer gave the stream up, or it went down with its connection."""


class Http2Connection:
    """Bytes in, calls on streams out, and the other way round.

    Args:
        on_goaway: Called with error code, last stream id and debug data of each GOAWAY, before the
            streams above the last id are told that they were refused. All others go on.
        on_ping_ack: Called with the eight bytes of each acknowledged ping.
    """

    def __init__(
        self,
        *,
        on_goaway: Callable[[int, int, bytes], None],
        on_ping_ack: Callable[[bytes], None],
    ) -> None:
        self._on_goaway = on_goaway
        self._on_ping_ack = on_ping_ack
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._decoder.max_header_list_size = MAX_HEADER_LIST_SIZE
        self.streams: dict[int, Stream] = {}
        self.next_stream_id = 1
        self.max_concurrent_streams = MAX_STREAM_ID
        self.max_header_list_size = MAX_HEADER_LIST_SIZE
        """What the peer takes in one header list, and never more than we would."""
        self.settings_received = False
        self.last_stream_id = MAX_STREAM_ID
        self._max_frame_size = 16384
        self._initial_send_window = INITIAL_WINDOW
        self.send_window = INITIAL_WINDOW
        self._recv_window = CONNECTION_WINDOW
        self._uncredited = 0
        self._output: list[bytes | memoryview] = []
        self.pending = 0
        """Bytes of payload that `take_output` would return."""
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = 9
        self._block: tuple[int, int, list[bytes]] | None = None
        settings = {
            SettingCode.ENABLE_PUSH: 0,
            SettingCode.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCode.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
            SettingCode.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_SIZE,
        }
        self._output.append(PREFACE)
        self._frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(code, value) for code, value in settings.items()))
        self._frame(_WINDOW_UPDATE, 0, 0, _LONG.pack(CONNECTION_WINDOW - INITIAL_WINDOW))

    # Sending

    @property
    def can_open(self) -> bool:
        """Whether the peer's limits allow one more stream."""
        return len(self.streams) < self.max_concurrent_streams and self.next_stream_id <= self.last_stream_id

    def open(self, stream: Stream, headers: Headers, *, end_stream: bool = False) -> None:
        """Start a stream with its head."""
        stream_id = self.next_stream_id
        self.next_stream_id = stream_id + 2
        stream.id = stream_id
        stream.send_window = self._initial_send_window
        stream.local_closed = end_stream
        self.streams[stream_id] = stream
        block: bytes = self._encoder.encode([(name, value, False) for name, value in headers])
        flags = _END_STREAM if end_stream else 0
        size = self._max_frame_size
        if len(block) <= size:
            self._frame(_HEADERS, flags | _END_HEADERS, stream_id, block)
            return
        self._frame(_HEADERS, flags, stream_id, block[:size])
        for start in range(size, len(block), size):
            last = start + size >= len(block)
            self._frame(_CONTINUATION, _END_HEADERS if last else 0, stream_id, block[start : start + size])

    def sendable(self, stream: Stream) -> int:
        """How many bytes of data the peer takes on this stream now."""
        window = stream.send_window
        return window if window < self.send_window else self.send_window

    def send(self, stream: Stream, data: bytes | memoryview, *, end_stream: bool = False) -> None:
        """Send data that fits into `sendable`; an empty piece is sent only to end the stream."""
        size = len(data)
        stream.send_window -= size
        self.send_window -= size
        limit = self._max_frame_size
        if size <= limit:
            if size or end_stream:
                self._frame(_DATA, _END_STREAM if end_stream else 0, stream.id, data)
        else:
            view = memoryview(data)
            for start in range(0, size, limit):
                last = end_stream and start + limit >= size
                self._frame(_DATA, _END_STREAM if last else 0, stream.id, view[start : start + limit])
        if end_stream:
            stream.local_closed = True
            if stream.remote_closed:
                self.streams.pop(stream.id, None)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Give a stream up; nothing more is reported on it."""
        if self.streams.pop(stream.id, None) is not None:
            self._frame(_RST_STREAM, 0, stream.id, _LONG.pack(code))

    def credit(self, stream: Stream, size: int) -> None:
        """Let the peer send `size` more bytes on a stream whose bytes have been consumed."""
        stream.uncredited += size
        if stream.uncredited >= STREAM_WINDOW // 4 and not stream.remote_closed and stream.id in self.streams:
            self._frame(_WINDOW_UPDATE, 0, stream.id, _LONG.pack(stream.uncredited))
            stream.recv_window += stream.uncredited
            stream.uncredited = 0

    def ping(self, payload: bytes) -> None:
        """Ask the peer for a sign of life; `payload` is eight bytes."""
        self._frame(_PING, 0, 0, payload)

    def goaway(self, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """Tell the peer that this connection ends."""
        self._frame(_GOAWAY_TYPE, 0, 0, _GOAWAY.pack(0, code))

    def take_output(self) -> bytes:
        """Everything to be written to the network since the last call."""
        output = b"".join(self._output)
        self._output.clear()
        self.pending = 0
        return output

    @property
    def has_output(self) -> bool:
        """Whether `take_output` would return anything."""
        return bool(self._output)

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> None:
        size = len(payload)
        self.pending += size
        self._output.append(_FRAME_HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id))
        if size:
            self._output.append(payload)

    # Receiving

    def receive(self, data: bytes) -> None:
        """Take bytes from the network and report what they mean.

        Raises:
            Http2Error: The peer broke the protocol.
        """
        if self._have:
            self._chunks.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        offset, available, need = 0, len(data), 9
        unpack = _FRAME_HEADER.unpack_from
        while available - offset >= 9:
            high, low, kind, flags, stream_id = unpack(data, offset)
            size = high << 8 | low
            if size > MAX_FRAME_SIZE:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"frame of {size} bytes")
            end = offset + 9 + size
            if end > available:
                need = 9 + size
                break
            self._receive_frame(kind, flags, stream_id & MAX_STREAM_ID, data[offset + 9 : end])
            offset = end
        self._have = available - offset
        self._need = need
        if self._have:
            self._chunks.append(data[offset:] if offset else data)

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and kind != _CONTINUATION:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if not self.settings_received and kind != _SETTINGS:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the connection did not begin with SETTINGS")
        if kind == _DATA:
            self._data_frame(flags, stream_id, payload)
        elif kind == _HEADERS:
            self._headers_frame(flags, stream_id, payload)
        elif kind == _WINDOW_UPDATE:
            self._window_update_frame(stream_id, payload)
        elif kind == _RST_STREAM:
            self._rst_stream_frame(stream_id, payload)
        elif kind == _SETTINGS:
            self._settings_frame(flags, stream_id, payload)
        elif kind == _PING:
            self._ping_frame(flags, stream_id, payload)
        elif kind == _GOAWAY_TYPE:
            self._goaway_frame(stream_id, payload)
        elif kind == _CONTINUATION:
            self._continuation_frame(flags, stream_id, payload)
        elif kind == _PUSH_PROMISE:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "push was not enabled")

    def _stream(self, stream_id: int) -> Stream | None:
        """The stream of a frame, or None when it is over already."""
        stream = self.streams.get(stream_id)
        if stream is None and (stream_id % 2 == 0 or stream_id >= self.next_stream_id):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"frame on stream {stream_id}, which nobody opened")
        return stream

    def _data_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._recv_window -= size
        if self._recv_window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection window")
        # Credit for the connection is given on receipt: what is not consumed yet is bounded by the
        # windows of the streams, and one slow stream never stops the others.
        self._uncredited += size
        if self._uncredited >= CONNECTION_WINDOW // 4:
            self._frame(_WINDOW_UPDATE, 0, 0, _LONG.pack(self._uncredited))
            self._recv_window += self._uncredited
            self._uncredited = 0
        stream = self._stream(stream_id)
        if stream is None:
            return
        if not stream.seen_headers or stream.remote_closed:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "data outside of a body")
        stream.recv_window -= size
        if stream.recv_window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream window")
        if flags & _PADDED:
            payload = _unpad(payload)
            stream.uncredited += size - len(payload)
        ended = bool(flags & _END_STREAM)
        if ended:
            self._remote_closed(stream)
        stream.data_received(payload, ended)

    def _headers_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & _PADDED:
            payload = _unpad(payload)
        if flags & _HAS_PRIORITY:
            if len(payload) < 5:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & _END_HEADERS:
            self._header_block(flags, stream_id, payload)
        else:
            self._block = (flags, stream_id, [payload])

    def _continuation_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[1] != stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        first_flags, _, parts = self._block
        parts.append(payload)
        if len(parts) > 64 or sum(map(len, parts)) > MAX_HEADER_BLOCK:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        if flags & _END_HEADERS:
            self._block = None
            self._header_block(first_flags, stream_id, b"".join(parts))

    def _header_block(self, flags: int, stream_id: int, block: bytes) -> None:
        try:
            headers: Headers = self._decoder.decode(block, raw=True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # The codecs share no base class, and a panic of the Rust one is not even an `Exception`.
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, f"bad header block: {error}") from error
        stream = self._stream(stream_id)
        if stream is None:
            return
        ended = bool(flags & _END_STREAM)
        if stream.remote_closed:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "headers after the end of a stream")
        if stream.seen_headers:
            if not ended:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "trailers that do not end their stream")
            self._remote_closed(stream)
            stream.data_received(b"", True)
            return
        status = headers[0][1] if headers and headers[0][0] == b":status" else b""
        if len(status) != 3 or not status.isdigit():
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "an answer without status")
        if status.startswith(b"1"):
            if ended:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "an interim answer ended its stream")
            return
        stream.seen_headers = True
        if ended:
            self._remote_closed(stream)
        stream.headers_received(headers, ended)

    def _remote_closed(self, stream: Stream) -> None:
        stream.remote_closed = True
        if stream.local_closed:
            self.streams.pop(stream.id, None)

    def _rst_stream_frame(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        stream = self._stream(stream_id)
        if stream is not None:
            del self.streams[stream_id]
            stream.reset_received(_LONG.unpack(payload)[0])

    def _window_update_frame(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        increment = _LONG.unpack(payload)[0] & MAX_WINDOW
        if not increment:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if stream_id == 0:
            was_shut = self.send_window <= 0
            self.send_window = _grown(self.send_window, increment)
            if was_shut:
                for each in list(self.streams.values()):
                    each.window_opened()
            return
        stream = self._stream(stream_id)
        if stream is not None:
            stream.send_window = _grown(stream.send_window, increment)
            stream.window_opened()

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & _ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS acknowledged with a payload")
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        for code, value in _SETTING.iter_unpack(payload):
            self._setting(code, value)
        self.settings_received = True
        self._frame(_SETTINGS, _ACK, 0, b"")
        for stream in list(self.streams.values()):
            stream.window_opened()

    def _setting(self, code: int, value: int) -> None:
        if code == SettingCode.HEADER_TABLE_SIZE:
            self._encoder.header_table_size = min(value, 4096)
        elif code == SettingCode.MAX_CONCURRENT_STREAMS:
            self.max_concurrent_streams = value
        elif code == SettingCode.MAX_HEADER_LIST_SIZE:
            self.max_header_list_size = min(value, MAX_HEADER_LIST_SIZE)
        elif code == SettingCode.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "initial window too large")
            change = value - self._initial_send_window
            self._initial_send_window = value
            for stream in self.streams.values():
                stream.send_window = _grown(stream.send_window, change)
        elif code == SettingCode.MAX_FRAME_SIZE:
            if not 16384 <= value < 1 << 24:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "frame size out of range")
            self._max_frame_size = min(value, MAX_FRAME_SIZE)

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size or on a stream")
        if flags & _ACK:
            self._on_ping_ack(payload)
        else:
            self._frame(_PING, _ACK, 0, payload)

    def _goaway_frame(self, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong size or on a stream")
        last_stream_id, code = _GOAWAY.unpack_from(payload)
        last_stream_id &= MAX_STREAM_ID
        self.last_stream_id = min(last_stream_id, self.last_stream_id)
        self._on_goaway(code, last_stream_id, payload[8:])
        for each in [stream for each_id, stream in self.streams.items() if each_id > last_stream_id]:
            del self.streams[each.id]
            each.reset_received(ErrorCode.REFUSED_STREAM)


def _grown(window: int, increment: int) -> int:
    if window + increment > MAX_WINDOW:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "window grown too large")
    return window + increment


def _unpad(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]
