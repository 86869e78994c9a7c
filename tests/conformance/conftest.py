"""One populated sandbox for all tests of a process, put back to how it was before each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from inkbox_async.sandbox import Sandbox

from .population import Population, Tables, dump_like, populate


@dataclass
class Town:
    """A populated sandbox that runs on a loop of its own."""

    sandbox: Sandbox
    people: Population
    portal: BlockingPortal

    def restore(self) -> None:
        """Put everything back to how it was."""
        self.portal.call(self.people.restore, self.sandbox)

    def tables(self) -> Tables:
        """Every row that is stored."""
        return self.portal.call(self.sandbox.store.run, lambda tx: dump_like(tx, self.people.tables))


@pytest.fixture(scope="session")
def settled_town() -> Iterator[Town]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Sandbox()) as sandbox:
        yield Town(sandbox, portal.call(populate, sandbox), portal)


@pytest.fixture
def town(settled_town: Town) -> Town:
    """The populated sandbox as it was at first."""
    settled_town.restore()
    return settled_town


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
