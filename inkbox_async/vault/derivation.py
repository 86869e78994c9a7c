"""Argon2 off the event loop: who asks for the same key at the same time shares a run, and few run at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from .crypto import derive_master_key, derive_salt
from .hidden import Hidden

MAX_CONCURRENT_RUNS: Final = 2
"""Each run takes 64 MiB and a processor core."""


@dataclass(eq=False)
class _Run:
    task: asyncio.Task[Hidden[bytes]]
    waiters: int = 0


class KeyDeriver:
    """Derives master keys in threads (Argon2 releases the interpreter lock while it works).

    Nothing is remembered: a result lives until the callers who waited for it have it.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[Hidden[str], str], _Run] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_RUNS)

    async def derive(self, vault_key: Hidden[str], organization_id: str) -> Hidden[bytes]:
        """The master key of a vault key or recovery code in an organization.

        Raises:
            VaultOrganizationError: The organization id is too short to derive keys from.
            InkboxVaultKeyError: The vault key is not valid Unicode.
        """
        identity = (vault_key, organization_id)
        run = self._runs.get(identity)
        if run is None:
            run = _Run(asyncio.create_task(self._run(vault_key, organization_id), name="inkbox-vault-kdf"))
            self._runs[identity] = run
        run.waiters += 1
        try:
            return await asyncio.shield(run.task)
        finally:
            run.waiters -= 1
            if not run.waiters:
                # Done, or its last waiter was cancelled: either way nobody else may pick it up.
                run.task.cancel()
                if self._runs.get(identity) is run:
                    del self._runs[identity]

    async def _run(self, vault_key: Hidden[str], organization_id: str) -> Hidden[bytes]:
        salt = derive_salt(organization_id)
        async with self._slots:
            # Wrapped in the thread: in debug mode, asyncio logs futures with their results.
            return await asyncio.to_thread(lambda: Hidden(derive_master_key(vault_key.value, salt)))
