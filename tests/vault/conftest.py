"""Fixtures of the vault's tests: a sandbox, clients on it, and Argon2 made quick where cost is no matter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.vault import UnlockedVault

KEY = "my-Vault-key-01!"
NEXT_KEY = "Next-Vault-key-02?"


@pytest.fixture(autouse=True)
def _no_configuration_file(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = str(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USERPROFILE", home)


@pytest.fixture
def quick_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkbox_async.vault.crypto.ARGON2_TIME_COST", 1)
    monkeypatch.setattr("inkbox_async.vault.crypto.ARGON2_MEMORY_COST", 8)


@pytest_asyncio.fixture
async def inkbox(sandbox: Sandbox) -> AsyncIterator[AsyncInkbox]:
    """A client with the organization's admin key."""
    async with sandbox.client() as inkbox:
        yield inkbox


@pytest_asyncio.fixture
async def unlocked(quick_argon2: None, inkbox: AsyncInkbox) -> UnlockedVault:
    """A fresh vault, unlocked with `KEY`."""
    await inkbox.vault.initialize(KEY)
    return await inkbox.vault.unlock(KEY)


@pytest_asyncio.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("support-bot")


@pytest_asyncio.fixture
async def agent(sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity) -> AsyncIterator[AsyncInkbox]:
    """A client with the key of `identity`."""
    key = await inkbox.api_keys.create(label="agent", scoped_identity_id=identity.id)
    async with sandbox.client(key.api_key) as agent:
        yield agent


def calls(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Method and path of every API call since the last `forget`, oldest first."""
    return [(entry.method, entry.path) for entry in reversed(sandbox.journal.entries())]


def forget(sandbox: Sandbox) -> None:
    """Start the record of API calls anew."""
    sandbox.journal.clear()
