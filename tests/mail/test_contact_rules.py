"""Contact rules through the front door: all six operations, duplicates, pauses, directions."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api

SPAM = {"action": "block", "match_type": "domain", "match_target": "spam.example"}


@pytest.fixture
async def rules(api: Api) -> str:
    """Path of a mailbox's rules."""
    return f"/mail/mailboxes/{await api.identity('scout')}/contact-rules"


async def test_a_new_rule(api: Api, rules: str) -> None:
    mailbox = await api.ok("GET", rules.removesuffix("/contact-rules"))
    reply = await api.call("POST", rules, {**SPAM, "match_target": "SPAM.Example"})
    assert reply.status == 201
    rule = reply.body
    assert (rule["action"], rule["match_type"], rule["match_target"]) == ("block", "domain", "spam.example")
    assert (rule["status"], rule["direction"]) == ("active", "both")
    assert rule["mailbox_id"] == mailbox["id"]
    assert rule["agent_identity_id"] == mailbox["agent_identity_id"]
    assert await api.ok("GET", f"{rules}/{rule['id']}") == rule
    assert await api.ok("GET", rules) == [rule]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "greet"},
        {"match_type": "regex"},
        {"match_target": "user@spam.example"},
        {"match_target": ""},
        {"match_target": "*.example"},
        {"match_type": "exact_email"},
        {"direction": "sideways"},
        {"mailbox_id": "nonsense"},
    ],
)
async def test_bad_rules_are_refused(api: Api, rules: str, fields: dict[str, str]) -> None:
    assert (await api.call("POST", rules, {**SPAM, **fields})).status == 422
    assert await api.ok("GET", rules) == []


@pytest.mark.parametrize("status", ["paused", "deleted", None])
async def test_a_new_rule_is_active_whatever_is_sent(api: Api, rules: str, status: str | None) -> None:
    rule = await api.ok("POST", rules, {**SPAM, "status": status})
    assert rule["status"] == "active"


async def test_a_second_rule_for_a_target_is_refused_while_the_first_lives(api: Api, rules: str) -> None:
    first = await api.ok("POST", rules, SPAM)

    async def refused(fields: dict[str, str]) -> None:
        reply = await api.call("POST", rules, {**SPAM, **fields})
        assert reply.status == 409
        assert reply.body["detail"]["existing_rule_id"] == first["id"]
        assert reply.body["detail"]["message"]

    await refused({})
    await refused({"action": "allow", "match_target": "SPAM.example"})
    await api.ok("PATCH", f"{rules}/{first['id']}", {"status": "paused"})
    await refused({})
    await api.ok("POST", rules, {**SPAM, "match_type": "exact_email", "match_target": "a@spam.example"})
    await api.ok("DELETE", f"{rules}/{first['id']}")
    assert (await api.ok("POST", rules, {**SPAM, "action": "allow"}))["id"] != first["id"]


async def test_another_mailbox_may_have_the_same_rule(api: Api, rules: str) -> None:
    await api.ok("POST", rules, SPAM)
    await api.ok("POST", f"/mail/mailboxes/{await api.identity('other')}/contact-rules", SPAM)


async def test_changing_a_rule(api: Api, rules: str) -> None:
    rule = await api.ok("POST", rules, SPAM)
    path = f"{rules}/{rule['id']}"
    paused = await api.ok("PATCH", path, {"status": "paused"})
    assert (paused["status"], paused["action"]) == ("paused", "block")
    assert paused["updated_at"] > rule["updated_at"]
    changed = await api.ok("PATCH", path, {"status": "active", "action": "allow"})
    assert (changed["status"], changed["action"], changed["id"]) == ("active", "allow", rule["id"])
    assert await api.ok("PATCH", path, {}) == changed


@pytest.mark.parametrize(
    "body",
    [
        {"status": "deleted"},
        {"status": "sleeping"},
        {"action": None},
        {"match_target": "other.example"},
        {"match_type": "exact_email"},
        {"apply_to": "inbound"},
        {"apply_to": "both", "action": "allow"},
        {"apply_to": "inbound", "action": "allow", "direction": "both"},
    ],
)
async def test_bad_changes_are_refused(api: Api, rules: str, body: dict[str, Any]) -> None:
    rule = await api.ok("POST", rules, SPAM)
    assert (await api.call("PATCH", f"{rules}/{rule['id']}", body)).status == 422
    assert await api.ok("GET", f"{rules}/{rule['id']}") == rule


async def test_a_deleted_rule_is_gone(api: Api, rules: str) -> None:
    rule = await api.ok("POST", rules, SPAM)
    path = f"{rules}/{rule['id']}"
    assert (await api.call("DELETE", path)).status == 204
    assert await api.ok("GET", rules) == []
    assert (await api.call("GET", path)).status == 404
    assert (await api.call("PATCH", path, {})).status == 404
    assert (await api.call("DELETE", path)).status == 404


