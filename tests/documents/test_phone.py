"""The documents, line by line: phone numbers, calls, texts, consent, phone rules."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from aiohttp import web

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    DuplicateContactRuleError,
    InkboxAPIError,
    PhoneRuleAction,
    PhoneRuleMatchType,
    SmsDeliveryStatus,
    SmsOptInStatus,
    SmsStatus,
)
from inkbox_async.sandbox import Sandbox

ANN = "+15551234567"
BOB = "+15557654321"


@pytest.fixture
async def identity(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> AgentIdentity:
    """An agent that can text, and two people who have agreed to it."""
    made = await inkbox.create_identity("sales-agent")
    phone = await made.provision_phone_number(type="local", state="NY")
    inkbox_sandbox.clock.advance(900)
    for person in (ANN, BOB):
        await inkbox_sandbox.world.send_text(from_=person, to=phone.number, text="START")
    return made


async def test_provision_and_release(inkbox: AsyncInkbox) -> None:
    identity = await inkbox.create_identity("sales-agent")
    phone = await identity.provision_phone_number(type="toll_free")
    assert phone.number.startswith("+18")
    await identity.release_phone_number()
    local = await identity.provision_phone_number(type="local", state="NY")
    assert identity.phone_number is not None
    assert identity.phone_number.id == local.id
    assert identity.phone_number.sms_status is SmsStatus.PENDING
    await identity.release_phone_number()
    assert identity.phone_number is None


async def test_place_and_list_calls(identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    call = await identity.place_call(to_number=ANN, client_websocket_url="wss://your-agent.example.com/ws")
    assert call.status == "initiated"
    assert call.rate_limit is not None
    assert call.rate_limit.calls_remaining == 99
    calls = await identity.list_calls(limit=10, offset=0)
    assert [(c.id, c.direction, c.remote_phone_number) for c in calls] == [(call.id, "outbound", ANN)]
    assert await identity.list_transcripts(calls[0].id) == []


async def test_send_texts(identity: AgentIdentity) -> None:
    sent = await identity.send_text(to=ANN, text="Hello from Inkbox")
    assert sent.delivery_status is SmsDeliveryStatus.QUEUED
    group = await identity.send_text(
        to=[ANN, BOB], text="Hello group", media_urls=["https://example.com/photo.jpg"]
    )
    assert group.recipients is not None
    assert len(group.recipients) == 2
    reply = await identity.send_text(
        conversation_id=group.conversation_id, text="Following up in the same conversation."
    )
    assert reply.conversation_id == group.conversation_id

    texts = await identity.list_texts(limit=20, offset=0)
    assert texts[0].id == reply.id
    unread = await identity.list_texts(is_read=False)
    assert [text.text for text in unread] == ["START", "START"]
    text = await identity.get_text(str(group.id))
    assert text.type == "mms"
    assert text.media is not None
    assert (text.media[0].content_type, text.media[0].url[:7]) == ("image/jpeg", "http://")
    convos = await identity.list_text_conversations(limit=20, include_groups=True)
    assert {tuple(c.participants or ()) for c in convos} == {(ANN,), (BOB,), (ANN, BOB)}
    assert convos[0].latest_text == "Following up in the same conversation."
    msgs = await identity.get_text_conversation(ANN, limit=50)
    assert {message.remote_phone_number for message in msgs} == {ANN}
    assert (await identity.mark_text_read(str(unread[0].id))).is_read
    result = await identity.mark_text_conversation_read(ANN)
    assert result["updated_count"] == 1


async def test_search_and_delete_texts(
    identity: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    phone = identity.phone_number
    assert phone is not None
    await inkbox_sandbox.world.send_text(from_=ANN, to=phone.number, text="Where is my invoice?")
    results = await inkbox.texts.search(phone.id, q="invoice", limit=20)
    assert [text.text for text in results] == ["Where is my invoice?"]
    await inkbox.texts.update(phone.id, str(results[0].id), status="deleted")
    assert await inkbox.texts.search(phone.id, q="invoice", limit=20) == []
    with pytest.raises(InkboxAPIError) as missing:
        await identity.get_text(str(uuid.uuid4()))
    assert missing.value.status_code == 404


async def test_consent(identity: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    rows = await inkbox.sms_opt_ins.list(limit=50)
    assert [row.receiver_number for row in rows] == [BOB, ANN]
    assert await inkbox.sms_opt_ins.list(status=SmsOptInStatus.OPTED_OUT) == []
    row = await inkbox.sms_opt_ins.get(ANN)
    assert (row.status, row.source, row.opted_out_at) == ("opted_in", "sms", None)
    assert row.opted_in_at is not None
    with pytest.raises(InkboxAPIError, match="404"):
        await inkbox.sms_opt_ins.get("+15550001111")
    with pytest.raises(InkboxAPIError, match="customer_campaign_required"):
        await inkbox.sms_opt_ins.opt_in(ANN)
    await inkbox_sandbox.world.update_organization(customer_campaign=True)
    assert (await inkbox.sms_opt_ins.opt_out(ANN)).status == "opted_out"
    assert (await inkbox.sms_opt_ins.opt_in(ANN)).status == "opted_in"


async def test_phone_numbers(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    await inkbox.create_identity("my-agent")
    await inkbox.create_identity("my-local-agent")
    free = await inkbox.phone_numbers.provision(agent_handle="my-agent", type="toll_free")
    number = await inkbox.phone_numbers.provision(agent_handle="my-local-agent", type="local", state="NY")
    assert [row.id for row in await inkbox.phone_numbers.list()] == [number.id, free.id]
    assert (await inkbox.phone_numbers.get(str(number.id))).number == number.number
    await inkbox.phone_numbers.update(
        number.id,
        incoming_call_action="webhook",
        incoming_call_webhook_url="https://your-agent.example.com/calls",
    )
    spoken_to, stopped = asyncio.Event(), asyncio.Event()

    async def agent(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            frame = json.loads(message.data)
            if frame.get("is_final"):
                spoken_to.set()
            if frame["event"] == "stop":
                stopped.set()
        return socket

    application = web.Application()
    application.router.add_get("/ws", agent)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    try:
        await inkbox.phone_numbers.update(
            number.id, incoming_call_action="auto_accept", client_websocket_url=url
        )
        call = await inkbox_sandbox.world.place_call(
            from_=ANN,
            to=number.number,
            script=[{"party": "remote", "text": "I want a refund."}],
            hangup_after=3600,
        )
        await spoken_to.wait()
        hits = await inkbox.phone_numbers.search_transcripts(number.id, q="refund", party="remote", limit=50)
        assert [(hit.call_id, hit.text) for hit in hits] == [(call.call_id, "I want a refund.")]
        inkbox_sandbox.clock.advance(3600)
        await stopped.wait()
    finally:
        await runner.cleanup()
    await inkbox.phone_numbers.release(number.id)
    assert [row.id for row in await inkbox.phone_numbers.list()] == [free.id]


async def test_phone_rules(identity: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    number = identity.phone_number
    assert number is not None
    rule = await inkbox.phone_contact_rules.create(
        number.id,
        action=PhoneRuleAction.BLOCK,
        match_type=PhoneRuleMatchType.EXACT_NUMBER,
        match_target=ANN,
    )
    assert [row.id for row in await inkbox.phone_contact_rules.list(number.id)] == [rule.id]
    everywhere = await inkbox.phone_contact_rules.list_all(phone_number_id=str(number.id))
    assert [row.id for row in everywhere] == [rule.id]
    with pytest.raises(DuplicateContactRuleError) as duplicate:
        await inkbox.phone_contact_rules.create(number.id, action="allow", match_target=ANN)
    assert duplicate.value.existing_rule_id == rule.id

    async def is_delivered(sender: str) -> bool:
        result = await inkbox_sandbox.world.send_text(from_=sender, to=number.number, text="Hello")
        assert result.text_id is not None
        return not (await identity.get_text(result.text_id)).is_blocked

    assert [await is_delivered(ANN), await is_delivered(BOB)] == [False, True]
    updated = await inkbox.phone_numbers.update(number.id, filter_mode="whitelist")
    notice = updated.filter_mode_change_notice
    assert notice is not None
    assert (notice.redundant_rule_count, notice.redundant_rule_action) == (1, "block")
    assert [await is_delivered(ANN), await is_delivered(BOB)] == [False, False]
