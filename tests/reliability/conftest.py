"""Fixtures: retries that do not wait, a server with something in it, nothing left behind by any test."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from yarl import URL

from inkbox_async import retry

from .calls import World
from .census import nothing_left_behind
from .proxy import Proxy


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the client waits between attempts is tested elsewhere."""
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)


@pytest.fixture(scope="module")
def world(_inkbox_sandbox_host: Any) -> Iterator[World]:  # Any: the plugin's own
    """One server, filled once for all tests of a module."""
    yield asyncio.run(World.create(_inkbox_sandbox_host.sandbox))
    gc.collect()


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[Proxy]:
    """A proxy before the server, at which nobody listens yet. Afterwards nothing is left behind."""
    server = URL(world.sandbox.base_url)
    assert server.host is not None
    assert server.port is not None
    async with nothing_left_behind(), Proxy(server.host, server.port) as proxy:
        yield proxy