async def test_lists_are_newest_first_filtered_and_cut(api: Api, rules: str) -> None:
    made = [
        await api.ok("POST", rules, {"action": action, "match_type": kind, "match_target": target})
        for action, kind, target in (
            ("block", "domain", "one.example"),
            ("allow", "domain", "two.example"),
            ("allow", "exact_email", "a@three.example"),
        )
    ]
    ids = [rule["id"] for rule in reversed(made)]

    async def listed(**query: str | int) -> list[str]:
        return [rule["id"] for rule in await api.ok("GET", rules, **query)]

    assert await listed() == ids
    assert await listed(action="allow") == ids[:2]
    assert await listed(action="allow", match_type="domain") == [ids[1]]
    assert await listed(limit=1, offset=1) == [ids[1]]
    assert await listed(offset=3) == []
    for query in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"action": "greet"}):
        assert (await api.call("GET", rules, query=query)).status == 422


async def test_directions_filter_lists(api: Api, rules: str) -> None:
    for side in ("inbound", "outbound", "both"):
        await api.ok("POST", rules, {**SPAM, "match_target": f"{side}.example", "direction": side})

    async def targets(side: str) -> set[str]:
        return {rule["match_target"] for rule in await api.ok("GET", rules, direction=side)}

    assert await targets("inbound") == {"inbound.example", "both.example"}
    assert await targets("outbound") == {"outbound.example", "both.example"}
    assert await targets("both") == {"both.example"}


async def test_sides_of_a_target_can_have_rules_of_their_own(api: Api, rules: str) -> None:
    inbound = await api.ok("POST", rules, {**SPAM, "direction": "inbound"})
    assert (await api.call("POST", rules, {**SPAM, "direction": "inbound"})).status == 409
    outbound = await api.ok("POST", rules, {**SPAM, "action": "allow", "direction": "outbound"})
    assert outbound["id"] != inbound["id"]
    assert (await api.call("POST", rules, SPAM)).status == 409
    reply = await api.call("PATCH", f"{rules}/{inbound['id']}", {"direction": "both"})
    assert (reply.status, reply.body["detail"]["existing_rule_id"]) == (409, outbound["id"])


@pytest.mark.parametrize("direction", ["outbound", "both"])
async def test_the_other_half_of_a_rule_widens_it(api: Api, rules: str, direction: str) -> None:
    inbound = await api.ok("POST", rules, {**SPAM, "direction": "inbound"})
    widened = await api.ok("POST", rules, {**SPAM, "direction": direction})
    assert (widened["id"], widened["direction"]) == (inbound["id"], "both")
    assert len(await api.ok("GET", rules)) == 1


async def test_one_side_of_a_rule_can_change(api: Api, rules: str) -> None:
    rule = await api.ok("POST", rules, SPAM)
    path = f"{rules}/{rule['id']}"
    changed = await api.ok("PATCH", path, {"action": "allow", "apply_to": "outbound"})
    assert (changed["id"], changed["action"], changed["direction"]) == (rule["id"], "allow", "outbound")
    (other,) = [item for item in await api.ok("GET", rules) if item["id"] != rule["id"]]
    assert (other["action"], other["direction"]) == ("block", "inbound")
    assert (await api.call("PATCH", path, {"action": "block", "apply_to": "inbound"})).status == 422


async def test_all_rules_of_the_organization(api: Api, rules: str) -> None:
    other = await api.identity("other")
    first = await api.ok("POST", rules, SPAM)
    second = await api.ok("POST", f"/mail/mailboxes/{other}/contact-rules", {**SPAM, "action": "allow"})
    stranger = Api(api.sandbox, api.session, (await api.sandbox.world.create_organization()).api_key)
    assert await stranger.ok("GET", "/mail/contact-rules") == []
    assert await api.ok("GET", "/mail/contact-rules") == [second, first]
    assert await api.ok("GET", "/mail/contact-rules", mailbox_id=first["mailbox_id"]) == [first]
    by_identity = second["agent_identity_id"]
    assert await api.ok("GET", "/mail/contact-rules", agent_identity_id=by_identity) == [second]
    both = {"mailbox_id": first["mailbox_id"], "agent_identity_id": by_identity}
    assert await api.ok("GET", "/mail/contact-rules", **both) == []
    assert await api.ok("GET", "/mail/contact-rules", action="allow") == [second]
    assert await api.ok("GET", "/mail/contact-rules", limit=1, offset=1) == [first]
    await api.ok("DELETE", "/identities/other")
    assert await api.ok("GET", "/mail/contact-rules") == [first]


async def test_what_agents_may_do(api: Api, rules: str) -> None:
    agent = await api.agent("scout@inkboxmail.com")
    rule = await agent.ok("POST", rules, SPAM)
    path = f"{rules}/{rule['id']}"
    assert await agent.ok("GET", rules) == [rule]
    assert await agent.ok("GET", path) == rule
    assert (await agent.call("PATCH", path, {"status": "paused"})).status == 403
    assert (await agent.call("DELETE", path)).status == 403
    assert (await agent.call("GET", "/mail/contact-rules")).status == 403
    other = f"/mail/mailboxes/{await api.identity('other')}/contact-rules"
    assert (await agent.call("GET", other)).status == 404
    assert (await agent.call("POST", other, SPAM)).status == 404
