"""Plain HTTP calls to a sandbox with one key, for what the client would not send."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import aiohttp

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
    """Calls one sandbox with one key."""

    prefix: ClassVar[str] = "/api/v1"
    """Stands before every path."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, key: str) -> None:
        self.sandbox = sandbox
        self.session = session
        self.key = key

    def with_key(self, key: str | None) -> Self:
        """The same calls with another key, or with none."""
        other = copy.copy(self)
        other.key = key or ""
        return other

    async def call(
        self,
        method: str,
        path: str,
        body: JSON = None,
        *,
        data: bytes | io.BytesIO | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        bearer: bool = False,
    ) -> Reply:
        """Call, and return whatever is answered; `data` is sent as it is. Redirects are not followed."""
        sent: dict[str, str] = {}
        if self.key:
            sent |= {"Authorization": f"Bearer {self.key}"} if bearer else {"X-API-Key": self.key}
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if isinstance(data, bytes):
            data = io.BytesIO(data)  # aiohttp warns of large bytes
        async with self.session.request(
            method,
            f"{self.sandbox.base_url}{self.prefix}{path}",
            data=data,
            params=query,
            headers={**sent, **(headers or {})},
            allow_redirects=False,
        ) as response:
            content = await response.read()
            is_json = response.content_type == "application/json" and content
            return Reply(response.status, json.loads(content) if is_json else content, response.headers)

    async def ok(self, method: str, path: str, body: JSON = None, **query: str | int) -> JSON:
        """Call, and return the body of an answer that must be a success."""
        reply = await self.call(method, path, body, query=query)
        assert reply.status < 300, reply
        return reply.body
