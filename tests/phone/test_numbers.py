"""Phone numbers through the front door: ordering, settings, filter modes, release, and whose they are."""

from __future__ import annotations

import uuid

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError, InkboxError, SmsStatus
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, REGISTRATION, Api, phone


async def refusal(status: int, call: object) -> InkboxAPIError:
    with pytest.raises(InkboxAPIError) as caught:
        await call  # type: ignore[misc]  # a coroutine of any type
    assert caught.value.status_code == status, caught.value
    return caught.value


async def test_a_number_is_linked_at_once_and_texts_later(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    identity = await inkbox.create_identity("sales-agent")
    assert identity.phone_number is None
    number = await identity.provision_phone_number(type="local", state="ny")
    assert number.number.startswith("+1212555")
    assert (number.type, number.state, number.country, number.status) == ("local", "NY", "US", "active")
    assert (number.sms_status, number.sms_ready_at) == (SmsStatus.PENDING, None)
    assert (number.incoming_call_action, number.filter_mode) == ("auto_reject", "blacklist")
    assert number.agent_identity_id == identity.id
    assert phone(identity).id == number.id
    inkbox_sandbox.clock.advance(REGISTRATION)
    ready = await inkbox.phone_numbers.get(number.id)
    assert ready.sms_status == SmsStatus.READY
    assert ready.sms_ready_at is not None
    assert phone(await identity.refresh()).sms_status == "ready"


async def test_provisioning_for_a_handle(inkbox: AsyncInkbox) -> None:
    await inkbox.create_identity("one")
    await inkbox.create_identity("two")
    local = await inkbox.phone_numbers.provision(
        agent_handle="@one",
        incoming_call_action="auto_accept",
        client_websocket_url="wss://agent.example.com/ws",
        filter_mode="whitelist",
    )
    assert (local.type, local.incoming_call_action, local.filter_mode) == (
        "local",
        "auto_accept",
        "whitelist",
    )
    assert local.state is not None
    free = await inkbox.phone_numbers.provision(agent_handle="two", type="toll_free")
    assert (free.type, free.state, free.number[:5]) == ("toll_free", None, "+1888")
    assert [number.id for number in await inkbox.phone_numbers.list()] == [free.id, local.id]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"agent_handle": "nobody"}),
        (422, {"agent_handle": "sales-agent", "type": "satellite"}),
        (422, {"agent_handle": "sales-agent", "type": "local", "state": "XX"}),
        (422, {"agent_handle": "sales-agent", "type": "toll_free", "state": "NY"}),
        (422, {"agent_handle": "sales-agent", "incoming_call_action": "auto_accept"}),
        (422, {"agent_handle": "sales-agent", "incoming_call_action": "webhook"}),
        (422, {"agent_handle": "sales-agent", "incoming_text_webhook_url": "https://x.example"}),
    ],
)
async def test_what_cannot_be_provisioned(api: Api, inkbox: AsyncInkbox, status: int, body: object) -> None:
    await inkbox.create_identity("sales-agent")
    reply = await api.call("POST", "/phone/numbers", body)
    assert reply.status == status, reply
    assert await inkbox.phone_numbers.list() == []


