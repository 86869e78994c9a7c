"""The server's side of an HTTP/2 connection without I/O: bytes in, calls on streams and bytes out (RFC 9113).

Written for the edge instead of taken from a library for two needs: a connection goes on serving its streams
after GOAWAY in either direction (a drained listener still posts its replies), and one tunnelled request is
two streams, so that frame handling is what bounds the edge's speed. Header compression is `jh2`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from jh2.connection import (
    Decoder,
    Encoder,
    HPACKError,
    OversizedHeaderListError,
)

from inkbox_async.sandbox.edge.http2_codes import (
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    FLAG_ACK,
    FLAG_END_HEADERS,
    FLAG_END_STREAM,
    FLAG_PADDED,
    FLAG_PRIORITY,
    GOAWAY,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Http2Error,
)
from inkbox_async.sandbox.edge.http2_headers import Header, MalformedMessage, RequestHead, read_head

LARGEST_WINDOW: Final = 2**31 - 1
LARGEST_STREAM_ID: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535

_FRAME_HEADER: Final = struct.Struct(">HBBBL")
_SETTING: Final = struct.Struct(">HL")
_UINT32: Final = struct.Struct(">L")
_UINT32_PAIR: Final = struct.Struct(">LL")

_HEADER_BLOCK_LIMIT: Final = 262_144
_ENCODER_TABLE_LIMIT: Final = 65_536


class CoreStream:
    """One stream as the core keeps it; the owner's subclass decides what its events mean."""

    __slots__ = (
        "credit_owed",
        "expected_length",
        "headers",
        "id",
        "local_closed",
        "pseudo",
        "receive_window",
        "received_length",
        "remote_closed",
        "send_window",
    )

    def __init__(self, stream_id: int, head: RequestHead, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        self.headers = head.fields
        self.pseudo = head.pseudo
        self.send_window = send_window
        self.receive_window = receive_window
        self.credit_owed = 0
        self.expected_length = head.content_length
        self.received_length = 0
        self.remote_closed = False
        self.local_closed = False

    def on_open(self) -> None:
        """The request's head has arrived; `remote_closed` tells whether that was all of it."""

    def on_data(self, data: bytes) -> None:
        """Body bytes have arrived; the owner gives credit for them when they are consumed."""

    def on_end(self) -> None:
        """The peer has ended its side."""

    def on_reset(self, code: int) -> None:
        """The stream is over: the peer reset it, or broke its rules so that the core did."""

    def on_window(self) -> None:
        """There may be more room to send."""


class Http2Core:
    """Frames of one server connection.

    Args:
        make_stream: Makes the owner's stream object for a new request.
        settings: SETTINGS to announce, identifier to value. Must hold INITIAL_WINDOW_SIZE and MAX_FRAME_SIZE.
        max_streams: Streams the peer may have open at once; more are refused.
        connection_window: Receive window of the whole connection. It is credited on receipt, so that
            no stream ever waits for another one's reader.
    """

    def __init__(
        self,
        make_stream: Callable[[int, RequestHead, int, int], CoreStream],
        settings: dict[int, int],
        *,
        max_streams: int,
        connection_window: int,
    ) -> None:
        self._make_stream = make_stream
        self._max_streams = max_streams
        self._window = settings[INITIAL_WINDOW_SIZE]
        self._max_frame = settings[MAX_FRAME_SIZE]
        self._credit_step = connection_window // 4
        self._credit_owed = 0
        self._decoder = Decoder()
        self._decoder.max_header_list_size = _HEADER_BLOCK_LIMIT
        self._encoder = Encoder()
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._needed = len(PREFACE)
        self._preface_seen = False
        self._settings_seen = False
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_ends_stream = False
        self.streams: dict[int, CoreStream] = {}
        self.highest_stream_id = 0
        self.send_window = DEFAULT_WINDOW
        self.peer_initial_window = DEFAULT_WINDOW
        self.peer_max_frame = 16_384
        self.peer_max_header_list = LARGEST_WINDOW
        self.failed: Http2Error | None = None
        self.output: list[bytes] = []
        payload = b"".join(_SETTING.pack(code, value) for code, value in settings.items())
        self._frame(SETTINGS, 0, 0, payload)
        self._frame(WINDOW_UPDATE, 0, 0, _UINT32.pack(connection_window - DEFAULT_WINDOW))

    # What arrives

    def receive(self, data: bytes) -> None:
        """Take bytes off the wire. After a connection error `failed` is set and GOAWAY is in the output."""
        if self.failed is not None:
            return
        try:
            at = self._complete(data) if self._buffered else 0
            if at < len(data):
                self._parse(data, at)
        except Http2Error as error:
            self.fail(error)

    def _complete(self, data: bytes) -> int:
        """Finish the frame that was waiting for more; returns how much of `data` that has used up.

        Only that one frame is copied together; the frames behind it are taken from `data` itself.
        """
        at = 0
        while self._buffered:
            part = data[at : at + self._needed - self._buffered]
            at += len(part)
            self._chunks.append(part)
            self._buffered += len(part)
            if self._buffered < self._needed:
                break
            whole = b"".join(self._chunks)
            self._chunks.clear()
            self._buffered = 0
            self._parse(whole, 0)
        return at

    def _parse(self, data: bytes, at: int) -> None:
        end = len(data)
        if not self._preface_seen:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "not an HTTP/2 connection preface")
            if end < len(PREFACE):
                self._keep(data)
                return
            self._preface_seen = True
            at = len(PREFACE)
        while end - at >= 9:
            high, low, kind, flags, stream_id = _FRAME_HEADER.unpack_from(data, at)
            length = high << 8 | low
            if length > self._max_frame:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "a frame is larger than SETTINGS_MAX_FRAME_SIZE")
            stop = at + 9 + length
            if stop > end:
                self._needed = stop - at
                break
            if self._block is not None and kind != CONTINUATION:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
            if not self._settings_seen and kind != SETTINGS:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            handler = self._HANDLERS.get(kind)
            if handler is not None:
                handler(self, flags, stream_id & LARGEST_STREAM_ID, data[at + 9 : stop])
            at = stop
        else:
            self._needed = 9
        if at < end:
            self._keep(data[at:] if at else data)

    def _keep(self, beginning: bytes) -> None:
        self._chunks.append(beginning)
        self._buffered = len(beginning)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._credit_owed += size
        if self._credit_owed >= self._credit_step:
            self._frame(WINDOW_UPDATE, 0, 0, _UINT32.pack(self._credit_owed))
            self._credit_owed = 0
        if flags & FLAG_PADDED:
            payload = _without_padding(payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id)
            return  # late bytes of a stream that is over
        if stream.remote_closed:
            self._break(stream, ErrorCode.STREAM_CLOSED)
            return
        if size > stream.receive_window:
            self._break(stream, ErrorCode.FLOW_CONTROL_ERROR)
            return
        stream.receive_window -= size
        stream.received_length += len(payload)
        ended = bool(flags & FLAG_END_STREAM)
        expected = stream.expected_length
        if expected is not None and (
            stream.received_length > expected or (ended and stream.received_length != expected)
        ):
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
            return
        if size > len(payload):
            self.credit(stream, size - len(payload))
        if payload:
            stream.on_data(payload)
        if ended:
            self._end_remote(stream)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id % 2:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "clients open odd streams only")
        if flags & FLAG_PADDED:
            payload = _without_padding(payload)
        if flags & FLAG_PRIORITY:
            if len(payload) < 5:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority fields")
            payload = payload[5:]
        self._block_stream = stream_id
        self._block_ends_stream = bool(flags & FLAG_END_STREAM)
        if flags & FLAG_END_HEADERS:
            self._on_block(payload)
        else:
            self._block = bytearray(payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != self._block_stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without a header block")
        block += payload
        if len(block) > _HEADER_BLOCK_LIMIT:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "the header block is too large")
        if flags & FLAG_END_HEADERS:
            self._block = None
            self._on_block(bytes(block))

    def _on_block(self, block: bytes) -> None:
        headers = self._decode(block)
        stream_id, ended = self._block_stream, self._block_ends_stream
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, ended)
            return
        if stream_id <= self.highest_stream_id:
            return  # trailers of a stream that was reset meanwhile; decoded to keep the table in step
        self.highest_stream_id = stream_id
        if len(self.streams) >= self._max_streams:
            self._frame(RST_STREAM, 0, stream_id, _UINT32.pack(ErrorCode.REFUSED_STREAM))
            return
        try:
            head = read_head(headers)
            if ended and head.content_length:
                raise MalformedMessage("content-length differs from the body")
        except MalformedMessage:
            self._frame(RST_STREAM, 0, stream_id, _UINT32.pack(ErrorCode.PROTOCOL_ERROR))
            return
        stream = self._make_stream(stream_id, head, self.peer_initial_window, self._window)
        self.streams[stream_id] = stream
        stream.remote_closed = ended
        stream.on_open()

    def _decode(self, block: bytes) -> list[Header]:
        try:
            return [(item[0], item[1]) for item in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "the header list is too large") from None
        except BaseException as problem:
            # A block that is cut short makes the decoder panic, which Python sees as no ordinary Exception.
            if isinstance(problem, HPACKError) or type(problem).__name__ == "PanicException":
                raise Http2Error(ErrorCode.COMPRESSION_ERROR, "the header block cannot be decoded") from None
            raise

    def _on_trailers(self, stream: CoreStream, ended: bool) -> None:
        if stream.remote_closed:
            self._break(stream, ErrorCode.STREAM_CLOSED)
        elif not ended or stream.expected_length not in (None, stream.received_length):
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end_remote(stream)

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        stream = self.streams.pop(stream_id, None)
        if stream is None:
            self._check_not_idle(stream_id)
            return
        stream.remote_closed = stream.local_closed = True
        stream.on_reset(_UINT32.unpack(payload)[0])

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS belongs to the connection")
        self._settings_seen = True
        if flags & FLAG_ACK:
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS has 6 bytes for each value")
        for code, value in _SETTING.iter_unpack(payload):
            self._on_setting(code, value)
        self._frame(SETTINGS, FLAG_ACK, 0, b"")
        self._open_windows()

    def _on_setting(self, code: int, value: int) -> None:
        if code == INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large")
            change = value - self.peer_initial_window
            self.peer_initial_window = value
            for stream in self.streams.values():
                stream.send_window += change
                if stream.send_window > LARGEST_WINDOW:
                    raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large")
        elif code == MAX_FRAME_SIZE:
            if not 16_384 <= value < 2**24:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is out of range")
            self.peer_max_frame = value
        elif code == MAX_HEADER_LIST_SIZE:
            self.peer_max_header_list = value
        elif code == HEADER_TABLE_SIZE:
            self._encoder.header_table_size = min(value, _ENCODER_TABLE_LIMIT)
        elif code == ENABLE_PUSH and value > 1:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is 0 or 1")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "clients do not push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING has 8 bytes")
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PING belongs to the connection")
        if not flags & FLAG_ACK:
            self._frame(PING, FLAG_ACK, 0, payload)

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has at least 8 bytes")
        if stream_id:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "GOAWAY belongs to the connection")

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        step = _UINT32.unpack(payload)[0] & LARGEST_WINDOW
        if not stream_id:
            self.send_window += step
            if not step or self.send_window > LARGEST_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if step else ErrorCode.PROTOCOL_ERROR
                raise Http2Error(code, "the connection's window moved by an impossible step")
            self._open_windows()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id)
            return
        stream.send_window += step
        if not step or stream.send_window > LARGEST_WINDOW:
            self._break(stream, ErrorCode.FLOW_CONTROL_ERROR if step else ErrorCode.PROTOCOL_ERROR)
        else:
            stream.on_window()

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes")

    _HANDLERS: Final[dict[int, Callable[[Http2Core, int, int, bytes], None]]] = {
        DATA: _on_data,
        HEADERS: _on_headers,
        PRIORITY: _on_priority,
        RST_STREAM: _on_rst_stream,
        SETTINGS: _on_settings,
        PUSH_PROMISE: _on_push_promise,
        PING: _on_ping,
        GOAWAY: _on_goaway,
        WINDOW_UPDATE: _on_window_update,
        CONTINUATION: _on_continuation,
    }

    def _check_not_idle(self, stream_id: int) -> None:
        if stream_id > self.highest_stream_id or not stream_id % 2:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a frame for a stream that was never opened")

    def _open_windows(self) -> None:
        for stream in list(self.streams.values()):
            stream.on_window()

    def _end_remote(self, stream: CoreStream) -> None:
        stream.remote_closed = True
        if stream.local_closed:
            self.streams.pop(stream.id, None)
        stream.on_end()

    def _break(self, stream: CoreStream, code: ErrorCode) -> None:
        self.reset(stream, code)
        stream.on_reset(code)

    # What is sent

    def send_headers(self, stream: CoreStream, headers: Sequence[Header], end_stream: bool) -> None:
        """The head of the answer."""
        block = self._encoder.encode([(name, value, False) for name, value in headers])
        flags = FLAG_END_STREAM if end_stream else 0
        if len(block) <= self.peer_max_frame:
            self._frame(HEADERS, flags | FLAG_END_HEADERS, stream.id, block)
        else:
            step = self.peer_max_frame
            parts = [block[at : at + step] for at in range(0, len(block), step)]
            self._frame(HEADERS, flags, stream.id, parts[0])
            for part in parts[1:-1]:
                self._frame(CONTINUATION, 0, stream.id, part)
            self._frame(CONTINUATION, FLAG_END_HEADERS, stream.id, parts[-1])
        if end_stream:
            self._end_local(stream)

    def room(self, stream: CoreStream) -> int:
        """Bytes of body that may be sent on this stream now; may be negative after a SETTINGS change."""
        return min(stream.send_window, self.send_window)

    def send_data(self, stream: CoreStream, data: bytes | memoryview, end_stream: bool) -> None:
        """One DATA frame; the caller keeps to `room` and `peer_max_frame`."""
        size = len(data)
        stream.send_window -= size
        self.send_window -= size
        self._frame(DATA, FLAG_END_STREAM if end_stream else 0, stream.id, data)
        if end_stream:
            self._end_local(stream)

    def credit(self, stream: CoreStream, size: int) -> None:
        """The owner has consumed `size` bytes of this stream's body."""
        if stream.remote_closed:
            return
        stream.credit_owed += size
        if stream.credit_owed * 4 >= self._window:
            self._frame(WINDOW_UPDATE, 0, stream.id, _UINT32.pack(stream.credit_owed))
            stream.receive_window += stream.credit_owed
            stream.credit_owed = 0

    def reset(self, stream: CoreStream, code: int) -> None:
        """End the stream at once, in both directions."""
        if self.streams.pop(stream.id, None) is not None:
            self._frame(RST_STREAM, 0, stream.id, _UINT32.pack(code))
        stream.local_closed = stream.remote_closed = True

    def goaway(self, code: int, last_stream_id: int, debug: bytes = b"") -> None:
        """Tell the peer to open no more streams here; the open ones go on."""
        self._frame(GOAWAY, 0, 0, _UINT32_PAIR.pack(last_stream_id, code) + debug)

    def fail(self, error: Http2Error) -> None:
        """Give the connection up: every stream is reset for its owner, and the peer is told why."""
        self.failed = error
        self.goaway(error.code, self.highest_stream_id, str(error).encode())
        self.abandon(error.code)

    def abandon(self, code: int) -> None:
        """The connection is gone: end every stream for its owner."""
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.local_closed = stream.remote_closed = True
            stream.on_reset(code)

    def _end_local(self, stream: CoreStream) -> None:
        stream.local_closed = True
        if stream.remote_closed:
            self.streams.pop(stream.id, None)

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> None:
        size = len(payload)
        self.output.append(_FRAME_HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id))
        if size:
            self.output.append(bytes(payload) if isinstance(payload, memoryview) else payload)


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
