"""Heavy work happens beside the event loop, and once for all who wait for the same."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from typing import Any

import pytest

from inkbox_async import AsyncInkbox, LoginPayload
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.vault import UnlockedVault, VaultOrganizationError, crypto
from inkbox_async.vault import keys as vault_keys
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.derivation import MAX_CONCURRENT_RUNS, KeyDeriver
from inkbox_async.vault.hidden import Hidden

from .conftest import KEY, NEXT_KEY

ORGANIZATION = "org_2wXyZ0123456789abcdefABCDEF"


class SlowKeys:
    """Stands in for Argon2: holds every run until the event loop lets it go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.texts: list[str] = []
        self.running = 0
        self.most = 0
        self.threads: set[int] = set()
        self._begun = threading.Semaphore(0)
        self._lock = threading.Lock()

    def derive_master_key(self, vault_key: str, salt: bytes) -> bytes:
        with self._lock:
            self.texts.append(vault_key)
            self.threads.add(threading.get_ident())
            self.running += 1
            self.most = max(self.most, self.running)
        self._begun.release()
        # If this ran on the event loop, nobody could set `go`.
        assert self.go.wait(timeout=10), "the derivation blocks the event loop"
        with self._lock:
            self.running -= 1
        if vault_key == "bad":
            raise ValueError("bad key")
        return vault_key.encode().ljust(32, b"\0")[:32]

    async def started(self, count: int) -> None:
        """Wait until so many more runs have begun."""
        for _ in range(count):
            assert await asyncio.to_thread(self._begun.acquire, timeout=10), "no derivation has begun"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowKeys:
    slow = SlowKeys()
    for module in ("derivation", "keys"):
        monkeypatch.setattr(f"inkbox_async.vault.{module}.derive_master_key", slow.derive_master_key)
    return slow


async def test_the_same_key_is_derived_once_for_all_who_wait(slow: SlowKeys) -> None:
    deriver = KeyDeriver()
    tasks = [asyncio.create_task(deriver.derive(Hidden("a"), ORGANIZATION)) for _ in range(10)]
    other = asyncio.create_task(deriver.derive(Hidden("a"), ORGANIZATION + "2"))
    await slow.started(2)
    slow.go.set()
    assert {await task for task in tasks} == {await other}
    assert slow.texts == ["a", "a"], "one run for each organization"
    assert threading.get_ident() not in slow.threads
    await deriver.derive(Hidden("a"), ORGANIZATION)
    assert len(slow.texts) == 3, "nothing is remembered once everybody has it"


async def test_few_derivations_run_at_once(slow: SlowKeys) -> None:
    deriver = KeyDeriver()
    tasks = [asyncio.create_task(deriver.derive(Hidden(f"key {n}"), ORGANIZATION)) for n in range(6)]
    await slow.started(MAX_CONCURRENT_RUNS)
    slow.go.set()
    await asyncio.gather(*tasks)
    assert len(slow.texts) == 6
    assert slow.most <= MAX_CONCURRENT_RUNS


async def test_who_leaves_does_not_disturb_who_waits(slow: SlowKeys) -> None:
    deriver = KeyDeriver()
    leaver, stayer = [asyncio.create_task(deriver.derive(Hidden("a"), ORGANIZATION)) for _ in range(2)]
    await slow.started(1)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    slow.go.set()
    assert (await stayer).value.startswith(b"a")
    assert slow.texts == ["a"]


async def test_when_all_have_left_the_next_begins_anew(slow: SlowKeys) -> None:
    deriver = KeyDeriver()
    leaver = asyncio.create_task(deriver.derive(Hidden("a"), ORGANIZATION))
    await slow.started(1)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    again = asyncio.create_task(deriver.derive(Hidden("a"), ORGANIZATION))
    await slow.started(1)
    slow.go.set()
    assert (await again).value.startswith(b"a")
    assert [task for task in asyncio.all_tasks() if task.get_name() == "inkbox-vault-kdf"] == []


