"""Request bodies that the edge puts aside: their URL is good once, and while the third party waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from inkbox_async.sandbox import EdgeLimits, Sandbox
from inkbox_async.tunnels.asgi import Receive, Scope, Send

from .conftest import RunningEdge, StartEdge, status
from .directory import TUNNEL_ID
from .listener import request_id
from .raw_h2 import PATIENCE, RawStream
from .test_official_client import PEERS, make, official

LIMIT = 1000
LARGE = bytes(range(256)) * 4000


@pytest.fixture
async def edge(start_edge: StartEdge) -> RunningEdge:
    return await start_edge(EdgeLimits(put_aside_bytes=LIMIT))


def uri(envelope: RawStream) -> str:
    """Where the body is; the envelope itself must have none."""
    found = envelope.header("inkbox-body-uri")
    assert found, envelope.headers
    assert (envelope.ended, bytes(envelope.body)) == (True, b"")
    return found


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536
        await asyncio.sleep(0)


async def test_a_large_body_is_fetched_once(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=LARGE))
        url = uri(await intake.whole())
        assert url.startswith(f"https://localhost:{edge.port}/_system/body/")
        assert intake.header("inkbox-h-content-length") == str(len(LARGE))
        assert await status(third_party.post(url)) == 405, "which leaves the body where it is"
        async with third_party.get(url) as fetched:
            assert (fetched.status, fetched.content_length) == (200, len(LARGE))
            assert await fetched.read() == LARGE
        assert await status(third_party.get(url)) == 404
        await listener.post(request_id(intake), 200, b"thanks")
        async with await sending as answer:
            assert (answer.status, await answer.read()) == (200, b"thanks")
        assert await status(third_party.get(f"{url}x")) == 404


async def test_it_is_fetched_over_http2_as_well(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party, edge.connect() as fetcher:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=LARGE))
        path = urlsplit(uri(await intake.whole())).path
        fetched = await (await fetcher.request("GET", path)).whole()
        assert (fetched.status, fetched.header("content-length")) == (200, str(len(LARGE)))
        assert bytes(fetched.body) == LARGE
        assert (await (await fetcher.request("GET", path)).whole()).status == 404
        await listener.post(request_id(intake), 204)
        assert await status(sending) == 204


@pytest.mark.parametrize("size", [1, LIMIT])
async def test_a_body_up_to_the_limit_goes_with_the_envelope(edge: RunningEdge, size: int) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=LARGE[:size]))
        await intake.whole()
        assert intake.header("inkbox-body-uri") is None
        assert bytes(intake.body) == LARGE[:size]
        await listener.post(request_id(intake), 204)
        assert await status(sending) == 204


async def test_no_body_is_put_aside_unless_the_limit_is_set(start_edge: StartEdge) -> None:
    edge = await start_edge()
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=LARGE))
        await intake.whole()
        assert intake.header("inkbox-body-uri") is None
        assert bytes(intake.body) == LARGE
        await listener.post(request_id(intake), 204)
        assert await status(sending) == 204


async def test_a_body_of_unknown_length_is_passed_on_while_it_grows(edge: RunningEdge) -> None:
    second_half = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first,"
        await second_half.wait()
        yield b"second"

    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=body()))
        async with third_party.get(uri(await intake.whole())) as fetched:
            assert fetched.content_length is None
            assert await fetched.content.readexactly(6) == b"first,"
            second_half.set()
            assert await fetched.content.read() == b"second"
        await listener.post(request_id(intake), 204)
        assert await status(sending) == 204


async def test_the_fetch_of_a_body_that_breaks_off_breaks_off(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        async with edge.connect("sales-agent.localhost") as leaving:
            sending = await leaving.request("POST", "/", body=None, authority="sales-agent.localhost")
            await sending.send(LARGE)
            fetched = await third_party.get(uri(await intake.whole()))
            assert await fetched.content.readexactly(1000) == LARGE[:1000]
            await sending.cancel()
            with pytest.raises(aiohttp.ClientError):
                await fetched.read()
        refused = await (await listener.post(request_id(intake), 204)).whole()
        assert refused.status in (404, 410)


async def test_an_answer_without_a_fetch_ends_it(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party, edge.session() as fetcher:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=endless()))
        url = uri(await intake.whole())
        await listener.post(request_id(intake), 413, b"too large")
        async with await sending as answer:
            assert (answer.status, await answer.read()) == (413, b"too large")
        assert await status(fetcher.get(url)) == 404


async def test_a_fetch_that_is_given_up_leaves_the_answer_to_the_listener(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party, edge.session() as fetcher:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=endless()))
        fetched = await fetcher.get(uri(await intake.whole()))
        await fetched.content.readexactly(100_000)
        fetched.close()
        await listener.post(request_id(intake), 413, b"too large")
        async with await sending as answer:
            assert (answer.status, await answer.read()) == (413, b"too large")


async def test_a_drain_does_not_wait_for_a_fetch(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(put_aside_bytes=LIMIT, drain_quiesce_seconds=3600))
    rest = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield LARGE
        await rest.wait()
        yield LARGE

    async with edge.listener() as draining, edge.session() as third_party:
        intake = await draining.park()
        sending = asyncio.create_task(third_party.post(edge.url(), data=body()))
        async with third_party.get(uri(await intake.whole())) as fetched:
            assert await fetched.content.readexactly(len(LARGE)) == LARGE
            async with asyncio.timeout(PATIENCE):
                assert await edge.edge.drain(TUNNEL_ID)
            async with edge.listener() as successor:
                rest.set()
                assert await fetched.content.read() == LARGE
                await successor.post(request_id(intake), 200, b"thanks")
                async with await sending as answer:
                    assert (answer.status, await answer.read()) == (200, b"thanks")


@pytest.mark.parametrize("body", [LARGE[: LIMIT + 1], LARGE], ids=["small", "large"])
async def test_a_body_that_nobody_fetches_is_gone_with_its_request(
    start_edge: StartEdge, body: bytes
) -> None:
    edge = await start_edge(EdgeLimits(put_aside_bytes=LIMIT, response_deadline_seconds=0.05))
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        assert await status(third_party.post(edge.url(), data=body)) == 504
        assert await status(third_party.get(uri(intake))) == 404


async def test_a_public_host_has_no_such_urls(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        path = "/_system/body/something"
        asking = asyncio.create_task(third_party.get(edge.url(path)))
        assert (await intake.whole()).header("inkbox-path") == path
        await listener.post(request_id(intake), 204)
        assert await status(asking) == 204


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that tells how many bytes it got."""
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size, more = size + len(event.get("body", b"")), event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


