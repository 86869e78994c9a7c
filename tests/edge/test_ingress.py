"""Third parties over HTTP/1.1 and HTTP/2, with TLS and without: bodies both ways, hosts, errors."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from inkbox_async.sandbox.edge import EdgeLimits, TunnelRecord

from .conftest import RunningEdge, StartEdge, status
from .directory import PASSTHROUGH_ID, TUNNEL_ID
from .listener import RawListener, request_id
from .raw_h2 import PATIENCE, RawStream

MEGABYTE = 1 << 20
HOST = "sales-agent.localhost"


async def echo(listener: RawListener, envelope: RawStream) -> None:
    """Answer with the body."""
    await envelope.whole()
    await listener.post(request_id(envelope), 200, bytes(envelope.body), ("content-type", "text/plain"))


@pytest.mark.parametrize("size", [0, 1, 1000, 65_535, 65_536, 70_000, 900_000])
async def test_bodies_of_every_size_come_through_whole(edge: RunningEdge, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with edge.listener() as listener, edge.session() as third_party, listener.serving(echo):
        for _ in range(2):  # twice, on a kept-alive connection
            answer = await third_party.post(edge.url(), data=body)
            assert answer.status == 200
            assert await answer.read() == body
            assert answer.headers["Content-Length"] == str(size)


async def test_chunked_request_body(edge: RunningEdge) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d" % number * 30_000

    async with edge.listener() as listener, edge.session() as third_party, listener.serving(echo):
        answer = await third_party.post(edge.url(), data=chunks())
        assert await answer.read() == b"".join(b"%d" % number * 30_000 for number in range(5))


async def test_a_slow_body_is_passed_on_as_it_comes(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        second_half = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"first,"
            await second_half.wait()
            yield b"second"

        sending = asyncio.create_task(third_party.post(edge.url(), data=body()))
        assert await intake.at_least(6) == b"first,"
        assert not intake.ended
        second_half.set()
        await intake.whole()
        assert bytes(intake.body) == b"first,second"
        await listener.post(request_id(intake), 204)
        assert await status(sending) == 204


async def test_an_answer_is_streamed_while_the_request_is_still_sent(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        rest = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"question"
            await rest.wait()
            yield b", and another"

        sending = asyncio.create_task(third_party.post(edge.url(), data=body()))
        await intake.at_least(8)
        post = await listener.begin_post(request_id(intake), 200)
        await post.send(b"answer")
        answer = await sending
        assert await answer.content.readany() == b"answer"
        rest.set()
        await intake.whole()
        assert bytes(intake.body) == b"question, and another"
        await post.send(b", and another", end=True)
        assert await answer.content.read() == b", and another"


async def test_an_early_refusal_stops_the_upload(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        listener.client.auto_credit = False

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65_536
                await asyncio.sleep(0)

        sending = asyncio.create_task(third_party.post(edge.url(), data=endless()))
        await intake.at_least(1)
        await listener.post(request_id(intake), 413, b"too large")
        answer = await sending
        assert (answer.status, await answer.read()) == (413, b"too large")
        await intake.whole()
        assert intake.reset is not None, "the envelope's rest is given up"
        answer.close()


async def test_a_large_body_needs_little_memory_in_either_direction(edge: RunningEdge) -> None:
    total, block = 48 * MEGABYTE, b"m" * MEGABYTE
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        received = 0

        async def body() -> AsyncIterator[bytes]:
            for _ in range(total // MEGABYTE):
                yield block

        async def consume() -> None:
            nonlocal received
            while not intake.ended:
                await intake.at_least(1)
                received += len(intake.body)
                intake.body.clear()

        sending = asyncio.create_task(third_party.post(edge.url(), data=body()))
        async with asyncio.timeout(60):
            await consume()
        assert received == total
        post = await listener.begin_post(request_id(intake), 200, length=total)

        async def produce() -> None:
            for number in range(total // MEGABYTE):
                await post.send(block, end=number == total // MEGABYTE - 1)

        producing = asyncio.create_task(produce())
        answer = await sending
        digest, expected, size = hashlib.sha256(), hashlib.sha256(), 0
        for _ in range(total // MEGABYTE):
            expected.update(block)
        async for chunk in answer.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        await producing
        assert size == total
        assert digest.digest() == expected.digest()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before
    assert grown < 24_000, "kilobytes, for both ends and the edge"


async def test_a_third_party_that_does_not_read_holds_up_nobody_else(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as stalled, edge.session() as brisk:
        intake = await listener.park()
        sending = asyncio.create_task(stalled.get(edge.url()))
        await intake.whole()
        post = await listener.begin_post(request_id(intake), 200)

        async def flood() -> None:
            while True:
                await post.send(b"f" * 65_536)

        flooding = asyncio.create_task(flood())
        answer = await sending
        answer.connection.transport.pause_reading()  # type: ignore[union-attr]
        async with listener.serving(echo):
            for number in range(20):
                reply = await brisk.post(edge.url(), data=b"%d" % number)
                assert await reply.read() == b"%d" % number
        assert not flooding.done()
        flooding.cancel()
        answer.close()


async def test_a_third_party_that_leaves_stops_the_listeners_answer(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        post = await listener.begin_post(request_id(intake), 200)
        await post.send(b"event 1\n")
        answer = await sending
        assert await answer.content.readline() == b"event 1\n"
        answer.close()
        await post.head()
        assert post.status == 410
        await listener.client.until(lambda: post.reset is not None)
        assert post.reset == 0


async def test_an_answer_that_breaks_off_breaks_off_for_the_third_party(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        post = await listener.begin_post(request_id(intake), 200)
        await post.send(b"half")
        answer = await sending
        assert await answer.content.readany() == b"half"
        await post.cancel()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        answer.close()


async def test_head_and_bodiless_answers(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.head(edge.url()))
        await intake.whole()
        assert intake.header("inkbox-method") == "HEAD"
        await listener.post(request_id(intake), 200, b"", ("content-length", "1234"))
        answer = await sending
        assert answer.headers["Content-Length"] == "1234"
        assert await answer.read() == b""
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        await listener.post(request_id(intake), 304, b"", ("etag", '"v1"'))
        answer = await sending
        assert await answer.read() == b""
        assert (answer.status, answer.headers["ETag"]) == (304, '"v1"')
        assert "Content-Type" not in answer.headers


async def test_the_edge_adds_no_content_type(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        await listener.post(request_id(intake), 200, b"plain")
        answer = await sending
        await answer.read()
        assert "Content-Type" not in answer.headers


async def test_compressed_bodies_pass_untouched(edge: RunningEdge) -> None:
    packed = b"\x1f\x8b-not-really-gzip"
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        headers = {"Content-Encoding": "gzip"}
        sending = asyncio.create_task(third_party.post(edge.url(), data=packed, headers=headers))
        await intake.whole()
        assert bytes(intake.body) == packed
        assert intake.header("inkbox-h-content-encoding") == "gzip"
        await listener.post(request_id(intake), 200, packed, ("content-encoding", "gzip"))
        assert await (await sending).read() == packed


async def test_expect_continue(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party, listener.serving(echo):
        answer = await third_party.post(edge.url(), data=b"patient", expect100=True)
        assert await answer.read() == b"patient"


@pytest.mark.parametrize(
    ("host", "status", "reason"),
    [
        ("nobody.localhost", 404, "no-tunnel"),
        ("localhost", 421, "not-a-tunnel"),
        ("a.b.localhost", 421, "not-a-tunnel"),
        ("sales-agent.example.com", 421, "not-a-tunnel"),
        ("vault-agent.localhost", 421, "passthrough"),
    ],
)
async def test_hosts_that_are_no_edge_tunnel(edge: RunningEdge, host: str, status: int, reason: str) -> None:
    async with edge.session() as third_party:
        answer = await third_party.get(edge.url(), headers={"Host": host})
        assert (answer.status, (await answer.json())["reason"]) == (status, reason)


async def test_every_public_host_has_a_certificate_of_its_own(edge: RunningEdge) -> None:
    for host in ("sales-agent.localhost", "nobody.localhost", "localhost"):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", edge.port, ssl=edge.trust, server_hostname=host
        )
        certificate = writer.get_extra_info("peercert")
        assert ("DNS", host) in certificate["subjectAltName"]
        writer.close()
        await writer.wait_closed()


async def test_the_certificate_of_the_zone_names_loopback_too(edge: RunningEdge) -> None:
    _, writer = await asyncio.open_connection(
        "127.0.0.1", edge.port, ssl=edge.trust, server_hostname="127.0.0.1"
    )
    writer.close()
    await writer.wait_closed()


async def test_plain_http_on_the_tls_port_is_explained(edge: RunningEdge) -> None:
    async with edge.session() as third_party:
        answer = await third_party.get(edge.url(scheme="http"))
        assert answer.status == 400
        assert "https" in await answer.text()


async def test_headers_larger_than_the_listener_takes_are_refused(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        await listener.park()
        headers = {f"X-{number}": "v" * 8000 for number in range(9)}
        answer = await third_party.get(edge.url(), headers=headers)
        assert (answer.status, (await answer.json())["reason"]) == (431, "headers-too-large")


async def test_http2_third_parties(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.connect(HOST) as third_party, listener.serving(echo):
        authority = f"{HOST}:{edge.port}"
        fields = [("cookie", "a=1"), ("cookie", "b=2"), ("content-type", "text/plain")]
        small = await third_party.request("POST", "/a?b", fields, b"small", authority=authority)
        large = await third_party.request("POST", "/", fields, b"L" * 300_000, authority=authority)
        await small.whole()
        assert (small.status, bytes(small.body)) == (200, b"small")
        assert small.header("content-length") == "5"
        assert small.header("date")
        await large.whole()
        assert bytes(large.body) == b"L" * 300_000
        missing = await third_party.request("GET", "/", authority="nobody.localhost")
        assert (await missing.whole()).status == 404
        assert (
            await (await third_party.request("CONNECT", "/", (), b"", authority=HOST, protocol="x")).whole()
        ).status == 501


async def test_http2_request_becomes_an_envelope_like_any_other(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.connect(HOST) as third_party:
        intake = await listener.park()
        fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x-two", "1"), ("x-two", "2")]
        await third_party.request("GET", "/p?q", fields, authority=f"{HOST}:{edge.port}")
        await intake.whole()
        assert intake.header("inkbox-h-host") == f"{HOST}:{edge.port}"
        assert intake.all("inkbox-h-cookie") == ["a=1; b=2"]
        assert intake.all("inkbox-h-x-two") == ["1", "2"]
        assert intake.header("inkbox-path") == "/p?q"
        assert not [name for name, _ in intake.headers if name.startswith("inkbox-h-:")]


async def test_http2_third_party_that_cancels_stops_the_answer(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.connect(HOST) as third_party:
        intake = await listener.park()
        request = await third_party.request("GET", "/", authority=HOST)
        await intake.whole()
        post = await listener.begin_post(request_id(intake), 200)
        await post.send(b"one")
        await request.at_least(3)
        await request.cancel()
        await post.send(b"two")
        await post.head()
        assert post.status == 410


async def test_tls_is_1_2_or_newer(edge: RunningEdge) -> None:
    context = edge.trust
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", edge.port, ssl=context, server_hostname="localhost")


async def test_a_connection_that_says_nothing_is_closed(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(handshake_seconds=0.05))
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"\x16\x03\x01\x00")
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    writer.close()


@pytest.mark.parametrize(
    ("alpn", "beginning"),
    [("http/1.1", b""), ("http/1.1", b"GET / HTTP/1.1\r\nHost: sales-agent.localhost\r\nX: "), ("h2", b"")],
)
async def test_a_connection_without_a_request_is_closed(
    start_edge: StartEdge, alpn: str, beginning: bytes
) -> None:
    edge = await start_edge(EdgeLimits(handshake_seconds=0.5))
    context = edge.trust
    context.set_alpn_protocols([alpn])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", edge.port, ssl=context, server_hostname="sales-agent.localhost"
    )
    writer.write(beginning)
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()


async def test_a_connection_that_has_asked_is_kept(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(handshake_seconds=0.2))
    async with edge.listener() as listener, edge.session() as third_party, listener.serving(echo):
        assert await status(third_party.post(edge.url(), data=b"1")) == 200
        await asyncio.sleep(0.4)
        assert await status(third_party.post(edge.url(), data=b"2")) == 200
        assert len(edge.directory.log) == 1, "nor was the listener's connection closed"


async def test_the_tunnel_of_the_record_serves_after_a_rename(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party, listener.serving(echo):
        assert await status(third_party.post(edge.url(), data=b"1")) == 200
        edge.directory.tunnels[TUNNEL_ID] = TunnelRecord(TUNNEL_ID, "renamed-agent", "edge", "active")
        await edge.edge.refresh()
        assert await status(third_party.post(edge.url(host="renamed-agent.localhost"), data=b"2")) == 200
        assert await status(third_party.post(edge.url(), data=b"3")) == 404


async def test_a_passthrough_tunnel_is_not_opened_here(edge: RunningEdge) -> None:
    assert edge.directory.tunnels[PASSTHROUGH_ID].is_passthrough
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection(
            "127.0.0.1", edge.port, ssl=edge.trust, server_hostname="vault-agent.localhost"
        )
