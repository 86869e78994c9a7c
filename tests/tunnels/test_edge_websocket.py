"""WebSockets in edge mode, served by an ASGI application."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from inkbox_async.tunnels import runtime
from inkbox_async.tunnels.bridge_frames import Opcode

from .apps import App, Event, Receive, Send, websocket, ws_echo
from .bridges import BridgeEnd, envelope, frame, open_websocket, upgrade
from .conftest import Serve, Stage
from .control import API_KEY, TUNNEL_ID
from .fake_edge import FakeEdge, keep


class Seen:
    """An application that writes down how its WebSocket ended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = asyncio.Event()

    @property
    def app(self) -> App:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while not self.events or self.events[-1]["type"] != "websocket.disconnect":
                self.events.append(await receive())
            self.ended.set()

        return app


async def ending(
    bridge: BridgeEnd,
) -> tuple[list[dict[str, Any]], list[tuple[Opcode, bytes]], bool]:  # Any: JSON
    """Close envelopes, control frames and whether the stream ended, of a bridge that is being closed."""
    documents = []
    while (document := await bridge.document()) is not None:
        documents.append(document)
    controls = []
    while (piece := await bridge.frame()) is not None:
        controls.append(piece)
    return documents, controls, bridge.stream.ended.is_set()


CLOSED = ([{"type": "close", "code": 1000, "reason": ""}], [(Opcode.CLOSE, b"\x03\xe8")], True)