@contextlib.asynccontextmanager
async def through_our_listener(folder: Path, limit: int = len(LARGE)) -> AsyncIterator[tuple[Sandbox, str]]:
    async with (
        Sandbox(edge_limits=EdgeLimits(put_aside_bytes=LIMIT)) as sandbox,
        sandbox.client() as inkbox,
    ):
        await inkbox.create_identity("sales-agent")
        connecting = inkbox.tunnels.connect(
            name="sales-agent",
            forward_to=count,
            state_dir=folder,
            ca=sandbox.ca_cert_path,
            max_inbound_body_bytes=limit,
        )
        async with connecting as listener:
            yield sandbox, listener.public_url


async def test_our_listener_fetches(tmp_path: Path) -> None:
    async with (
        through_our_listener(tmp_path) as (sandbox, url),
        sandbox.session() as third_party,
        asyncio.timeout(PATIENCE),
    ):
        for size in (0, LIMIT, LIMIT + 1, len(LARGE)):
            async with third_party.post(url, data=LARGE[:size]) as answer:
                assert (answer.status, await answer.read()) == (200, b"%d" % size)


async def test_our_listener_keeps_its_own_limit(tmp_path: Path) -> None:
    async with (
        through_our_listener(tmp_path, limit=200_000) as (sandbox, url),
        sandbox.session() as third_party,
        asyncio.timeout(PATIENCE),
        third_party.post(url, data=LARGE) as answer,
    ):
        assert (answer.status, await answer.read()) == (413, b"request body too large")


@pytest.mark.parametrize("peer", PEERS, ids=lambda folder: Path(folder).name or "installed")
async def test_the_official_client_fetches(peer: str, tmp_path: Path) -> None:
    limits = EdgeLimits(put_aside_bytes=LIMIT)
    async with Sandbox(zone="localhost", public_domain="inkboxwire.com", edge_limits=limits) as sandbox:
        url = await make(sandbox, "sales-agent")
        async with (
            official(sandbox, peer, "sales-agent", tmp_path / "state"),
            sandbox.session() as third_party,
        ):
            for size in (LIMIT, LIMIT + 1, len(LARGE)):
                async with third_party.post(url, data=LARGE[:size]) as answer:
                    assert (answer.status, await answer.read()) == (201, LARGE[:size])
