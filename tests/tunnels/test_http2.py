"""The HTTP/2 core, against an independent implementation and against noise."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.events import DataReceived, PingReceived, RequestReceived, StreamEnded
from jh2.hpack import Encoder

from inkbox_async.tunnels import http2
from inkbox_async.tunnels.http2 import ErrorCode, Http2Connection, Http2Error, Stream
from inkbox_async.tunnels.protocol import Headers

HEADERS: Headers = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"edge"),
    (b":path", b"/x"),
]
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


class Recorded(Stream):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: Headers = []
        self.body = b""
        self.ended = False
        self.reset: int | None = None
        self.openings = 0

    def headers_received(self, headers: Headers, ended: bool) -> None:
        self.headers = [(field[0], field[1]) for field in headers]
        self.ended = ended

    def data_received(self, data: bytes, ended: bool) -> None:
        self.body += data
        self.ended = ended

    def window_opened(self) -> None:
        self.openings += 1

    def reset_received(self, code: int) -> None:
        self.reset = code


class Pair:
    """Our client and jh2's server, wired together."""

    def __init__(self) -> None:
        self.goaways: list[tuple[int, int, bytes]] = []
        self.acks: list[bytes] = []
        self.client = Http2Connection(
            on_goaway=lambda *said: self.goaways.append(said), on_ping_ack=self.acks.append
        )
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding=False))
        self.server.initiate_connection()
        self.events: list[Any] = []  # Any: jh2's events
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes until both sides are silent."""
        while True:
            forth, back = self.client.take_output(), bytes(self.server.data_to_send())
            if not forth and not back:
                return
            if forth:
                self.events += self.server.receive_data(forth)
            if back:
                self.client.receive(back)

    def open(self, *, end: bool = False) -> Recorded:
        stream = Recorded()
        self.client.open(stream, HEADERS, end_stream=end)
        self.exchange()
        return stream

    def of(self, kind: type[Any]) -> list[Any]:  # Any: jh2's events
        return [event for event in self.events if isinstance(event, kind)]


def fresh() -> Http2Connection:
    connection = Http2Connection(on_goaway=lambda *said: None, on_ping_ack=lambda payload: None)
    connection.take_output()
    return connection


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    size = len(payload)
    return struct.pack(">HBBBL", size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def head(stream_id: int, *, flags: int = 0x4, status: bytes = b"200") -> bytes:
    return frame(1, flags, stream_id, Encoder().encode([(b":status", status)]))


class TestExchanges:
    def test_request_and_answer(self) -> None:
        pair = Pair()
        stream = pair.open(end=True)
        (request,) = pair.of(RequestReceived)
        assert [(bytes(n), bytes(v)) for n, v in request.headers] == HEADERS
        assert len(pair.of(StreamEnded)) == 1
        pair.server.send_headers(1, [(":status", "200"), ("x-a", "b")])
        pair.server.send_data(1, b"hello", end_stream=True)
        pair.exchange()
        assert stream.headers == [(b":status", b"200"), (b"x-a", b"b")]
        assert (stream.body, stream.ended, pair.client.streams) == (b"hello", True, {})

    def test_the_windows_are_large_and_announced(self) -> None:
        pair = Pair()
        pair.open()
        assert pair.server.local_flow_control_window(1) == http2.STREAM_WINDOW
        assert pair.server.outbound_flow_control_window == http2.CONNECTION_WINDOW
        assert pair.server.max_outbound_frame_size == http2.MAX_FRAME_SIZE
        assert pair.server.remote_settings.enable_push == 0

    def test_sending_keeps_within_the_peers_windows(self) -> None:
        pair = Pair()
        stream = pair.open()
        assert pair.client.sendable(stream) == 65535
        pair.client.send(stream, b"x" * 65535)
        assert pair.client.sendable(stream) == 0
        pair.exchange()
        pair.server.acknowledge_received_data(65535, 1)
        pair.exchange()
        assert pair.client.sendable(stream) == 65535
        assert stream.openings > 0
        assert max(len(event.data) for event in pair.of(DataReceived)) <= 16384

    def test_a_stream_window_is_credited_when_its_owner_says_so(self) -> None:
        pair = Pair()
        stream = pair.open(end=True)
        pair.server.send_headers(1, [(":status", "200")])
        for _ in range(http2.STREAM_WINDOW // 32768):
            pair.server.send_data(1, b"x" * 32768)
            pair.exchange()
        assert pair.server.local_flow_control_window(1) == 0
        pair.client.credit(stream, http2.STREAM_WINDOW)
        pair.exchange()
        assert pair.server.local_flow_control_window(1) == http2.STREAM_WINDOW

    def test_the_connection_window_never_runs_dry(self) -> None:
        pair = Pair()
        for _ in range(20):
            stream = pair.open(end=True)
            pair.server.send_headers(stream.id, [(":status", "200")])
            for _ in range(http2.STREAM_WINDOW // 65536):
                pair.server.send_data(stream.id, b"x" * 65536)
                pair.exchange()
        assert pair.server.outbound_flow_control_window > http2.CONNECTION_WINDOW // 2

    def test_a_header_list_larger_than_a_frame(self) -> None:
        pair = Pair()
        stream = Recorded()
        large = [*HEADERS, *((b"x-%d" % i, b"%d" % i * 400) for i in range(40))]
        pair.client.open(stream, large, end_stream=True)
        pair.exchange()
        assert len(pair.of(RequestReceived)[0].headers) == len(large)

    def test_pings_are_answered_and_acknowledged(self) -> None:
        pair = Pair()
        pair.server.ping(b"12345678")
        pair.client.ping(b"abcdefgh")
        pair.exchange()
        assert pair.acks == [b"abcdefgh"]
        assert [event.ping_data for event in pair.of(PingReceived)] == [b"abcdefgh"]

    def test_streams_go_on_after_goaway(self) -> None:
        pair = Pair()
        kept, refused = pair.open(end=True), pair.open(end=True)
        pair.client.receive(frame(7, 0, 0, struct.pack(">LL", 1, 0) + b'{"reason":"drain"}'))
        assert pair.goaways == [(0, 1, b'{"reason":"drain"}')]
        assert (kept.reset, refused.reset) == (None, ErrorCode.REFUSED_STREAM)
        pair.server.send_headers(1, [(":status", "204")], end_stream=True)
        pair.exchange()
        assert kept.ended

    def test_interim_answers_and_trailers(self) -> None:
        pair = Pair()
        stream = pair.open(end=True)
        pair.server.send_headers(1, [(":status", "103")])
        pair.server.send_headers(1, [(":status", "200")])
        pair.server.send_data(1, b"x")
        pair.server.send_headers(1, [("x-trailer", "1")], end_stream=True)
        pair.exchange()
        assert (stream.headers, stream.body, stream.ended) == ([(b":status", b"200")], b"x", True)

    def test_a_reset_is_told_once_and_late_frames_are_ignored(self) -> None:
        pair = Pair()
        stream = pair.open()
        pair.server.reset_stream(1, 8)
        pair.exchange()
        assert stream.reset == 8
        pair.client.receive(head(1) + frame(0, 1, 1, b"late"))
        assert (stream.headers, stream.body) == ([], b"")

    def test_the_peers_limit_of_streams(self) -> None:
        connection = fresh()
        connection.receive(frame(4, 0, 0, struct.pack(">HL", 3, 1)))
        assert connection.can_open
        connection.open(Recorded(), HEADERS)
        assert not connection.can_open


class TestBreaches:
    """What a peer must not do ends the connection, whatever it is."""

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(6, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),  # before SETTINGS
            (SETTINGS + frame(0, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(0, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),  # before the head
            (SETTINGS + frame(0, 0, 7, b"x"), ErrorCode.PROTOCOL_ERROR),  # never opened
            (SETTINGS + frame(0, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + head(1) + frame(0, 8, 1, b"\x05ab"), ErrorCode.PROTOCOL_ERROR),  # padding
            (SETTINGS + head(1) + frame(0, 8, 1, b""), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(0, 0, 1, bytes((1 << 16) + 1)), ErrorCode.FRAME_SIZE_ERROR),
            (SETTINGS + frame(1, 4, 1, b"\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
            (SETTINGS + frame(1, 4, 1, b"\x40"), ErrorCode.COMPRESSION_ERROR),  # the codec panics
            (SETTINGS + frame(1, 4, 1, b""), ErrorCode.PROTOCOL_ERROR),  # no status
            (SETTINGS + head(1, status=b"20x"), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + head(1, status=b"100", flags=5), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + head(1) + head(1), ErrorCode.PROTOCOL_ERROR),  # trailers without an end
            (SETTINGS + head(1, flags=0) + frame(6, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(9, 4, 1, b""), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(1, 0x24, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
            (SETTINGS + frame(5, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),  # push
            (SETTINGS + frame(3, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
            (SETTINGS + frame(8, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(8, 0, 0, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
            (SETTINGS + frame(8, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
            (SETTINGS + frame(6, 0, 0, b"short"), ErrorCode.FRAME_SIZE_ERROR),
            (SETTINGS + frame(7, 0, 0, b"short"), ErrorCode.FRAME_SIZE_ERROR),
            (frame(4, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
            (SETTINGS + frame(4, 1, 0, b"x" * 6), ErrorCode.FRAME_SIZE_ERROR),
            (frame(4, 0, 0, b"x" * 5), ErrorCode.FRAME_SIZE_ERROR),
            (frame(4, 0, 0, struct.pack(">HL", 4, 1 << 31)), ErrorCode.FLOW_CONTROL_ERROR),
            (frame(4, 0, 0, struct.pack(">HL", 5, 100)), ErrorCode.PROTOCOL_ERROR),
        ],
    )
    def test_it_is_named(self, data: bytes, code: ErrorCode) -> None:
        connection = fresh()
        connection.open(Recorded(), HEADERS)
        with pytest.raises(Http2Error) as caught:
            connection.receive(data)
        assert caught.value.code is code

    def test_more_data_than_the_window(self) -> None:
        connection = fresh()
        connection.open(Recorded(), HEADERS, end_stream=True)
        connection.receive(SETTINGS + head(1))
        data = frame(0, 0, 1, bytes(1 << 16))
        for _ in range(http2.STREAM_WINDOW // (1 << 16)):
            connection.receive(data)
        with pytest.raises(Http2Error) as caught:
            connection.receive(frame(0, 0, 1, b"x"))
        assert caught.value.code is ErrorCode.FLOW_CONTROL_ERROR

    def test_an_endless_header_block(self) -> None:
        connection = fresh()
        connection.open(Recorded(), HEADERS, end_stream=True)
        connection.receive(SETTINGS + frame(1, 0, 1, b""))
        data = frame(9, 0, 1, bytes(1 << 14)) * 100
        with pytest.raises(Http2Error) as caught:
            connection.receive(data)
        assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM

    @pytest.mark.parametrize(
        "block", [b"\x00\x81", b"\x40\x82", b"\x00\x7f", b"\x3f", b"\xff", b"\x00\x80", b"\x10"]
    )
    def test_a_header_block_that_breaks_off(self, block: bytes) -> None:
        connection = fresh()
        connection.open(Recorded(), HEADERS, end_stream=True)
        with pytest.raises(Http2Error):
            connection.receive(SETTINGS + frame(1, 4, 1, block))

    def test_unknown_frames_are_ignored(self) -> None:
        connection = fresh()
        connection.receive(SETTINGS + frame(0x42, 0xFF, 77, b"novelty") + frame(2, 0, 1, bytes(5)))


FRAMES = st.builds(
    frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]),
    st.sampled_from([0, 1, 2, 3, 5]),
    st.one_of(st.binary(max_size=40), st.just(Encoder().encode([(b":status", b"200")]))),
)


class TestNoise:
    @settings(max_examples=300)
    @given(st.lists(FRAMES, max_size=12), st.integers(1, 50))
    def test_any_frames_are_taken_or_refused(self, frames: list[bytes], step: int) -> None:
        connection = fresh()
        streams = [Recorded(), Recorded()]
        connection.open(streams[0], HEADERS, end_stream=True)
        connection.open(streams[1], HEADERS)
        data = SETTINGS + b"".join(frames)
        try:
            for start in range(0, len(data), step):
                connection.receive(data[start : start + step])
        except Http2Error:
            return
        assert len(connection.streams) <= 2

    @given(st.binary(max_size=200))
    def test_any_bytes_are_taken_or_refused(self, data: bytes) -> None:
        connection = fresh()
        try:
            connection.receive(SETTINGS + data)
        except Http2Error:
            return

    @given(st.lists(st.binary(min_size=1, max_size=3000), max_size=10), st.integers(1, 5000))
    def test_answers_arrive_whole_however_they_are_cut(self, bodies: list[bytes], step: int) -> None:
        pair = Pair()
        stream = pair.open(end=True)
        pair.server.send_headers(1, [(":status", "200")])
        for body in bodies:
            pair.server.send_data(1, body)
        pair.server.end_stream(1)
        data = bytes(pair.server.data_to_send())
        for start in range(0, len(data), step):
            pair.client.receive(data[start : start + step])
        assert (stream.body, stream.ended) == (b"".join(bodies), True)
