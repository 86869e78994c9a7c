"""The worker that moves mail on its way: from `queued` to `sent`, and to what became of it."""

from __future__ import annotations

import asyncio

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.mail.delivery import TOPIC, advance
from inkbox_async.sandbox.store import Store


class Courier:
    """Moves messages on whenever some were sent; first those that an earlier run left behind."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._store.listen(TOPIC, wake)
        while True:
            woken.clear()
            while await self._store.run(lambda tx: advance(tx, self._clock.now())):
                pass
            await woken.wait()
