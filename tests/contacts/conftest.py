"""A plain HTTP caller for what the client would not send, and agents with keys of their own."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox

JSON = Any  # Any: JSON values of every type


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: JSON
    headers: Mapping[str, str]

    @property
    def where(self) -> list[str | int]:
        """The place of the first problem of a 422."""
        place: list[str | int] = self.body["detail"][0]["loc"]
        return place


class Api:
    """Calls the sandbox's API with one key."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, key: str, me: str = "") -> None:
        self.sandbox = sandbox
        self.session = session
        self.key = key
        self.me = me

    async def call(
        self,
        method: str,
        path: str,
        body: JSON = None,
        *,
        content_type: str = "application/json",
        **query: str,
    ) -> Reply:
        """Call, and return whatever is answered. Paths are below `/api/v1`; bytes go as they are."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        data = None if content is None else io.BytesIO(content)  # aiohttp warns of large bytes
        headers = {"X-API-Key": self.key, **({} if data is None else {"Content-Type": content_type})}
        url = f"{self.sandbox.base_url}/api/v1{path}"
        async with self.session.request(method, url, data=data, params=query, headers=headers) as response:
            is_json = response.content_type == "application/json"
            answer = await (response.json() if is_json else response.read())
            return Reply(response.status, answer, response.headers)

    async def ok(self, method: str, path: str, body: JSON = None, **query: str) -> JSON:
        """Call, and return the body of an answer that must be a success."""
        reply = await self.call(method, path, body, **query)
        assert reply.status < 300, reply
        return reply.body

    async def agent(self, handle: str) -> Api:
        """A new agent with a key; `me` is its id."""
        identity = (await self.ok("POST", "/identities", {"agent_handle": handle}))["id"]
        key = await self.ok("POST", "/api-keys", {"label": handle, "scoped_identity_id": identity})
        return Api(self.sandbox, self.session, key["api_key"], identity)

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
    key = (await api.sandbox.world.create_organization()).api_key
    return Api(api.sandbox, api.session, key)
