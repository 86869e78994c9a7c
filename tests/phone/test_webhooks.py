"""What receivers are told of texts and calls, signed, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, ContactPhone, verify_webhook
from inkbox_async.generated.models.events import TextEvent
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks import parse_webhook

from .conftest import ANN, JSON, Agent, echo, ended, phone, serving, text

Delivery = tuple[dict[str, str], bytes]


@pytest.fixture
async def deliveries() -> AsyncIterator[tuple[str, asyncio.Queue[Delivery]]]:
    """The address of a receiver, and what arrives there."""
    queue: asyncio.Queue[Delivery] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await queue.put((dict(request.headers), await request.read()))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", queue
    await runner.cleanup()


async def test_texts_are_told_to_the_number_s_subscribers(
    agent: AgentIdentity,
    inkbox: AsyncInkbox,
    inkbox_sandbox: Sandbox,
    deliveries: tuple[str, asyncio.Queue[Delivery]],
) -> None:
    url, queue = deliveries
    secret = (await inkbox.create_signing_key()).signing_key
    await inkbox.webhooks.subscriptions.create(
        phone_number_id=phone(agent).id, url=url, event_types=["text.received", "text.delivered"]
    )
    text_id = await text(inkbox_sandbox, agent, "Hello")
    headers, body = await queue.get()
    assert verify_webhook(payload=body, headers=headers, secret=secret)
    event = parse_webhook(body)
    assert isinstance(event, TextEvent)
    assert event.event_type == "text.received"
    told: JSON = json.loads(body)["data"]
    assert (told["text_message"]["id"], told["text_message"]["text"]) == (text_id, "Hello")
    await text(inkbox_sandbox, agent, "START")
    kinds = {json.loads((await queue.get())[1])["event_type"] for _ in range(2)}
    assert kinds == {"text.received", "text.delivered"}, "the service's answer is delivered, too"
    contact = await inkbox.contacts.create(given_name="Ann", phones=[ContactPhone(label="mobile", value=ANN)])
    await text(inkbox_sandbox, agent, "It is me")
    known = json.loads((await queue.get())[1])["data"]["contacts"]
    assert [entry["id"] for entry in known] == [str(contact.id)]


async def test_the_end_of_a_call_is_told_to_the_identity_s_subscribers(
    fresh: AgentIdentity,
    inkbox: AsyncInkbox,
    inkbox_sandbox: Sandbox,
    deliveries: tuple[str, asyncio.Queue[Delivery]],
) -> None:
    url, queue = deliveries
    await inkbox.webhooks.subscriptions.create(
        agent_identity_id=fresh.id, url=url, event_types=["call.ended"]
    )
    script = [{"party": "remote", "text": "Hello"}]
    await inkbox_sandbox.world.set_outcome(channel="call", to=ANN, outcome="answered", script=script)
    async with serving(Agent(echo)) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await ended(inkbox, placed.id)
    event: JSON = json.loads((await queue.get())[1])
    assert event["event_type"] == "call.ended"
    assert event["data"]["call"]["id"] == str(placed.id)
    assert [entry["party"] for entry in event["data"]["transcript"]["entries"]] == ["remote", "local"]
