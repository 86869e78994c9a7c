"""Webhooks as a part of the sandbox: what runs, and what other areas ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Store

from . import callbacks
from .dispatcher import Dispatcher
from .posting import TIMEOUT, Poster

if TYPE_CHECKING:
    from inkbox_async.generated.models.events import IncomingCallAnswer


class Webhooks:
    """Delivers events and asks about calls: `sandbox.webhooks`."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._poster = Poster(settings)

    async def run(self) -> None:
        """Deliver events until cancelled."""
        try:
            await Dispatcher(self._store, self._clock, self._poster).run()
        finally:
            with anyio.CancelScope(shield=True):
                await self._poster.close()

    async def ask_about_call(
        self,
        *,
        url: str,
        payload: Mapping[str, Any],  # Any: JSON values of every type
        secret: str | None,
        organization_id: str,
        phone_number_id: str | None,
        timeout: float = TIMEOUT,
    ) -> IncomingCallAnswer | None:
        """Ask a receiver what is to become of a call: `callbacks.ask`, on the sandbox's event loop."""
        return await callbacks.ask(
            self._poster,
            self._store,
            self._clock,
            url=url,
            payload=payload,
            secret=secret,
            organization_id=organization_id,
            phone_number_id=phone_number_id,
            timeout=timeout,
        )
