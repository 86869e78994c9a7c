"""Agents with keys of their own, and contacts, by plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox

from .. import api as plain
from ..api import JSON, Reply

__all__ = ["JSON", "Api", "Reply"]


class Api(plain.Api):
    """Calls the sandbox's API with one key."""

    me = ""
    """Id of the identity whose key it is."""

    async def agent(self, handle: str) -> Api:
        """A new agent with a key; `me` is its id."""
        identity = (await self.ok("POST", "/identities", {"agent_handle": handle}))["id"]
        key = await self.ok("POST", "/api-keys", {"label": handle, "scoped_identity_id": identity})
        agent = self.with_key(key["api_key"])
        agent.me = identity
        return agent

    async def contact(self, **fields: JSON) -> JSON:
        """A new contact."""
        return await self.ok("POST", "/contacts", {"given_name": "Ada", **fields})

    async def names(self, **query: str) -> list[str]:
        """Preferred names of the contacts on a page."""
        return [contact["preferred_name"] for contact in await self.ok("GET", "/contacts", **query)]


@pytest.fixture
async def api(inkbox_sandbox: Sandbox) -> AsyncIterator[Api]:
    """The admin of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(inkbox_sandbox, session, inkbox_sandbox.api_key)


@pytest.fixture
async def stranger(api: Api) -> Api:
    """The admin of another organization."""
    return api.with_key((await api.sandbox.world.create_organization()).api_key)
