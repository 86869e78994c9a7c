"""What webhooks tell of iMessages: real deliveries to a receiver, and the payload of each event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, verify_webhook
from inkbox_async.generated.models.events import IMessageEvent
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks import parse_webhook

from .conftest import ANN, Api, connect, settled, write

EVENTS = [
    "imessage.received",
    "imessage.reaction_received",
    "imessage.sent",
    "imessage.delivered",
    "imessage.delivery_failed",
]
KEYS = {
    "id", "conversation_id", "assignment_id", "direction", "remote_number", "content", "message_type",
    "service", "send_style", "media", "was_downgraded", "status", "error_code", "error_message",
    "error_reason", "error_detail", "is_read", "recipients", "reactions", "created_at", "updated_at",
}  # fmt: skip


class Receiver:
    """A web server on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        await self.requests.put((dict(request.headers), await request.read()))
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def test_the_five_events_are_delivered_in_order(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    key = await agent.create_signing_key()
    await inkbox.webhooks.subscriptions.create(
        agent_identity_id=agent.id, url=receiver.url, event_types=EVENTS
    )
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox, "Hello?")
    sent = await settled(agent, await agent.send_imessage(to=ANN, text="Hi", send_style="slam"))
    await inkbox_sandbox.world.send_imessage(from_=ANN, reaction="🎉", message_id=sent.id)
    await inkbox_sandbox.world.set_outcome(channel="imessage", to=ANN, outcome="declined", times=1)
    await agent.send_imessage(to=ANN, text="Sorry")

    events: list[IMessageEvent] = []
    for _ in EVENTS:
        headers, body = await receiver.requests.get()
        assert verify_webhook(payload=body, headers=headers, secret=key.signing_key)
        event = parse_webhook(body)
        assert isinstance(event, IMessageEvent)
        assert set(json.loads(body)["data"]) == {"message", "reaction", "contacts", "agent_identities"}
        events.append(event)
    assert [event.event_type for event in events] == [
        "imessage.received",
        "imessage.sent",
        "imessage.delivered",
        "imessage.reaction_received",
        "imessage.delivery_failed",
    ]
    received, left, arrived, tapped, failed = events
    assert received.data.message is not None
    assert (received.data.message.content, received.data.message.direction) == ("Hello?", "inbound")
    assert left.data.message is not None
    assert (left.data.message.id, left.data.message.status, left.data.message.send_style) == (
        sent.id,
        "sent",
        "slam",
    )
    assert arrived.data.message is not None
    assert arrived.data.message.status == "delivered"
    assert tapped.data.message is None
    assert tapped.data.reaction is not None
    assert (tapped.data.reaction.custom_emoji, tapped.data.reaction.target_message_id) == ("🎉", sent.id)
    assert failed.data.message is not None
    assert (failed.data.message.status, failed.data.message.error_code) == ("declined", "declined")
    assert received.data.reaction is None


async def test_the_payload_of_a_message(inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox)
    [(_, data)] = await api.recorded()
    assert set(data["message"]) >= KEYS
    assert "is_blocked" not in data["message"]
    assert (data["reaction"], data["contacts"], data["agent_identities"]) == (None, [], [])


async def test_other_agents_of_the_organization_are_named(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    peer = await inkbox.create_identity("peer-agent", phone_number={"type": "local"})
    assert peer.phone_number is not None
    await connect(inkbox_sandbox, peer.phone_number.number)
    await write(inkbox_sandbox, number=peer.phone_number.number)
    [(_, data)] = await api.recorded()
    assert [match["agent_handle"] for match in data["agent_identities"]] == ["peer-agent"]


async def test_nothing_is_told_while_the_identity_is_paused_or_disabled(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    await agent.update(status="paused")
    await settled(agent, await agent.send_imessage(to=ANN, text="Hi"))
    assert await api.recorded() == []
    await agent.update(status="active")
    await settled(agent, await agent.send_imessage(to=ANN, text="Hi"))
    assert [kind for kind, _ in await api.recorded()] == ["imessage.sent", "imessage.delivered"]
