"""A fresh sandbox for each test, and plain HTTP calls with one key."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
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
    headers: Mapping[str, str] = field(repr=False)

    @property
    def problem(self) -> tuple[list[str | int], str]:
        """Place and type of the first problem of a 422."""
        assert self.status == 422, self
        first = self.body["detail"][0]
        assert set(first) == {"loc", "msg", "type"}, first
        return first["loc"], first["type"]


class Api:
    """Calls one sandbox with one key; paths are below `base_url`."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, key: str | None) -> None:
        self.sandbox = sandbox
        self.session = session
        self.key = key

    def with_key(self, key: str | None) -> Api:
        """The same calls with another key, or with none."""
        return Api(self.sandbox, self.session, key)

    async def call(
        self,
        method: str,
        path: str,
        body: JSON = None,
        *,
        data: bytes | io.BytesIO | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call, and return whatever is answered. Redirects are not followed."""
        auth = {} if self.key is None else {"X-API-Key": self.key}
        async with self.session.request(
            method,
            self.sandbox.base_url + path,
            json=body,
            data=data,
            params=query,
            headers={**auth, **(headers or {})},
            allow_redirects=False,
        ) as response:
            content = await response.read()
            is_json = response.content_type == "application/json" and content
            return Reply(response.status, await response.json() if is_json else content, response.headers)

    async def ok(
        self, method: str, path: str, body: JSON = None, query: Mapping[str, str] | None = None
    ) -> JSON:
        """Call, and return the body of an answer that must be a success."""
        reply = await self.call(method, path, body, query=query)
        assert reply.status < 300, reply
        return reply.body

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
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox of its own for the test."""
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def admin(sandbox: Sandbox) -> AsyncIterator[Api]:
    """Calls with the admin key of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(sandbox, session, sandbox.api_key)
