"""Sends that are cancelled half way: nobody takes a part for the whole, and nobody else is harmed."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from inkbox_async.tunnels.exchange import CANCEL_GRACE

from .apps import App, Event, Receive, Send, http, read_body, respond, websocket
from .bridges import open_websocket
from .conftest import Serve, Stage, eventually
from .fake_edge import EdgeStream, FakeEdge
from .ingress import HOST, Ingress

HUGE = 8 << 20
"""More than an edge takes of one stream whose third party does not read."""


def stall(stream: EdgeStream) -> None:
    """Take no more of a stream than the window that is open."""
    stream.credit = False


def resume(stream: EdgeStream) -> None:
    """Take all of it after all."""
    stream.connection.h2.increment_flow_control_window(4 * HUGE)
    stream.connection.h2.increment_flow_control_window(4 * HUGE, stream.id)
    stream.connection.flush()


class Http2ThirdParty:
    """An HTTP/2 client that takes whatever it is sent, but only when the test reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(2**31 - 1 - 65535)
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    def get(self, path: str) -> int:
        stream_id = self._h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]
        self._h2.send_headers(stream_id, head, end_stream=True)
        self._flush()
        return stream_id

    def reset(self, stream_id: int) -> None:
        self._h2.reset_stream(stream_id)
        self._flush()

    async def body(self, stream_id: int) -> bytes:
        """The body of an answer, while all others are read and forgotten."""
        body = b""
        while data := await self._reader.read(1 << 20):
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived) and event.stream_id == stream_id:
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream_id:
                    return body
                elif isinstance(event, h2.events.StreamReset) and event.stream_id == stream_id:
                    raise ConnectionResetError("the stream was reset")
            self._flush()
        raise ConnectionResetError("the connection ended")


def impatient(gave_up: asyncio.Event) -> App:
    """An application that stops a send that takes too long, and thinks that it has answered."""

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending = asyncio.ensure_future(
            send({"type": "http.response.body", "body": bytes(HUGE), "more_body": True})
        )
        await asyncio.wait((sending,), timeout=0.2)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        gave_up.set()

    return http(app)


class TestEdge:
    async def test_a_whole_response_may_take_longer_than_the_deadline(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await respond(send, bytes(HUGE))

        opened: list[EdgeStream] = []

        def slow(post: EdgeStream) -> None:
            stall(post)
            opened.append(post)

        edge.on_post_opened = slow
        edge.hello_fields = {"response_deadline_seconds": 0.1}
        await serve(app)
        reply = asyncio.create_task(edge.request("GET", "/"))
        await eventually(lambda: bool(opened))
        await asyncio.sleep(0.1 + CANCEL_GRACE + 0.2)
        resume(opened[0])
        assert len((await reply).body) == HUGE

    async def test_an_app_that_gives_a_send_up_has_not_answered(self, serve: Serve, edge: FakeEdge) -> None:
        gave_up = asyncio.Event()
        edge.on_post_opened = stall
        await serve(impatient(gave_up))
        with pytest.raises(ConnectionResetError):
            await edge.request("GET", "/")

    async def test_a_message_that_is_given_up_ends_its_websocket(self, serve: Serve, edge: FakeEdge) -> None:
        after: list[str] = []
        begun = asyncio.Event()

        @websocket
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            sending = asyncio.ensure_future(send({"type": "websocket.send", "bytes": bytes(HUGE)}))
            await begun.wait()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            after.append((await receive())["type"])

        await serve(app)
        bridge, _ = await open_websocket(edge)
        stall(bridge.stream)
        await bridge.send(type="text", data="go")
        await eventually(lambda: bool(bridge.stream.received))
        begun.set()
        await bridge.stream.gone()
        await eventually(lambda: after == ["websocket.disconnect"])


class TestPassthroughHttp2:
    async def test_a_request_given_up_in_mid_response_leaves_the_others_whole(
        self, serve: Serve, stage: Stage, edge: FakeEdge
    ) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["path"] == "/small":
                await respond(send, b"small")
                return
            begun.set()
            try:
                await respond(send, bytes(HUGE))
            finally:
                ended.set()

        stage.passthrough()
        async with Ingress(edge, stage.authority) as ingress:
            await serve(app)
            third_party = Http2ThirdParty(*await ingress.connect("h2"))
            (bridge,) = ingress.bridges
            stall(bridge)
            first = third_party.get("/huge")
            await begun.wait()
            third_party.reset(first)
            await ended.wait()
            resume(bridge)
            assert await third_party.body(third_party.get("/small")) == b"small"

    async def test_an_app_that_gives_a_send_up_has_not_answered(
        self, serve: Serve, stage: Stage, edge: FakeEdge
    ) -> None:
        gave_up = asyncio.Event()
        stage.passthrough()
        async with Ingress(edge, stage.authority) as ingress:
            await serve(impatient(gave_up))
            third_party = Http2ThirdParty(*await ingress.connect("h2"))
            (bridge,) = ingress.bridges
            stall(bridge)
            stream = third_party.get("/")
            await gave_up.wait()
            resume(bridge)
            with pytest.raises(ConnectionResetError):
                await third_party.body(stream)
