"""Calls that are cancelled at every moment at which they wait, and clients that are closed at it."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from inkbox_async import AsyncInkbox, InkboxError

from .calls import CALLS, PAGED, READ, Call, World
from .faults import lose_the_answer
from .moments import Struck, When, outcome_of
from .proxy import Order, Proxy

RETRIES = 20
"""Enough for a send that waits until its twin, cancelled or lost, is through at the server."""

MANY = 200
"""More moments than any call waits at."""


def order(proxy: Proxy, call: Call, calm: bool) -> None:
    """Let the first answer be lost, so that what follows is reached, too: the pause and the second try."""
    proxy.order = None if calm else Order(lose_the_answer, call.method, call.skip, times=1)


@pytest.mark.parametrize(
    ("calm", "shared"),
    [(True, False), (False, False), (True, True)],
    ids=["calm", "answer-lost", "shared-session"],
)
@pytest.mark.parametrize("when", When, ids=str)
@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_a_call_is_cancelled(
    world: World, proxy: Proxy, call: Call, when: When, calm: bool, shared: bool
) -> None:
    """At each moment: it ends cancelled, was done once at most, and the client goes on."""
    proxy.listen()
    for moment in range(1, MANY):
        async with (
            aiohttp.ClientSession() as session,
            world.sandbox.client(
                base_url=proxy.url, max_retries=RETRIES, session=session if shared else None
            ) as inkbox,
        ):
            label = str(uuid4())
            about = None if call.prepare is None else await call.prepare(world, label)
            key = label if call.keyed else None
            order(proxy, call, calm)
            work = Struck(call.run(inkbox, world, label, about, key), moment, when, asyncio.Task.cancel)
            ended = await outcome_of(work)
            proxy.order = None
            if not work.fell:
                break
            assert isinstance(ended, asyncio.CancelledError), f"moment {moment}: cancelled, but {ended!r}"
            assert await call.traces(world, label) <= 1, f"moment {moment}: it was done twice"
            await READ.run(inkbox, world, "", None, None)
            if call.keyed:
                await call.run(inkbox, world, label, about, key)
                done = await call.traces(world, label)
                assert done == 1, f"moment {moment}: repeated under its key, it was done {done} times"
    assert moment > 3, f"the call waited {moment - 1} times only: was anything sent?"
    assert moment < MANY - 1
    assert ended is None or (not calm and not call.repeatable), f"left alone, it raised {ended!r}"


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "answer-lost"])
@pytest.mark.parametrize("when", When, ids=str)
@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_the_client_is_closed(world: World, proxy: Proxy, call: Call, when: When, calm: bool) -> None:
    """At each moment: the call ends, with its answer or a documented error; nothing is done afterwards."""
    proxy.listen()
    for moment in range(1, MANY):
        inkbox = world.sandbox.client(base_url=proxy.url, max_retries=RETRIES)
        label = str(uuid4())
        about = None if call.prepare is None else await call.prepare(world, label)
        closing: list[asyncio.Task[None]] = []
        order(proxy, call, calm)
        work = Struck(
            call.run(inkbox, world, label, about, None),
            moment,
            when,
            partial(_close, inkbox, closing),
        )
        ended = await outcome_of(work)
        proxy.order = None
        await asyncio.gather(*closing)
        await inkbox.aclose()
        if not work.fell:
            break
        assert ended is None or isinstance(ended, InkboxError), f"moment {moment}: it raised {ended!r}"
        assert await call.traces(world, label) <= 1, f"moment {moment}: it was done twice"
        with pytest.raises(InkboxError, match="closed"):
            await READ.run(inkbox, world, "", None, None)
        if isinstance(ended, InkboxError) and ended.idempotency_key is not None:
            async with world.sandbox.client(max_retries=RETRIES) as other:
                await call.run(other, world, label, about, ended.idempotency_key)
            assert await call.traces(world, label) == 1
    assert moment > 3
    assert moment < MANY - 1


@pytest.mark.parametrize("when", When, ids=str)
async def test_the_closing_is_cancelled(world: World, proxy: Proxy, when: When) -> None:
    """At each moment: closing again finishes it, with calls and a page ahead under way."""
    proxy.listen()
    for moment in itertools.count(1):
        inkbox = world.sandbox.client(base_url=proxy.url)
        pages = inkbox.messages.list(world.address, page_size=2, direction="inbound").by_page()
        await anext(pages)
        calls = [asyncio.create_task(outcome_of(PAGED.run(inkbox, world, "", None, None))) for _ in range(3)]
        await asyncio.sleep(0)
        work = Struck(inkbox.aclose(), moment, when, asyncio.Task.cancel)
        ended = await outcome_of(work)
        if work.fell:
            assert isinstance(ended, asyncio.CancelledError), f"moment {moment}: cancelled, but {ended!r}"
        await inkbox.aclose()
        for result in await asyncio.gather(*calls):
            assert result is None or isinstance(result, InkboxError), f"moment {moment}: {result!r}"
        if not work.fell:
            break
    assert moment > 1


def _close(inkbox: AsyncInkbox, closing: list[asyncio.Task[None]], _: asyncio.Task[Any]) -> None:
    closing.append(asyncio.create_task(inkbox.aclose()))
