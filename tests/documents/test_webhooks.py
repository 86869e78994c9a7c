"""The documents, line by line: webhook subscriptions, verification and payloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import cast

import pytest
from aiohttp import web

from inkbox_async import AsyncInkbox, InkboxAPIError, MailWebhookPayload, verify_webhook
from inkbox_async.sandbox import Sandbox


class Receiver:
    """A web server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Mapping[str, str]]] = asyncio.Queue()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        await self.received.put((await request.read(), dict(request.headers)))
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


async def test_a_received_mail_arrives_signed(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, receiver: Receiver
) -> None:
    identity = await inkbox.create_identity("sales-agent")
    key = await inkbox.create_signing_key()
    mailbox = identity.mailbox
    assert mailbox is not None
    subscription = await inkbox.webhooks.subscriptions.create(
        mailbox_id=mailbox.id, url=receiver.url, event_types=["message.received"]
    )
    await inkbox_sandbox.world.send_email(
        from_="ada@example.com", to=[mailbox.email_address], subject="Hi", text="Hello"
    )
    body, headers = await asyncio.wait_for(receiver.received.get(), 10)
    assert verify_webhook(payload=body, headers=headers, secret=key.signing_key)
    assert not verify_webhook(payload=body + b" ", headers=headers, secret=key.signing_key)
    payload = cast(MailWebhookPayload, json.loads(body))
    assert payload["event_type"] == "message.received"
    assert payload["data"]["message"]["subject"] == "Hi"
    assert payload["data"]["message"]["bcc_addresses"] is None
    assert payload["data"]["contacts"] == []
    assert payload["data"]["agent_identities"] == []

    listed = await inkbox.webhooks.subscriptions.list(mailbox_id=mailbox.id)
    assert [row.id for row in listed] == [subscription.id]
    assert (await inkbox.webhooks.subscriptions.get(subscription.id)).url == receiver.url
    await inkbox.webhooks.subscriptions.update(
        subscription.id, event_types=["message.received", "message.sent"]
    )
    await inkbox.webhooks.subscriptions.delete(subscription.id)
    assert await inkbox.webhooks.subscriptions.list() == []


async def test_most_shape_mistakes_are_caught_before_the_request(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    identity = await inkbox.create_identity("sales-agent")
    assert identity.mailbox is not None
    mailbox, url = identity.mailbox.id, "https://example.com/hook"
    create = inkbox.webhooks.subscriptions.create
    asked = len(inkbox_sandbox.requests())
    with pytest.raises(ValueError, match="Exactly one"):
        await create(url=url, event_types=["message.received"])
    with pytest.raises(ValueError, match="Exactly one"):
        await create(mailbox_id=mailbox, agent_identity_id=identity.id, url=url, event_types=["message.sent"])
    for events in ([], ["message.sent", "message.sent"], ["phone.incoming_call"], ["text.received"]):
        with pytest.raises(ValueError, match=r"event|subscri"):
            await create(mailbox_id=mailbox, url=url, event_types=events)
    assert len(inkbox_sandbox.requests()) == asked, "nothing was sent"
    with pytest.raises(InkboxAPIError) as typo:
        await create(mailbox_id=mailbox, url=url, event_types=["message.received_typo"])
    assert typo.value.status_code == 422
