"""How long an unlock holds up the event loop, in a process that has not used the vault before."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

from inkbox_async import AsyncInkbox

LATER = 5
"""Unlocks after the first."""


async def _longest_stall(client: AsyncInkbox, vault_key: str) -> float:
    """The longest time in which a task that wants to run every millisecond did not, during one unlock."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - start - 0.001)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.01)
    await client.vault.unlock(vault_key)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return longest


async def main(base_url: str, api_key: str, vault_key: str) -> None:
    """Prints the longest stall of the first unlock, with its imports, and of the later ones, in seconds."""
    async with AsyncInkbox(api_key, base_url=base_url) as client:
        first = await _longest_stall(client, vault_key)
        later = max([await _longest_stall(client, vault_key) for _ in range(LATER)])
    print(first, later)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], os.environ["INKBOX_API_KEY"], os.environ["INKBOX_BENCHMARK_VAULT_KEY"]))
