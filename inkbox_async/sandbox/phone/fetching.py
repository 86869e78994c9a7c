"""The worker that fetches files of texts by their links, so that the texts can leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from sqlite3 import Row

import anyio

from inkbox_async.sandbox.phone import media
from inkbox_async.sandbox.phone.delivery import TOPIC
from inkbox_async.sandbox.store import Store, Tx


class Fetcher:
    """Fetches all files at the same time: a slow server holds up the text with its file, and no other."""

    def __init__(self, store: Store, fetch: Callable[[str], Awaitable[media.File]]) -> None:
        """Prepare it; `run` works.

        Args:
            store: The sandbox's data.
            fetch: Fetches one file, or raises `media.Unreachable`.
        """
        self._store = store
        self._fetch = fetch
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled, first on what an earlier run has left."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._store.listen(TOPIC, wake)
        async with anyio.create_task_group() as tasks:
            while True:
                woken.clear()
                for row in await self._store.run(_awaited):
                    if row["id"] not in self._busy:
                        self._busy.add(row["id"])
                        tasks.start_soon(self._fetch_one, row)
                await woken.wait()

    async def _fetch_one(self, row: Row) -> None:
        """Fetch one file; a text whose file cannot be had is not sent."""
        try:
            settle = partial(_fill, row, await self._fetch(row["url"]))
        except media.Unreachable as error:
            settle = partial(_give_up, row, str(error))
        await self._store.run(settle)
        self._busy.discard(row["id"])


def _awaited(tx: Tx) -> list[Row]:
    return tx.all("SELECT id, text_id, url FROM text_media WHERE content IS NULL")


def _fill(row: Row, file: media.File, tx: Tx) -> None:
    tx.update("text_media", row["id"], content=file.content, content_type=file.content_type)
    tx.notify(TOPIC)


def _give_up(row: Row, reason: str, tx: Tx) -> None:
    tx.update("text_media", row["id"], content=b"")
    tx.execute(
        "UPDATE text_recipients SET outcome = 'sending_failed', error_detail = ? WHERE text_id = ?",
        reason,
        row["text_id"],
    )
    tx.notify(TOPIC)
