"""What the sandbox sends to receivers fits the typed dictionaries of the published package, and ours."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import inkbox as published

import inkbox_async
from inkbox_async import AsyncInkbox, ContactEmail, ContactPhone
from inkbox_async.sandbox import Sandbox

from ..webhooks.conftest import Receiver, receiver

__all__ = ["receiver"]

ADA, ADAS_PHONE = "ada@example.com", "+15551234567"
MAIL = [f"message.{what}" for what in ("received", "sent", "forwarded", "delivered", "bounced", "failed")]
IMESSAGE = [
    f"imessage.{what}" for what in ("received", "reaction_received", "sent", "delivered", "delivery_failed")
]


def misfits(
    value: Any, hint: Any, place: str = ""
) -> Iterator[str]:  # Any: JSON, and annotations of every form
    """Where a payload lacks a documented key, or is null where it must not be."""
    options = alternatives(hint)
    if value is None:
        if type(None) not in options:
            yield f"{place} is null"
    elif isinstance(value, dict):
        for option in filter(is_typeddict, options):
            hints = get_type_hints(option)
            yield from (f"{place}.{key} is missing" for key in option.__required_keys__ - value.keys())
            for key in value.keys() & hints.keys():
                yield from misfits(value[key], hints[key], f"{place}.{key}")
    elif isinstance(value, list):
        for option in options:
            for item in value:
                for of in get_args(option):
                    yield from misfits(item, of, f"{place}[]")


def alternatives(hint: Any) -> list[Any]:  # Any: annotations of every form
    if get_origin(hint) in (Union, types.UnionType, NotRequired):
        return [option for part in get_args(hint) for option in alternatives(part)]
    return [hint]


async def test_mail(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, receiver: Receiver) -> None:
    agent = await inkbox.create_identity("my-agent")
    other = await inkbox.create_identity("other-agent")
    await inkbox.contacts.create(given_name="Ada", emails=[ContactEmail(value=ADA)])
    assert agent.mailbox is not None
    await inkbox.webhooks.subscriptions.create(
        mailbox_id=agent.mailbox.id, url=receiver.url, event_types=MAIL
    )
    world = inkbox_sandbox.world
    for address, outcome in (("bounce@example.com", "bounced"), ("fail@example.com", "failed")):
        await world.set_outcome(channel="mail", to=address, outcome=outcome)
    [arrived] = (
        await world.send_email(
            from_=ADA.upper(),
            to=[str(agent.email_address)],
            cc=[str(other.email_address), ADA],
            subject="Hello",
            text="Body",
        )
    ).deliveries[:1]
    await agent.send_email(to=[ADA], cc=["c@example.com"], bcc=["b@example.com"], subject="Hi")
    await agent.forward_email(str(arrived.message_id), to=["f@example.com"])
    await agent.send_email(to=["bounce@example.com"], subject="Hi")
    await agent.send_email(to=["fail@example.com"], subject="Hi")
    await check(receiver, MAIL, published.MailWebhookPayload, inkbox_async.MailWebhookPayload)


async def test_imessage(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, receiver: Receiver) -> None:
    agent = await inkbox.create_identity("my-agent", imessage_enabled=True)
    await inkbox.contacts.create(given_name="Ada", phones=[ContactPhone(value=ADAS_PHONE)])
    await inkbox.webhooks.subscriptions.create(
        agent_identity_id=agent.id, url=receiver.url, event_types=IMESSAGE
    )
    world = inkbox_sandbox.world
    await world.send_imessage(from_=ADAS_PHONE, text="connect @my-agent")
    await world.send_imessage(from_=ADAS_PHONE, text="Hello")
    sent = await agent.send_imessage(to=ADAS_PHONE, text="Hi")
    await world.send_imessage(from_=ADAS_PHONE, reaction="🎉", message_id=sent.id)
    await world.set_outcome(channel="imessage", to=ADAS_PHONE, outcome="error")
    await agent.send_imessage(to=ADAS_PHONE, text="Hi")
    await check(receiver, IMESSAGE, published.IMessageWebhookPayload, inkbox_async.IMessageWebhookPayload)


async def check(receiver: Receiver, wanted: list[str], *documented: Any) -> None:  # Any: typed dictionaries
    """Wait until an event of every type has come, and compare each with what is documented."""
    missing, found = {*wanted}, []
    while missing:
        payload = (await receiver.next()).json
        missing.discard(payload["event_type"])
        assert payload["data"]["contacts"] or payload["event_type"] not in ("message.received", *IMESSAGE)
        for typed_dict in documented:
            found += [f"{payload['event_type']}{misfit}" for misfit in misfits(payload, typed_dict)]
    assert found == []


def test_misfits_are_found() -> None:
    payload: dict[str, Any] = {
        "event_type": "message.sent",
        "timestamp": None,
        "data": {"message": {}, "contacts": [{}]},
    }
    found = {*misfits(payload, published.MailWebhookPayload)}
    assert {".timestamp is null", ".data.agent_identities is missing", ".data.message.id is missing"} <= found
    assert ".data.contacts[].bucket is missing" in found
