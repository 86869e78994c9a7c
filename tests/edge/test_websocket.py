"""WebSockets of third parties, by HTTP/1.1 upgrade and by extended CONNECT, over ws bridges."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from inkbox_async.sandbox.edge import EdgeLimits
from inkbox_async.sandbox.edge.bridge_frames import (
    CloseMessage,
    EnvelopeReader,
    FrameReader,
    Message,
    encode_close,
    encode_envelope,
    encode_frame,
)

from .conftest import RunningEdge, StartEdge
from .directory import TUNNEL_ID
from .listener import RawListener, request_id
from .raw_h2 import PATIENCE, RawH2, RawStream

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
HOST = "sales-agent.localhost"


class Bridge:
    """The listener's end of a ws bridge, in envelopes."""

    def __init__(self, stream: RawStream) -> None:
        self.stream = stream
        self.frames = FrameReader(1 << 24)
        self.envelopes = EnvelopeReader(1 << 24)
        self.messages: list[Message] = []
        self.control: list[tuple[int, bytes]] = []
        self.largest_frame = 0

    def _take(self) -> bool:
        data = bytes(self.stream.body)
        self.stream.body.clear()
        for frame in self.frames.feed(data):
            self.largest_frame = max(self.largest_frame, len(frame.payload))
            if frame.opcode == BINARY:
                assert frame.final, "outer frames must not be fragmented"
                self.messages.extend(self.envelopes.feed(frame.payload))
            else:
                self.control.append((frame.opcode, frame.payload))
        return bool(self.messages)

    async def receive(self) -> Message:
        await self.stream.client.until(lambda: self._take() or self.stream.ended)
        assert self.messages, "the bridge ended"
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        await self.stream.send(masked(BINARY, encode_envelope(message)))


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame as clients send it."""
    key = b"\x01\x02\x03\x04"
    frame = bytearray(encode_frame(opcode))
    frame[1] = 0x80 | (len(payload) if len(payload) < 126 else 126 if len(payload) < 65536 else 127)
    if len(payload) >= 126:
        frame += len(payload).to_bytes(2 if len(payload) < 65536 else 8, "big")
    return bytes(frame) + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


async def accept(
    listener: RawListener, intake: RawStream, *fields: tuple[str, str], status: int = 200
) -> Bridge:
    await intake.whole()
    post = await listener.post(request_id(intake), status, b"", *fields)
    assert (await post.whole()).status == 200
    stream = await listener.bridge("ws", intake.header("inkbox-ws-id") or "")
    assert (await stream.head()).status == 200
    return Bridge(stream)


@asynccontextmanager
async def opened(
    edge: RunningEdge, *, window: int = 1 << 20
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Bridge, RawListener]]:
    """A WebSocket that is open from end to end."""
    async with edge.listener(window=window) as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(third_party.ws_connect(edge.url("/chat?room=1"), max_msg_size=0))
        bridge = await accept(listener, intake)
        socket = await connecting
        yield socket, bridge, listener
        await socket.close()


async def test_upgrade_becomes_an_envelope_and_a_bridge(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(
            third_party.ws_connect(
                edge.url("/chat?room=1"), protocols=("v1", "v2"), headers={"X-User": "ann"}
            )
        )
        await intake.whole()
        assert intake.header("inkbox-route-kind") == "ws-upgrade"
        assert intake.header("inkbox-method") == "GET"
        assert intake.header("inkbox-path") == "/chat?room=1"
        assert intake.header("inkbox-h-x-user") == "ann"
        assert intake.header("inkbox-h-sec-websocket-protocol") == "v1,v2"
        assert intake.header("inkbox-h-sec-websocket-key") is None
        assert intake.header("inkbox-h-upgrade") is None
        bridge = await accept(
            listener,
            intake,
            ("sec-websocket-protocol", "v2"),
            ("set-cookie", "s=1"),
            ("sec-websocket-accept", "forged"),
            ("connection", "close"),
        )
        socket = await connecting
        assert socket.protocol == "v2"
        assert socket._response.headers["Set-Cookie"] == "s=1"
        await socket.send_str("grüße")
        assert await bridge.receive() == "grüße"
        await socket.send_bytes(b"\x00\xff")
        assert await bridge.receive() == b"\x00\xff"
        await bridge.send("hällo")
        assert await socket.receive_str() == "hällo"
        await bridge.send(b"\xff\x00")
        assert await socket.receive_bytes() == b"\xff\x00"
        await socket.close()


async def test_older_clients_accept_with_101(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(third_party.ws_connect(edge.url()))
        bridge = await accept(listener, intake, status=101)
        socket = await connecting
        await bridge.send("open")
        assert await socket.receive_str() == "open"
        await socket.close()


async def test_refusal_reaches_the_third_party(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(third_party.ws_connect(edge.url()))
        await intake.whole()
        await listener.post(request_id(intake), 403, b"no entry", ("x-why", "rules"))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connecting
        assert refused.value.status == 403
        assert refused.value.headers is not None
        assert refused.value.headers["x-why"] == "rules"


async def test_no_bridge_within_the_deadline_is_504(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(response_deadline_seconds=0.1))
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(third_party.ws_connect(edge.url()))
        await intake.whole()
        await listener.post(request_id(intake), 200)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connecting
        assert refused.value.status == 504
        late = await listener.bridge("ws", intake.header("inkbox-ws-id") or "")
        assert (await late.head()).status == 404


async def test_a_bridge_is_good_once_and_needs_a_key(edge: RunningEdge) -> None:
    async with opened(edge) as (_, _, listener):
        again = await listener.bridge("ws", "unknown-id")
        assert (await again.head()).status == 404
        forger = RawListener(listener.client, key="ApiKey_forged")
        assert (await (await forger.bridge("ws", "unknown-id")).head()).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Version": "12"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Connection": "close"}, 400),
    ],
)
async def test_broken_handshakes_are_refused_by_the_edge(
    edge: RunningEdge, headers: dict[str, str], status: int
) -> None:
    good = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with edge.listener(), edge.session() as third_party:
        answer = await third_party.get(edge.url(), headers=good | headers)
        assert answer.status == status
        if status == 426:
            assert answer.headers["Sec-WebSocket-Version"] == "13"


async def test_a_subprotocol_nobody_offered_is_a_bad_gateway(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        connecting = asyncio.create_task(third_party.ws_connect(edge.url(), protocols=("v1",)))
        bridge = await accept(listener, intake, ("sec-websocket-protocol", "v9"))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connecting
        assert refused.value.status == 502
        await bridge.stream.whole()


async def test_the_third_partys_close_reaches_the_listener(edge: RunningEdge) -> None:
    async with opened(edge) as (socket, bridge, _):
        await socket.close(code=4001, message=b"bye")
        assert socket.close_code == 4001
        assert await bridge.receive() == CloseMessage(4001, "bye")
        await bridge.stream.send(masked(CLOSE, b"\x03\xe8"), end=True)
        await bridge.stream.whole()


async def test_a_third_party_that_vanishes_is_going_away(edge: RunningEdge) -> None:
    async with opened(edge) as (socket, bridge, _):
        transport = socket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
        assert await bridge.receive() == CloseMessage(1001)


@pytest.mark.parametrize(
    ("ending", "code", "reason"),
    [
        ([CloseMessage(4002, "enough"), CloseMessage(1000)], 4002, "enough"),
        ([CloseMessage(1006)], 1011, ""),
        ([CloseMessage(4002, "é" * 100)], 4002, "é" * 61),
        ([CloseMessage(1005)], 1000, ""),
    ],
)
async def test_the_listeners_first_close_counts(
    edge: RunningEdge, ending: list[CloseMessage], code: int, reason: str
) -> None:
    async with opened(edge) as (socket, bridge, _):
        for message in ending:
            await bridge.send(message)
        await bridge.stream.send(masked(CLOSE, b"\x03\xe8"), end=True)
        closing = await socket.receive()
        assert (closing.type, closing.data, closing.extra or "") == (WSMsgType.CLOSE, code, reason)
        await bridge.stream.whole()


@pytest.mark.parametrize(("how", "code"), [("close-frame", 1000), ("end", 1011), ("reset", 1011)])
async def test_endings_without_a_close_envelope(edge: RunningEdge, how: str, code: int) -> None:
    async with opened(edge) as (socket, bridge, _):
        if how == "close-frame":
            await bridge.stream.send(masked(CLOSE, b"\x03\xe8"), end=True)
        elif how == "end":
            await bridge.stream.send(b"", end=True)
        else:
            await bridge.stream.cancel()
        closing = await socket.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, code)


async def test_a_lost_listener_is_an_internal_error(edge: RunningEdge) -> None:
    async with opened(edge) as (socket, _, listener):
        await listener.client.close()
        closing = await socket.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1011)


async def test_bridges_outlive_a_drain_and_end_with_4500(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(drain_linger_seconds=0.3))
    async with opened(edge) as (socket, bridge, _):
        await edge.edge.drain(TUNNEL_ID)
        await socket.send_str("still here")
        assert await bridge.receive() == "still here"
        closing = await socket.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, 4500)


async def test_pings_are_answered_on_both_sides(edge: RunningEdge) -> None:
    async with opened(edge) as (socket, bridge, _):
        await bridge.stream.send(masked(PING, b"are you there"))
        await bridge.stream.client.until(lambda: bridge._take() or bool(bridge.control))
        assert bridge.control == [(PONG, b"are you there")]
        await socket.ping(b"edge?")
        await socket.send_str("after the ping")
        assert await bridge.receive() == "after the ping"


async def test_large_messages_both_ways(edge: RunningEdge) -> None:
    large = "".join(chr(0x20 + number % 90) for number in range(2_000_000))
    async with opened(edge) as (socket, bridge, _):
        await asyncio.gather(socket.send_str(large), _expect(bridge, large))
        await asyncio.gather(bridge.send(large.encode()), _expect_bytes(socket, large.encode()))
        assert bridge.largest_frame < 65_535


async def _expect(bridge: Bridge, message: str) -> None:
    assert await bridge.receive() == message


async def _expect_bytes(socket: aiohttp.ClientWebSocketResponse, message: bytes) -> None:
    assert await socket.receive_bytes() == message


async def test_a_message_beyond_a_small_window_is_refused_with_1009(edge: RunningEdge) -> None:
    async with opened(edge, window=65_535) as (socket, bridge, _):
        fits = "f" * 65_000
        await socket.send_str(fits)
        assert await bridge.receive() == fits
        await socket.send_str("x" * 70_000)
        assert await bridge.receive() == CloseMessage(1009, "message too big for the listener")
        closing = await socket.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1009)


async def test_listeners_that_credit_whole_messages_never_block(edge: RunningEdge) -> None:
    """Eight bridges at once share a connection window of 65535 bytes with a listener that credits late."""
    message = json.dumps({"padding": "p" * 40_000})
    async with edge.listener(window=65_535) as listener, edge.session() as third_party:
        client = listener.client
        sockets, bridges = [], []
        for slot in range(8):
            intake = await listener.park(slot)
            connecting = asyncio.create_task(third_party.ws_connect(edge.url()))
            bridges.append(await accept(listener, intake))
            sockets.append(await connecting)
        client.auto_credit = False

        async def listen(bridge: Bridge) -> None:
            frames, envelopes, held = FrameReader(1 << 20), EnvelopeReader(1 << 20), 0
            got = 0
            while got < 3:
                await client.until(lambda: bool(bridge.stream.body))
                data = bytes(bridge.stream.body)
                bridge.stream.body.clear()
                held += len(data)
                for frame in frames.feed(data):
                    for received in envelopes.feed(frame.payload):
                        assert received == message
                        got += 1
                        await client.credit(bridge.stream.id, held)
                        held = 0

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                *(listen(bridge) for bridge in bridges),
                *(socket.send_str(message) for socket in sockets for _ in range(3)),
            )
        client.auto_credit = True
        for socket in sockets:
            socket._response.close()


async def test_back_pressure_from_a_listener_that_does_not_read(edge: RunningEdge) -> None:
    async with opened(edge) as (socket, _, listener):
        listener.client.auto_credit = False
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await socket.send_bytes(b"z" * 100_000)
                sent += 1

        flooding = asyncio.create_task(flood())
        stalled_at = -1
        while stalled_at != sent:
            stalled_at = sent
            await asyncio.sleep(0.2)
        assert sent < 200, "the third party was not held back"
        flooding.cancel()
        socket._response.close()


async def test_two_hundred_websockets_at_once(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:

        async def answer(listener: RawListener, envelope: RawStream) -> None:
            bridge = await accept(listener, envelope)
            while not isinstance(message := await bridge.receive(), CloseMessage):
                await bridge.send(message)
            await bridge.stream.send(masked(CLOSE, b"\x03\xe8"), end=True)

        async def talk(number: int) -> None:
            async with third_party.ws_connect(edge.url(f"/{number}")) as socket:
                for turn in range(3):
                    await socket.send_str(f"{number}.{turn}")
                    assert await socket.receive_str() == f"{number}.{turn}"

        async with listener.serving(answer, slots=16):
            await asyncio.gather(*(talk(number) for number in range(200)))


class H2Socket:
    """A WebSocket on a stream of an HTTP/2 third party."""

    def __init__(self, stream: RawStream) -> None:
        self.stream = stream
        self.frames = Connection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    def _take(self) -> bool:
        data = bytes(self.stream.body)
        self.stream.body.clear()
        if data:
            self.frames.receive_data(data)
            self.events.extend(self.frames.events())
        return bool(self.events)

    async def send(self, event: Event) -> None:
        await self.stream.send(self.frames.send(event))

    async def receive(self) -> Event:
        await self.stream.client.until(lambda: self._take() or self.stream.ended)
        return self.events.pop(0)

    async def receive_text(self) -> str:
        text = ""
        while True:
            event = await self.receive()
            assert isinstance(event, TextMessage)
            text += event.data
            if event.message_finished:
                return text


@asynccontextmanager
async def opened_h2(edge: RunningEdge) -> AsyncIterator[tuple[H2Socket, Bridge, RawH2]]:
    async with edge.listener() as listener, edge.connect(HOST) as third_party:
        intake = await listener.park()
        headers = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "v1, v2")]
        stream = await third_party.request(
            "CONNECT", "/chat", headers, None, protocol="websocket", authority=HOST
        )
        await intake.whole()
        assert intake.header("inkbox-route-kind") == "ws-upgrade"
        assert intake.header("inkbox-method") == "GET"
        bridge = await accept(listener, intake, ("sec-websocket-protocol", "v2"))
        await stream.head()
        assert stream.status == 200
        assert stream.header("sec-websocket-protocol") == "v2"
        yield H2Socket(stream), bridge, third_party


async def test_http2_websocket_messages_both_ways(edge: RunningEdge) -> None:
    async with opened_h2(edge) as (socket, bridge, _):
        await socket.send(TextMessage(data="hal", message_finished=False))
        await socket.send(TextMessage(data="lo", message_finished=True))
        assert await bridge.receive() == "hallo"
        await socket.send(BytesMessage(data=b"\x00"))
        assert await bridge.receive() == b"\x00"
        await socket.send(Ping(payload=b"?"))
        pong = await socket.receive()
        assert isinstance(pong, Pong)
        large = "ü" * 100_000
        await bridge.send(large)
        assert await socket.receive_text() == large
        await bridge.send("")
        assert await socket.receive_text() == ""


async def test_http2_websocket_closed_by_the_third_party(edge: RunningEdge) -> None:
    async with opened_h2(edge) as (socket, bridge, _):
        await socket.send(CloseConnection(code=4003, reason="done"))
        assert await bridge.receive() == CloseMessage(4003, "done")
        echoed = await socket.receive()
        assert isinstance(echoed, CloseConnection)
        assert echoed.code == 4003
        await socket.stream.whole()


async def test_http2_websocket_closed_by_the_listener(edge: RunningEdge) -> None:
    async with opened_h2(edge) as (socket, bridge, _):
        await bridge.send(CloseMessage(4004, "enough"))
        await bridge.stream.send(encode_close(1000), end=True)
        closing = await socket.receive()
        assert isinstance(closing, CloseConnection)
        assert (closing.code, closing.reason) == (4004, "enough")
        await socket.stream.send(socket.frames.send(closing.response()), end=True)
        await socket.stream.whole()


async def test_http2_websocket_that_is_cancelled_is_going_away(edge: RunningEdge) -> None:
    async with opened_h2(edge) as (socket, bridge, _):
        await socket.stream.cancel()
        assert await bridge.receive() == CloseMessage(1001)


async def test_http2_websocket_that_breaks_the_protocol(edge: RunningEdge) -> None:
    async with opened_h2(edge) as (socket, bridge, _):
        await socket.stream.send(b"\x81\x02hi")  # not masked
        end = await bridge.receive()
        assert isinstance(end, CloseMessage)
        assert end.code == 1002
        await socket.stream.whole()
