"""A worker that moves what is on its way: messages from `queued` to `sent`, and to what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from .clock import Clock
from .store import Store, Tx


class Courier:
    """Moves one channel's messages on whenever some were sent; first those an earlier run left behind."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        topic: str,
        advance: Callable[[Tx, datetime], bool],
    ) -> None:
        """Prepare it; `run` works.

        Args:
            store: The sandbox's data.
            clock: Its clock.
            topic: What transactions notify that leave something to move on.
            advance: Moves everything one step on, and tells whether anything moved.
        """
        self._store = store
        self._clock = clock
        self._topic = topic
        self._advance = advance

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._store.listen(self._topic, wake)
        while True:
            woken.clear()
            is_moving = True
            while is_moving:
                is_moving = await self._store.run(lambda tx: self._advance(tx, self._clock.now()))
            await woken.wait()
