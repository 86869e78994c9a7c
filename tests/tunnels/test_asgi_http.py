"""HTTP requests in edge mode, answered by an ASGI application."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .apps import Event, Receive, Send, echo, http, mirror, read_body, respond
from .conftest import Serve, Stage, eventually
from .control import API_KEY, TUNNEL_ID
from .fake_edge import FakeEdge


def scope_of(body: bytes) -> dict[str, Any]:  # Any: the scope as JSON
    seen = json.loads(body)
    assert isinstance(seen, dict)
    return seen


class TestTheScope:
    async def test_path_is_decoded_and_raw_path_is_not(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(mirror)
        seen = scope_of((await edge.request("get", "/caf%C3%A9/a%20b?q=%20x&y")).body)
        assert seen["path"] == "/café/a b"
        assert seen["raw_path"] == "/caf%C3%A9/a%20b"
        assert seen["query_string"] == "q=%20x&y"
        assert (seen["method"], seen["scheme"], seen["http_version"], seen["root_path"]) == (
            "GET",
            "https",
            "1.1",
            "",
        )
        assert seen["server"] == ["my-app.localhost", 443]
        assert seen["client"] == ["unknown", 0]

    async def test_headers_are_the_tunnels_own_then_the_third_partys(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        await serve(mirror)
        third_party = [
            ("host", "evil.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=6.6.6.6"),
            ("connection", "close"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic eA=="),
            ("accept", "*/*"),
            ("x-twice", "1"),
            ("cookie", "a=b"),
            ("x-twice", "2"),
        ]
        reply = await edge.request(headers=third_party, extra=[("inkbox-forwarded-for", "198.51.100.20")])
        assert scope_of(reply.body)["headers"] == [
            ["host", "my-app.localhost"],
            ["x-forwarded-host", "my-app.localhost"],
            ["x-forwarded-proto", "https"],
            ["x-forwarded-for", "198.51.100.20"],
            ["forwarded", "for=198.51.100.20"],
            ["accept", "*/*"],
            ["x-twice", "1"],
            ["cookie", "a=b"],
            ["x-twice", "2"],
        ]
        assert scope_of(reply.body)["client"] == ["198.51.100.20", 0]

    async def test_an_ipv6_client_is_quoted_in_forwarded(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(mirror)
        reply = await edge.request(extra=[("inkbox-forwarded-for", "2001:db8::7")])
        assert ["forwarded", 'for="[2001:db8::7]"'] in scope_of(reply.body)["headers"]

    async def test_a_header_that_is_not_utf8_harms_nobody(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(mirror)
        reply = await edge.request(headers=[("x-odd", "caf\udce9")])
        assert ["x-odd", "café"] in scope_of(reply.body)["headers"]
        assert len(edge.connections) == 1

    async def test_method_and_path_have_defaults(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(mirror)
        stream = await edge.intake()
        future = edge.expect("r-1")
        stream.answer(200, [("inkbox-request-id", "r-1"), ("inkbox-novelty", "ignored")])
        seen = scope_of((await future).body)
        assert (seen["method"], seen["path"]) == ("GET", "/")


class TestThePost:
    async def test_names_the_request_and_proves_the_key(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            headers = [(b"Content-Type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
            headers += [
                (b"connection", b"close"),
                (b"transfer-encoding", b"chunked"),
                (b"content-length", b"2"),
            ]
            await respond(send, b"ok", 201, headers)

        await serve(app)
        _, future = await edge.send_envelope(request_id="4d9a7b20")
        reply = await future
        assert reply.posted == [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", edge.zone),
            (":path", "/_system/response/4d9a7b20"),
            ("x-tunnel-id", TUNNEL_ID),
            ("x-api-key", API_KEY),
            ("inkbox-status", "201"),
            ("inkbox-request-id", "4d9a7b20"),
            ("content-length", "2"),
            ("inkbox-h-content-type", "text/plain"),
            ("inkbox-h-set-cookie", "a=1"),
            ("inkbox-h-set-cookie", "b=2"),
        ]
        assert reply.body == b"ok"

    async def test_an_impossible_header_costs_only_itself(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            headers = [(b"x-split", b"a\r\nset-cookie: x=1"), (b"bad name", b"x"), (b"x-latin", b"caf\xe9")]
            await respond(send, b"ok", headers=[*headers, (b"x-good", b"  yes ")])

        await serve(app)
        reply = await edge.request()
        assert reply.headers == [("x-latin", "café"), ("x-good", "yes")]

    async def test_head_keeps_the_length_that_get_would_have(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await respond(send, b"x" * 1234, headers=[(b"content-length", b"1234")])

        await serve(app)
        reply = await edge.request("HEAD")
        assert reply.body == b""
        assert reply.header("content-length") == "1234"
        assert ("content-length", "0") in reply.posted

    async def test_an_app_that_listens_on_hears_of_the_end(self, serve: Serve, edge: FakeEdge) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            await respond(send, b"done")
            heard.put_nowait((await receive())["type"])

        await serve(app)
        assert (await edge.request()).body == b"done"
        assert await heard.get() == "http.disconnect"

    async def test_headers_that_no_edge_takes_are_a_502(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            size = int(scope["query_string"])
            await respond(send, b"body", headers=[(b"x-large", b"x" * size)])

        await serve(app)
        assert (await edge.request(path="/?60000")).body == b"body"
        reply = await edge.request(path="/?200000")
        assert (reply.status, reply.body, reply.reason) == (502, b"response too large", "response-too-large")
        assert len(edge.connections) == 1

    async def test_closing_tells_an_app_before_it_is_cancelled(self, stage: Stage, edge: FakeEdge) -> None:
        heard: list[str] = []

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            heard.append((await receive())["type"])
            await respond(send, b"just in time")

        async with stage.listener(app):
            _, answer = await edge.send_envelope()
            await eventually(lambda: len(edge.connections[0].parked) > 0)
            await edge.request("GET", "/%00")
        assert heard == ["http.disconnect"]
        answer.cancel()

    async def test_an_app_that_does_not_answer_is_a_500(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            return

        await serve(app)
        reply = await edge.request()
        assert (reply.status, reply.body) == (500, b"")

    async def test_an_app_that_raises_is_a_500(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError

        await serve(app)
        reply = await edge.request()
        assert (reply.status, reply.body, reply.header("content-type")) == (
            500,
            b"internal error",
            "text/plain",
        )

    async def test_an_app_that_raises_in_mid_response_is_cut_off(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ZeroDivisionError

        await serve(app)
        with pytest.raises(ConnectionResetError):
            await edge.request()
        assert (await edge.request("GET", "/%2e%2e")).status == 400


class TestBodies:
    async def test_a_large_body_streams_both_ways(self, serve: Serve, edge: FakeEdge) -> None:
        size = 5_000_000
        pieces: list[int] = []

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                event = await receive()
                pieces.append(len(event["body"]))
                await send(
                    {"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]}
                )
                if not event["more_body"]:
                    return

        await serve(app)
        body = bytes(range(256)) * (size // 256)
        reply = await edge.request("POST", "/", body=body)
        assert reply.body == body
        assert len(pieces) > 10, "the body was gathered before the application saw it"
        assert max(pieces) <= 1 << 20

    async def test_a_response_of_unknown_length_streams_as_it_is_made(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        go_on = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": False})

        await serve(app)
        posts: list[Any] = []  # Any: edge streams
        edge.on_post_opened = posts.append
        _, future = await edge.send_envelope()
        await edge.until(lambda: bool(posts))
        assert await posts[0].read(9) == b"data: 1\n\n"
        posts[0].received += b"data: 1\n\n"
        go_on.set()
        reply = await future
        assert reply.body == b"data: 1\n\ndata: 2\n\n"
        assert "content-length" not in dict(reply.posted)

    async def test_small_chunks_are_gathered_and_get_a_length(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for piece in (b"a", b"b", b"c"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await serve(app)
        reply = await edge.request()
        assert reply.body == b"abc"
        assert ("content-length", "3") in reply.posted

    async def test_a_body_that_nobody_reads_does_not_stop_the_others(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        release = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["path"] == "/stuck":
                await release.wait()
            await respond(send, b"%d" % len(await read_body(receive)))

        await serve(app)
        stuck = [
            asyncio.ensure_future(edge.request("POST", "/stuck", body=b"x" * 3_000_000)) for _ in range(8)
        ]
        assert (await edge.request("POST", "/free", body=b"x" * 3_000_000)).body == b"3000000"
        release.set()
        assert {reply.body for reply in await asyncio.gather(*stuck)} == {b"3000000"}

    async def test_a_body_put_aside_is_fetched(self, serve: Serve, edge: FakeEdge, bodies: str) -> None:
        await serve(echo)
        reply = await edge.request("POST", "/", body=b"ignored", extra=[("inkbox-body-uri", f"{bodies}/big")])
        assert reply.body == b"b" * 300_000

    async def test_a_body_that_cannot_be_fetched_is_a_502(
        self, serve: Serve, edge: FakeEdge, bodies: str
    ) -> None:
        await serve(echo)
        reply = await edge.request("POST", "/", extra=[("inkbox-body-uri", f"{bodies}/none")])
        assert (reply.status, reply.body, reply.reason) == (
            502,
            b"failed to fetch request body",
            "body-fetch-failed",
        )

    async def test_a_body_whose_fetching_breaks_off_is_a_502(self, serve: Serve, edge: FakeEdge) -> None:
        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000)
            writer.close()

        await serve(echo)
        async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
            uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            reply = await edge.request("POST", "/", extra=[("inkbox-body-uri", uri)])
        assert (reply.status, reply.body, reply.reason) == (
            502,
            b"failed to fetch request body",
            "body-fetch-failed",
        )

    async def test_a_fetched_body_over_the_limit_is_a_413(
        self, serve: Serve, edge: FakeEdge, bodies: str
    ) -> None:
        await serve(echo, max_inbound_body_bytes=1000)
        reply = await edge.request("POST", "/", extra=[("inkbox-body-uri", f"{bodies}/big")])
        assert (reply.status, reply.reason) == (413, "request-body-too-large")


class TestLimits:
    async def test_a_request_that_announces_too_much(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo, max_inbound_body_bytes=1000)
        reply = await edge.request("POST", "/", [("content-length", "1001")], b"x" * 1001)
        assert (reply.status, reply.body, reply.reason) == (
            413,
            b"request body too large",
            "request-body-too-large",
        )

    async def test_a_request_that_just_goes_on(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo, max_inbound_body_bytes=500_000)
        stream, future = await edge.send_envelope("POST", "/", end=False)
        sending = asyncio.ensure_future(stream.send(b"x" * 5_000_000, end=True))
        reply = await future
        assert (reply.status, reply.reason) == (413, "request-body-too-large")
        with pytest.raises(ConnectionResetError):
            await sending

    async def test_a_body_of_exactly_the_limit_passes(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo, max_inbound_body_bytes=1000, max_outbound_body_bytes=1000)
        assert (await edge.request("POST", "/", body=b"x" * 1000)).status == 200

    @pytest.mark.parametrize("declared", [True, False])
    async def test_a_response_too_large(self, serve: Serve, edge: FakeEdge, declared: bool) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await respond(send, b"x" * 1001, headers=[(b"content-length", b"1001")] if declared else [])

        await serve(app, max_outbound_body_bytes=1000)
        reply = await edge.request()
        assert (reply.status, reply.body, reply.reason) == (502, b"response too large", "response-too-large")

    async def test_an_endless_response_is_cut_off(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

        await serve(app, max_outbound_body_bytes=1_000_000)
        with pytest.raises(ConnectionResetError):
            await edge.request()

    @pytest.mark.parametrize(
        "path", ["/a/%2e%2e/b", "/%252e", "/a%2Fb", "/a%5cb", "/a\\b", "/x%00", "/../etc", "/x/."]
    )
    async def test_a_treacherous_path_is_refused(self, serve: Serve, edge: FakeEdge, path: str) -> None:
        await serve(echo)
        reply = await edge.request("GET", path)
        assert (reply.status, reply.body, reply.reason) == (400, b"invalid path", "invalid-path")


class TestDeadlines:
    async def test_a_slow_app_is_a_504_and_hears_of_it(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.05
        heard: list[str] = []
        ended = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            heard.append((await receive())["type"])
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append("cancelled")
                ended.set()
                raise

        await serve(app)
        reply = await edge.request()
        assert (reply.status, reply.body, reply.reason) == (
            504,
            b"local handler too slow",
            "response-deadline-exceeded",
        )
        await ended.wait()
        assert heard == ["http.disconnect", "cancelled"]

    async def test_a_late_answer_is_not_sent_twice(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.05
        answered = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            await receive()
            await respond(send, b"late")
            answered.set()

        await serve(app)
        assert (await edge.request()).status == 504
        await answered.wait()
        await edge.request("GET", "/%00")
        assert edge.unknown_replies == []

    async def test_a_response_that_has_begun_may_take_its_time(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.1

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"be", "more_body": True})
            await asyncio.sleep(0.3)
            await send({"type": "http.response.body", "body": b"gun"[:2]})

        await serve(app)
        assert (await edge.request()).body == b"begu"

    async def test_a_body_that_keeps_coming_may_take_its_time(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 1.0
        await serve(echo)
        stream, future = await edge.send_envelope("POST", "/", end=False)
        for _ in range(30):
            await stream.send(b"x")
            await asyncio.sleep(0.05)
        await stream.send(b"", end=True)
        reply = await future
        assert (reply.status, reply.body) == (200, b"x" * 30)

    async def test_after_a_slow_body_the_app_has_all_of_its_time(self, serve: Serve, edge: FakeEdge) -> None:
        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            await asyncio.sleep(1.0)
            await respond(send, b"in time")

        edge.hello_fields["response_deadline_seconds"] = 2.0
        await serve(app)
        stream, future = await edge.send_envelope("POST", "/", end=False)
        await stream.send(b"x")
        await asyncio.sleep(1.5)
        await stream.send(b"", end=True)
        assert (await future).body == b"in time"

    async def test_a_body_that_stops_coming_is_a_504(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.1
        await serve(echo)
        stream, future = await edge.send_envelope("POST", "/", end=False)
        await stream.send(b"x")
        assert (await future).status == 504

    async def test_a_third_party_that_leaves_ends_a_streamed_response(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        ended = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await read_body(receive)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
            if (await receive())["type"] == "http.disconnect":
                ended.set()

        await serve(app)
        posts: list[Any] = []  # Any: edge streams
        edge.on_post_opened = posts.append
        await edge.send_envelope()
        await edge.until(lambda: bool(posts))
        posts[0].reset(8)
        await ended.wait()


class TestLifespan:
    async def test_startup_and_shutdown_frame_the_tunnel(self, stage: Stage, edge: FakeEdge) -> None:
        seen: list[str] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await respond(send, scope["state"]["greeting"])
                return
            assert scope["type"] == "lifespan"
            while True:
                event = await receive()
                seen.append(event["type"])
                if event["type"] == "lifespan.startup":
                    scope["state"]["greeting"] = b"hello"
                    assert not edge.connections
                    await send({"type": "lifespan.startup.complete"})
                else:
                    await send({"type": "lifespan.shutdown.complete"})
                    return

        async with stage.listener(app):
            assert seen == ["lifespan.startup"]
            assert (await edge.request()).body == b"hello"
        assert seen == ["lifespan.startup", "lifespan.shutdown"]

    async def test_a_failed_startup_fails_the_tunnel(self, stage: Stage, edge: FakeEdge) -> None:
        from inkbox_async.tunnels import TunnelAppError

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        with pytest.raises(TunnelAppError, match="no database"):
            async with stage.listener(app):
                pass
        assert edge.connections == []