async def test_one_number_an_identity_and_the_plan_s_limit(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    await refusal(409, fresh.provision_phone_number())
    await inkbox_sandbox.world.update_organization(limits={"phone_numbers": 1})
    await inkbox.create_identity("other")
    await refusal(402, inkbox.phone_numbers.provision(agent_handle="other"))


async def test_an_agent_sees_its_own_number_only(fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api) -> None:
    other = await inkbox.create_identity("other")
    theirs = await other.provision_phone_number()
    caller = await api.agent_of(fresh)
    listed = await caller.ok("GET", "/phone/numbers")
    assert [number["id"] for number in listed] == [str(phone(fresh).id)]
    assert (await caller.call("GET", f"/phone/numbers/{theirs.id}")).status == 404
    assert (await caller.call("POST", "/phone/numbers", {"agent_handle": "other"})).status == 403
    stranger = await api.other_organization()
    assert await stranger.ok("GET", "/phone/numbers") == []
    assert (await stranger.call("GET", f"/phone/numbers/{theirs.id}")).status == 404
    assert (await stranger.call("DELETE", f"/phone/numbers/{theirs.id}")).status == 404


async def test_what_happens_to_calls_is_a_partial_update(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    number_id = phone(fresh).id
    hooked = await inkbox.phone_numbers.update(
        number_id, incoming_call_action="webhook", incoming_call_webhook_url="https://agent.example.com/calls"
    )
    assert hooked.incoming_call_action == "webhook"
    accepting = await inkbox.phone_numbers.update(
        number_id, incoming_call_action="auto_accept", client_websocket_url="wss://agent.example.com/ws"
    )
    assert accepting.incoming_call_webhook_url == "https://agent.example.com/calls"
    await refusal(422, inkbox.phone_numbers.update(number_id, client_websocket_url=None))
    cleared = await inkbox.phone_numbers.update(
        number_id, incoming_call_action=None, client_websocket_url=None, incoming_call_webhook_url=None
    )
    assert cleared.incoming_call_action == "auto_reject"
    assert (cleared.client_websocket_url, cleared.incoming_call_webhook_url) == (None, None)
    untouched = await inkbox.phone_numbers.update(number_id)
    assert untouched.updated_at == cleared.updated_at
    for wrong in (
        {"incoming_call_action": "webhook"},
        {"incoming_call_action": "auto_accept"},
        {"incoming_call_action": "shout"},
        {"client_websocket_url": "https://agent.example.com"},
        {"client_websocket_url": "wss://"},
        {"client_websocket_url": "ws://agent.example.com"},
        {"incoming_call_webhook_url": "ftp://agent.example.com"},
        {"incoming_call_webhook_url": "https://"},
        {"incoming_call_webhook_url": "http://agent.example.com"},
        {"incoming_call_action": "forward"},
        {"forwarding_phone_number": ANN},
    ):
        await refusal(422, inkbox.phone_numbers.update(number_id, **wrong))


async def test_forwarding_targets_replace_each_other(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    number_id = phone(fresh).id
    to_phone = await inkbox.phone_numbers.update(
        number_id,
        incoming_call_action="forward",
        forwarding_target_type="phone",
        forwarding_phone_number=ANN,
    )
    assert to_phone.forwarding_phone_number == ANN
    to_sip = await inkbox.phone_numbers.update(
        number_id, forwarding_target_type="sip", forwarding_sip_uri="sip:a@example.com"
    )
    assert (to_sip.forwarding_phone_number, to_sip.forwarding_sip_uri) == (None, "sip:a@example.com")
    await refusal(422, inkbox.phone_numbers.update(number_id, forwarding_target_type=None))
    none = await inkbox.phone_numbers.update(
        number_id, incoming_call_action="auto_reject", forwarding_target_type=None
    )
    assert (none.forwarding_target_type, none.forwarding_sip_uri) == (None, None)


async def test_a_change_of_the_filter_mode_is_the_admin_s_and_counts_rules(
    fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api
) -> None:
    number_id = phone(fresh).id
    rules = inkbox.phone_contact_rules
    await rules.create(number_id, action="block", match_target=ANN)
    paused = await rules.create(number_id, action="block", match_target="+15550000001")
    await rules.update(number_id, paused.id, status="paused")
    await rules.create(number_id, action="allow", match_target="+15550000002")
    changed = await inkbox.phone_numbers.update(number_id, filter_mode="whitelist")
    notice = changed.filter_mode_change_notice
    assert notice is not None
    assert (notice.new_filter_mode, notice.redundant_rule_action, notice.redundant_rule_count) == (
        "whitelist",
        "block",
        1,
    )
    assert changed.outbound_filter_mode == "whitelist"
    same = await inkbox.phone_numbers.update(number_id, filter_mode="whitelist")
    assert same.filter_mode_change_notice is None
    assert (await inkbox.phone_numbers.get(number_id)).filter_mode_change_notice is None
    assert (await fresh.refresh()).phone_filter_mode == "whitelist"
    caller = await api.agent_of(fresh)
    path = f"/phone/numbers/{number_id}"
    assert (await caller.call("PATCH", path, {"filter_mode": "blacklist"})).status == 403
    assert (await caller.call("PATCH", path, {"incoming_call_action": "auto_reject"})).status == 200


async def test_release_is_for_good(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    number = phone(fresh)
    await inkbox.phone_numbers.release(number.id)
    await refusal(404, inkbox.phone_numbers.get(number.id))
    await refusal(404, inkbox.phone_numbers.release(number.id))
    assert await inkbox.phone_numbers.list() == []
    assert (await fresh.refresh()).phone_number is None
    with pytest.raises(InkboxError, match="sales-agent"):
        await fresh.release_phone_number()
    again = await fresh.provision_phone_number()
    assert again.id != number.id
    await fresh.release_phone_number()
    assert fresh.phone_number is None


async def test_without_a_number_helpers_send_nothing(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    identity = await inkbox.create_identity("mute")
    before = len(inkbox_sandbox.requests())
    for attempt in (
        lambda: identity.send_text(to=ANN, text="Hi"),
        lambda: identity.list_texts(),
        lambda: identity.get_text(uuid.uuid4()),
        lambda: identity.list_text_conversations(),
        lambda: identity.get_text_conversation(ANN),
        lambda: identity.mark_text_read(uuid.uuid4()),
        lambda: identity.mark_text_conversation_read(ANN),
        lambda: identity.place_call(to_number=ANN, client_websocket_url="wss://agent.example.com"),
        lambda: identity.list_calls(),
        lambda: identity.list_transcripts(uuid.uuid4()),
        lambda: identity.release_phone_number(),
    ):
        with pytest.raises(InkboxError, match="provision_phone_number"):
            await attempt()
    assert len(inkbox_sandbox.requests()) == before
