"""Counts what a test leaves behind: open sockets, tasks, complaints of the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_DESCRIPTORS = Path("/proc/self/fd")


def open_sockets() -> set[str]:
    """The sockets of this process, each by its inode; none where the system does not tell."""
    found = set()
    if _DESCRIPTORS.is_dir():
        for name in os.listdir(_DESCRIPTORS):
            try:
                target = os.readlink(_DESCRIPTORS / name)
            except OSError:
                continue
            if target.startswith("socket:"):
                found.add(target)
    return found


async def sockets_beyond(before: set[str]) -> set[str]:
    """The sockets that were not there before, as soon as those being closed are gone (in vain after 10 s)."""
    for pause in (0.0, 0.001, 0.01, *[0.05] * 200):
        beyond = open_sockets() - before
        if not beyond:
            break
        await asyncio.sleep(pause)
    return beyond


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Around a piece of work: afterwards no task, no socket and no complaint of the loop is left of it.

    Complaints are: a task destroyed while pending, an exception never retrieved, a session or connection
    never closed.
    """
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []  # Any: what asyncio puts into a context
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    try:
        yield
        left = {task for task in asyncio.all_tasks() - tasks - {asyncio.current_task()} if not task.done()}
        if left:
            await asyncio.wait(left, timeout=10)
        pending = [task for task in left if not task.done()]
        assert not pending, f"tasks were left behind: {pending}"
        beyond = await sockets_beyond(sockets)
        assert not beyond, f"{len(beyond)} sockets were left open"
        gc.collect(1)
        await asyncio.sleep(0)
        assert not complaints, f"the event loop complained: {[c.get('message') for c in complaints]}"
    finally:
        loop.set_exception_handler(previous)
