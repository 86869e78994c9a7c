"""An agent with iMessage, people who connect with it, and a plain HTTP caller."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, IMessage
from inkbox_async.sandbox import Sandbox

from .. import api as plain

ANN = "+15551234567"
BOB = "+15559999999"
JSON = Any  # Any: JSON values of every type


class Api(plain.Api):
    """Calls the API with one key, and speaks for people."""

    async def agent_of(self, identity: AgentIdentity) -> Api:
        """A caller with a key of an agent."""
        body = {"label": "test", "scoped_identity_id": str(identity.id)}
        return self.with_key((await self.ok("POST", "/api-keys", body))["api_key"])

    async def other_organization(self) -> Api:
        """A caller with an admin key of another organization."""
        return self.with_key((await self.sandbox.world.create_organization()).api_key)

    async def recorded(self) -> list[tuple[str, JSON]]:
        """(type, data) of every event so far, oldest first."""
        rows = await self.sandbox.store.run(
            lambda tx: tx.all(
                "SELECT event_type, json_extract(payload, '$.data') AS data FROM events ORDER BY seq"
            )
        )
        return [(row["event_type"], json.loads(row["data"])) for row in rows]


@pytest.fixture
async def api(inkbox_sandbox: Sandbox) -> AsyncIterator[Api]:
    """The admin of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(inkbox_sandbox, session, inkbox_sandbox.api_key)


@pytest.fixture
async def agent(inkbox: AsyncInkbox) -> AgentIdentity:
    """An identity that people can connect with."""
    return await inkbox.create_identity("sales-agent", imessage_enabled=True)


async def connect(sandbox: Sandbox, number: str = ANN, handle: str = "sales-agent") -> str:
    """Have a person connect; returns the id of the connection."""
    result = await sandbox.world.send_imessage(from_=number, text=f"connect @{handle}")
    assert result.assignment_id is not None, result.reply
    return str(result.assignment_id)


async def write(sandbox: Sandbox, text: str = "Hi", number: str = ANN) -> str:
    """Have a connected person write; returns the id of the message."""
    result = await sandbox.world.send_imessage(from_=number, text=text)
    assert result.message_id is not None
    return str(result.message_id)


async def settled(agent: AgentIdentity, message: IMessage) -> IMessage:
    """A sent message once its delivery has ended."""
    while True:
        for found in await agent.list_imessages(limit=200):
            if found.id == message.id and found.status not in ("queued", "sent"):
                return found
        await asyncio.sleep(0.005)
