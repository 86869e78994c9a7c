"""A sandbox embedded in a fresh process, as a test run embeds it.

    python -m benchmarks.sandbox_start MESSAGES

Prints one line of JSON: seconds from the import of the sandbox to its being ready, of a later start, and of
`reset()` after a test that stored MESSAGES.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import pytest  # noqa: F401  # what a test run has imported before its first fixture

import inkbox_async.pytest_plugin  # noqa: F401
from inkbox_async import AsyncInkbox  # noqa: F401

RESETS = 3


async def main(messages: int) -> None:
    """Measures one start with the import, one without, and some resets."""
    start, processor = time.perf_counter(), time.process_time()
    from inkbox_async.sandbox import Sandbox

    async with Sandbox() as sandbox:
        cold, cold_processor = time.perf_counter() - start, time.process_time() - processor
        resets = []
        for _ in range(RESETS):
            async with sandbox.client() as client:
                identity = await client.create_identity("reader")
            for number in range(messages):
                await sandbox.world.send_email(
                    from_="ada@example.com",
                    to=[str(identity.email_address)],
                    subject=f"Message {number}",
                    text="word " * 400,
                )
            start = time.perf_counter()
            await sandbox.reset()
            resets.append(time.perf_counter() - start)
    start = time.perf_counter()
    async with Sandbox():
        warm = time.perf_counter() - start
    found = {"cold": cold, "cold_processor": cold_processor, "warm": warm, "resets": resets}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
