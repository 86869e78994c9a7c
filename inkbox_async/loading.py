"""What clients stand on beyond their own import, loaded once a process and never by an event loop.

Pydantic, the models and the resource classes take longer to import than aiohttp. Importing the client leaves
them out, so that programs start fast; entering it loads them in a thread, so that nothing stands still.
"""

from __future__ import annotations

import asyncio
import gc
from importlib import import_module
from typing import Final

ROOMS: Final = (
    "encoding",
    "identity",
    "resources.calls",
    "resources.contacts",
    "resources.identities",
    "resources.imessages",
    "resources.mail_contact_rules",
    "resources.messages",
    "resources.notes",
    "resources.phone_contact_rules",
    "resources.signing_keys",
    "resources.threads",
    "resources.webhook_subscriptions",
    "tunnels.resource",
    "vault.resource",
    "webhooks.events",
)
"""Where attributes of a client, and names that are first asked for inside an event loop, lead to. What these
rooms need comes with them; tunnels and vault load their heavy halves when they are used, in threads, too."""

_loaded = False


def load() -> None:
    """Import everything now; the second time costs nothing."""
    global _loaded
    if _loaded:
        return
    # Thousands of new objects, none of which is garbage, would set off full collections, each of which holds
    # up every thread for ten milliseconds.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for room in ROOMS:
            import_module(f".{room}", __package__)
    finally:
        if collecting:
            gc.enable()
    _loaded = True


async def load_in_thread() -> None:
    """Import everything while the event loop goes on."""
    if not _loaded:
        await asyncio.to_thread(load)
