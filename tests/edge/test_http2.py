"""The edge's HTTP/2 against peers that break its rules, stall, or send noise."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jh2.connection import Encoder

from inkbox_async.sandbox.edge.http2_codes import PREFACE, ErrorCode
from inkbox_async.sandbox.edge.http2_core import CoreStream, Http2Core
from inkbox_async.sandbox.edge.http2_headers import RequestHead

from .conftest import RunningEdge
from .directory import TUNNEL_ID
from .listener import RawListener

DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 0x20
WINDOW_SIZE = 65_536


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def block(*fields: tuple[str, str]) -> bytes:
    encoder = Encoder()
    encoded: bytes = encoder.encode(
        [(name.encode(), value.encode(), False) for name, value in fields], huffman=False
    )
    return encoded


GET = (":method", "GET"), (":scheme", "https"), (":authority", "a.localhost"), (":path", "/")
OPENING = PREFACE + frame(SETTINGS, 0, 0)


class Recorder(CoreStream):
    """A stream that remembers what happened to it."""

    def __init__(self, stream_id: int, head: RequestHead, send_window: int, receive_window: int) -> None:
        super().__init__(stream_id, head, send_window, receive_window)
        self.body = b""
        self.reset: int | None = None
        self.ended = False

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.ended = True

    def on_reset(self, code: int) -> None:
        self.reset = code


class Peer:
    """The core and everything that it made."""

    def __init__(self) -> None:
        self.seen: dict[int, Recorder] = {}
        self.core = Http2Core(
            self._make, {4: WINDOW_SIZE, 5: 16_384}, max_streams=4, connection_window=1 << 20
        )
        self.core.output.clear()

    def _make(self, stream_id: int, head: RequestHead, send: int, receive: int) -> Recorder:
        self.seen[stream_id] = Recorder(stream_id, head, send, receive)
        return self.seen[stream_id]

    def feed(self, *frames: bytes) -> Peer:
        self.core.receive(b"".join(frames))
        return self

    def sent(self) -> list[tuple[int, int, int, bytes]]:
        """Frames of the output: type, flags, stream, payload."""
        data, frames = b"".join(self.core.output), []
        while data:
            size = int.from_bytes(data[:3], "big")
            frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
            data = data[9 + size :]
        return frames

    def resets(self) -> dict[int, int]:
        return {
            stream: struct.unpack(">L", payload)[0] for kind, _, stream, payload in self.sent() if kind == RST
        }


def request(stream_id: int = 1, flags: int = END_HEADERS | END_STREAM, *fields: tuple[str, str]) -> bytes:
    return frame(HEADERS, flags, stream_id, block(*GET, *fields))


def test_a_request_in_pieces_of_one_byte() -> None:
    peer = Peer()
    data = OPENING + request(1, END_HEADERS) + frame(DATA, END_STREAM, 1, b"body")
    for at in range(len(data)):
        peer.core.receive(data[at : at + 1])
    assert peer.core.failed is None
    assert peer.seen[1].body == b"body"
    assert peer.seen[1].ended
    assert (b":path", b"/") in peer.seen[1].headers


def test_padding_priority_and_continuation() -> None:
    encoded = block(*GET)
    padded = bytes([3]) + b"\0\0\0\x05\x10" + encoded[:5] + b"\0\0\0"
    peer = Peer().feed(
        OPENING,
        frame(HEADERS, PADDED | PRIORITY, 1, padded),
        frame(CONTINUATION, 0, 1, encoded[5:9]),
        frame(CONTINUATION, END_HEADERS, 1, encoded[9:]),
        frame(DATA, PADDED | END_STREAM, 1, b"\x02ok\0\0"),
    )
    assert peer.core.failed is None
    assert peer.seen[1].body == b"ok"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (PREFACE + frame(PING, 0, 0, b"12345678"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(HEADERS, END_HEADERS, 2, block(*GET)), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(HEADERS, END_HEADERS, 0, block(*GET)), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
        (OPENING + frame(HEADERS, END_HEADERS, 1, b"\x0f\x80"), ErrorCode.COMPRESSION_ERROR),
        (OPENING + frame(HEADERS, END_HEADERS, 1, b"\x40"), ErrorCode.COMPRESSION_ERROR),  # the codec panics
        (OPENING + frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, b"12345678"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(CONTINUATION, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(HEADERS, PADDED, 1, b"\xff"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(HEADERS, PRIORITY, 1, b"\0"), ErrorCode.FRAME_SIZE_ERROR),
        (OPENING + frame(RST, 0, 1, b"\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(RST, 0, 1, b"\0"), ErrorCode.FRAME_SIZE_ERROR),
        (OPENING + frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(SETTINGS, 0, 0, b"\0"), ErrorCode.FRAME_SIZE_ERROR),
        (OPENING + frame(SETTINGS, 0, 0, b"\0\x04\xff\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
        (OPENING + frame(SETTINGS, 0, 0, b"\0\x05\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(SETTINGS, 0, 0, b"\0\x02\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(PUSH, 0, 1, b"\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(PING, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
        (OPENING + frame(PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(GOAWAY, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
        (OPENING + frame(WINDOW, 0, 0, b"\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
        (OPENING + frame(WINDOW, 0, 3, b"\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
        (OPENING + b"\xff\xff\xff\0\0\0\0\0\0", ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_connection_errors(frames: bytes, code: ErrorCode) -> None:
    peer = Peer().feed(frames)
    assert peer.core.failed is not None
    assert peer.core.failed.code is code
    kind, _, _, payload = peer.sent()[-1]
    assert kind == GOAWAY
    assert payload[4:8] == code.to_bytes(4, "big")
    peer.feed(request(1))
    assert not peer.seen, "nothing is taken after a connection error"


@pytest.mark.parametrize(
    "fields",
    [
        [(":method", "GET"), (":scheme", "https")],
        [*GET, (":path", "/twice")],
        [*GET, ("x", "1"), (":late", "1")],
        [*GET, (":status", "200")],
        [*GET, ("Upper", "1")],
        [*GET, ("sp ace", "1")],
        [*GET, ("", "1")],
        [*GET, ("x", "a\nb")],
        [*GET, ("connection", "close")],
        [*GET, ("transfer-encoding", "chunked")],
        [*GET, ("te", "gzip")],
        [*GET, (":protocol", "websocket")],
        [*GET, ("content-length", "x")],
        [*GET, ("content-length", "1" * 5000)],
        [*GET, ("content-length", "1"), ("content-length", "2")],
        [*GET, ("content-length", "5")],
        [(":method", "CONNECT"), (":path", "/"), (":scheme", "https"), (":authority", "a")],
    ],
)
def test_malformed_requests_end_their_stream_only(fields: list[tuple[str, str]]) -> None:
    peer = Peer().feed(OPENING, frame(HEADERS, END_HEADERS | END_STREAM, 1, block(*fields)), request(3))
    assert peer.core.failed is None
    assert peer.resets() == {1: ErrorCode.PROTOCOL_ERROR}
    assert list(peer.core.streams) == [3]


@pytest.mark.parametrize(
    ("length", "frames"),
    [("3", [(0, b"four")]), ("3", [(END_STREAM, b"no")]), ("3", [(0, b"no"), (END_STREAM, b"")])],
)
def test_a_body_that_differs_from_its_length(length: str, frames: list[tuple[int, bytes]]) -> None:
    peer = Peer().feed(OPENING, request(1, END_HEADERS, ("content-length", length)))
    for flags, payload in frames:
        peer.feed(frame(DATA, flags, 1, payload))
    assert peer.resets() == {1: ErrorCode.PROTOCOL_ERROR}
    assert peer.seen[1].reset == ErrorCode.PROTOCOL_ERROR


def test_data_beyond_the_window_and_after_the_end() -> None:
    peer = Peer().feed(OPENING, request(1, END_HEADERS), request(3, END_HEADERS | END_STREAM))
    for _ in range(5):
        peer.feed(frame(DATA, 0, 1, b"x" * 16_384))
    peer.feed(frame(DATA, 0, 3, b"x"))
    assert peer.resets() == {1: ErrorCode.FLOW_CONTROL_ERROR, 3: ErrorCode.STREAM_CLOSED}
    assert peer.core.failed is None


def test_credit_is_given_for_streams_when_read_and_for_the_connection_when_received() -> None:
    peer = Peer().feed(OPENING)
    for stream_id in range(1, 8, 2):
        peer.feed(request(stream_id, END_HEADERS))
        for _ in range(4):
            peer.feed(frame(DATA, 0, stream_id, b"x" * 16_384))
    assert [stream for kind, _, stream, _ in peer.sent() if kind == WINDOW] == [0], "no stream has been read"
    peer.core.credit(peer.seen[1], 40_000)
    assert peer.sent()[-1] == (WINDOW, 0, 1, (40_000).to_bytes(4, "big"))


def test_streams_beyond_the_limit_are_refused_and_room_is_made_again() -> None:
    peer = Peer().feed(OPENING, *(request(number) for number in range(1, 11, 2)))
    assert peer.resets() == {9: ErrorCode.REFUSED_STREAM}
    peer.core.send_headers(peer.seen[1], [(b":status", b"200")], True)
    peer.feed(request(11))
    assert 11 in peer.core.streams


def test_trailers_end_the_body() -> None:
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(("x-sum", "1")))
    peer = Peer().feed(OPENING, request(1, END_HEADERS), frame(DATA, 0, 1, b"x"), trailers)
    assert peer.seen[1].ended
    peer = Peer().feed(OPENING, request(1, END_HEADERS), frame(HEADERS, END_HEADERS, 1, block(("x", "1"))))
    assert peer.resets() == {1: ErrorCode.PROTOCOL_ERROR}


def test_a_change_of_the_initial_window_moves_open_streams() -> None:
    peer = Peer().feed(OPENING, request(1))
    peer.feed(frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0"))
    assert peer.core.room(peer.seen[1]) == 0
    peer.feed(frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\x0a"))
    assert peer.core.room(peer.seen[1]) == 10


def test_large_header_blocks_are_continued() -> None:
    peer = Peer().feed(OPENING, request(1))
    peer.core.output.clear()
    peer.core.send_headers(peer.seen[1], [(b":status", b"200"), (b"x", bytes(range(33, 126)) * 500)], True)
    kinds = [(kind, flags) for kind, flags, _, _ in peer.sent()]
    assert kinds[0] == (HEADERS, END_STREAM)
    assert kinds[-1] == (CONTINUATION, END_HEADERS)
    assert len(kinds) >= 3


def test_streams_go_on_after_goaway_from_either_side() -> None:
    peer = Peer().feed(OPENING, request(1))
    peer.core.goaway(0, 1, b"{}")
    peer.feed(frame(GOAWAY, 0, 0, b"\0" * 8), request(3))
    peer.core.send_headers(peer.seen[3], [(b":status", b"200")], True)
    assert [(kind, stream) for kind, _, stream, _ in peer.sent()][-2:] == [(GOAWAY, 0), (HEADERS, 3)]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)),
        max_size=12,
    )
)
def test_noise_in_frames_never_breaks_the_core(frames: list[tuple[int, int, int, bytes]]) -> None:
    peer = Peer().feed(OPENING, request(1, END_HEADERS))
    for kind, flags, stream_id, payload in frames:
        peer.feed(frame(kind, flags, stream_id, payload))
    assert len(peer.core.streams) <= 4
    if peer.core.failed is not None:
        assert not peer.core.streams
        assert all(stream.ended or stream.reset is not None for stream in peer.seen.values())


@given(st.binary(max_size=200), st.integers(1, 50))
def test_noise_in_bytes_never_breaks_the_core(noise: bytes, step: int) -> None:
    peer = Peer()
    data = OPENING + noise
    for at in range(0, len(data), step):
        peer.core.receive(data[at : at + step])
    assert len(peer.core.streams) <= 4


async def test_noise_on_a_socket_leaves_the_edge_serving(edge: RunningEdge) -> None:
    async with edge.listener() as listener:
        parked = await listener.park()
        for noise in (b"\xff" * 100, frame(DATA, 0, 99, b"x"), frame(HEADERS, 4, 2, b"\xff")):
            async with edge.connect() as stranger:
                await stranger.raw(noise)
                await stranger.until(lambda: stranger.closed)
                assert stranger.closed
        await listener.client.settle()
        assert not parked.headers


async def test_pings_are_answered_at_once(edge: RunningEdge) -> None:
    async with edge.listener() as listener:
        listener.client.h2.ping(b"12345678")
        await listener.client.flush()
        await listener.client.settle()


async def test_a_peer_that_sends_and_never_reads_is_cut_off(edge: RunningEdge) -> None:
    context = edge.trust
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", edge.port, ssl=context, server_hostname="localhost", limit=1
    )
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(OPENING)

    async def flood() -> None:
        while True:
            writer.write(frame(PING, 0, 0, b"12345678") * 10_000)
            await writer.drain()
            await asyncio.sleep(0)  # drain() alone does not let the loop tell it of a lost connection

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood(), 30)
    writer.transport.abort()


async def test_a_listener_that_never_reads_does_not_stop_another(edge: RunningEdge) -> None:
    async with edge.connect() as stuck, edge.listener() as listener:
        stuck.auto_credit = False
        await RawListener(stuck, TUNNEL_ID, "ApiKey_wrong").try_hello()
        await listener.client.settle()
