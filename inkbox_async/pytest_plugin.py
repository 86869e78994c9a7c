"""Fixtures for the tests of agents: `inkbox_sandbox`, a local Inkbox, and `inkbox`, a client on it.

Installed with the package, they need no import. The sandbox runs in a thread of its own, once for the whole
session, and is as new for every test that uses it; tests may be plain functions or coroutines.

    async def test_answers(inkbox, inkbox_sandbox):
        identity = await inkbox.create_identity("support")
        await inkbox_sandbox.world.send_email(from_="ann@example.com", to=[identity.email_address], text="Hi")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from inkbox_async.client import AsyncInkbox
    from inkbox_async.sandbox import Sandbox

    async_fixture = pytest.fixture
else:
    try:
        from pytest_asyncio import fixture as async_fixture
    except ImportError:  # then the async fixture is for the plugin that runs the tests, such as anyio's
        async_fixture = pytest.fixture


class _Host:
    """A sandbox in a thread of its own, so that tests with and without event loops can use it."""

    def __init__(self) -> None:
        from inkbox_async.sandbox import Sandbox

        self.sandbox = Sandbox()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="inkbox-sandbox", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.run(self.sandbox.__aenter__())

    def stop(self) -> None:
        try:
            self.run(self.sandbox.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, object]) -> None:  # Any: nothing is sent or yielded
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@pytest.fixture(scope="session")
def _inkbox_sandbox_host() -> Iterator[_Host]:
    host = _Host()
    host.start()
    yield host
    host.stop()


@pytest.fixture
def inkbox_sandbox(_inkbox_sandbox_host: _Host) -> Sandbox:
    """A local Inkbox in the state just after its start: one organization, no identities, real time."""
    _inkbox_sandbox_host.run(_inkbox_sandbox_host.sandbox.reset())
    return _inkbox_sandbox_host.sandbox


@async_fixture
async def inkbox(inkbox_sandbox: Sandbox) -> AsyncIterator[AsyncInkbox]:
    """A client on the sandbox, with the admin key of its organization; closed after the test."""
    async with inkbox_sandbox.client() as client:
        yield client
