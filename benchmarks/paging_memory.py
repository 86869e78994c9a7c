"""Memory of long walks, as a program: `python -m benchmarks.paging_memory URL PAGES...`."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from inkbox_async import AsyncInkbox

from .clients import KEY, mailbox

WARM_UP = 20
"""Pages after which everything is imported and every buffer is as large as it gets."""


def resident_megabytes() -> float:
    """Memory in use, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


async def walk(client: AsyncInkbox, pages: int) -> int:
    """Look at every item once and keep none."""
    items = 0
    async for _ in client.messages.list(mailbox(pages)):
        items += 1
    return items


async def main(url: str, lengths: Sequence[int]) -> None:
    """Prints in MB the memory after each walk, and the most during a second one that is traced."""
    async with AsyncInkbox(KEY, base_url=url) as client:
        await walk(client, WARM_UP)
        found = []
        for pages in lengths:
            await walk(client, pages)
            gc.collect()
            found.append({"resident": resident_megabytes()})
        for pages, about in zip(lengths, found, strict=True):
            tracemalloc.start()
            await walk(client, pages)
            about["peak"] = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(pages) for pages in sys.argv[2:]]))
