"""The client's contacts and notes: what travels, what is refused before it travels, what is read."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inkbox_async import (
    AsyncInkbox,
    Contact,
    ContactAddress,
    ContactDate,
    ContactEmail,
    ContactImportResult,
    ContactPhone,
    ContactWebsite,
    InkboxAPIError,
    InkboxResponseError,
)
from inkbox_async.sandbox import Sandbox

ID = "8a4f2d1e-5b7c-4c3d-8e9f-1a2b3c4d5e6f"
CONTACT = {"id": ID, "created_at": "2026-06-01T12:00:00Z", "updated_at": "2026-06-01T12:00:00Z"}
NOTE = CONTACT | {"organization_id": "org_x", "created_by": "user_x", "body": "Hello", "status": "active"}


class Recorder:
    """A server that remembers what it was sent and answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Any = CONTACT  # Any: JSON of every type

    async def handle(self, request: web.Request) -> web.Response:
        content = await request.read()
        is_json = request.content_type == "application/json" and content
        self.requests.append((request.method, request.path_qs, json.loads(content) if is_json else content))
        self.headers.append(dict(request.headers))
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, content_type="text/vcard", charset="utf-8")
        return web.json_response(self.answer)

    @property
    def body(self) -> Any:  # Any: JSON of every type
        """The body of the latest request."""
        return self.requests[-1][2]


@pytest.fixture
async def server() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(server: Recorder) -> AsyncIterator[AsyncInkbox]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    async with (
        TestServer(application) as running,
        AsyncInkbox("key", base_url=str(running.make_url(""))) as client,
    ):
        yield client


async def test_parts_travel_under_their_wire_names(client: AsyncInkbox, server: Recorder) -> None:
    await client.contacts.create(
        given_name="Ada",
        birthday=date(1815, 12, 10),
        emails=[
            ContactEmail(label="work", value="ada@example.com", is_primary=True),
            {"value": "b@example.com"},
        ],
        phones=(ContactPhone(label=None, value="+15551234567", is_primary=False),),
        websites=[ContactWebsite(label="company", value="https://example.com")],
        dates=[ContactDate(label="anniversary", value=date(2019, 6, 1))],
        addresses=[ContactAddress(label="office", city="London", postal_code="W1")],
    )
    assert server.body == {
        "given_name": "Ada",
        "birthday": "1815-12-10",
        "emails": [
            {"label": "work", "value": "ada@example.com", "is_primary": True},
            {"value": "b@example.com"},
        ],
        "phones": [{"value_e164": "+15551234567"}],
        "websites": [{"label": "company", "url": "https://example.com"}],
        "dates": [{"label": "anniversary", "date": "2019-06-01"}],
        "addresses": [{"label": "office", "city": "London", "postal": "W1"}],
    }


async def test_who_sees_a_new_contact_is_said_only_when_it_is_not_everybody(
    client: AsyncInkbox, server: Recorder
) -> None:
    viewer = uuid4()
    for given, sent in (
        ({}, {}),
        ({"access_identity_ids": "wildcard"}, {}),
        ({"access_identity_ids": None}, {"access_identity_ids": None}),
        ({"access_identity_ids": []}, {"access_identity_ids": []}),
        ({"access_identity_ids": [viewer]}, {"access_identity_ids": [str(viewer)]}),
    ):
        arguments: dict[str, Any] = given
        await client.contacts.create(given_name="Ada", **arguments)
        assert server.body == {"given_name": "Ada", **sent}
    parameter = inspect.signature(client.contacts.create).parameters["access_identity_ids"]
    assert parameter.default == "wildcard"
    sent_before = len(server.requests)
    with pytest.raises(ValueError, match="must be a list"):
        await client.contacts.create(given_name="Ada", access_identity_ids=str(viewer))
    assert len(server.requests) == sent_before


