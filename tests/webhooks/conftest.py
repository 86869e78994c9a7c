"""A sandbox, a client on it, and receivers on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks import WebhookEvent, parse_webhook, verify_webhook

PATIENCE = 20.0
"""Seconds after which something that should happen is taken not to: only failing tests wait so long."""


@dataclass(frozen=True)
class Delivery:
    """One request as a receiver saw it."""

    body: bytes
    headers: dict[str, str]

    @property
    def event(self) -> WebhookEvent:
        """The event in it."""
        return parse_webhook(self.body)

    @property
    def json(self) -> dict[str, Any]:  # Any: JSON values
        """The body."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed_with(self, secret: str) -> bool:
        """Whether the signature fits."""
        return verify_webhook(payload=self.body, headers=self.headers, secret=secret)


class Receiver:
    """A web server that takes webhooks. It answers 204, or what was ordered with `answer`."""

    def __init__(self) -> None:
        self.received: list[Delivery] = []
        self._arrivals: asyncio.Queue[Delivery] = asyncio.Queue()
        self._orders: deque[web.Response | asyncio.Event] = deque()
        application = web.Application()
        application.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def start(self, port: int = 0) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port: int = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it takes webhooks."""
        return f"http://127.0.0.1:{self.port}/hooks"

    def answer(self, *orders: int | web.Response | asyncio.Event) -> None:
        """Say how the next requests are answered: a status, a response, or not before an event is set."""
        for order in orders:
            self._orders.append(web.Response(status=order) if isinstance(order, int) else order)

    async def next(self) -> Delivery:
        """The next request."""
        async with asyncio.timeout(PATIENCE):
            return await self._arrivals.get()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        delivery = Delivery(await request.read(), dict(request.headers))
        self.received.append(delivery)
        self._arrivals.put_nowait(delivery)
        order = self._orders.popleft() if self._orders else web.Response(status=204)
        if isinstance(order, asyncio.Event):
            await order.wait()
            return web.Response(status=204)
        return order


async def until(holds: Callable[[], Any]) -> None:  # Any: an awaitable or plain truth
    """Wait until something is true."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def inkbox(sandbox: Sandbox) -> AsyncIterator[AsyncInkbox]:
    """A client with the admin key of the sandbox's organization."""
    async with sandbox.client() as client:
        yield client


@pytest.fixture
async def agent(inkbox: AsyncInkbox) -> AgentIdentity:
    """An identity with a mailbox."""
    return await inkbox.create_identity("support")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A web server that takes webhooks."""
    running = Receiver()
    await running.start()
    yield running
    await running.stop()
