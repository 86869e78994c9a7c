"""Passthrough tunnels: TLS ends in the listener, over bridges that carry raw bytes."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator

import aiohttp
import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from inkbox_async.tunnels import tcp_bridge
from inkbox_async.tunnels.bridge_frames import Close, Opcode
from inkbox_async.tunnels.protocol import Headers
from inkbox_async.tunnels.server_websocket import ServerWebSocket

from .apps import Event, Receive, Send, echo, http, mirror, read_body, respond, ws_echo
from .authority import Authority
from .bridges import BridgeEnd, frame
from .conftest import Serve, Stage, eventually
from .control import API_KEY, TUNNEL_ID
from .fake_edge import FakeEdge
from .ingress import HOST, Ingress
from .upstream import Upstream

Http2Client = httpx.AsyncClient


@pytest.fixture
async def ingress(edge: FakeEdge, authority: Authority, stage: Stage) -> AsyncIterator[Ingress]:
    stage.passthrough()
    async with Ingress(edge, authority) as ingress:
        yield ingress


@pytest.fixture
async def third_party(ingress: Ingress) -> AsyncIterator[aiohttp.ClientSession]:
    async with ingress.session() as session:
        yield session


@pytest.fixture
async def http2(ingress: Ingress, authority: Authority) -> AsyncIterator[Http2Client]:
    """A third party over HTTP/2."""
    async with httpx.AsyncClient(
        http1=False,
        http2=True,
        verify=authority.client_context(),
        base_url=f"https://127.0.0.1:{ingress.port}",
        headers={"host": HOST},
        trust_env=False,
        event_hooks={"request": [_sni]},
    ) as client:
        yield client


async def _sni(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = HOST


class TestTheBridge:
    async def test_connect_and_no_reply(self, serve: Serve, edge: FakeEdge, ingress: Ingress) -> None:
        await serve(echo)
        async with ingress.session() as session, session.post(ingress.url, data=b"x") as response:
            assert await response.read() == b"x"
        tcp_id = ingress.bridges[0].path.rpartition("/")[2]
        assert ingress.bridges[0].header_list == [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", edge.zone),
            (":path", f"/_system/tcp/{tcp_id}"),
            (":protocol", "inkbox-tunnel-tcp"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "inkbox-tunnel-tcp"),
            ("x-tunnel-id", TUNNEL_ID),
            ("x-api-key", API_KEY),
            ("inkbox-tcp-id", tcp_id),
        ]
        assert edge.replies == []
        await eventually(lambda: ingress.closes == [b"\x03\xe8clean-eof"])

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_tls_versions(
        self, serve: Serve, ingress: Ingress, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        await serve(echo)
        context = authority.client_context("http/1.1")
        context.minimum_version = context.maximum_version = version
        _, writer = await ingress.dial(context)
        assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")

    async def test_a_failed_handshake(self, serve: Serve, ingress: Ingress) -> None:
        await serve(echo)
        reader, writer = await ingress.dial(None)
        writer.write(b"\x16\x03\x01\x00\x05hello")
        alert = await reader.read()
        assert alert[:1] == b"\x15", "no TLS alert was sent"
        await eventually(lambda: ingress.closes == [b"\x03\xf3tls-error"])

    async def test_fragments_pings_and_small_pieces(
        self, serve: Serve, edge: FakeEdge, authority: Authority, stage: Stage
    ) -> None:
        stage.passthrough()
        await serve(echo)
        async with (
            Ingress(edge, authority, fragment=1) as ingress,
            ingress.session() as session,
            session.post(ingress.url, data=b"in little pieces") as response,
        ):
            assert await response.read() == b"in little pieces"

    @pytest.mark.parametrize("broken", [b"\x81\x02hi", b"\x80\x00", b"\xff\xff", b"\x02\x00\x82\x00"])
    async def test_a_broken_frame(self, serve: Serve, edge: FakeEdge, stage: Stage, broken: bytes) -> None:
        stage.passthrough()
        await serve(echo)
        extra = [("inkbox-route-kind", "tcp-stream"), ("inkbox-tcp-id", "t-1")]
        await edge.send_envelope(extra=extra)
        bridge = BridgeEnd(await edge.bridge("t-1"))
        await bridge.stream.send(frame(9, b"?"))
        assert await bridge.frame() == (Opcode.PONG, b"?")
        await bridge.stream.send(broken)
        while (piece := await bridge.frame()) is not None and piece[0] is not Opcode.CLOSE:
            pass
        assert piece == (Opcode.CLOSE, b"\x03\xeaprotocol-error")

    @pytest.mark.parametrize("answered", [True, False])
    async def test_a_bridge_that_does_not_open(
        self, serve: Serve, edge: FakeEdge, stage: Stage, answered: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tcp_bridge, "OPEN_TIMEOUT", 0.1)
        stage.passthrough()
        await serve(echo)
        await edge.send_envelope(extra=[("inkbox-route-kind", "tcp-stream"), ("inkbox-tcp-id", "t-1")])
        stream = await (edge.bridge("t-1", status=404) if answered else edge.bridge_stream("t-1"))
        await stream.gone()
        assert stream.reset_code == 8

    async def test_streams_that_do_not_fit_are_dropped(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo)
        await edge.send_envelope(extra=[("inkbox-route-kind", "tcp-stream"), ("inkbox-tcp-id", "t-1")])
        assert (await edge.request("POST", body=b"x")).body == b"x"

    async def test_the_listener_closes(self, edge: FakeEdge, stage: Stage, ingress: Ingress) -> None:
        async with stage.listener(echo):
            reader, _ = await ingress.connect("http/1.1")
        assert await reader.read() == b""


class TestHttp1:
    async def test_what_an_app_sees(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        await serve(mirror)
        spoofed = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Mine": "1"}
        async with third_party.get(f"{ingress.url}/caf%C3%A9?x=1", headers=spoofed) as response:
            seen = json.loads(await response.read())
        assert (seen["path"], seen["query_string"], seen["http_version"]) == ("/café", "x=1", "1.1")
        assert seen["client"] == ["unknown", 0]
        assert seen["headers"][:3] == [
            ["host", HOST],
            ["x-forwarded-host", HOST],
            ["x-forwarded-proto", "https"],
        ]
        names = [name for name, _ in seen["headers"]]
        assert "x-mine" in names
        assert "x-forwarded-for" not in names
        assert "forwarded" not in names

    async def test_connections_are_kept_alive(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        await serve(echo)
        for n in range(5):
            async with third_party.post(ingress.url, data=b"%d" % n) as response:
                assert await response.read() == b"%d" % n
        assert len(ingress.bridges) == 1

    async def test_they_are_kept_though_the_app_reads_no_body(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await respond(send, b"ok", headers=[(b"content-length", b"2")])

        await serve(app)
        for _ in range(5):
            async with third_party.get(ingress.url) as response:
                assert await response.read() == b"ok"
        assert len(ingress.bridges) == 1

    async def test_an_app_that_reads_no_body_is_ended_with_its_third_party(
        self, serve: Serve, ingress: Ingress
    ) -> None:
        ended = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await serve(app)
        _, writer = await ingress.connect("http/1.1")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await writer.drain()
        await eventually(lambda: bool(ingress.bridges))
        writer.close()
        await ended.wait()

    async def test_large_bodies_stream_both_ways(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            more = True
            while more:
                event = await receive()
                more = event["more_body"]
                await send({"type": "http.response.body", "body": event["body"], "more_body": more})

        await serve(app)
        body = bytes(range(256)) * 20_000
        async with third_party.post(ingress.url, data=io.BytesIO(body)) as response:
            assert await response.read() == body

    async def test_pipelined_requests_are_all_answered(self, serve: Serve, ingress: Ingress) -> None:
        await serve(mirror)
        reader, writer = await ingress.connect("http/1.1")
        writer.write(
            b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answers = await reader.read()
        assert answers.count(b"HTTP/1.1 200") == 2
        assert answers.index(b'"/one"') < answers.index(b'"/two"')

    @pytest.mark.parametrize(
        ("request_bytes", "answer"),
        [
            (b"GET /%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
            (b"GET http://x/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
            (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", b"HTTP/1.1 413 "),
            (
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"
                + b"x" * 2000
                + b"\r\n",
                b"HTTP/1.1 413 ",
            ),
        ],
    )
    async def test_what_is_refused(
        self, serve: Serve, ingress: Ingress, request_bytes: bytes, answer: bytes
    ) -> None:
        await serve(echo, max_inbound_body_bytes=1000)
        reader, writer = await ingress.connect("http/1.1")
        writer.write(request_bytes)
        assert (await reader.read()).startswith(answer)

    @pytest.mark.parametrize(
        ("target", "seen"),
        [
            (b"https://my-app.localhost/one?a=b", "/one"),
            (b"HTTP://my-app.localhost", "/"),
            (b"http://my-app.localhost?q", "/"),
        ],
    )
    async def test_a_target_may_be_a_whole_url(
        self, serve: Serve, ingress: Ingress, target: bytes, seen: str
    ) -> None:
        await serve(mirror)
        reader, writer = await ingress.connect("http/1.1")
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert f'"raw_path": "{seen}"'.encode() in await reader.read()

    async def test_an_app_that_listens_on_hears_of_the_end(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            await respond(send, b"done")
            heard.put_nowait((await receive())["type"])

        await serve(app)
        async with third_party.get(ingress.url) as response:
            assert await response.read() == b"done"
        assert await heard.get() == "http.disconnect"

    async def test_an_app_that_fails(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["path"] == "/late":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ZeroDivisionError

        await serve(app)
        async with third_party.get(ingress.url) as response:
            assert (response.status, await response.read()) == (502, b"upstream error")
        with pytest.raises(aiohttp.ClientPayloadError):
            async with third_party.get(f"{ingress.url}/late") as response:
                await response.read()

    async def test_a_response_over_the_limit_is_cut_off(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await respond(send, b"x" * 1001, headers=[(b"content-length", b"1001")])

        await serve(app, max_outbound_body_bytes=1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            async with third_party.get(ingress.url) as response:
                await response.read()

    async def test_expectations_are_met(self, serve: Serve, ingress: Ingress) -> None:
        await serve(echo)
        reader, writer = await ingress.connect("http/1.1")
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"ok")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")

    async def test_a_third_party_that_leaves_is_noticed(self, serve: Serve, ingress: Ingress) -> None:
        heard: list[str] = []

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            heard.append("begun")
            heard.append((await receive())["type"])

        await serve(app)
        _, writer = await ingress.connect("http/1.1")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: heard == ["begun"])
        writer.close()
        await eventually(lambda: heard == ["begun", "http.disconnect"])


class TestHttp2:
    async def test_requests_share_one_connection(
        self, serve: Serve, ingress: Ingress, http2: Http2Client
    ) -> None:
        await serve(mirror)
        responses = await asyncio.gather(*(http2.get(f"/{n}?q") for n in range(50)))
        assert [response.json()["path"] for response in responses] == [f"/{n}" for n in range(50)]
        assert {response.http_version for response in responses} == {"HTTP/2"}
        assert responses[0].json()["http_version"] == "2"
        assert responses[0].json()["headers"][0] == ["host", HOST]
        assert len(ingress.bridges) == 1

    async def test_large_bodies_both_ways(self, serve: Serve, http2: Http2Client) -> None:
        await serve(echo)
        body = bytes(range(256)) * 12_000
        assert (await http2.post("/", content=body)).content == body

    async def test_answers_of_our_own(self, serve: Serve, http2: Http2Client) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError

        await serve(app)
        response = await http2.get("/%252e")
        assert (response.status_code, response.text) == (400, "invalid path")
        response = await http2.get("/")
        assert (response.status_code, response.text) == (502, "upstream error")

    async def test_limits(self, serve: Serve, http2: Http2Client) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            size = len(await read_body(receive))
            await respond(send, b"x" * (2000 - size))

        await serve(app, max_inbound_body_bytes=1000, max_outbound_body_bytes=1000)
        with pytest.raises(httpx.RemoteProtocolError, match="7"):
            await http2.post("/", content=b"x" * 1001)
        with pytest.raises(httpx.RemoteProtocolError, match="2"):
            await http2.get("/")
        assert len((await http2.post("/", content=b"x" * 1000)).content) == 1000

    @pytest.mark.parametrize("block", [b"\x0f\x80", b"\xff\xff\xff\xff\xff", b"\x40", b"\x82\x87\x00\x85"])
    async def test_a_broken_header_block_harms_its_own_connection_only(
        self, serve: Serve, ingress: Ingress, http2: Http2Client, block: bytes
    ) -> None:
        await serve(mirror)
        assert (await http2.get("/before")).status_code == 200
        reader, writer = await ingress.connect("h2")
        settings, headers = b"\0\0\0\4\0\0\0\0\0", len(block).to_bytes(3, "big") + b"\1\5\0\0\0\1"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers + block)
        await reader.read()
        assert (await http2.get("/after")).json()["path"] == "/after"
        assert len(ingress.bridges) == 2

    async def test_it_is_not_offered_when_switched_off(self, serve: Serve, ingress: Ingress) -> None:
        await serve(echo, enable_h2_transcode=False)
        _, writer = await ingress.connect("h2", "http/1.1")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"

    async def test_head_and_cookies(self, serve: Serve, http2: Http2Client) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            headers = [(b"content-length", b"9"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
            await respond(send, b"x" * 9, headers=headers)

        await serve(app)
        response = await http2.head("/")
        assert response.headers["content-length"] == "9"
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


class TestWebSockets:
    async def test_over_http1(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        await serve(ws_echo)
        async with third_party.ws_connect(f"{ingress.url}/ws", max_msg_size=0) as ws:
            await ws.send_str("grüße")
            assert await ws.receive_str() == "grüße"
            await ws.send_bytes(b"x" * 3_000_000)
            assert await ws.receive_bytes() == b"x" * 3_000_000
            await ws.ping(b"?")
            await ws.close(code=4001)
        assert ws.close_code == 4001

    @pytest.mark.parametrize(("path", "status"), [("/", 403), ("/raises", 500)])
    async def test_a_refusal_ends_the_connection(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession, path: str, status: int
    ) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket" or scope["path"] == "/raises":
                raise NotImplementedError
            await receive()
            await send({"type": "websocket.close"})

        await serve(app)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await third_party.ws_connect(ingress.url + path)
        assert caught.value.status == status
        await eventually(lambda: ingress.closes == [b"\x03\xe8clean-eof"])

    async def test_fragments_without_end_cost_neither_memory_nor_time(self) -> None:
        fragment = b"\x00\x80\x00\x00\x00\x00"
        pieces = [b"\x01\x81\x00\x00\x00\x00a", *[fragment * 10_000] * 5]
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        class Stream:
            async def read(self) -> bytes:
                return pieces.pop(0) if pieces else b""

            async def write(self, data: bytes) -> None:
                return

        async def accept(subprotocol: str | None, headers: Headers) -> None:
            return

        async def reject(status: int, headers: Headers, body: bytes) -> None:
            return

        peer = ServerWebSocket(Stream(), offered=[], accept=accept, reject=reject, limit=1000, masked=True)
        counter = asyncio.create_task(count_turns())
        tracemalloc.start()
        try:
            await peer.accept(None, [])
            assert await peer.receive() == Close(1006)
            assert tracemalloc.get_traced_memory()[0] < 300_000
            assert turns > 250
        finally:
            tracemalloc.stop()
            counter.cancel()
            await peer.aclose()

    @pytest.mark.parametrize("masked", [True, False])
    async def test_over_http2(self, serve: Serve, ingress: Ingress, masked: bool) -> None:
        await serve(ws_echo)
        reader, writer = await ingress.connect("h2")
        client = h2.connection.H2Connection(h2.config.H2Configuration())
        client.initiate_connection()
        headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/ws"),
            ("sec-websocket-version", "13"),
        ]
        client.send_headers(1, headers)
        body = b"\x81\x82\x01\x02\x03\x04" + bytes((104 ^ 1, 105 ^ 2)) if masked else b"\x81\x02hi"
        client.send_data(1, body)
        writer.write(client.data_to_send())
        received, status = b"", b""
        while received != b"\x81\x02hi":
            for event in client.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    status = event.headers[0][1]
                elif isinstance(event, h2.events.DataReceived):
                    received += event.data
        assert status == b"200"


class TestForwarding:
    async def test_to_a_url(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession, http2: Http2Client
    ) -> None:
        async with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Mine: 1\r\n\r\nok") as upstream:
            await serve(upstream.url)
            async with third_party.post(ingress.url, data=b"body") as response:
                assert (await response.read(), response.headers["X-Mine"]) == (b"ok", "1")
            assert upstream.bodies == [b"body"]
            assert upstream.headers()["x-forwarded-host"] == HOST
            response2 = await http2.get("/x")
            assert response2.content == b"ok"
            assert upstream.heads[-1][0] == "GET /x HTTP/1.1"
            assert not {"transfer-encoding", "content-length"} & set(upstream.headers())

    async def test_nobody_there(
        self, serve: Serve, ingress: Ingress, third_party: aiohttp.ClientSession
    ) -> None:
        await serve("http://127.0.0.1:9")
        async with third_party.get(ingress.url) as response:
            assert (response.status, await response.read()) == (502, b"upstream error")


class TestManyAtOnce:
    async def test_large_responses_of_one_connection_do_not_mix(
        self, serve: Serve, http2: Http2Client
    ) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            letter = scope["path"][-1:].encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(20):
                await send({"type": "http.response.body", "body": letter * 50_000, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        await serve(app)
        responses = await asyncio.gather(*(http2.get(f"/{letter}") for letter in "abcdefgh"))
        for letter, response in zip("abcdefgh", responses, strict=True):
            assert response.content == letter.encode() * 1_000_000
