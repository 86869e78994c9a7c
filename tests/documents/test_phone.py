"""The documents, line by line: numbers, calls, texts, consent, phone rules."""

from __future__ import annotations

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    DuplicateContactRuleError,
    InkboxAPIError,
    InkboxError,
    PhoneRuleAction,
    PhoneRuleMatchType,
    SmsDeliveryStatus,
    SmsOptInStatus,
    SmsStatus,
)
from inkbox_async.sandbox import Sandbox

PERSON, OTHER = "+14155550123", "+14155550124"


@pytest.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("my-agent")


async def ready(identity: AgentIdentity, sandbox: Sandbox, *people: str) -> str:
    """Gives the identity a number that may text these people; returns the number."""
    phone = await identity.provision_phone_number(type="local", state="NY")
    sandbox.clock.advance(24 * 3600)
    for person in people:
        await sandbox.world.send_text(from_=person, to=phone.number, text="START")
    await identity.refresh()
    assert identity.phone_number is not None
    assert identity.phone_number.sms_status is SmsStatus.READY
    return phone.number


async def test_provision_update_and_release(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    with pytest.raises(InkboxError, match="provision_phone_number"):
        await identity.list_calls()
    phone = await identity.provision_phone_number(type="toll_free")
    assert phone.number.startswith("+1")
    assert [row.id for row in await inkbox.phone_numbers.list()] == [phone.id]
    number = await inkbox.phone_numbers.get(str(phone.id))
    assert number.agent_identity_id == identity.id
    await inkbox.phone_numbers.update(
        number.id, incoming_call_action="webhook", incoming_call_webhook_url="https://example.com/call"
    )
    updated = await inkbox.phone_numbers.update(
        number.id, incoming_call_action="auto_accept", client_websocket_url="wss://example.com/ws"
    )
    assert updated.incoming_call_action == "auto_accept"
    flipped = await inkbox.phone_numbers.update(number.id, filter_mode="whitelist")
    assert flipped.filter_mode_change_notice is not None
    await inkbox.phone_numbers.release(number.id)
    assert await inkbox.phone_numbers.list() == []

    other = await inkbox.create_identity("other-agent")
    local = await inkbox.phone_numbers.provision(agent_handle="other-agent", type="local", state="NY")
    assert local.state == "NY"
    await other.refresh()
    await other.release_phone_number()
    assert other.phone_number is None


async def test_texts(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    number = await ready(identity, inkbox_sandbox, PERSON, OTHER)
    sent = await identity.send_text(to=PERSON, text="Hello from Inkbox")
    assert sent.delivery_status is SmsDeliveryStatus.QUEUED
    group = await identity.send_text(
        to=[PERSON, OTHER], text="Hello group", media_urls=["https://example.com/photo.jpg"]
    )
    assert group.conversation_id is not None
    assert group.recipients is not None
    assert len(group.recipients) == 2
    reply = await identity.send_text(conversation_id=group.conversation_id, text="Following up")
    assert reply.conversation_id == group.conversation_id

    await inkbox_sandbox.world.send_text(from_=PERSON, to=number, text="The invoice, please")
    texts = await identity.list_texts(limit=20, offset=0)
    assert texts[0].text == "The invoice, please"
    assert (texts[0].direction, texts[0].remote_phone_number, texts[0].is_read) == ("inbound", PERSON, False)
    unread = await identity.list_texts(is_read=False)
    text = await identity.get_text(str(unread[0].id))
    assert text.type == "sms"
    await identity.mark_text_read(str(text.id))
    assert (await identity.get_text(str(text.id))).is_read

    conversations = await identity.list_text_conversations(limit=20, include_groups=True)
    assert sorted(len(row.participants or ()) for row in conversations)[-1] >= 2
    assert len(conversations) == 3
    assert len(await identity.list_text_conversations(limit=20)) == 2, "groups are asked for explicitly"
    messages = await identity.get_text_conversation(PERSON, limit=50)
    assert "The invoice, please" in [row.text for row in messages]
    result = await identity.mark_text_conversation_read(PERSON)
    assert result["updated_count"] == 1, "only START was unread"

    assert identity.phone_number is not None
    phone = identity.phone_number.id
    [found] = await inkbox.texts.search(phone, q="invoice", limit=20)
    assert found.id == text.id
    await inkbox.texts.update(phone, str(text.id), status="deleted")
    assert await inkbox.texts.search(phone, q="invoice", limit=20) == []


async def test_the_gates_of_texts(identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    phone = await identity.provision_phone_number()
    assert phone.sms_status is SmsStatus.PENDING
    with pytest.raises(InkboxAPIError) as early:
        await identity.send_text(to=PERSON, text="Hello")
    assert (early.value.status_code, early.value.code) == (409, "sender_sms_pending")
    inkbox_sandbox.clock.advance(24 * 3600)
    with pytest.raises(InkboxAPIError) as unknown:
        await identity.send_text(to=PERSON, text="Hello")
    assert (unknown.value.status_code, unknown.value.code) == (403, "recipient_not_opted_in")
    await inkbox_sandbox.world.send_text(from_=PERSON, to=phone.number, text="START")
    await identity.send_text(to=PERSON, text="Hello")
    await inkbox_sandbox.world.send_text(from_=PERSON, to=phone.number, text="STOP")
    with pytest.raises(InkboxAPIError) as stopped:
        await identity.send_text(to=PERSON, text="Hello")
    assert (stopped.value.status_code, stopped.value.code) == (403, "recipient_opted_out")


async def test_consent(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    number = await ready(identity, inkbox_sandbox, PERSON, OTHER)
    await inkbox_sandbox.world.send_text(from_=OTHER, to=number, text="STOP")
    assert len(await inkbox.sms_opt_ins.list(limit=50)) == 2
    [opted_out] = await inkbox.sms_opt_ins.list(status=SmsOptInStatus.OPTED_OUT)
    assert opted_out.source == "sms"
    row = await inkbox.sms_opt_ins.get(PERSON)
    assert row.status is SmsOptInStatus.OPTED_IN
    assert row.opted_in_at is not None
    with pytest.raises(InkboxAPIError) as missing:
        await inkbox.sms_opt_ins.get("+14155550199")
    assert missing.value.status_code == 404
    with pytest.raises(InkboxAPIError) as shared:
        await inkbox.sms_opt_ins.opt_in(OTHER)
    assert (shared.value.status_code, shared.value.code) == (409, "customer_campaign_required")
    await inkbox_sandbox.world.update_organization(customer_campaign=True)
    assert (await inkbox.sms_opt_ins.opt_in(OTHER)).status is SmsOptInStatus.OPTED_IN
    assert (await inkbox.sms_opt_ins.opt_out(OTHER)).source == "api"


async def test_calls(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await ready(identity, inkbox_sandbox)
    call = await identity.place_call(to_number=PERSON, client_websocket_url="ws://127.0.0.1:9/ws")
    assert call.status
    assert call.rate_limit is not None
    assert call.rate_limit.calls_remaining >= 0
    calls = await identity.list_calls(limit=10, offset=0)
    assert [(row.id, row.direction, row.remote_phone_number) for row in calls] == [
        (call.id, "outbound", PERSON)
    ]
    assert await identity.list_transcripts(str(calls[0].id)) == []
    assert identity.phone_number is not None
    assert (
        await inkbox.phone_numbers.search_transcripts(
            identity.phone_number.id, q="refund", party="remote", limit=50
        )
        == []
    )


async def test_phone_rules(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await ready(identity, inkbox_sandbox)
    assert identity.phone_number is not None
    number = identity.phone_number
    rule = await inkbox.phone_contact_rules.create(
        number.id,
        action=PhoneRuleAction.BLOCK,
        match_type=PhoneRuleMatchType.EXACT_NUMBER,
        match_target=PERSON,
    )
    assert [row.id for row in await inkbox.phone_contact_rules.list(number.id)] == [rule.id]
    assert len(await inkbox.phone_contact_rules.list_all(phone_number_id=str(number.id))) == 1
    with pytest.raises(DuplicateContactRuleError) as taken:
        await inkbox.phone_contact_rules.create(number.id, action="allow", match_target=PERSON)
    assert taken.value.existing_rule_id == rule.id
    await inkbox_sandbox.world.send_text(from_=PERSON, to=number.number, text="Let me in")
    await inkbox_sandbox.world.send_text(from_=OTHER, to=number.number, text="Hello")
    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    async with inkbox_sandbox.client(created.api_key) as agent:
        seen = await (await agent.get_identity("my-agent")).list_texts()
    assert [text.text for text in seen] == ["Hello"]