async def test_an_update_sends_what_is_given_and_none_as_null(client: AsyncInkbox, server: Recorder) -> None:
    await client.contacts.update(ID, job_title="Analyst")
    assert server.body == {"job_title": "Analyst"}
    await client.contacts.update(UUID(ID), job_title=None, birthday="2020-02-29", emails=None, phones=[])
    assert server.body == {"job_title": None, "birthday": "2020-02-29", "emails": None, "phones": []}
    await client.contacts.update(ID)
    assert server.body == {}
    assert server.requests[-1][:2] == ("PATCH", f"/api/v1/contacts/{ID}")


async def test_what_was_fetched_can_be_sent_back(client: AsyncInkbox, server: Recorder) -> None:
    server.answer = CONTACT | {
        "emails": [{"label": None, "value": "ada@example.com", "is_primary": False, "verified": True}],
        "phones": [{"label": "m", "value_e164": "+15551234567", "is_primary": True, "carrier": "x"}],
    }
    contact = await client.contacts.get(ID)
    await client.contacts.update(ID, emails=contact.emails, phones=contact.phones)
    assert server.body == {
        "emails": [{"value": "ada@example.com"}],
        "phones": [{"label": "m", "value_e164": "+15551234567", "is_primary": True}],
    }, "what only a newer server knows is not for sending"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"email": None},
        {"email": "a@example.com", "phone": "+15551234567"},
        {"email_contains": "a", "email_domain": "example.com", "phone_contains": "5"},
    ],
)
async def test_a_lookup_takes_exactly_one_filter(
    client: AsyncInkbox, server: Recorder, filters: dict[str, str | None]
) -> None:
    names = "email, email_contains, email_domain, phone, phone_contains"
    with pytest.raises(ValueError, match=f"Exactly one of {names}"):
        await client.contacts.lookup(**filters)
    assert server.requests == []


async def test_a_lookup_sends_its_filter_alone(client: AsyncInkbox, server: Recorder) -> None:
    for answer in ([CONTACT], {"items": [CONTACT]}):
        server.answer = answer
        contacts = await client.contacts.lookup(phone="+15551234567")
        assert [str(contact.id) for contact in contacts] == [ID]
    assert server.requests[-1][1] == "/api/v1/contacts/lookup?phone=%2B15551234567"


async def test_lists_send_what_is_given_and_read_both_shapes(client: AsyncInkbox, server: Recorder) -> None:
    server.answer = {"items": []}
    assert await client.contacts.list() == []
    assert await client.notes.list(q="a b", identity_id=ID, order="recent", limit=5, offset=0) == []
    assert [request[1] for request in server.requests] == [
        "/api/v1/contacts",
        f"/api/v1/notes?q=a%20b&identity_id={ID}&limit=5&offset=0&order=recent",
    ]
    assert await client.contacts.access.list(ID) == []
    assert await client.notes.access.list(ID) == []


async def test_a_grant_says_to_whom(client: AsyncInkbox, server: Recorder) -> None:
    server.answer = {"id": ID, "contact_id": ID, "identity_id": None, "created_at": "2026-06-01T12:00:00Z"}
    access = client.contacts.access
    with pytest.raises(ValueError, match="wildcard=True"):
        await access.grant(ID)
    with pytest.raises(ValueError, match="not both"):
        await access.grant(ID, identity_id=ID, wildcard=True)
    assert server.requests == []
    await access.grant(ID, identity_id=UUID(ID))
    assert server.requests[-1] == ("POST", f"/api/v1/contacts/{ID}/access", {"identity_id": ID})
    assert (await access.grant(ID, wildcard=True)).identity_id is None
    assert server.body == {"identity_id": None}
    await access.revoke(ID, ID)
    assert server.requests[-1][:2] == ("DELETE", f"/api/v1/contacts/{ID}/access/{ID}")


