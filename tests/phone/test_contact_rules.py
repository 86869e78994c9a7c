"""Phone contact rules through the front door: create, list, change, delete, and who may."""

from __future__ import annotations

import uuid

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    DuplicateContactRuleError,
    InkboxAPIError,
    PhoneRuleAction,
    PhoneRuleMatchType,
)
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, Api, phone, text


async def test_a_rule_from_birth_to_death(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    number_id, rules = phone(fresh).id, inkbox.phone_contact_rules
    rule = await rules.create(
        number_id,
        action=PhoneRuleAction.BLOCK,
        match_type=PhoneRuleMatchType.EXACT_NUMBER,
        match_target=ANN,
    )
    assert (rule.phone_number_id, rule.agent_identity_id) == (number_id, fresh.id)
    assert (rule.status, rule.direction, rule.match_target) == ("active", "both", ANN)
    with pytest.raises(DuplicateContactRuleError) as duplicate:
        await rules.create(number_id, action="allow", match_target=ANN)
    assert duplicate.value.existing_rule_id == rule.id
    assert (await rules.update(number_id, rule.id, status="paused")).status == "paused"
    with pytest.raises(DuplicateContactRuleError):
        await rules.create(number_id, action="allow", match_target=ANN)
    assert (await rules.update(number_id, rule.id, action="allow")).action == "allow"
    assert (await rules.get(number_id, rule.id)).action == "allow"
    await rules.delete(number_id, rule.id)
    with pytest.raises(InkboxAPIError, match="404"):
        await rules.get(number_id, rule.id)
    assert (await rules.create(number_id, action="allow", match_target=ANN)).id != rule.id


async def test_lists_select_and_page(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    other = await inkbox.create_identity("other")
    number_id, rules = phone(fresh).id, inkbox.phone_contact_rules
    theirs = (await other.provision_phone_number()).id
    first = await rules.create(number_id, action="block", match_target=ANN)
    second = await rules.create(number_id, action="allow", match_target=BOB, direction="outbound")
    third = await rules.create(theirs, action="block", match_target=ANN)
    assert [rule.id for rule in await rules.list(number_id)] == [second.id, first.id]
    assert [rule.id for rule in await rules.list(number_id, action="block")] == [first.id]
    assert [rule.id for rule in await rules.list(number_id, direction="inbound")] == [first.id]
    assert [rule.id for rule in await rules.list(number_id, limit=1, offset=1)] == [first.id]
    assert [rule.id for rule in await rules.list_all()] == [third.id, second.id, first.id]
    assert [rule.id for rule in await rules.list_all(phone_number_id=theirs)] == [third.id]
    with pytest.raises(InkboxAPIError, match="404"):
        await rules.get(theirs, first.id)
    await inkbox.phone_numbers.release(theirs)
    assert [rule.id for rule in await rules.list_all()] == [second.id, first.id]


@pytest.mark.parametrize("target", ["5551234567", "+1 555 123", "ann@example.com", "+0123456789"])
async def test_targets_are_numbers(fresh: AgentIdentity, inkbox: AsyncInkbox, target: str) -> None:
    with pytest.raises(InkboxAPIError, match="422"):
        await inkbox.phone_contact_rules.create(phone(fresh).id, action="block", match_target=target)


async def test_agents_read_and_create_but_only_admins_change(
    fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api
) -> None:
    caller = await api.agent_of(fresh)
    base = f"/phone/numbers/{phone(fresh).id}/contact-rules"
    rule = await caller.ok(
        "POST", base, {"action": "block", "match_target": ANN, "match_type": "exact_number"}
    )
    assert await caller.ok("GET", base) == [rule]
    assert await caller.ok("GET", f"{base}/{rule['id']}") == rule
    assert (await caller.call("PATCH", f"{base}/{rule['id']}", {"action": "allow"})).status == 403
    assert (await caller.call("DELETE", f"{base}/{rule['id']}")).status == 403
    assert (await caller.call("GET", "/phone/contact-rules")).status == 403
    wrong = {"action": "block", "match_target": BOB, "status": "paused"}
    assert (await caller.call("POST", base, wrong)).status == 422
    elsewhere = f"/phone/numbers/{uuid.uuid4()}/contact-rules"
    assert (await caller.call("GET", elsewhere)).status == 404


async def test_one_side_of_a_rule_can_be_changed(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    number_id, rules = phone(fresh).id, inkbox.phone_contact_rules
    rule = await rules.create(number_id, action="block", match_target=ANN)
    split = await rules.update(number_id, rule.id, action="allow", apply_to="inbound")
    assert (split.id, split.action, split.direction) == (rule.id, "allow", "inbound")
    sides = {other.direction: other.action for other in await rules.list(number_id)}
    assert sides == {"inbound": "allow", "outbound": "block"}


async def test_rules_decide_who_gets_through(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    number_id, rules = phone(agent).id, inkbox.phone_contact_rules
    rule = await rules.create(number_id, action="block", match_target=ANN)
    kept_out = await text(inkbox_sandbox, agent, sender=ANN)
    assert (await agent.get_text(kept_out)).is_blocked
    assert not (await agent.get_text(await text(inkbox_sandbox, agent, sender=BOB))).is_blocked
    await rules.update(number_id, rule.id, status="paused")
    assert not (await agent.get_text(await text(inkbox_sandbox, agent, sender=ANN))).is_blocked
    await inkbox.phone_numbers.update(number_id, filter_mode="whitelist")
    assert (await agent.get_text(await text(inkbox_sandbox, agent, sender=BOB))).is_blocked
    await rules.create(number_id, action="allow", match_target=BOB)
    assert not (await agent.get_text(await text(inkbox_sandbox, agent, sender=BOB))).is_blocked
