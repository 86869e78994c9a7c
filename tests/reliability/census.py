"""Counts what a test leaves behind: open sockets, tasks, complaints of the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Iterator
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


def sockets_beyond(before: set[str]) -> Iterator[set[str]]:
    """The sockets that are new; to be asked again, for 10 s, until those being closed are gone."""
    until = time.monotonic() + 10
    while beyond := open_sockets() - before:
        yield beyond
        if time.monotonic() > until:
            raise AssertionError(f"{len(beyond)} sockets were left open")


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
        for _ in sockets_beyond(sockets):
            await asyncio.sleep(0.002)
        gc.collect(1)
        await asyncio.sleep(0)
        assert not complaints, f"the event loop complained: {[c.get('message') for c in complaints]}"
    finally:
        loop.set_exception_handler(previous)
