"""Fixtures of the client's tests: a loopback server, transports that get closed, retries without waiting."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from inkbox_async import pool, retry
from inkbox_async.settings import Settings
from inkbox_async.transport import Transport

from .servers import Server

KEY = "ApiKey_11111111-2222-4333-8444-555555555555.secret-of-the-key"

Connect = Callable[..., Transport]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("INKBOX_API_KEY", "INKBOX_BASE_URL", "INKBOX_VAULT_KEY"):
        monkeypatch.delenv(name, raising=False)
    home = str(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USERPROFILE", home)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["directly", "through aiohttp's client"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How short requests travel: what holds for one way has to hold for the other."""
    if request.param != "directly":
        monkeypatch.setattr(pool, "usable", lambda _: False)
    way: str = request.param
    return way


@pytest_asyncio.fixture
async def connect(server: Server, way: str) -> AsyncIterator[Connect]:
    """Makes transports for the server (or another `base_url`), and closes them after the test."""
    made: list[Transport] = []

    def connect(*, session: Any = None, **settings: Any) -> Transport:
        transport = Transport(
            Settings(**{"api_key": KEY, "base_url": server.url, **settings}), session=session
        )
        made.append(transport)
        return transport

    yield connect
    for transport in made:
        await transport.aclose()


@pytest_asyncio.fixture
async def alarms() -> AsyncIterator[list[dict[str, Any]]]:
    """What the event loop complains of (tasks destroyed, exceptions never retrieved): in the end, nothing."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield found
    gc.collect()
    await asyncio.sleep(0)
    assert found == []
