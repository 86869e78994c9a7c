"""Lookups: one filter, exact or in part, in any case, and only what the caller may see."""

from __future__ import annotations

import pytest

from .conftest import Api

PEOPLE: list[dict[str, object]] = [
    {
        "given_name": "Ada",
        "emails": [{"value": "Ada.L@Example.com"}],
        "phones": [{"value_e164": "+15551234567"}],
    },
    {
        "given_name": "Bob",
        "emails": [{"value": "bob@mail.example.com"}],
        "phones": [{"value_e164": "+442071234567"}],
    },
    {"given_name": "Cem", "emails": [{"value": "cem@bücher.example"}, {"value": "ada@other.example"}]},
]


@pytest.fixture
async def people(api: Api) -> None:
    for person in PEOPLE:
        await api.ok("POST", "/contacts", person)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("email", "ada.l@example.com", ["Ada"]),
        ("email", "ADA.L@EXAMPLE.COM", ["Ada"]),
        ("email", "ada.l", []),
        ("email", "cem@xn--bcher-kva.example", ["Cem"]),
        ("email_contains", "ada", ["Ada", "Cem"]),
        ("email_contains", "AIL.EX", ["Bob"]),
        ("email_contains", "%", []),
        ("email_contains", "_", []),
        ("email_domain", "example.com", ["Ada"]),
        ("email_domain", "Bücher.example", ["Cem"]),
        ("email_domain", "com", []),
        ("phone", "+15551234567", ["Ada"]),
        ("phone", "5551234567", []),
        ("phone_contains", "1234567", ["Ada", "Bob"]),
        ("phone_contains", "(555) 123-", ["Ada"]),
        ("phone_contains", "999", []),
    ],
)
async def test_filters(api: Api, name: str, value: str, found: list[str]) -> None:
    contacts = await api.ok("GET", "/contacts/lookup", **{name: value})
    assert [contact["given_name"] for contact in contacts] == found


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"email": "a@b.example", "phone": "+15551234567"},
        {"email": ""},
        {"phone_contains": "abc"},
        {"name": "Ada"},
    ],
)
async def test_anything_but_one_filter_is_refused(api: Api, query: dict[str, str]) -> None:
    assert (await api.call("GET", "/contacts/lookup", query=query)).status == 422


async def test_lookups_follow_changes(api: Api) -> None:
    contact = await api.contact(emails=[{"value": "old@example.com"}])
    await api.ok("PATCH", f"/contacts/{contact['id']}", {"emails": [{"value": "new@example.com"}]})
    assert await api.ok("GET", "/contacts/lookup", email="old@example.com") == []
    assert len(await api.ok("GET", "/contacts/lookup", email="new@example.com")) == 1
    await api.ok("PATCH", f"/contacts/{contact['id']}", {"job_title": "Analyst"})
    assert len(await api.ok("GET", "/contacts/lookup", email="new@example.com")) == 1


async def test_an_agent_finds_what_it_may_see(api: Api) -> None:
    agent = await api.agent("scout")
    await api.contact(emails=[{"value": "a@example.com"}], access_identity_ids=[])
    await api.contact(given_name="Seen", emails=[{"value": "b@example.com"}], access_identity_ids=[agent.me])
    contacts = await agent.ok("GET", "/contacts/lookup", email_domain="example.com")
    assert [contact["given_name"] for contact in contacts] == ["Seen"]
