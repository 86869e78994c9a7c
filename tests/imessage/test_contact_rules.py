"""Contact rules of an identity through the front door: all seven operations, and who may call them."""

from __future__ import annotations

from typing import Any

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, DuplicateContactRuleError, IMessageRuleAction
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, Api

RULES = "/imessage/identities/sales-agent/contact-rules"
BLOCK = {"action": "block", "match_type": "exact_number", "match_target": ANN}


async def test_a_new_rule(inkbox: AsyncInkbox, api: Api, agent: AgentIdentity) -> None:
    rule = await inkbox.imessage_contact_rules.create(
        "sales-agent", action=IMessageRuleAction.BLOCK, match_target=ANN
    )
    assert rule.agent_identity_id == agent.id
    assert (rule.action, rule.match_type, rule.match_target) == ("block", "exact_number", ANN)
    assert (rule.status, rule.direction) == ("active", "both")
    for handle in ("sales-agent", "@sales-agent"):
        assert await inkbox.imessage_contact_rules.get(handle, rule.id) == rule
        assert await inkbox.imessage_contact_rules.list(handle) == [rule]
    assert await inkbox.imessage_contact_rules.list_all() == [rule]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "greet"},
        {"match_type": "area_code"},
        {"match_target": "5551234567"},
        {"match_target": "+0551234567"},
        {"match_target": "+1 555 123 4567"},
        {"match_target": "ann@example.com"},
        {"match_target": ""},
        {"direction": "sideways"},
        {"status": "active"},
    ],
)
async def test_bad_rules_are_refused(api: Api, agent: AgentIdentity, fields: dict[str, str]) -> None:
    assert (await api.call("POST", RULES, {**BLOCK, **fields})).status == 422
    assert await api.ok("GET", RULES) == []


async def test_a_number_has_one_rule(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    rules = inkbox.imessage_contact_rules
    rule = await rules.create("sales-agent", action="block", match_target=ANN)
    paused = await rules.update("sales-agent", rule.id, status="paused")
    assert (paused.status, paused.action) == ("paused", "block")
    with pytest.raises(DuplicateContactRuleError) as taken:
        await rules.create("sales-agent", action="allow", match_target=ANN)
    assert taken.value.existing_rule_id == rule.id, "a paused rule holds its number"
    await rules.delete("sales-agent", rule.id)
    assert (await rules.create("sales-agent", action="allow", match_target=ANN)).id != rule.id
    other = await inkbox.create_identity("help-agent")
    assert (
        await rules.create(other.agent_handle, action="allow", match_target=ANN)
    ).agent_identity_id == other.id


async def test_filters_and_pages(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    rules = inkbox.imessage_contact_rules
    other = await inkbox.create_identity("help-agent")
    first = await rules.create("sales-agent", action="block", match_target=ANN)
    second = await rules.create("sales-agent", action="allow", match_target=BOB, direction="inbound")
    third = await rules.create("help-agent", action="block", match_target=ANN)

    def ids(found: list[Any]) -> list[object]:
        return [rule.id for rule in found]

    assert ids(await rules.list("sales-agent")) == [second.id, first.id]
    assert ids(await rules.list("sales-agent", action="block")) == [first.id]
    assert ids(await rules.list("sales-agent", match_type="exact_number", limit=1, offset=1)) == [first.id]
    assert ids(await rules.list("sales-agent", direction="outbound")) == [first.id]
    assert ids(await rules.list_all()) == [third.id, second.id, first.id]
    assert ids(await rules.list_all(agent_identity_id=other.id)) == [third.id]
    assert ids(await rules.list_all(action="block", limit=1)) == [third.id]


async def test_directions(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    rules = inkbox.imessage_contact_rules
    one = await rules.create("sales-agent", action="block", match_target=ANN, direction="inbound")
    both = await rules.create("sales-agent", action="block", match_target=ANN, direction="outbound")
    assert (both.id, both.direction) == (one.id, "both"), "two halves become one rule"
    split = await rules.update("sales-agent", one.id, action="allow", apply_to="outbound")
    assert (split.id, split.action, split.direction) == (one.id, "allow", "outbound")
    found = {(rule.action, rule.direction) for rule in await rules.list("sales-agent")}
    assert found == {("allow", "outbound"), ("block", "inbound")}


async def test_who_may(inkbox_sandbox: Sandbox, api: Api, inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    await inkbox.create_identity("help-agent")
    own = await api.agent_of(agent)
    rule = await own.ok("POST", RULES, BLOCK)
    path = f"{RULES}/{rule['id']}"
    assert await own.ok("GET", RULES) == [rule]
    assert await own.ok("GET", path) == rule
    for method, target, body in (
        ("PATCH", path, {"status": "paused"}),
        ("DELETE", path, None),
        ("GET", "/imessage/contact-rules", None),
    ):
        assert (await own.call(method, target, body)).status == 403
    elsewhere = await own.call("GET", RULES.replace("sales", "help"))
    assert elsewhere.status in (403, 404), "another agent's rules"
    stranger = await api.other_organization()
    for method, target, body in (
        ("GET", RULES, None),
        ("POST", RULES, BLOCK),
        ("GET", path, None),
        ("PATCH", path, {"status": "paused"}),
        ("DELETE", path, None),
    ):
        assert (await stranger.call(method, target, body)).status == 404
    assert await stranger.ok("GET", "/imessage/contact-rules") == []
    assert (await inkbox.imessage_contact_rules.get("sales-agent", rule["id"])).status == "active"


async def test_rules_end_with_their_identity(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
    await agent.delete()
    assert await inkbox.imessage_contact_rules.list_all() == []
