"""Interoperability: the published synchronous client works on the sandbox, over contacts and notes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

import inkbox as published
import inkbox.exceptions
import pytest

from inkbox_async import AsyncInkbox, ContactEmail, ContactPhone
from inkbox_async.sandbox import Sandbox

T = TypeVar("T")
Client = Any  # Any: the published package has no stubs here
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def official(inkbox_sandbox: Sandbox) -> Run:
    """Runs a function with an official client, in a thread; with another key where one is given."""

    async def run(function: Callable[[Client], T], key: str | None = None) -> T:
        def call() -> T:
            settings = {"api_key": key or inkbox_sandbox.api_key, "base_url": inkbox_sandbox.base_url}
            with published.Inkbox(**settings) as client:
                return function(client)

        return await asyncio.to_thread(call)

    return run


def refusal(call: Callable[[], object]) -> Any:  # Any: an exception of the published package
    with pytest.raises(inkbox.exceptions.InkboxAPIError) as refused:
        call()
    return refused.value


async def test_the_address_book(official: Run) -> None:
    def work(client: Client) -> None:
        contact = client.contacts.create(
            given_name="Ada",
            family_name="Lovelace",
            birthday=date(1815, 12, 10),
            emails=[published.ContactEmail(label="work", value="ada@example.com", is_primary=True)],
            phones=[published.ContactPhone(label="mobile", value="+15551234567")],
            websites=[published.ContactWebsite(label=None, value="https://example.com")],
            dates=[published.ContactDate(label="anniversary", value=date(2019, 6, 1))],
            addresses=[published.ContactAddress("office", "1 Way", "London", None, "W1", "GB")],
            custom_fields=[published.ContactCustomField("tier", "gold")],
        )
        assert contact.preferred_name == "Ada Lovelace"
        assert client.contacts.get(str(contact.id)) == contact
        assert client.contacts.list(q="ada", order="recent", limit=50, offset=0) == [contact]
        for filters in (
            {"email": "ada@example.com"},
            {"email_contains": "ada"},
            {"email_domain": "example.com"},
            {"phone": "+15551234567"},
            {"phone_contains": "555"},
        ):
            assert client.contacts.lookup(**filters) == [contact], filters
        assert client.contacts.lookup(email="nobody@example.com") == []
        changed = client.contacts.update(contact.id, job_title="Analyst", birthday=None, websites=[])
        assert (changed.job_title, changed.birthday, changed.websites) == ("Analyst", None, [])
        assert changed.phones == contact.phones
        client.contacts.delete(contact.id)
        assert refusal(lambda: client.contacts.get(contact.id)).status_code == 404
        assert refusal(lambda: client.contacts.create(job_title="Analyst")).status_code == 400
        assert refusal(lambda: client.contacts.create(preferred_name="A" * 256)).status_code == 422

    await official(work)


async def test_access(official: Run) -> None:
    def work(client: Client) -> None:
        agents = [client.create_identity(f"agent-{i}") for i in range(3)]
        contact = client.contacts.create(given_name="Ada")
        assert [row.identity_id for row in client.contacts.access.list(contact.id)] == [None]
        with pytest.raises(inkbox.exceptions.RedundantContactAccessGrantError) as redundant:
            client.contacts.access.grant(contact.id, identity_id=agents[0].id)
        assert redundant.value.error == "redundant_grant"
        assert redundant.value.detail_message
        client.contacts.access.revoke(contact.id, agents[0].id)
        rows = client.contacts.access.list(contact.id)
        assert {row.identity_id for row in rows} == {agents[1].id, agents[2].id}
        granted = client.contacts.access.grant(contact.id, identity_id=agents[0].id)
        assert (granted.contact_id, granted.identity_id) == (contact.id, agents[0].id)
        again = refusal(lambda: client.contacts.access.grant(contact.id, identity_id=agents[0].id))
        assert (again.status_code, type(again.detail)) == (409, str)
        assert client.contacts.access.grant(contact.id, wildcard=True).identity_id is None
        private = client.contacts.create(given_name="Secret", access_identity_ids=[])
        assert private.access == []
        single = client.contacts.create(given_name="Single", access_identity_ids=[agents[0].id])
        assert [row.identity_id for row in single.access] == [agents[0].id]

    await official(work)


async def test_vcards(official: Run) -> None:
    def work(client: Client) -> None:
        result = client.contacts.vcards.import_vcards(
            "BEGIN:VCARD\nVERSION:4.0\nFN:Ada\nEMAIL;TYPE=work:ada@example.com\nEND:VCARD\n"
            "BEGIN:VCARD\nVERSION:3.0\nEMAIL:nameless@example.com\nEND:VCARD\n"
        )
        assert (result.created_count, result.error_count) == (1, 1)
        assert [(item.index, item.status) for item in result.errors] == [(1, "error")]
        (created,) = result.created_ids
        text = client.contacts.vcards.export_vcard(created)
        assert text.startswith("BEGIN:VCARD\r\nVERSION:4.0\r\n")
        assert "EMAIL;TYPE=work:ada@example.com" in text
        assert client.contacts.vcards.import_vcards(text.encode()).created_count == 1

    await official(work)


async def test_notes(official: Run, inkbox: AsyncInkbox) -> None:
    def work(client: Client) -> None:
        agent = client.create_identity("scout")
        note = client.notes.create(body="Customer prefers email follow-up.", title="Ada")
        assert client.notes.get(str(note.id)) == note
        assert client.notes.update(note.id, body="Updated body").title == "Ada"
        assert client.notes.update(note.id, title=None).title is None
        assert refusal(lambda: client.notes.update(note.id, body=None)).status_code == 422
        grant = client.notes.access.grant(note.id, identity_id=agent.id)
        assert (grant.note_id, grant.identity_id) == (note.id, agent.id)
        assert refusal(lambda: client.notes.access.grant(note.id, identity_id=agent.id)).status_code == 409
        assert client.notes.access.list(note.id) == [grant]
        found = client.notes.list(q="updated", identity_id=agent.id, order="recent", limit=50, offset=0)
        assert [row.id for row in found] == [note.id]

    await official(work)
    (note,) = await inkbox.notes.list()
    agent = await inkbox.get_identity("scout")
    key = (await inkbox.api_keys.create(scoped_identity_id=agent.id)).api_key

    def as_agent(client: Client) -> None:
        assert [row.id for row in client.notes.list()] == [note.id]
        other = client.notes.create(body="Mine")
        assert [row.identity_id for row in other.access] == [agent.id]
        client.notes.access.revoke(note.id, agent.id)
        assert refusal(lambda: client.notes.get(note.id)).status_code == 404

    await official(as_agent, key)
    await official(lambda client: client.notes.delete(note.id))


async def test_both_clients_read_what_the_other_wrote(official: Run, inkbox: AsyncInkbox) -> None:
    ours = await inkbox.contacts.create(
        given_name="Ada",
        emails=[ContactEmail(label=None, value="ada@example.com")],
        phones=[ContactPhone(label="mobile", value="+15551234567", is_primary=True)],
    )
    theirs = await official(lambda client: client.contacts.get(ours.id))
    assert (theirs.id, theirs.created_at, theirs.preferred_name) == (ours.id, ours.created_at, "Ada")
    assert (theirs.phones[0].value, theirs.phones[0].is_primary) == ("+15551234567", True)
    assert theirs.emails[0].label is None
    await official(lambda client: client.contacts.update(ours.id, dates=theirs.dates, phones=theirs.phones))
    assert (await inkbox.contacts.get(ours.id)).phones == ours.phones
