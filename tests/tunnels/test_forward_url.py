"""Requests and WebSockets in edge mode, handed on to a local URL."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from pathlib import Path

import pytest

from inkbox_async.tunnels import ForwardTargetRefused, edge_websocket
from inkbox_async.tunnels.bridge_frames import Opcode
from inkbox_async.tunnels.forward_check import check_forward_url

from .authority import Authority
from .bridges import frame, open_websocket, upgrade
from .conftest import Serve, Stage
from .fake_edge import FakeEdge
from .upstream import Talk, Upstream, handshake

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TestTheAllowlist:
    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:8000",
            "https://LOCALHOST/",
            "http://127.0.0.1",
            "http://127.255.3.4:1/x",
            "http://[::1]:8080/base",
        ],
    )
    def test_this_machine(self, url: str) -> None:
        assert check_forward_url(url, allow_remote=False) == url

    @pytest.mark.parametrize(
        "url",
        [
            "http://0.0.0.0",
            "http://[::ffff:127.0.0.1]",
            "http://2130706433",
            "http://0177.0.0.1",
            "http://127.1",
            "http://[::]",
            "http://example.com",
            "http://localhost.example.com",
            "http://localhost.",
            "http://128.0.0.1",
            "http://169.254.169.254/",
            "http://[::1%25eth0]/",
            "ftp://localhost",
            "file:///etc/passwd",
            "localhost:8000",
            "",
        ],
    )
    def test_everything_else(self, url: str) -> None:
        with pytest.raises(ForwardTargetRefused):
            check_forward_url(url, allow_remote=False)

    def test_remote_targets_on_demand(self) -> None:
        check_forward_url("https://example.com/x", allow_remote=True)
        with pytest.raises(ForwardTargetRefused):
            check_forward_url("ftp://example.com", allow_remote=True)

    @pytest.mark.parametrize("url", ["http://user:pass@localhost", "http://localhost:99999"])
    def test_what_is_no_base(self, url: str) -> None:
        with pytest.raises(ValueError, match="forward_to"):
            check_forward_url(url, allow_remote=False)


class TestRequests:
    async def test_head_and_headers(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(OK) as upstream:
            await serve(upstream.url + "/base/?dropped=1#too")
            third_party = [
                ("host", "evil.example"),
                ("accept", "text/html"),
                ("x-forwarded-for", "6.6.6.6"),
                ("te", "trailers"),
                ("x-twice", "1"),
                ("cookie", "mine=1"),
                ("x-twice", "2"),
            ]
            reply = await edge.request(
                "GET",
                "/p%20q/%C3%A9?a=%20b&c",
                third_party,
                extra=[("inkbox-forwarded-for", "198.51.100.20")],
            )
            assert (reply.status, reply.body) == (200, b"ok")
            assert upstream.heads[0][0] == "GET /base/p%20q/%C3%A9?a=%20b&c HTTP/1.1"
            assert upstream.fields() == [
                ("host", f"127.0.0.1:{upstream.port}"),
                ("x-forwarded-host", "my-app.localhost"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-for", "198.51.100.20"),
                ("forwarded", "for=198.51.100.20"),
                ("accept", "text/html"),
                ("x-twice", "1"),
                ("cookie", "mine=1"),
                ("x-twice", "2"),
            ]

    @pytest.mark.parametrize(
        ("sent", "seen"),
        [("x?y", "/x?y"), ("//evil.example/x", "//evil.example/x"), ("/a#b", "/a%23b"), ("/é", "/%C3%A9")],
    )
    async def test_odd_targets(self, serve: Serve, edge: FakeEdge, sent: str, seen: str) -> None:
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            assert (await edge.request("GET", sent)).status == 200
            assert upstream.heads[0][0] == f"GET {seen} HTTP/1.1"

    async def test_a_body_goes_with_its_true_length(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            await edge.request("POST", "/", [("content-length", "999")], b"seven b")
            assert upstream.bodies == [b"seven b"]
            assert upstream.headers()["content-length"] == "7"

    @pytest.mark.parametrize("declared", [True, False])
    async def test_a_large_body_streams(self, serve: Serve, edge: FakeEdge, declared: bool) -> None:
        body = bytes(range(256)) * 16000
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            headers = [("content-length", str(len(body)))] if declared else []
            await edge.request("POST", "/", headers, body)
            assert upstream.bodies == [body]
            assert ("transfer-encoding" in upstream.headers()) is not declared

    async def test_cookies_of_one_never_reach_another(self, serve: Serve, edge: FakeEdge) -> None:
        answer = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: session=secret\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
        )
        async with Upstream(answer) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert reply.headers == [("set-cookie", "session=secret"), ("set-cookie", "b=2")]
            await edge.request()
            assert "cookie" not in upstream.headers()

    async def test_compressed_bodies_stay_as_they_are(self, serve: Serve, edge: FakeEdge) -> None:
        packed = gzip.compress(b"hello" * 100)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        async with Upstream(head.encode() + packed) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert (reply.body, reply.header("content-encoding")) == (packed, "gzip")

    async def test_redirects_are_for_the_third_party(self, serve: Serve, edge: FakeEdge) -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n"
        async with Upstream(answer) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert (reply.status, reply.header("location")) == (302, "http://example.com/")

    async def test_hop_by_hop_response_headers_stay_here(self, serve: Serve, edge: FakeEdge) -> None:
        answer = (
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        )
        async with Upstream(answer) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert (reply.headers, reply.body) == ([("x-mine", "1")], b"ok")

    async def test_head_keeps_its_length(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n") as upstream:
            await serve(upstream.url)
            reply = await edge.request("HEAD")
            assert (reply.body, reply.header("content-length")) == (b"", "1234")

    async def test_connections_are_kept(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            for _ in range(5):
                await edge.request()
            assert upstream.connections == 1

    async def test_what_an_upstream_says_unasked_reaches_nobody(self, serve: Serve, edge: FakeEdge) -> None:
        writers: list[asyncio.StreamWriter] = []

        async def count(talk: Talk) -> None:
            writers.append(talk.writer)
            talk.writer.write(OK[: OK.index(b"\r\n")] + b"\r\nContent-Length: 1\r\n\r\n%d" % len(writers))

        async with Upstream(count) as upstream:
            await serve(upstream.url)
            assert (await edge.request()).body == b"1"
            writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother")
            await asyncio.sleep(0.01)
            assert (await edge.request()).body == b"2", "a third party got what was not for it"

    async def test_proxies_of_the_environment_do_not_apply(
        self, serve: Serve, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            assert (await edge.request()).status == 200

    async def test_nobody_there(self, serve: Serve, edge: FakeEdge, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "inkbox_async.tunnels")
        await serve("http://127.0.0.1:9")
        reply = await edge.request()
        assert (reply.status, reply.body, reply.reason) == (502, b"upstream error", "upstream-error")
        assert "127.0.0.1:9" in caplog.text

    @pytest.mark.parametrize(
        "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
    )
    async def test_an_upstream_that_breaks_off(self, serve: Serve, edge: FakeEdge, answer: bytes) -> None:
        async def broken(talk: Talk) -> None:
            talk.writer.write(answer)
            talk.writer.close()

        async with Upstream(broken) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert (reply.status, reply.reason) == (502, "upstream-error")

    async def test_a_response_over_the_limit(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99) as upstream:
            await serve(upstream.url, max_outbound_body_bytes=98)
            reply = await edge.request()
            assert (reply.status, reply.reason) == (502, "response-too-large")

    @pytest.mark.parametrize(
        "fields",
        [b"X-Big: " + b"a" * 60_000 + b"\r\n", b"".join(b"X-%d: a\r\n" % n for n in range(500))],
        ids=["large", "many"],
    )
    async def test_large_response_heads_pass(self, serve: Serve, edge: FakeEdge, fields: bytes) -> None:
        answer = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok"
        async with Upstream(answer) as upstream:
            await serve(upstream.url)
            reply = await edge.request()
            assert (reply.status, reply.body) == (200, b"ok")

    async def test_an_expectation_is_not_handed_on(self, serve: Serve, edge: FakeEdge) -> None:
        # The body is under way already, and the upstream may be one that never says `100 Continue`.
        async with Upstream(OK) as upstream:
            await serve(upstream.url)
            headers = [("expect", "100-continue"), ("content-length", "2")]
            assert (await edge.request("POST", headers=headers, body=b"hi")).status == 200
            assert upstream.bodies == [b"hi"]
            assert "expect" not in upstream.headers()

    async def test_an_upstream_that_refuses_a_body_early(self, serve: Serve, edge: FakeEdge) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            await serve(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            intake, answer = await edge.send_envelope("POST", end=False)
            with contextlib.suppress(ConnectionResetError):
                await intake.send(b"x" * 8_000_000)
            assert (await answer).status == 413

    async def test_a_slow_upstream(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["response_deadline_seconds"] = 0.1
        gone = asyncio.Event()

        async def slow(talk: Talk) -> None:
            await talk.reader.read()
            gone.set()

        async with Upstream(slow) as upstream:
            await serve(upstream.url)
            assert (await edge.request()).status == 504
            await gone.wait()


class TestTls:
    async def test_verification_and_how_to_do_without(
        self, stage: Stage, edge: FakeEdge, authority: Authority, tmp_path: Path
    ) -> None:
        context = authority.server_context(tmp_path, "127.0.0.1", alpn=("http/1.1",))
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(authority.pem)
        async with Upstream(OK, context) as upstream:
            async with stage.listener(upstream.url):
                assert (await edge.request()).status == 502
            for options in (
                {"forward_to_verify_tls": False, "forward_to_ca_bundle": b"not looked at"},
                {"forward_to_ca_bundle": authority.pem},
                {"forward_to_ca_bundle": str(bundle)},
                {"forward_to_ca_bundle": bundle},
            ):
                async with stage.listener(upstream.url, **options):
                    assert (await edge.request()).body == b"ok"

    def test_an_unusable_bundle_is_refused_at_once(self, stage: Stage, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="forward_to_ca_bundle"):
            stage.listener("https://localhost", forward_to_ca_bundle=b"no certificate")
        with pytest.raises(OSError, match=r"missing\.pem"):
            stage.listener("https://localhost", forward_to_ca_bundle=tmp_path / "missing.pem")


class TestWebSockets:
    async def test_handshake_and_messages(self, serve: Serve, edge: FakeEdge) -> None:
        async def echo(talk: Talk) -> None:
            talk.writer.write(
                handshake(talk.head, "Sec-WebSocket-Protocol: mail", "X-Use-Inkbox-Text-To-Speech: true")
            )
            head_bytes = await talk.reader.readexactly(6)
            size, key = head_bytes[1] & 0x7F, head_bytes[2:]
            masked = await talk.reader.readexactly(size)
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(masked))
            talk.writer.write(frame(1, b"echo:", final=False) + frame(9, b"p") + frame(0, payload))
            await talk.reader.readexactly(7)  # the pong
            talk.writer.write(frame(8, b"\x0f\xa1"))

        async with Upstream(echo) as upstream:
            await serve(upstream.url + "/base")
            headers = [
                ("sec-websocket-protocol", "chat, mail"),
                ("cookie", "a=b"),
                ("origin", "https://x.example"),
            ]
            bridge, reply = await open_websocket(edge, "/ws?a=1", headers)
            assert reply.headers == [
                ("x-use-inkbox-text-to-speech", "true"),
                ("sec-websocket-protocol", "mail"),
            ]
            assert upstream.heads[0][0] == "GET /base/ws?a=1 HTTP/1.1"
            seen = upstream.headers()
            assert seen["host"] == f"127.0.0.1:{upstream.port}"
            assert seen["x-forwarded-host"] == "my-app.localhost"
            assert seen["sec-websocket-protocol"] == "chat, mail"
            assert (seen["cookie"], seen["origin"]) == ("a=b", "https://x.example")
            assert "sec-websocket-extensions" not in seen
            await bridge.send(type="text", data="hi")
            assert await bridge.document() == {"type": "text", "data": "echo:hi"}
            assert await bridge.document() == {"type": "close", "code": 4001, "reason": ""}

    async def test_large_messages_both_ways(self, serve: Serve, edge: FakeEdge) -> None:
        size = 3_000_000

        async def server(talk: Talk) -> None:
            talk.writer.write(handshake(talk.head))
            await talk.reader.readexactly(14 + size)
            talk.writer.write(frame(1, b"y" * size))
            await talk.writer.drain()
            await talk.reader.read()

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            bridge, _ = await open_websocket(edge)
            await bridge.send(type="text", data="x" * size)
            assert await bridge.document() == {"type": "text", "data": "y" * size}

    async def test_the_third_partys_close_reaches_the_upstream(self, serve: Serve, edge: FakeEdge) -> None:
        closes: asyncio.Queue[bytes] = asyncio.Queue()

        async def server(talk: Talk) -> None:
            talk.writer.write(handshake(talk.head))
            data = await talk.reader.readexactly(8)
            closes.put_nowait(bytes(b ^ data[2 + i % 4] for i, b in enumerate(data[6:])))

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            bridge, _ = await open_websocket(edge)
            await bridge.send(type="close", code=4002)
            assert await closes.get() == (4002).to_bytes(2, "big")

    async def test_half_a_character_ends_it_as_an_error(self, serve: Serve, edge: FakeEdge) -> None:
        async def server(talk: Talk) -> None:
            talk.writer.write(handshake(talk.head))
            await talk.reader.read()

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            bridge, _ = await open_websocket(edge)
            await bridge.send(type="text", data="\ud800")
            ending = await bridge.document()
            assert ending is not None
            assert (ending["type"], ending["code"]) == ("close", 1011)

    async def test_an_upstream_that_drops(self, serve: Serve, edge: FakeEdge) -> None:
        async def server(talk: Talk) -> None:
            talk.writer.write(handshake(talk.head))
            talk.writer.close()

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            bridge, _ = await open_websocket(edge)
            assert await bridge.document() == {"type": "close", "code": 1011, "reason": ""}
            assert await bridge.frame() == (Opcode.CLOSE, b"\x03\xe8")

    async def test_a_refusal_is_passed_on(self, serve: Serve, edge: FakeEdge) -> None:
        async with Upstream(b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\n\r\nno!") as upstream:
            await serve(upstream.url)
            reply = await upgrade(edge)
            assert (reply.status, reply.body) == (418, b"upstream returned 418")

    async def test_nobody_there(self, serve: Serve, edge: FakeEdge) -> None:
        await serve("http://127.0.0.1:9")
        assert (await upgrade(edge)).status == 502

    @pytest.mark.parametrize(
        "wrong",
        ["Sec-WebSocket-Protocol: never-offered", "Sec-WebSocket-Extensions: permessage-deflate", "accept"],
    )
    async def test_a_wrong_handshake(self, serve: Serve, edge: FakeEdge, wrong: str) -> None:
        async def server(talk: Talk) -> None:
            answer = (
                handshake(talk.head, wrong)
                if wrong != "accept"
                else handshake(talk.head).replace(b"Accept: ", b"Accept: x")
            )
            talk.writer.write(answer)

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            reply = await upgrade(edge, headers=[("sec-websocket-protocol", "chat")])
            assert reply.status == 502

    async def test_a_redirect_is_not_followed(self, serve: Serve, edge: FakeEdge) -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
        async with Upstream(answer) as upstream:
            await serve(upstream.url)
            assert (await upgrade(edge)).status == 302

    @pytest.mark.parametrize("deadline", [None, 0.1])
    async def test_a_slow_handshake(
        self, serve: Serve, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, deadline: float | None
    ) -> None:
        if deadline is None:
            monkeypatch.setattr(edge_websocket, "HANDSHAKE_TIMEOUT", 0.1)
        else:
            edge.hello_fields["response_deadline_seconds"] = deadline

        async def server(talk: Talk) -> None:
            await talk.reader.read()

        async with Upstream(server) as upstream:
            await serve(upstream.url)
            reply = await upgrade(edge)
            assert (reply.status, reply.body) == (504, b"upstream-handshake-timeout")
