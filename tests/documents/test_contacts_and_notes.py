"""The documents, line by line: contacts, their access and vCards, and notes."""

from __future__ import annotations

from uuid import UUID

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    Contact,
    ContactAddress,
    ContactEmail,
    ContactImportResultItem,
    ContactPhone,
    InkboxAPIError,
    RedundantContactAccessGrantError,
)
from inkbox_async.sandbox import Sandbox

VCF = """\
BEGIN:VCARD
VERSION:4.0
FN:Ada Lovelace
EMAIL;TYPE=work:ada@example.com
TEL;TYPE=mobile:+15551234567
END:VCARD
BEGIN:VCARD
VERSION:3.0
EMAIL:nameless@example.com
END:VCARD
"""


@pytest.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("sales-agent")


@pytest.fixture
async def contact(inkbox: AsyncInkbox, identity: AgentIdentity) -> Contact:
    return await inkbox.contacts.create(
        given_name="Ada",
        family_name="Lovelace",
        emails=[ContactEmail(label="work", value="ada@example.com")],
        phones=[ContactPhone(label="mobile", value="+15551234567")],
    )


async def as_agent(inkbox: AsyncInkbox, sandbox: Sandbox, identity: AgentIdentity) -> AsyncInkbox:
    key = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    return sandbox.client(key.api_key)


async def test_create_get_list_update_delete(inkbox: AsyncInkbox, contact: Contact) -> None:
    assert isinstance(contact, Contact)
    assert [(email.label, email.value) for email in contact.emails] == [("work", "ada@example.com")]
    assert [(phone.label, phone.value) for phone in contact.phones] == [("mobile", "+15551234567")]
    assert (await inkbox.contacts.get(str(contact.id))).id == contact.id
    found = await inkbox.contacts.list(q="ada", order="recent", limit=50, offset=0)
    assert [row.id for row in found] == [contact.id]
    changed = await inkbox.contacts.update(str(contact.id), job_title="Analyst")
    assert (changed.job_title, changed.given_name, changed.emails) == ("Analyst", "Ada", contact.emails)
    address = ContactAddress(label="office", street="1 Way", city="London", postal_code="W1", country="GB")
    moved = await inkbox.contacts.update(contact.id, addresses=[address])
    assert moved.addresses == [address]
    await inkbox.contacts.delete(str(contact.id))
    with pytest.raises(InkboxAPIError) as gone:
        await inkbox.contacts.get(str(contact.id))
    assert gone.value.status_code == 404


async def test_access_is_for_everybody_unless_said_otherwise(
    inkbox: AsyncInkbox, identity: AgentIdentity, contact: Contact
) -> None:
    assert [row.identity_id for row in contact.access] == [None]
    for_admins = await inkbox.contacts.create(given_name="Secret", access_identity_ids=[])
    assert for_admins.access == []
    for_one = await inkbox.contacts.create(given_name="Own", access_identity_ids=[str(identity.id)])
    assert [row.identity_id for row in for_one.access] == [identity.id]


async def test_reverse_lookup(inkbox: AsyncInkbox, contact: Contact) -> None:
    for found in (
        await inkbox.contacts.lookup(email="ada@example.com"),
        await inkbox.contacts.lookup(email_domain="example.com"),
        await inkbox.contacts.lookup(phone="+15551234567"),
        await inkbox.contacts.lookup(email_contains="ada"),
        await inkbox.contacts.lookup(phone_contains="555"),
    ):
        assert [row.id for row in found] == [contact.id]
    with pytest.raises(ValueError, match="Exactly one"):
        await inkbox.contacts.lookup()
    with pytest.raises(ValueError, match="Exactly one"):
        await inkbox.contacts.lookup(email="ada@example.com", phone="+15551234567")


async def test_access_grants(inkbox: AsyncInkbox, identity: AgentIdentity, contact: Contact) -> None:
    cid = str(contact.id)
    assert len(await inkbox.contacts.access.list(cid)) == 1
    with pytest.raises(RedundantContactAccessGrantError) as redundant:
        await inkbox.contacts.access.grant(cid, identity_id=str(identity.id))
    error = redundant.value
    assert (error.status_code, error.error) == (409, "redundant_grant")
    assert error.detail_message
    assert isinstance(error.detail, dict)

    other = await inkbox.create_identity("other-agent")
    await inkbox.contacts.access.revoke(cid, str(identity.id))
    assert [row.identity_id for row in await inkbox.contacts.access.list(cid)] == [other.id]
    assert (await inkbox.contacts.access.grant(cid, identity_id=str(identity.id))).identity_id == identity.id
    assert (await inkbox.contacts.access.grant(cid, wildcard=True)).identity_id is None
    assert [row.identity_id for row in await inkbox.contacts.access.list(cid)] == [None]


