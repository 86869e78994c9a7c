"""A listener made of raw frames: it says hello, parks intakes and does what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from .directory import KEY, TUNNEL_ID
from .raw_h2 import RawH2, RawStream

Handle = Callable[["RawListener", RawStream], Coroutine[None, None, None]]


class RawListener:
    """The data plane from the client's side."""

    def __init__(self, client: RawH2, tunnel_id: str = TUNNEL_ID, key: str = KEY) -> None:
        self.client = client
        self.tunnel_id = tunnel_id
        self.key = key
        self.hello_answer: dict[str, Any] = {}  # Any: JSON

    async def try_hello(self, *extra: tuple[str, str]) -> RawStream:
        headers = [("x-tunnel-id", self.tunnel_id), ("x-api-key", self.key), ("content-length", "0"), *extra]
        return await (await self.client.request("POST", "/_system/hello", headers)).whole()

    async def hello(self, *extra: tuple[str, str]) -> None:
        answer = await self.try_hello(*extra)
        assert answer.status == 200, (answer.headers, bytes(answer.body))
        assert answer.header("content-type") == "application/json"
        self.hello_answer = json.loads(answer.body)

    async def park(self, slot: int = 0, token: str | None = None) -> RawStream:
        headers = [
            ("x-tunnel-id", self.tunnel_id),
            ("x-owner-token", token or self.hello_answer["owner_token"]),
            ("x-pool-slot", str(slot)),
            ("content-length", "0"),
        ]
        return await self.client.request("POST", "/_system/intake", headers)

    async def post(
        self, request_id: str, status: int = 200, body: bytes = b"", *fields: tuple[str, str]
    ) -> RawStream:
        """Post a whole response."""
        stream = await self.begin_post(request_id, status, *fields, length=len(body), end=not body)
        if body:
            await stream.send(body, end=True)
        return stream

    async def begin_post(
        self,
        request_id: str,
        status: int,
        *fields: tuple[str, str],
        length: int | None = None,
        end: bool = False,
    ) -> RawStream:
        headers = [
            ("x-tunnel-id", self.tunnel_id),
            ("x-api-key", self.key),
            ("inkbox-status", str(status)),
            ("inkbox-request-id", request_id),
        ]
        if length is not None:
            headers.append(("content-length", str(length)))
        headers += [(f"inkbox-h-{name}", value) for name, value in fields]
        path = f"/_system/response/{request_id}"
        return await self.client.request("POST", path, headers, b"" if end else None)

    async def bridge(self, kind: str, bridge_id: str) -> RawStream:
        headers = [
            ("sec-websocket-version", "13"),
            ("x-tunnel-id", self.tunnel_id),
            ("x-api-key", self.key),
            (f"inkbox-{kind}-id", bridge_id),
        ]
        return await self.client.request(
            "CONNECT", f"/_system/{kind}/{bridge_id}", headers, None, protocol=f"inkbox-tunnel-{kind}"
        )

    @contextlib.asynccontextmanager
    async def serving(self, handle: Handle, slots: int = 4) -> AsyncIterator[None]:
        """Keep intakes parked and give every envelope to `handle` in a task of its own."""
        async with asyncio.TaskGroup() as tasks:

            async def keep(slot: int) -> None:
                while True:
                    stream = await self.park(slot)
                    await self.client.answered(stream)
                    if self.client.closed:
                        return
                    if stream.header("inkbox-request-id"):
                        tasks.create_task(handle(self, stream))
                    elif stream.status not in (200, 408):
                        return

            keepers = [tasks.create_task(keep(slot)) for slot in range(slots)]
            try:
                yield
            finally:
                for keeper in keepers:
                    keeper.cancel()


def request_id(stream: RawStream) -> str:
    found = stream.header("inkbox-request-id")
    assert found, stream.headers
    return found