class TestHandshake:
    async def test_reply_then_bridge_on_the_same_connection(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            assert scope["subprotocols"] == ["chat", "mail"]
            assert scope["scheme"] == "wss"
            assert b"sec-websocket-protocol" not in dict(scope["headers"])
            await receive()
            headers = [(b"x-mine", b"1"), (b"upgrade", b"websocket"), (b"sec-websocket-accept", b"x")]
            await send({"type": "websocket.accept", "subprotocol": "mail", "headers": headers})
            await receive()

        await serve(app)
        bridge, reply = await open_websocket(edge, headers=[("sec-websocket-protocol", "chat, mail")])
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers == [("x-mine", "1"), ("sec-websocket-protocol", "mail")]
        assert bridge.stream.header_list == [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", edge.zone),
            (":path", "/_system/ws/ws-1"),
            (":protocol", "inkbox-tunnel-ws"),
            ("sec-websocket-version", "13"),
            ("x-tunnel-id", TUNNEL_ID),
            ("x-api-key", API_KEY),
            ("inkbox-ws-id", "ws-1"),
        ]
        assert bridge.stream.connection is reply.connection

    async def test_the_bridge_waits_for_the_answer_to_the_reply(self, serve: Serve, edge: FakeEdge) -> None:
        posts: list[Any] = []  # Any: edge streams
        edge.on_response = keep(posts)
        await serve(ws_echo)
        await edge.send_envelope(extra=[("inkbox-route-kind", "ws-upgrade"), ("inkbox-ws-id", "ws-1")])
        await edge.until(lambda: bool(posts))
        assert not any("/ws/" in stream.path for stream in edge.connections[0].streams.values())
        posts[0].answer(204)
        await edge.bridge("ws-1")

    @pytest.mark.parametrize(("code", "shown"), [(None, 1006), (4003, 4003)])
    async def test_a_refusal(self, serve: Serve, edge: FakeEdge, code: int | None, shown: int) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close"} | ({} if code is None else {"code": code}))

        await serve(app)
        reply = await upgrade(edge)
        assert (reply.status, reply.body) == (403, f"app rejected WS (close code={shown})".encode())

    async def test_an_app_that_raises_refuses(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError

        await serve(app)
        reply = await upgrade(edge)
        assert (reply.status, reply.body) == (403, b"app rejected WS (close code=1011)")

    async def test_a_bad_path_or_a_missing_id(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(ws_echo)
        reply = await upgrade(edge, "/%2e%2e")
        assert (reply.status, reply.body, reply.reason) == (400, b"invalid path", "invalid-path")
        reply = await upgrade(edge, ws_id=None)
        assert (reply.status, reply.body) == (400, b"missing ws_id")

    async def test_an_app_that_cannot_make_up_its_mind(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.05

        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        await serve(app)
        reply = await upgrade(edge)
        assert (reply.status, reply.body) == (504, b"ws upgrade timed out")

    async def test_a_refused_bridge_disconnects_the_app(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        await upgrade(edge)
        await edge.bridge("ws-1", status=404)
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1011

    async def test_a_bridge_that_is_never_answered_is_reset(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.2
        seen = Seen()
        await serve(seen.app)
        await upgrade(edge)
        stream = await edge.bridge_stream("ws-1")
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1011
        await stream.read(1)
        assert stream.reset_code == 8


class TestMessages:
    async def test_text_and_bytes(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(ws_echo)
        bridge, _ = await open_websocket(edge)
        await bridge.send(type="text", data="grüße")
        assert await bridge.document() == {"type": "text", "data": "grüße"}
        await bridge.send(type="binary", data="AP8=")
        assert await bridge.document() == {"type": "binary", "data": "AP8="}
        await bridge.send(type="novelty")
        await bridge.send(type="text", data="")
        assert await bridge.document() == {"type": "text", "data": ""}

    @pytest.mark.parametrize("chunk", [1 << 20, 700])
    async def test_messages_far_beyond_64_kb(self, serve: Serve, edge: FakeEdge, chunk: int) -> None:
        await serve(ws_echo)
        bridge, _ = await open_websocket(edge)
        payload = base64.b64encode(bytes(range(256)) * 8000).decode()
        sending = asyncio.ensure_future(
            bridge.stream.send(frame(2, envelope(type="binary", data=payload)), chunk=chunk)
        )
        assert await bridge.document() == {"type": "binary", "data": payload}
        await sending

    async def test_frames_may_be_fragmented_and_share_or_split_envelopes(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        await serve(ws_echo)
        bridge, _ = await open_websocket(edge)
        data = b"".join(envelope(type="text", data=text) for text in ("one", "two", "three"))
        sent = frame(2, data[:20], final=False) + frame(0, data[20:70]) + frame(1, data[70:])
        await bridge.stream.send(sent)
        assert [await bridge.document() for _ in range(3)] == [
            {"type": "text", "data": text} for text in ("one", "two", "three")
        ]

    async def test_pings_are_answered_even_when_the_app_is_busy(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.Event().wait()

        await serve(app)
        bridge, _ = await open_websocket(edge)
        await bridge.stream.send(frame(9, b"are you there"))
        assert await bridge.frame() == (Opcode.PONG, b"are you there")

    async def test_a_slow_app_slows_the_sender_and_nobody_else(self, serve: Serve, edge: FakeEdge) -> None:
        read_on = asyncio.Event()

        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            if scope["path"] == "/slow":
                await read_on.wait()
            for _ in range(60):
                await receive()
            await send({"type": "websocket.send", "text": "done"})

        await serve(app)
        slow, _ = await open_websocket(edge, "/slow", ws_id="slow")
        fast, _ = await open_websocket(edge, "/fast", ws_id="fast")
        message = frame(2, envelope(type="text", data="x" * 100_000))
        stuck = asyncio.ensure_future(slow.stream.send(message * 60))
        await fast.stream.send(message * 60)
        assert await fast.document() == {"type": "text", "data": "done"}
        assert not stuck.done(), "6 MB were buffered for an application that does not read"
        read_on.set()
        assert await slow.document() == {"type": "text", "data": "done"}

    async def test_senders_in_parallel_do_not_mix_frames(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.gather(
                *(send({"type": "websocket.send", "text": str(n) * 200_000}) for n in range(8))
            )

        await serve(app)
        bridge, _ = await open_websocket(edge)
        found = [await bridge.document() for _ in range(8)]
        assert sorted(str(document and document["data"]) for document in found) == [
            str(n) * 200_000 for n in range(8)
        ]

    async def test_a_message_over_the_limit_closes_with_1009(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app, max_inbound_body_bytes=1000)
        bridge, _ = await open_websocket(edge)
        await bridge.send(type="text", data="x" * 5000)
        assert (await ending(bridge))[0][0]["code"] == 1009
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1009

    async def test_two_hundred_at_once(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(ws_echo)
        bridges = [(await open_websocket(edge, ws_id=f"ws-{n}"))[0] for n in range(200)]
        await asyncio.gather(
            *(bridge.send(type="text", data=f"hello {n}") for n, bridge in enumerate(bridges))
        )
        for n, bridge in enumerate(bridges):
            assert await bridge.document() == {"type": "text", "data": f"hello {n}"}


class TestEndings:
    async def test_a_close_envelope(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        await bridge.send(type="close", code=4321, reason="bye")
        assert await ending(bridge) == CLOSED
        await seen.ended.wait()
        assert seen.events == [{"type": "websocket.disconnect", "code": 4321, "reason": "bye"}]

    async def test_a_close_frame_is_echoed(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        await bridge.stream.send(frame(8, b"\x0f\xa0why"))
        assert await ending(bridge) == ([], [(Opcode.CLOSE, b"\x0f\xa0why")], True)
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1000

    async def test_the_end_of_the_stream(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        await bridge.stream.send(end=True)
        assert await ending(bridge) == CLOSED
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1000

    async def test_a_reset(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        bridge.stream.reset(8)
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1000

    async def test_the_connection_is_lost(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        await open_websocket(edge)
        edge.connections[0].abort()
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1011

    async def test_the_app_closes_with_one_envelope(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

        await serve(app)
        bridge, _ = await open_websocket(edge)
        closed = [{"type": "close", "code": 4001, "reason": "enough"}]
        assert await ending(bridge) == (closed, [(Opcode.CLOSE, b"\x03\xe8")], True)

    async def test_the_app_returns(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})

        await serve(app)
        bridge, _ = await open_websocket(edge)
        assert await ending(bridge) == CLOSED

    async def test_the_app_raises(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            raise ZeroDivisionError

        await serve(app)
        bridge, _ = await open_websocket(edge)
        assert (await ending(bridge))[0][0]["code"] == 1011

    async def test_the_listener_closes(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(ws_echo):
            bridge, _ = await open_websocket(edge)
        assert await ending(bridge) == CLOSED

    async def test_the_app_hears_that_the_listener_closes(self, stage: Stage, edge: FakeEdge) -> None:
        seen = Seen()
        async with stage.listener(seen.app):
            await open_websocket(edge)
        assert [(event["type"], event["code"]) for event in seen.events] == [("websocket.disconnect", 1000)]

    async def test_headers_that_no_edge_takes_refuse_it(self, serve: Serve, edge: FakeEdge) -> None:
        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept", "headers": [(b"x-large", b"x" * 200_000)]})

        await serve(app)
        reply = await upgrade(edge)
        assert (reply.status, reply.body) == (502, b"response too large")
        assert len(edge.connections) == 1

    async def test_a_broken_frame_ends_it_with_1011(self, serve: Serve, edge: FakeEdge) -> None:
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        await bridge.stream.send(b"\xff\xff")
        assert (await ending(bridge))[0][0]["code"] == 1011
        await seen.ended.wait()
        assert seen.events[-1]["code"] == 1011

    async def test_a_drain_lets_it_go_on_for_a_while(
        self, serve: Serve, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime, "DRAIN_LIMIT", 0.5)
        seen = Seen()
        await serve(seen.app)
        bridge, _ = await open_websocket(edge)
        edge.drain()
        await edge.connected(count=2)
        await bridge.send(type="text", data="still here")
        await seen.ended.wait()
        assert [event.get("text", event.get("code")) for event in seen.events] == ["still here", 4500]

    async def test_sending_after_the_end_tells_the_app(self, serve: Serve, edge: FakeEdge) -> None:
        told: list[Exception] = []
        done = asyncio.Event()

        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            try:
                await send({"type": "websocket.send", "text": "too late"})
            except OSError as error:
                told.append(error)
            done.set()

        await serve(app)
        bridge, _ = await open_websocket(edge)
        await bridge.send(type="close", code=1000)
        await done.wait()
        assert len(told) == 1
