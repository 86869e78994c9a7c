"""The phone as a part of the sandbox: what runs, and the session that it fetches and calls with."""

from __future__ import annotations

from functools import partial

import aiohttp
import anyio

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.courier import Courier
from inkbox_async.sandbox.phone import delivery, media
from inkbox_async.sandbox.phone.carrier import Carrier
from inkbox_async.sandbox.phone.fetching import Fetcher
from inkbox_async.sandbox.phone.handshake import Handshakes
from inkbox_async.sandbox.session import local_session
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Store
from inkbox_async.sandbox.webhooks.service import Webhooks


class Phone:
    """Moves texts on and carries calls: `sandbox.phone`."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, webhooks: Webhooks) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._webhooks = webhooks
        self._handshakes = Handshakes()
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        courier = Courier(
            self._store,
            self._clock,
            delivery.TOPIC,
            partial(delivery.advance, self._settings),
        )
        fetcher = Fetcher(self._store, self.fetch)
        carrier = Carrier(
            self._settings, self._store, self._clock, self._webhooks, self.session, self._handshakes
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(courier.run)
                tasks.start_soon(fetcher.run)
                tasks.start_soon(carrier.run)
        finally:
            if self._session is not None:
                with anyio.CancelScope(shield=True):
                    await self._session.close()
                self._session = None

    async def fetch(self, url: str) -> media.File:
        """A file that a text or a call names, see `media.fetch`."""
        return await media.fetch(self.session(), self._settings, url)

    def session(self) -> aiohttp.ClientSession:
        """The session; it is closed when the sandbox stops."""
        if self._session is None:
            self._session = local_session(
                self._settings,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trace_configs=[self._handshakes.trace()],
            )
        return self._session
