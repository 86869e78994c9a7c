"""Who sees a contact: a wildcard or rows of one's own, grants, revocations, agents that give up access."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .conftest import Api


async def viewers(api: Api, contact_id: str) -> list[str | None]:
    """Whom the grants on a contact name."""
    rows = await api.ok("GET", f"/contacts/{contact_id}/access")
    assert all(row["contact_id"] == contact_id for row in rows)
    shown = (await api.ok("GET", f"/contacts/{contact_id}"))["access"]
    assert shown == rows, "the contact carries its grants"
    return [row["identity_id"] for row in rows]


@pytest.fixture
async def agents(api: Api) -> tuple[Api, Api, Api]:
    return await api.agent("one"), await api.agent("two"), await api.agent("three")


async def test_a_new_contact_is_for_everybody_or_whoever_is_named(
    api: Api, agents: tuple[Api, Api, Api]
) -> None:
    one, two, _ = agents
    for fields in ({}, {"access_identity_ids": None}):
        contact = await api.contact(**fields)
        assert await viewers(api, contact["id"]) == [None]
        assert (await two.call("GET", f"/contacts/{contact['id']}")).status == 200
    nobody = await api.contact(access_identity_ids=[])
    assert await viewers(api, nobody["id"]) == []
    assert (await one.call("GET", f"/contacts/{nobody['id']}")).status == 404
    some = await api.contact(access_identity_ids=[one.me, one.me])
    assert await viewers(api, some["id"]) == [one.me]
    assert (await one.call("GET", f"/contacts/{some['id']}")).status == 200
    assert (await two.call("GET", f"/contacts/{some['id']}")).status == 404


async def test_unknown_and_dead_identities_are_not_found(api: Api, agents: tuple[Api, Api, Api]) -> None:
    one, two, _ = agents
    other = await Api(
        api.sandbox, api.session, (await api.sandbox.world.create_organization()).api_key
    ).agent("far")
    await api.ok("DELETE", "/identities/two")
    for stranger in (str(uuid4()), two.me, other.me):
        body = {"given_name": "Ada", "access_identity_ids": [one.me, stranger]}
        assert (await api.call("POST", "/contacts", body)).status == 404
    assert await api.ok("GET", "/contacts") == []
    contact = await api.contact(access_identity_ids=[])
    for stranger in (str(uuid4()), two.me, other.me):
        path = f"/contacts/{contact['id']}/access"
        assert (await api.call("POST", path, {"identity_id": stranger})).status == 404
        assert (await api.call("DELETE", f"{path}/{stranger}")).status == 404
    assert await viewers(api, contact["id"]) == []


async def test_single_grants(api: Api, agents: tuple[Api, Api, Api]) -> None:
    one, two, _ = agents
    contact = await api.contact(access_identity_ids=[])
    path = f"/contacts/{contact['id']}/access"
    reply = await api.call("POST", path, {"identity_id": one.me})
    assert reply.status == 201
    assert (reply.body["contact_id"], reply.body["identity_id"]) == (contact["id"], one.me)
    again = await api.call("POST", path, {"identity_id": one.me})
    assert again.status == 409
    assert isinstance(again.body["detail"], str)
    await api.ok("POST", path, {"identity_id": two.me})
    assert await viewers(api, contact["id"]) == [one.me, two.me]
    assert (await api.call("DELETE", f"{path}/{one.me}")).status == 204
    assert (await api.call("DELETE", f"{path}/{one.me}")).status == 404
    assert await viewers(api, contact["id"]) == [two.me]


async def test_a_wildcard_replaces_single_grants_and_makes_others_redundant(
    api: Api, agents: tuple[Api, Api, Api]
) -> None:
    one, two, _ = agents
    contact = await api.contact(access_identity_ids=[one.me, two.me])
    path = f"/contacts/{contact['id']}/access"
    reply = await api.call("POST", path, {"identity_id": None})
    assert (reply.status, reply.body["identity_id"]) == (201, None)
    assert await viewers(api, contact["id"]) == [None]
    for identity_id in (one.me, None):
        refused = await api.call("POST", path, {"identity_id": identity_id})
        assert refused.status == 409
        assert refused.body["detail"]["error"] == "redundant_grant"
        assert refused.body["detail"]["detail"]
    assert (await api.call("POST", path, {})).status == 422, "null must be said"


async def test_taking_one_out_of_a_wildcard_leaves_all_the_others(
    api: Api, agents: tuple[Api, Api, Api]
) -> None:
    one, two, three = agents
    contact = await api.contact()
    path = f"/contacts/{contact['id']}/access"
    assert (await api.call("DELETE", f"{path}/{uuid4()}")).status == 404
    assert await viewers(api, contact["id"]) == [None]
    await api.ok("DELETE", f"{path}/{two.me}")
    assert set(await viewers(api, contact["id"])) == {one.me, three.me}
    late = await api.agent("late")
    assert (await late.call("GET", f"/contacts/{contact['id']}")).status == 404


async def test_agents_may_only_give_up_their_own_access(api: Api, agents: tuple[Api, Api, Api]) -> None:
    one, two, three = agents
    contact = await api.contact()
    path = f"/contacts/{contact['id']}/access"
    assert len(await one.ok("GET", path)) == 1
    assert (await one.call("POST", path, {"identity_id": two.me})).status == 403
    assert (await one.call("DELETE", f"{path}/{two.me}")).status == 403
    assert (await one.call("DELETE", f"{path}/{one.me}")).status == 204
    assert (await one.call("GET", f"/contacts/{contact['id']}")).status == 404
    assert (await one.call("GET", path)).status == 404
    assert set(await viewers(api, contact["id"])) == {two.me, three.me}
    assert (await two.call("DELETE", f"{path}/{two.me}")).status == 204
    assert await viewers(api, contact["id"]) == [three.me]


async def test_grants_die_with_their_identity(api: Api, agents: tuple[Api, Api, Api]) -> None:
    one, two, _ = agents
    contact = await api.contact(access_identity_ids=[one.me, two.me])
    await api.ok("DELETE", "/identities/one")
    assert await viewers(api, contact["id"]) == [two.me]