async def test_a_failure_reaches_everybody_and_is_forgotten(slow: SlowKeys) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    deriver = KeyDeriver()
    slow.go.set()
    results = await asyncio.gather(
        *(deriver.derive(Hidden("bad"), ORGANIZATION) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ValueError] * 3
    with pytest.raises(VaultOrganizationError):
        await deriver.derive(Hidden("a"), "short")
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_key_material_is_made_beside_the_loop(slow: SlowKeys) -> None:
    making = [
        asyncio.create_task(vault_keys.generate_vault_key_material(KEY, ORGANIZATION, bytes(32))),
        asyncio.create_task(vault_keys.generate_recovery_code(ORGANIZATION, bytes(32))),
    ]
    await slow.started(2)
    slow.go.set()
    await asyncio.gather(*making)


async def test_unlocking_at_the_same_time_shares_the_derivation(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await unlocked.create_secret("One", LoginPayload("p"))
    runs: list[str] = []
    go = threading.Event()

    def gated(vault_key: str, salt: bytes) -> bytes:
        runs.append(vault_key)
        assert go.wait(timeout=10), "the derivation blocks the event loop"
        return crypto.derive_master_key(vault_key, salt)

    monkeypatch.setattr("inkbox_async.vault.derivation.derive_master_key", gated)
    unlocking = [asyncio.create_task(inkbox.vault.unlock(KEY)) for _ in range(8)]
    await asyncio.wait(unlocking, timeout=0.2)
    go.set()
    for task in unlocking:
        assert len((await task).secrets) == 1
    assert 1 <= len(runs) < 8, "concurrent unlocks did not share a derivation"


async def test_many_secrets_are_opened_beside_the_loop(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        await unlocked.create_secret(f"Secret {n}", LoginPayload("p"))
    threads: list[int] = []
    begun, go = threading.Event(), threading.Event()
    original = VaultCipher.open_payload

    def gated(self: VaultCipher, sealed: str, secret_id: str) -> dict[str, object]:
        threads.append(threading.get_ident())
        begun.set()
        assert go.wait(timeout=10), "opening secrets blocks the event loop"
        return original(self, sealed, secret_id)

    monkeypatch.setattr(VaultCipher, "open_payload", gated)
    unlocking = asyncio.create_task(inkbox.vault.unlock(KEY))
    assert await asyncio.to_thread(begun.wait, 10)
    go.set()
    assert len((await unlocking).secrets) == len(threads) == 20
    assert threading.get_ident() not in threads


async def test_the_loop_keeps_ticking_through_the_real_argon2(inkbox: AsyncInkbox) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await inkbox.vault.initialize(KEY)
    during_initialize, ticks = ticks, 0
    await inkbox.vault.unlock(KEY)
    ticker.cancel()
    # A blocked loop gets a tick or two around each request; five derivations take some hundred of them.
    assert during_initialize > 20, "initialize stalls the event loop"
    assert ticks > 8, "unlock stalls the event loop"


async def test_a_cancelled_unlock_leaves_the_client_usable(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowKeys()
    with monkeypatch.context() as patched:
        patched.setattr("inkbox_async.vault.derivation.derive_master_key", slow.derive_master_key)
        unlocking = asyncio.create_task(inkbox.vault.unlock(NEXT_KEY))
        await slow.started(1)
        unlocking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unlocking
        slow.go.set()
    assert inkbox.vault.unlocked is unlocked
    assert await inkbox.vault.unlock(KEY) is not unlocked


FIRST_UNLOCK = """
import asyncio, sys, threading
from importlib.abc import MetaPathFinder
from inkbox_async import AsyncInkbox

HEAVY = ["argon2", "cryptography", "inkbox_async.vault.crypto", "inkbox_async.vault.keyring"]
found = {}

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in HEAVY:
            found[name] = threading.current_thread() is threading.main_thread()

sys.meta_path.insert(0, Watch())

async def main(url, key, vault_key, way):
    if way == "entering":
        HEAVY.append("inkbox_async.generated.models.vault")
        async with AsyncInkbox(key, base_url=url, vault_key=vault_key):
            pass
    else:
        async with AsyncInkbox(key, base_url=url) as inkbox:
            inkbox.vault
            assert not found, "importing the client, or touching the vault, imports too much"
            await inkbox.vault.unlock(vault_key)
    assert sorted(found) == sorted(HEAVY), found
    assert not any(found.values()), f"imported on the event loop: {found}"

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("way", ["entering", "calling"])
async def test_the_first_unlock_imports_what_it_needs_beside_the_loop(
    way: str, inkbox: AsyncInkbox, sandbox: Sandbox
) -> None:
    await inkbox.vault.initialize(KEY)
    command = [sys.executable, "-c", FIRST_UNLOCK, sandbox.base_url, sandbox.api_key, KEY, way]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def test_cancelling_one_unlock_does_not_disturb_the_others(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def gated(vault_key: str, salt: bytes) -> bytes:
        runs.append(vault_key)
        begun.set()
        assert go.wait(timeout=10), "the derivation blocks the event loop"
        return crypto.derive_master_key(vault_key, salt)

    monkeypatch.setattr("inkbox_async.vault.derivation.derive_master_key", gated)
    first = asyncio.create_task(inkbox.vault.unlock(KEY))
    assert await asyncio.to_thread(begun.wait, 10)
    others = [asyncio.create_task(inkbox.vault.unlock(KEY)) for _ in range(3)]
    await asyncio.wait(others, timeout=0.2)
    first.cancel()
    others[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, UnlockedVault, UnlockedVault]
    assert inkbox.vault.unlocked in results
    assert len(runs) < 4, "nobody shared the derivation that was under way"
