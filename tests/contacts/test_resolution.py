"""Whose address it is: events name the contacts that the receiving identity may see."""

from __future__ import annotations

import json

import pytest

from inkbox_async.sandbox.contacts.resolution import resolve_contacts
from inkbox_async.sandbox.webhooks.matching import match_party

from .conftest import JSON, Api


@pytest.fixture
async def scout(api: Api) -> Api:
    return await api.agent("scout")


async def told(api: Api, event_type: str) -> JSON:
    """The data of the latest event of a type."""
    payload = await api.sandbox.store.run(
        lambda tx: tx.value(
            "SELECT payload FROM events WHERE event_type = ? ORDER BY seq DESC LIMIT 1", event_type
        )
    )
    return json.loads(payload)["data"]


async def test_mail_that_arrives_names_sender_and_copies(api: Api, scout: Api) -> None:
    ada = await api.contact(family_name="Lovelace", emails=[{"value": "Ada@Example.com"}])
    lin = await api.contact(given_name="Lin", emails=[{"value": "lin@example.com"}])
    await api.contact(given_name="Hidden", emails=[{"value": "ada@example.com"}], access_identity_ids=[])
    await api.sandbox.world.send_email(
        from_="ada@EXAMPLE.com",
        to=["scout@inkboxmail.com"],
        cc=["lin@example.com", "max@example.com"],
        text="Hi",
    )
    data = await told(api, "message.received")
    found = [
        (match["bucket"], match["address"].lower(), match["id"], match["name"]) for match in data["contacts"]
    ]
    assert found == [
        ("from", "ada@example.com", ada["id"], "Ada Lovelace"),
        ("cc", "lin@example.com", lin["id"], "Lin"),
    ]


async def test_mail_that_is_sent_names_everybody_it_goes_to(api: Api, scout: Api) -> None:
    ada = await api.contact(emails=[{"value": "ada@example.com"}], access_identity_ids=[scout.me])
    body = {
        "recipients": {"to": ["max@example.com"], "bcc": ["ada@example.com"]},
        "subject": "Hello",
        "body_text": "Hi",
    }
    await api.ok("POST", "/mail/mailboxes/scout@inkboxmail.com/messages", body)
    data = await told(api, "message.sent")
    assert [(match["bucket"], match["id"]) for match in data["contacts"]] == [("bcc", ada["id"])]


async def test_numbers_and_addresses_lead_to_contacts(api: Api, scout: Api, stranger: Api) -> None:
    number = [{"value_e164": "+15551234567"}]
    first = await api.contact(phones=number, emails=[{"value": "ada@example.com"}])
    second = await api.contact(given_name="", company_name="Engines", phones=number)
    own = await api.contact(phones=number, access_identity_ids=[scout.me])
    gone = await api.contact(phones=number)
    await api.ok("DELETE", f"/contacts/{gone['id']}")
    await stranger.contact(phones=number)
    await api.ok("PATCH", f"/contacts/{second['id']}", {"preferred_name": None})
    organization = api.sandbox.organization_id

    async def found(identity_id: str | None, address: str) -> list[tuple[str, str]]:
        matches = await api.sandbox.store.run(
            lambda tx: resolve_contacts(tx, organization, identity_id, address)
        )
        return [(match["id"], match["name"]) for match in matches]

    for_all = [(first["id"], "Ada"), (second["id"], "Engines")]
    assert await found(scout.me, "+15551234567") == [*for_all, (own["id"], "Ada")]
    assert await found(None, "+15551234567") == for_all
    assert await found(scout.me, "+15551234568") == []
    assert await found(scout.me, " ADA@example.com") == [(first["id"], "Ada")]
    assert await found(scout.me, "") == []
    contacts, _ = await api.sandbox.store.run(
        lambda tx: match_party(tx, organization, scout.me, "ada@example.com")
    )
    assert contacts == [{"id": first["id"], "name": "Ada"}], "texts and calls resolve in the same way"
