"""Notes through the front door: texts byte for byte, patches, search, grants without a wildcard."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .conftest import JSON, Api

TEXT = "# Ada\r\n\tPrefers *email*\u2028 \U0001f511 \n"


async def note(api: Api, body: str = "Hello", **fields: JSON) -> JSON:
    return await api.ok("POST", "/notes", {"body": body, **fields})


async def bodies(api: Api, **query: str) -> list[str]:
    return [row["body"] for row in await api.ok("GET", "/notes", **query)]


async def test_a_note_is_kept_byte_for_byte(api: Api) -> None:
    reply = await api.call("POST", "/notes", {"body": TEXT, "title": "Ada"})
    assert reply.status == 201
    created = reply.body
    assert (created["body"], created["title"], created["status"]) == (TEXT, "Ada", "active")
    assert created["access"] == [], "what an admin writes is for admins"
    assert created["created_by"].startswith("user_")
    assert await api.ok("GET", f"/notes/{created['id']}") == created
    assert (await note(api))["title"] is None
    assert (await note(api, title=None))["title"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"body": ""},
        {"body": None},
        {"body": "a" * 100_001},
        {"body": "x", "title": "a" * 256},
        {"body": "x", "created_by": "user_me"},
    ],
)
async def test_what_a_note_cannot_be_is_refused(api: Api, fields: JSON) -> None:
    assert (await api.call("POST", "/notes", fields)).status == 422
    assert await api.ok("GET", "/notes") == []


async def test_limits_are_inclusive(api: Api) -> None:
    created = await note(api, "a" * 100_000, title="b" * 255)
    assert len(created["body"]) == 100_000


async def test_a_patch_changes_what_it_names(api: Api) -> None:
    created = await note(api, title="Ada")
    path = f"/notes/{created['id']}"
    changed = await api.ok("PATCH", path, {"body": "New"})
    assert (changed["body"], changed["title"]) == ("New", "Ada")
    assert changed["updated_at"] > created["updated_at"]
    cleared = await api.ok("PATCH", path, {"title": None})
    assert (cleared["body"], cleared["title"]) == ("New", None)
    for body in ({"body": None}, {"body": ""}, {"status": "archived"}, {"created_by": "me"}):
        assert (await api.call("PATCH", path, body)).status == 422
    assert await api.ok("PATCH", path, {}) == cleared


async def test_pages_orders_and_search(api: Api) -> None:
    first = await note(api, "Call ÉMILE back", title="Monday")
    await note(api, "Buy 100% wool")
    await note(api, "Nothing")
    assert await bodies(api) == ["Nothing", "Buy 100% wool", "Call ÉMILE back"]
    await api.ok("PATCH", f"/notes/{first['id']}", {"title": "Tuesday"})
    assert await bodies(api) == ["Call ÉMILE back", "Nothing", "Buy 100% wool"]
    assert await bodies(api, order="created") == ["Nothing", "Buy 100% wool", "Call ÉMILE back"]
    assert await bodies(api, limit="1", offset="1") == ["Nothing"]
    assert await bodies(api, q="émile") == ["Call ÉMILE back"]
    assert await bodies(api, q="TUESDAY") == ["Call ÉMILE back"]
    assert await bodies(api, q="monday") == []
    assert await bodies(api, q="%") == ["Buy 100% wool"]


@pytest.mark.parametrize(
    "query", [{"order": "name"}, {"limit": "201"}, {"offset": "-1"}, {"q": "a" * 201}, {"identity_id": "me"}]
)
async def test_bad_list_parameters_are_refused(api: Api, query: dict[str, str]) -> None:
    assert (await api.call("GET", "/notes", query=query)).status == 422


async def test_agents_see_what_they_were_granted_or_wrote(api: Api) -> None:
    agent, other = await api.agent("scout"), await api.agent("other")
    own = await note(agent, "Mine")
    assert own["created_by"] == agent.me
    assert [row["identity_id"] for row in own["access"]] == [agent.me]
    secret = await note(api, "Secret")
    path = f"/notes/{secret['id']}"
    for method, where in (("GET", path), ("PATCH", path), ("DELETE", path), ("GET", f"{path}/access")):
        assert (await agent.call(method, where, {} if method == "PATCH" else None)).status == 404
    assert await bodies(agent) == ["Mine"]
    assert await bodies(other) == []

    grant = await api.call("POST", f"{path}/access", {"identity_id": agent.me})
    assert grant.status == 201
    assert (grant.body["note_id"], grant.body["identity_id"]) == (secret["id"], agent.me)
    assert await bodies(agent) == ["Secret", "Mine"]
    assert await bodies(api, identity_id=agent.me) == ["Secret", "Mine"]
    assert await bodies(api, identity_id=other.me) == []
    assert await bodies(agent, identity_id=other.me) == []
    await agent.ok("PATCH", path, {"title": "Read"})
    assert await agent.ok("GET", f"{path}/access") == [grant.body]
    await agent.ok("DELETE", f"/notes/{own['id']}")


async def test_grants_and_their_refusals(api: Api, stranger: Api) -> None:
    agent, other = await api.agent("scout"), await api.agent("other")
    created = await note(api)
    path = f"/notes/{created['id']}/access"
    await api.ok("POST", path, {"identity_id": agent.me})
    assert (await api.call("POST", path, {"identity_id": agent.me})).status == 409
    assert (await api.call("POST", path, {"identity_id": None})).status == 422, "there is no wildcard"
    assert (await api.call("POST", path, {})).status == 422
    assert (await api.call("POST", path, {"identity_id": str(uuid4())})).status == 404
    assert (await api.call("POST", f"/notes/{uuid4()}/access", {"identity_id": agent.me})).status == 404
    assert (await agent.call("POST", path, {"identity_id": other.me})).status == 403
    assert (await agent.call("DELETE", f"{path}/{other.me}")).status == 403
    assert (await api.call("DELETE", f"{path}/{other.me}")).status == 404
    assert (await stranger.call("GET", path)).status == 404
    assert (await stranger.call("GET", f"/notes/{created['id']}")).status == 404
    assert [row["identity_id"] for row in await api.ok("GET", path)] == [agent.me]

    assert (await agent.call("DELETE", f"{path}/{agent.me}")).status == 204
    assert (await agent.call("GET", path)).status == 404
    await api.ok("POST", path, {"identity_id": agent.me})
    assert (await api.call("DELETE", f"{path}/{agent.me}")).status == 204
    assert await api.ok("GET", path) == []


async def test_the_author_can_be_shut_out(api: Api) -> None:
    agent = await api.agent("scout")
    created = await note(agent)
    await api.ok("DELETE", f"/notes/{created['id']}/access/{agent.me}")
    assert (await agent.call("GET", f"/notes/{created['id']}")).status == 404
    assert await bodies(api) == ["Hello"]


async def test_deleted_notes_and_dead_identities_leave_no_grants(api: Api) -> None:
    agent = await api.agent("scout")
    created, kept = await note(agent, "Gone"), await note(agent, "Kept")
    assert (await api.call("DELETE", f"/notes/{created['id']}")).status == 204
    for method in ("GET", "DELETE"):
        assert (await api.call(method, f"/notes/{created['id']}")).status == 404
    assert await bodies(agent) == ["Kept"]
    await api.ok("DELETE", "/identities/scout")
    assert (await api.ok("GET", f"/notes/{kept['id']}"))["access"] == []
