"""One vault, ours or the official one, in a process of its own: `python -m benchmarks.vault_worker KIND URL`.

The key comes by the environment, orders as lines of JSON; what each took is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from .rounds import Sample

VAULT_KEY = "my-Vault-key-01!"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CODES = 1000
ORG_KEY = bytes(range(32))


class Vault(Protocol):
    """What both are asked to do."""

    async def unlock(self) -> object:
        """Unlock the vault on the server."""

    def load(self, sealed: list[dict[str, Any]]) -> None:  # Any: JSON
        """Remember secrets that are sealed with `ORG_KEY`."""

    def decrypt(self) -> object:
        """Open all of them."""

    def codes(self) -> object:
        """Make many one-time codes."""


class _Ours:
    def __init__(self, client: Any) -> None:  # Any: imported in the process that needs it
        from inkbox_async import TOTPConfig, generate_totp
        from inkbox_async.vault.crypto import VaultCipher

        self._client = client
        self._cipher = VaultCipher(ORG_KEY)
        self._sealed: list[Any] = []  # Any: as above
        self._code: Callable[[], object] = partial(generate_totp, TOTPConfig(SEED))

    async def unlock(self) -> object:
        return await self._client.vault.unlock(VAULT_KEY)

    def load(self, sealed: list[dict[str, Any]]) -> None:  # Any: JSON
        from inkbox_async.generated.models.vault import VaultSecretDetail

        self._sealed = [VaultSecretDetail.model_validate(item) for item in sealed]

    def decrypt(self) -> object:
        from inkbox_async.vault.decrypted import open_secrets

        return open_secrets(self._cipher, self._sealed)

    def codes(self) -> object:
        return [self._code() for _ in range(CODES)]


class _Official:
    def __init__(self, client: Any) -> None:  # Any: as above
        import inkbox

        self._client = client
        self._sealed: list[dict[str, Any]] = []  # Any: JSON
        self._code: Callable[[], object] = partial(inkbox.generate_totp, inkbox.TOTPConfig(SEED))

    async def unlock(self) -> object:
        return self._client.vault.unlock(VAULT_KEY)

    def load(self, sealed: list[dict[str, Any]]) -> None:  # Any: JSON
        self._sealed = sealed

    def decrypt(self) -> object:
        from inkbox.vault import crypto, types

        return [
            types._parse_payload(
                item["secret_type"], crypto.decrypt_payload(ORG_KEY, item["encrypted_payload"], item["id"])
            )
            for item in self._sealed
        ]

    def codes(self) -> object:
        return [self._code() for _ in range(CODES)]


async def _obey(vault: Vault) -> None:
    async def plain(call: Callable[[], object]) -> None:
        call()

    actions: dict[str, Callable[[], Awaitable[object]]] = {
        "unlock": vault.unlock,
        "decrypt": lambda: plain(vault.decrypt),
        "codes": lambda: plain(vault.codes),
    }
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if "sealed" in order:
            vault.load(order["sealed"])
        start, processor = time.perf_counter(), time.process_time()
        await actions[order["what"]]()
        sample = Sample(1, time.process_time() - processor, time.perf_counter() - start)
        print(json.dumps(asdict(sample)), flush=True)


async def main(kind: str, url: str) -> None:
    """Does what it is told until there are no more orders."""
    key = os.environ["INKBOX_API_KEY"]
    if kind == "ours":
        from inkbox_async import AsyncInkbox

        async with AsyncInkbox(key, base_url=url) as client:
            await _obey(_Ours(client))
    else:
        import inkbox

        with inkbox.Inkbox(key, base_url=url) as peer:
            await _obey(_Official(peer))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
