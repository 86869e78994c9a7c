"""The address book through the front door: every field, every rule, patches, pages, deletion."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .conftest import JSON, Api

WHOLE = {
    "preferred_name": "Countess Ada",
    "name_prefix": "Lady",
    "given_name": "Ada",
    "middle_name": "King",
    "family_name": "Lovelace",
    "name_suffix": "I",
    "company_name": "Analytical Engines",
    "job_title": "Analyst",
    "birthday": "1815-12-10",
    "notes": "Prefers letters.",
    "emails": [
        {"label": "work", "value": "Ada@Example.com", "is_primary": True},
        {"value": "ada@home.example"},
    ],
    "phones": [{"label": "mobile", "value_e164": "+15551234567"}],
    "websites": [{"label": "company", "url": "https://example.com/a?b=c"}],
    "dates": [{"label": "anniversary", "date": "1835-07-08"}],
    "addresses": [{"label": "office", "street": "1 Way", "city": "London", "postal": "W1", "country": "GB"}],
    "custom_fields": [{"label": "tier", "value": "gold"}],
}


async def test_every_field_is_kept(api: Api) -> None:
    reply = await api.call("POST", "/contacts", WHOLE)
    assert reply.status == 201
    contact = reply.body
    for name in ("preferred_name", "middle_name", "birthday", "notes", "custom_fields"):
        assert contact[name] == WHOLE[name], name
    assert contact["emails"] == [
        {"label": "work", "value": "Ada@Example.com", "is_primary": True},
        {"label": None, "value": "ada@home.example", "is_primary": False},
    ]
    assert contact["phones"] == [{"label": "mobile", "value_e164": "+15551234567", "is_primary": False}]
    assert contact["websites"] == [{"label": "company", "url": "https://example.com/a?b=c"}]
    assert contact["dates"] == [{"label": "anniversary", "date": "1835-07-08"}]
    assert contact["addresses"][0]["postal"] == "W1"
    assert contact["addresses"][0]["region"] is None
    assert contact["status"] == "active"
    assert contact["creation_source"] == "manual"
    assert contact["created_at"] == contact["updated_at"]
    assert await api.ok("GET", f"/contacts/{contact['id']}") == contact
    assert await api.ok("GET", "/contacts") == [contact]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"given_name": "Ada", "family_name": "Lovelace"}, "Ada Lovelace"),
        ({"given_name": "Ada", "company_name": "Engines"}, "Ada"),
        ({"family_name": "Lovelace"}, "Lovelace"),
        ({"company_name": "Engines"}, "Engines"),
        ({"preferred_name": "Countess", "given_name": "Ada"}, "Countess"),
    ],
)
async def test_a_name_is_made_where_none_is_given(api: Api, fields: JSON, name: str) -> None:
    assert (await api.ok("POST", "/contacts", fields))["preferred_name"] == name


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"job_title": "Analyst"},
        {"given_name": "", "preferred_name": "  "},
        {"emails": [{"value": "a@b.example"}]},
    ],
)
async def test_a_contact_without_a_name_is_refused(api: Api, fields: JSON) -> None:
    reply = await api.call("POST", "/contacts", fields)
    assert reply.status == 400
    assert "given_name" in reply.body["detail"]
    assert await api.ok("GET", "/contacts") == []


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"emails": [{"value": "not an address"}]}, ["body", "emails", 0, "value"]),
        ({"emails": [{"value": "a@b.example"}, {"value": "A@B.example"}]}, ["body", "emails", 1, "value"]),
        ({"emails": [{"value": f"a{i}@b.example", "is_primary": True} for i in (1, 2)]}, ["body", "emails"]),
        ({"emails": [{"value": f"a{i}@b.example"} for i in range(51)]}, ["body", "emails"]),
        ({"emails": [{"label": "work"}]}, ["body", "emails", 0, "value"]),
        ({"phones": [{"value": "+15551234567"}]}, ["body", "phones", 0]),
        ({"phones": [{"value_e164": "555-1234"}]}, ["body", "phones", 0, "value_e164"]),
        ({"phones": [{"value_e164": "+1 555 123 4567"}]}, ["body", "phones", 0, "value_e164"]),
        ({"phones": [{"value_e164": "+1555"}]}, ["body", "phones", 0, "value_e164"]),
        ({"phones": [{"value_e164": "+15551234567"}] * 2}, ["body", "phones", 1, "value_e164"]),
        (
            {"phones": [{"value_e164": f"+1555123456{i}", "is_primary": True} for i in (1, 2)]},
            ["body", "phones"],
        ),
        ({"websites": [{"url": " "}]}, ["body", "websites", 0, "url"]),
        ({"websites": [{"url": f"https://{i}.example"} for i in range(26)]}, ["body", "websites"]),
        ({"dates": [{"date": "yesterday"}]}, ["body", "dates", 0, "date"]),
        ({"addresses": [{"city": "London"}] * 11}, ["body", "addresses"]),
        ({"addresses": [{"postal_code": "W1"}]}, ["body", "addresses", 0]),
        ({"custom_fields": [{"value": "gold"}]}, ["body", "custom_fields", 0, "label"]),
        ({"birthday": "soon"}, ["body", "birthday"]),
        ({"given_name": "a" * 129}, ["body", "given_name"]),
        ({"name_prefix": "a" * 33}, ["body", "name_prefix"]),
        ({"preferred_name": "a" * 256}, ["body", "preferred_name"]),
        ({"favourite_colour": "blue"}, ["body", "favourite_colour"]),
        ({"access_identity_ids": [str(uuid4()) for _ in range(501)]}, ["body", "access_identity_ids"]),
    ],
)
async def test_what_a_contact_cannot_hold_is_refused_at_its_place(
    api: Api, fields: JSON, where: list[str | int]
) -> None:
    reply = await api.call("POST", "/contacts", {"given_name": "Ada", **fields})
    assert reply.status == 422
    assert reply.problem[0][: len(where)] == where
    contact = await api.contact()
    if "access_identity_ids" not in fields:
        patched = await api.call("PATCH", f"/contacts/{contact['id']}", fields)
        assert patched.status == 422
    assert await api.ok("GET", "/contacts") == [contact], "a refused change leaves nothing behind"


async def test_a_patch_keeps_what_it_leaves_out_and_clears_what_is_null(api: Api) -> None:
    contact = await api.ok("POST", "/contacts", WHOLE)
    path = f"/contacts/{contact['id']}"
    changed = await api.ok(
        "PATCH", path, {"job_title": "Countess", "notes": None, "emails": [{"value": "new@example.com"}]}
    )
    assert changed["job_title"] == "Countess"
    assert changed["notes"] is None
    assert [email["value"] for email in changed["emails"]] == ["new@example.com"]
    assert changed["updated_at"] > contact["updated_at"]
    kept = ("id", "created_at", "given_name", "birthday", "phones", "custom_fields", "access")
    assert {name: changed[name] for name in kept} == {name: contact[name] for name in kept}

    cleared = await api.ok("PATCH", path, {"phones": None, "birthday": None, "preferred_name": None})
    assert (cleared["phones"], cleared["birthday"], cleared["preferred_name"]) == ([], None, None)
    assert await api.ok("PATCH", path, {}) == cleared


async def test_a_patch_cannot_take_the_last_name(api: Api) -> None:
    contact = await api.contact()
    path = f"/contacts/{contact['id']}"
    await api.ok("PATCH", path, {"preferred_name": None})
    assert (await api.call("PATCH", path, {"given_name": None})).status == 400
    assert (await api.ok("GET", path))["given_name"] == "Ada"
    await api.ok("PATCH", path, {"given_name": None, "company_name": "Engines"})


async def test_pages_orders_and_search(api: Api) -> None:
    for fields in (
        {"preferred_name": "Zoe", "job_title": "Émigrée"},
        {"preferred_name": "ada"},
        {"preferred_name": "Bob", "notes": "met in PARIS"},
        {"preferred_name": "Émile", "emails": [{"value": "hidden@example.com"}]},
    ):
        await api.ok("POST", "/contacts", fields)
    assert await api.names() == ["ada", "Bob", "Zoe", "Émile"]
    assert await api.names(order="recent") == ["Émile", "Bob", "ada", "Zoe"]
    assert await api.names(limit="2", offset="1") == ["Bob", "Zoe"]
    assert await api.names(offset="4") == []
    assert await api.names(q="émi") == ["Zoe", "Émile"]
    assert await api.names(q="paris") == ["Bob"]
    assert await api.names(q="%") == []
    assert await api.names(q="hidden") == [], "addresses are for lookups"


@pytest.mark.parametrize(
    "query",
    [{"order": "age"}, {"limit": "0"}, {"limit": "201"}, {"offset": "-1"}, {"q": "a" * 101}, {"page": "1"}],
)
async def test_bad_list_parameters_are_refused(api: Api, query: dict[str, str]) -> None:
    reply = await api.call("GET", "/contacts", query=query)
    assert reply.status == 422
    assert reply.problem[0] == ["query", next(iter(query))]


async def test_a_deleted_contact_is_gone_everywhere(api: Api) -> None:
    contact = await api.contact(emails=[{"value": "ada@example.com"}])
    path = f"/contacts/{contact['id']}"
    assert (await api.call("DELETE", path)).status == 204
    for method, where in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("GET", f"{path}.vcf"),
        ("GET", f"{path}/access"),
    ):
        assert (await api.call(method, where, {} if method == "PATCH" else None)).status == 404
    assert await api.ok("GET", "/contacts") == []
    assert await api.ok("GET", "/contacts/lookup", email="ada@example.com") == []


async def test_another_organization_sees_nothing(api: Api, stranger: Api) -> None:
    contact = await api.contact(emails=[{"value": "ada@example.com"}])
    path = f"/contacts/{contact['id']}"
    assert await stranger.ok("GET", "/contacts") == []
    assert await stranger.ok("GET", "/contacts/lookup", email="ada@example.com") == []
    for method in ("GET", "PATCH", "DELETE"):
        assert (await stranger.call(method, path, {} if method == "PATCH" else None)).status == 404
    assert (await stranger.call("GET", f"{path}.vcf")).status == 404
    assert (await stranger.call("POST", f"{path}/access", {"identity_id": None})).status == 404


async def test_an_agent_keeps_the_book_of_what_it_sees(api: Api) -> None:
    agent = await api.agent("scout")
    own = await agent.contact(given_name="Mine")
    assert own["created_by_identity_id"] == agent.me
    await agent.ok("PATCH", f"/contacts/{own['id']}", {"job_title": "Analyst"})
    hidden = await api.contact(given_name="Hidden", access_identity_ids=[])
    assert await agent.names() == ["Mine"]
    for method in ("GET", "PATCH", "DELETE"):
        reply = await agent.call(method, f"/contacts/{hidden['id']}", {} if method == "PATCH" else None)
        assert reply.status == 404
    await agent.ok("DELETE", f"/contacts/{own['id']}")


async def test_an_agent_whom_nobody_has_claimed_has_no_address_book(api: Api) -> None:
    body = {"human_email": "owner@example.com", "note_to_human": "Hello", "agent_handle": "newborn"}
    signup = await api.ok("POST", "/agent-signup/", body)
    newborn = Api(api.sandbox, api.session, signup["api_key"])
    for path in ("/contacts", "/notes"):
        assert (await newborn.call("GET", path)).status == 403
