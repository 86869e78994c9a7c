"""What all tests share: a clean environment, and the watch over every answer of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from inkbox_async.sandbox import Sandbox

from .contract import Contract

# A run is repeatable; `pytest --hypothesis-profile=explore` looks for examples that nobody has seen yet.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile("repeatable")

CONTRACT = Contract()
CONTRACT.install()


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, addresses and proxies of the developer's environment stay out of the tests."""
    for name in ("API_KEY", "BASE_URL", "VAULT_KEY", "CA_BUNDLE"):
        monkeypatch.delenv(f"INKBOX_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def contract() -> Iterator[Contract]:
    """Fails a test in which the sandbox answered something that the specification does not say."""
    CONTRACT.broken.clear()
    yield CONTRACT
    broken = list(dict.fromkeys(CONTRACT.broken))
    CONTRACT.broken.clear()
    assert not broken, "the sandbox broke the specification:\n" + "\n".join(broken)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox of its own for the test; `inkbox_sandbox` is one for all tests, and quicker."""
    async with Sandbox() as running:
        yield running