async def test_vcards_travel_as_they_are(client: AsyncInkbox, server: Recorder) -> None:
    server.answer = {"created_count": 0, "error_count": 0, "results": None}
    for content in ("FN:Jürgen\r\n", "FN:Jürgen\r\n".encode(), bytearray("FN:Jürgen\r\n".encode())):
        await client.contacts.vcards.import_vcards(content)  # type: ignore[arg-type, unused-ignore]
        assert server.body == "FN:Jürgen\r\n".encode()
        assert server.headers[-1]["Content-Type"] == "text/vcard"
    await client.contacts.vcards.import_vcards("x", content_type="text/x-vcard")
    assert server.headers[-1]["Content-Type"] == "text/x-vcard"
    with pytest.raises(TypeError, match="str or bytes"):
        await client.contacts.vcards.import_vcards(7)  # type: ignore[arg-type]
    server.answer = "BEGIN:VCARD\r\nFN:Jürgen\r\nEND:VCARD\r\n"
    assert await client.contacts.vcards.export_vcard(ID) == server.answer
    assert server.headers[-1]["Accept"] == "text/vcard"
    assert server.requests[-1][1] == f"/api/v1/contacts/{ID}.vcf"
    for no_card in ("<html>Welcome</html>", "", "BEGIN:VCARD\r\nFN:Jür"):
        server.answer = no_card
        with pytest.raises(InkboxResponseError, match="no vCard"):
            await client.contacts.vcards.export_vcard(ID)


async def test_a_note_keeps_its_text(client: AsyncInkbox, server: Recorder) -> None:
    server.answer = NOTE
    with pytest.raises(ValueError, match="body cannot be cleared"):
        await client.notes.update(ID, body=None)  # type: ignore[arg-type]
    assert server.requests == []
    await client.notes.update(ID, title=None)
    assert server.body == {"title": None}
    await client.notes.update(ID, body="New")
    assert server.body == {"body": "New"}
    await client.notes.create(body="Hello")
    assert server.body == {"body": "Hello"}


def test_old_and_new_servers_are_read() -> None:
    old = Contact.model_validate({**CONTACT, "birthday": "", "emails": None, "access": None})
    assert (old.birthday, old.emails, old.phones, old.access) == (None, [], [], [])
    assert (old.creation_source, old.review_status, old.preferred_name_source) == (
        "backfill",
        "confirmed",
        "manual",
    )
    assert (old.is_confirmed, old.is_auto_created, old.memory_count, old.slack_accounts) == (
        True,
        False,
        None,
        [],
    )
    new = Contact.model_validate({**CONTACT, "creation_source": "telepathy", "aura": "blue"})
    assert new.creation_source == "telepathy"
    assert new.model_extra == {"aura": "blue"}


def test_an_import_is_sorted_by_outcome() -> None:
    result = ContactImportResult.model_validate(
        {
            "created_count": 1,
            "error_count": 3,
            "results": [
                {"index": 0, "status": "error", "error": "FN is missing"},
                {"index": 1, "status": "created", "contact": CONTACT},
                {"index": 2, "status": "conflict", "conflicting_contact_id": ID},
                {"index": 3, "status": "postponed"},
            ],
        }
    )
    assert result.created_ids == [UUID(ID)]
    assert [(item.index, item.error) for item in result.errors] == [(0, "FN is missing")]
    assert [item.conflicting_contact_id for item in result.conflicts] == [UUID(ID)]


async def test_refusals_of_the_server_are_raised(inkbox_sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    for call, status in (
        (inkbox.contacts.create(job_title="Analyst"), 400),
        (inkbox.contacts.create(given_name="Ada", phones=[{"value_e164": "555"}]), 422),
        (inkbox.contacts.get(uuid4()), 404),
        (inkbox.contacts.vcards.import_vcards("x", content_type="text/plain"), 415),
        (inkbox.contacts.vcards.import_vcards("x" * (5 * 1024 * 1024 + 1)), 413),
        (inkbox.contacts.vcards.import_vcards("nothing"), 422),
        (inkbox.notes.create(body=""), 422),
        (inkbox.notes.get(uuid4()), 404),
    ):
        with pytest.raises(InkboxAPIError) as refused:
            await call
        assert refused.value.status_code == status
