"""The end of an edge, whatever its third parties and listeners are doing at that moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from .conftest import RunningEdge, status
from .raw_h2 import PATIENCE


async def stop(edge: RunningEdge) -> None:
    async with asyncio.timeout(PATIENCE):
        await edge.edge.stop()


async def test_idle_connections_do_not_hold_it_up(edge: RunningEdge) -> None:
    async with edge.session() as third_party, edge.connect("sales-agent.localhost") as over_h2:
        assert await status(third_party.get(edge.url())) == 503  # the connection is kept for the next request
        answer = await over_h2.request("GET", "/", authority=f"sales-agent.localhost:{edge.port}")
        assert (await answer.whole()).status == 503
        silent, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        await stop(edge)
        assert await silent.read() == b""
        writer.close()
        await over_h2.until(lambda: over_h2.closed)
        assert over_h2.closed


async def test_unanswered_requests_do_not_hold_it_up(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        request = asyncio.create_task(status(third_party.get(edge.url())))
        await intake.head()
        waiting = asyncio.create_task(status(third_party.get(edge.url())))
        await stop(edge)
        for answer in (request, waiting):
            with contextlib.suppress(aiohttp.ClientError):
                assert await answer >= 500


async def test_half_a_body_does_not_hold_it_up(edge: RunningEdge) -> None:
    halfway = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        halfway.set()
        await asyncio.Event().wait()

    async with edge.listener() as listener, edge.session() as third_party:
        await listener.park()
        upload = asyncio.create_task(status(third_party.post(edge.url(), data=body())))
        await halfway.wait()
        await stop(edge)
        with pytest.raises(aiohttp.ClientError):
            await upload
        await listener.client.until(lambda: listener.client.closed)
        assert listener.client.closed