async def test_agents_can_revoke_themselves_and_grant_nothing(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, identity: AgentIdentity, contact: Contact
) -> None:
    async with await as_agent(inkbox, inkbox_sandbox, identity) as agent:
        with pytest.raises(InkboxAPIError) as refused:
            await agent.contacts.access.grant(contact.id, wildcard=True)
        assert refused.value.status_code == 403
        await agent.contacts.access.revoke(contact.id, identity.id)
        assert await agent.contacts.list() == []


async def test_vcards(inkbox: AsyncInkbox) -> None:
    result = await inkbox.contacts.vcards.import_vcards(VCF)
    (created,) = result.created_ids
    assert isinstance(created, UUID)
    (item,) = result.errors
    assert isinstance(item, ContactImportResultItem)
    assert item.index == 1
    assert item.error
    vcf = await inkbox.contacts.vcards.export_vcard(str(created))
    assert vcf.startswith("BEGIN:VCARD\r\nVERSION:4.0\r\n")
    assert "FN:Ada Lovelace" in vcf
    too_many = "BEGIN:VCARD\nVERSION:4.0\nFN:A\nEND:VCARD\n" * 1001
    with pytest.raises(InkboxAPIError) as refused:
        await inkbox.contacts.vcards.import_vcards(too_many)
    assert refused.value.status_code == 413


async def test_notes(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    note = await inkbox.notes.create(body="Customer prefers email follow-up.", title="Ada")
    nid = str(note.id)
    assert (await inkbox.notes.get(nid)).body == note.body
    await inkbox.notes.access.grant(nid, identity_id=str(identity.id))
    found = await inkbox.notes.list(q="email", identity_id=str(identity.id), order="recent", limit=50)
    assert [row.id for row in found] == [note.id]
    assert (await inkbox.notes.update(nid, body="Updated body")).title == "Ada"
    cleared = await inkbox.notes.update(nid, title=None)
    assert (cleared.title, cleared.body) == (None, "Updated body")
    with pytest.raises(ValueError, match="body cannot be cleared"):
        await inkbox.notes.update(nid, body=None)  # type: ignore[arg-type]

    assert [row.identity_id for row in await inkbox.notes.access.list(nid)] == [identity.id]
    await inkbox.notes.access.revoke(nid, str(identity.id))
    assert await inkbox.notes.access.list(nid) == []
    await inkbox.notes.delete(nid)
    assert await inkbox.notes.list() == []


async def test_identities_see_only_the_notes_they_were_granted(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, identity: AgentIdentity
) -> None:
    note = await inkbox.notes.create(body="Secret")
    assert note.access == []
    async with await as_agent(inkbox, inkbox_sandbox, identity) as agent:
        with pytest.raises(InkboxAPIError) as hidden:
            await agent.notes.get(note.id)
        assert hidden.value.status_code == 404
        with pytest.raises(InkboxAPIError) as refused:
            await agent.notes.access.grant(note.id, identity_id=identity.id)
        assert refused.value.status_code in (403, 404)
        await inkbox.notes.access.grant(note.id, identity_id=identity.id)
        assert (await agent.notes.get(note.id)).body == "Secret"


async def test_parts_of_a_contact_as_mappings_use_the_names_of_the_models(inkbox: AsyncInkbox) -> None:
    contact = await inkbox.contacts.create(
        given_name="Ada",
        phones=[{"label": "mobile", "value": "+14155550123"}],
        websites=[{"label": "home", "value": "https://ada.example"}],
        addresses=[{"label": "home", "street": "1 Engine Way", "city": "London", "postal_code": "N1"}],
    )
    assert [phone.value for phone in contact.phones] == ["+14155550123"]
    assert [site.value for site in contact.websites] == ["https://ada.example"]
    changed = await inkbox.contacts.update(
        contact.id, phones=[{"label": "work", "value_e164": "+14155550124"}]
    )
    assert [phone.value for phone in changed.phones] == ["+14155550124"]
