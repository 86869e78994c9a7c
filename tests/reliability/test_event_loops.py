"""Event loops that end under a client: nothing waits, nothing warns, nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from uuid import uuid4

import pytest

from inkbox_async import AsyncInkbox, InkboxError

from .calls import CALLS, READ, Call, World
from .census import open_sockets, sockets_beyond
from .moments import Struck, When, outcome_of


async def leave(call: Call, world: World, inkbox: AsyncInkbox, moment: int) -> bool:
    """Make a call, and leave the event loop when it waits for the `moment`-th time; whether it did."""
    label = str(uuid4())
    about = None if call.prepare is None else await call.prepare(world, label)
    left = asyncio.Event()
    work = Struck(call.run(inkbox, world, label, about, None), moment, When.WAITING, lambda _: left.set())
    calling = asyncio.create_task(outcome_of(work))
    leaving = asyncio.create_task(left.wait())
    await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    return work.fell


# The loop ended first, and with it the way to close the connections that lay idle: Python says so.
@pytest.mark.filterwarnings("ignore:unclosed transport <_SelectorSocketTransport:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_an_event_loop_ends_under_a_call(world: World, call: Call) -> None:
    """At each moment: the client says that it works in no other loop, and can be closed in one."""
    before = open_sockets()
    for moment in itertools.count(1):
        inkbox = world.sandbox.client()
        fell = asyncio.run(leave(call, world, inkbox, moment))
        with pytest.raises(InkboxError, match="another event loop"):
            asyncio.run(READ.run(inkbox, world, "", None, None))
        asyncio.run(inkbox.aclose())
        if not fell:
            break
    assert moment > 3
    del inkbox
    gc.collect(1)
    for _ in sockets_beyond(before):
        time.sleep(0.002)
