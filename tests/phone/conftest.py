"""Agents with phone numbers, people who text and call them, and an agent at a call's WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, PhoneCall, TextMessage
from inkbox_async.generated.models.identities import IdentityPhoneNumber
from inkbox_async.sandbox import Sandbox

from ..imessage.conftest import Api as Api

ANN = "+15551234567"
BOB = "+15557654321"
REGISTRATION = 15 * 60
T = TypeVar("T")
JSON = Any  # Any: JSON values of every type
Act = Callable[[web.WebSocketResponse, JSON], Awaitable[None]]


@pytest.fixture
async def api(inkbox_sandbox: Sandbox) -> AsyncIterator[Api]:
    """The admin of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(inkbox_sandbox, session, inkbox_sandbox.api_key)


@pytest.fixture
async def fresh(inkbox: AsyncInkbox) -> AgentIdentity:
    """An identity whose phone number was provisioned just now: it cannot send texts yet."""
    identity = await inkbox.create_identity("sales-agent")
    await identity.provision_phone_number(type="local", state="NY")
    return identity


@pytest.fixture
async def agent(fresh: AgentIdentity, inkbox_sandbox: Sandbox) -> AgentIdentity:
    """An identity whose phone number can send texts."""
    inkbox_sandbox.clock.advance(REGISTRATION)
    return fresh


def phone(identity: AgentIdentity) -> IdentityPhoneNumber:
    assert identity.phone_number is not None
    return identity.phone_number


async def text(sandbox: Sandbox, identity: AgentIdentity, words: str = "Hi", sender: str = ANN) -> str:
    """Have somebody text the agent; returns the id of the text."""
    result = await sandbox.world.send_text(from_=sender, to=phone(identity).number, text=words)
    return str(result.text_id)


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Asks until the answer is as it should be, and returns it."""
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        await asyncio.sleep(0.005)


async def settled(identity: AgentIdentity, sent: TextMessage) -> TextMessage:
    """A sent text once its delivery has ended."""
    return await until(
        lambda: identity.get_text(sent.id), lambda found: found.delivery_status not in ("queued", "sent")
    )


async def answered(inkbox: AsyncInkbox, call_id: UUID | str) -> PhoneCall:
    """A call once it is answered."""
    return await until(lambda: inkbox.calls.get(call_id), lambda call: call.status == "answered")


async def ended(inkbox: AsyncInkbox, call_id: UUID | str) -> PhoneCall:
    """A call once it has ended."""
    return await until(lambda: inkbox.calls.get(call_id), lambda call: call.ended_at is not None)


class Agent:
    """A program at the other end of calls: remembers what it gets, and does what it was told to.

    Attributes:
        url: Address of its WebSocket.
        heard: The frames of all calls, in order.
        upgrades: The headers of each upgrade.
        refuse: A status to refuse upgrades with.
        location: An address to redirect upgrades to.
        connected: Set once a call has been taken.
        sounded: Set once a frame of sound has come.
        left: Set once the WebSocket of a call has ended.
    """

    def __init__(self, act: Act | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.url = ""
        self.heard: list[JSON] = []
        self.upgrades: list[dict[str, str]] = []
        self.refuse: int | None = None
        self.location: str | None = None
        self.connected = asyncio.Event()
        self.sounded = asyncio.Event()
        self.left = asyncio.Event()
        self._act = act
        self._headers = headers or {}

    def events(self) -> list[str]:
        """The names of the frames it got."""
        return [frame["event"] for frame in self.heard]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.upgrades.append(dict(request.headers))
        if self.refuse is not None:
            return web.Response(status=self.refuse)
        if self.location is not None:
            raise web.HTTPTemporaryRedirect(self.location)
        socket = web.WebSocketResponse()
        socket.headers.update(self._headers)
        await socket.prepare(request)
        self.connected.set()
        async for message in socket:
            frame = json.loads(message.data)
            self.heard.append(frame)
            if frame["event"] == "media":
                self.sounded.set()
            if self._act is not None and not socket.closed:
                await self._act(socket, frame)
        self.left.set()
        return socket


@asynccontextmanager
async def serving(agent: Agent) -> AsyncIterator[Agent]:
    """Runs an agent's server."""
    application = web.Application()
    application.router.add_get("/call", agent.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        agent.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/call?line=1"
        yield agent
    finally:
        await runner.cleanup()


async def say(socket: web.WebSocketResponse, words: str) -> None:
    """Speak as an agent does that leaves speech to Inkbox."""
    await socket.send_json({"event": "text", "delta": words, "turn_id": "t"})
    await socket.send_json({"event": "text", "done": True, "turn_id": "t"})


async def echo(socket: web.WebSocketResponse, frame: JSON) -> None:
    """Answer everything that is said."""
    if frame["event"] == "transcript" and frame["is_final"]:
        await say(socket, f"You said: {frame['text']}")
