"""Plain HTTP calls to every path of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox

from .. import api
from ..api import JSON, Reply

__all__ = ["JSON", "Api", "Reply"]


class Api(api.Api):
    """Calls one sandbox with one key; paths are below its `base_url`."""

    prefix = ""

    async def identity(self, handle: str, **options: JSON) -> JSON:
        """Create an identity."""
        return await self.ok("POST", "/api/v1/identities/", {"agent_handle": handle, **options})

    async def agent(self, identity_id: str) -> Api:
        """A caller with a new key of an identity."""
        body = {"label": "test", "scoped_identity_id": identity_id}
        return self.with_key((await self.ok("POST", "/api/v1/api-keys", body))["api_key"])

    async def organization(self) -> Api:
        """A caller with the admin key of a new organization."""
        return self.with_key((await self.ok("POST", "/_sandbox/organizations", {}))["api_key"])


@pytest.fixture
async def admin(sandbox: Sandbox) -> AsyncIterator[Api]:
    """Calls with the admin key of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(sandbox, session, sandbox.api_key)
