"""Who sees whom: nobody at first, then single viewers, or everybody."""

from __future__ import annotations

import uuid

import pytest

from .conftest import Api


class Team:
    """Three identities: one to look at, and two that want to see it."""

    def __init__(self, admin: Api, ids: dict[str, str], agents: dict[str, Api]) -> None:
        self.admin, self.ids, self.agents = admin, ids, agents

    async def grant(self, viewer: str | None) -> int:
        body = {"viewer_identity_id": None if viewer is None else self.ids[viewer]}
        return (await self.admin.call("POST", "/api/v1/identities/target/access", body)).status

    async def revoke(self, viewer: str) -> int:
        path = f"/api/v1/identities/target/access/{self.ids[viewer]}"
        return (await self.admin.call("DELETE", path)).status

    async def viewers(self) -> set[str | None]:
        rows = await self.admin.ok("GET", "/api/v1/identities/target/access")
        names = {value: name for name, value in self.ids.items()}
        assert all(row["target_identity_id"] == self.ids["target"] for row in rows)
        return {names.get(row["viewer_identity_id"]) for row in rows}

    async def seen_by(self) -> set[str]:
        """Who finds the target, in the list and by name alike."""
        seeing = set()
        for name, agent in self.agents.items():
            listed = {row["agent_handle"] for row in await agent.ok("GET", "/api/v1/identities/")}
            assert name in listed, "everybody sees itself"
            reply = await agent.call("GET", "/api/v1/identities/target")
            assert (reply.status == 200) == ("target" in listed)
            if "target" in listed:
                seeing.add(name)
        return seeing


@pytest.fixture
async def team(admin: Api) -> Team:
    ids = {name: (await admin.identity(name))["id"] for name in ("target", "ann", "bob")}
    return Team(admin, ids, {name: await admin.agent(ids[name]) for name in ("ann", "bob")})


async def test_a_new_identity_is_seen_by_admins_only(team: Team) -> None:
    assert await team.viewers() == set()
    assert await team.seen_by() == set()


async def test_a_grant_lets_one_viewer_see(team: Team) -> None:
    assert await team.grant("ann") == 201
    assert await team.viewers() == {"ann"}
    assert await team.seen_by() == {"ann"}
    assert await team.revoke("ann") == 204
    assert await team.seen_by() == set()


async def test_the_wildcard_replaces_single_grants_and_is_granted_once(team: Team) -> None:
    await team.grant("ann")
    assert await team.grant(None) == 201
    assert await team.grant(None) == 201
    assert await team.viewers() == {None}
    assert await team.seen_by() == {"ann", "bob"}
    rows = await team.admin.ok("GET", "/api/v1/identities/target/access")
    assert len(rows) == 1


async def test_revoking_under_the_wildcard_leaves_the_others_grants_of_their_own(team: Team) -> None:
    await team.grant(None)
    assert await team.revoke("ann") == 204
    assert await team.viewers() == {"bob"}
    assert await team.seen_by() == {"bob"}


async def test_refusals(team: Team) -> None:
    assert await team.revoke("ann") == 404
    assert await team.grant("target") == 422
    await team.grant("ann")
    reply = await team.admin.call(
        "POST", "/api/v1/identities/target/access", {"viewer_identity_id": team.ids["ann"]}
    )
    assert reply.status == 409
    assert isinstance(reply.body["detail"], str)
    await team.grant(None)
    reply = await team.admin.call(
        "POST", "/api/v1/identities/target/access", {"viewer_identity_id": team.ids["ann"]}
    )
    assert (reply.status, reply.body["detail"]["error"]) == (409, "redundant_grant")
    elsewhere = await (await team.admin.organization()).identity("elsewhere")
    for stranger in (str(uuid.uuid4()), elsewhere["id"]):
        body = {"viewer_identity_id": stranger}
        assert (await team.admin.call("POST", "/api/v1/identities/target/access", body)).status == 404


async def test_only_admins_handle_grants(team: Team) -> None:
    await team.grant(None)
    for method, path in (("GET", "access"), ("POST", "access"), ("DELETE", f"access/{team.ids['bob']}")):
        reply = await team.agents["ann"].call(method, f"/api/v1/identities/target/{path}", {})
        assert reply.status == 403


async def test_a_deleted_viewer_leaves_no_grant(team: Team) -> None:
    await team.grant("ann")
    await team.admin.call("DELETE", "/api/v1/identities/ann")
    assert await team.viewers() == set()
