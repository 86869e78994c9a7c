"""Sending texts: who may be written to, how often, and what becomes of a text."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    IdempotencyKeyReusedError,
    InkboxAPIError,
    RecipientBlockedError,
    SmsDeliveryStatus,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks import parse_webhook

from .conftest import ANN, BOB, Api, phone, settled, text

DAY = 24 * 3600
CAROL = "+14165550123"


async def refused(status: int, code: str, agent: AgentIdentity, **fields: object) -> InkboxAPIError:
    with pytest.raises(InkboxAPIError) as caught:
        await agent.send_text(**fields)  # type: ignore[arg-type]  # fields of every type
    detail = caught.value.detail
    assert isinstance(detail, dict), detail
    assert (caught.value.status_code, detail["error"]) == (status, code)
    assert await sent_texts(agent) == [], "something was stored"
    return caught.value


async def sent_texts(agent: AgentIdentity) -> list[str | None]:
    return [
        found.text
        for found in await agent.list_texts()
        if found.origin == "user_initiated" and found.recipients
    ]


async def test_a_text_is_queued_then_sent_then_delivered(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api
) -> None:
    await text(inkbox_sandbox, agent, "START")
    sent = await agent.send_text(to=ANN, text="Hello from Inkbox")
    assert sent.delivery_status is SmsDeliveryStatus.QUEUED
    assert (sent.direction, sent.type, sent.media, sent.sent_at) == ("outbound", "sms", None, None)
    assert (sent.local_phone_number, sent.remote_phone_number) == (phone(agent).number, ANN)
    assert [(leg.recipient_phone_number, leg.delivery_status) for leg in sent.recipients or ()] == [
        (ANN, "queued")
    ]
    delivered = await settled(agent, sent)
    assert delivered.delivery_status == "delivered"
    assert delivered.sent_at is not None
    assert delivered.delivered_at is not None
    assert delivered.sent_at <= delivered.delivered_at
    assert (delivered.failed_at, delivered.error_code) == (None, None)
    events = [
        (kind, data)
        for kind, data in await api.recorded()
        if data["text_message"]["origin"] == "user_initiated"
    ]
    assert [kind for kind, _ in events] == ["text.received", "text.sent", "text.delivered"]
    told = events[-1][1]
    assert told["text_message"]["delivery_status"] == "delivered"
    assert told["recipient_phone_number"] is None
    assert "is_blocked" not in told["text_message"]
    (left,) = [item for item in await inkbox_sandbox.world.outbox("text") if item.resource_id == sent.id]
    assert (left.from_, left.to, left.text) == (phone(agent).number, [ANN], "Hello from Inkbox")


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("delivery_failed", "text.delivery_failed"),
        ("delivery_unconfirmed", "text.delivery_unconfirmed"),
        ("sending_failed", "text.delivery_failed"),
    ],
)
async def test_a_text_that_does_not_arrive(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api, outcome: str, event: str
) -> None:
    await text(inkbox_sandbox, agent, "START")
    await inkbox_sandbox.world.set_outcome(
        channel="text", to=ANN, outcome=outcome, error_code="30007", error_detail="Filtered", times=1
    )
    lost = await settled(agent, await agent.send_text(to=ANN, text="Hello"))
    assert lost.delivery_status == outcome
    assert (lost.error_code, lost.error_detail, lost.delivered_at) == ("30007", "Filtered", None)
    assert lost.failed_at is not None
    assert (lost.sent_at is None) == (outcome == "sending_failed")
    kind, data = (await api.recorded())[-1]
    assert (kind, data["text_message"]["error_code"]) == (event, "30007")
    assert (await settled(agent, await agent.send_text(to=ANN, text="Again"))).delivery_status == "delivered"


async def test_events_are_payloads_of_the_catalogue(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await text(inkbox_sandbox, agent, "START")
    await text(inkbox_sandbox, agent, "START", sender=BOB)
    for to in (ANN, [ANN, BOB]):
        await settled(agent, await agent.send_text(to=to, text="Hello"))
    payloads = await inkbox_sandbox.store.run(
        lambda tx: [row[0] for row in tx.all("SELECT payload FROM events")]
    )
    for payload in payloads:
        event = parse_webhook(payload)
        assert json.loads(event.model_dump_json(exclude_unset=True)).keys() == json.loads(payload).keys()


async def test_a_new_number_waits_for_the_carriers(fresh: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await text(inkbox_sandbox, fresh, "START")
    await refused(409, "sender_sms_pending", fresh, to=ANN, text="Hi")
    inkbox_sandbox.clock.advance(15 * 60)
    assert (await fresh.send_text(to=ANN, text="Hi")).delivery_status == "queued"


async def test_a_refused_registration_is_told(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await text(inkbox_sandbox, agent, "START")
    await inkbox_sandbox.store.run(
        lambda tx: tx.update("phone_numbers", phone(agent).id, sms_status="assignment_failed")
    )
    await refused(409, "sender_sms_assignment_failed", agent, to=ANN, text="Hi")


async def test_toll_free_numbers_only_receive(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    identity = await inkbox.create_identity("sales-agent")
    await identity.provision_phone_number(type="toll_free")
    inkbox_sandbox.clock.advance(15 * 60)
    await text(inkbox_sandbox, identity, "START")
    await refused(409, "toll_free_sms_unsupported", identity, to=ANN, text="Hi")


async def test_consent_is_asked_for_and_withdrawn(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await refused(403, "recipient_not_opted_in", agent, to=ANN, text="Hi")
    await text(inkbox_sandbox, agent, "What is this?")
    await refused(403, "recipient_not_opted_in", agent, to=ANN, text="Hi")
    await text(inkbox_sandbox, agent, " start ")
    await agent.send_text(to=ANN, text="Hi")
    await text(inkbox_sandbox, agent, "Stop")
    with pytest.raises(InkboxAPIError, match="recipient_opted_out"):
        await agent.send_text(to=ANN, text="Still there?")


async def test_colleagues_need_no_consent(agent: AgentIdentity, inkbox: AsyncInkbox) -> None:
    other = await inkbox.create_identity("other")
    number = await other.provision_phone_number()
    await settled(agent, await agent.send_text(to=number.number, text="Hello, colleague"))
    (received,) = await other.list_texts()
    assert (received.direction, received.text) == ("inbound", "Hello, colleague")
    assert received.sender_phone_number == phone(agent).number


async def test_contact_rules_forbid_recipients(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    await text(inkbox_sandbox, agent, "START")
    rule = await inkbox.phone_contact_rules.create(phone(agent).id, action="block", match_target=ANN)
    with pytest.raises(RecipientBlockedError) as blocked:
        await agent.send_text(to=ANN, text="Hi")
    assert (blocked.value.matched_rule_id, blocked.value.address) == (rule.id, ANN)
    await inkbox.phone_contact_rules.delete(phone(agent).id, rule.id)
    await inkbox.phone_numbers.update(phone(agent).id, filter_mode="whitelist")
    with pytest.raises(RecipientBlockedError) as unlisted:
        await agent.send_text(to=ANN, text="Hi")
    assert unlisted.value.matched_rule_id is None
    assert await sent_texts(agent) == []


async def test_recipients_of_a_day_are_counted(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api
) -> None:
    await inkbox_sandbox.world.update_organization(limits={"text_sends_per_day": 2})
    for person in (ANN, BOB):
        await text(inkbox_sandbox, agent, "START", sender=person)
    path = f"/phone/numbers/{phone(agent).id}/texts"
    first = await api.call("POST", path, {"to": ANN, "text": "1"})
    assert (first.status, first.headers["X-RateLimit-Limit"]) == (201, "2")
    assert first.headers["X-RateLimit-Remaining"] == "1"
    inkbox_sandbox.clock.advance(3600)
    # One more is left: the send that uses it up may go to several.
    group = await api.call("POST", path, {"to": [ANN, BOB], "text": "2"})
    assert (group.status, group.headers["X-RateLimit-Remaining"]) == (201, "0")
    over = await api.call("POST", path, {"to": ANN, "text": "3"})
    assert (over.status, over.body["detail"]["error"]) == (429, "sender_rate_limited")
    assert over.headers["X-RateLimit-Remaining"] == "0"
    # Not the first send of the day gives room again, but the second.
    assert DAY - 60 < int(over.headers["Retry-After"]) <= DAY
    await inkbox_sandbox.world.update_organization(customer_campaign=True)
    lifted = await api.call("POST", path, {"to": ANN, "text": "3"})
    assert lifted.status == 201
    assert "X-RateLimit-Limit" not in lifted.headers
    await inkbox_sandbox.world.update_organization(customer_campaign=False)
    inkbox_sandbox.clock.advance(DAY)
    assert (await api.call("POST", path, {"to": ANN, "text": "4"})).status == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "Hi"},
        {"to": ANN},
        {"to": ANN, "text": ""},
        {"to": ANN, "conversation_id": "2b3c4d5e-6f70-4182-93a4-b5c6d7e8f901", "text": "Hi"},
        {"to": [], "text": "Hi"},
        {"to": [f"+1415555012{digit}" for digit in range(9)], "text": "Hi"},
        {"to": "5551234567", "text": "Hi"},
        {"to": [ANN, "+4915112345678"], "text": "Hi"},
        {"to": ANN, "text": "x" * 1601},
        {"to": ANN, "media_urls": ["file:///etc/passwd"]},
        {"to": ANN, "media_urls": ["https://example.com/a.jpg"] * 11},
        {"to": ANN, "text": "Hi", "priority": "high"},
    ],
)
async def test_what_is_no_text(agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api, body: object) -> None:
    await text(inkbox_sandbox, agent, "START")
    reply = await api.call("POST", f"/phone/numbers/{phone(agent).id}/texts", body)
    assert reply.status == 422, reply
    assert await sent_texts(agent) == []


async def test_a_group_is_all_or_nothing(agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api) -> None:
    await text(inkbox_sandbox, agent, "START", sender=ANN)
    await refused(403, "recipient_not_opted_in", agent, to=[ANN, BOB], text="Hello group")
    await text(inkbox_sandbox, agent, "START", sender=BOB)
    await inkbox_sandbox.world.set_outcome(
        channel="text", to=BOB, outcome="delivery_failed", error_code="30003"
    )
    group = await agent.send_text(to=[ANN, BOB, ANN], text="Hello group")
    assert (group.type, group.remote_phone_number) == ("mms", None)
    assert [leg.recipient_phone_number for leg in group.recipients or ()] == [ANN, BOB]
    done = await settled(agent, group)
    assert done.delivery_status == "delivery_failed"
    assert (done.sent_at, done.error_code, done.failed_at) == (None, None, None)
    assert [(leg.delivery_status, leg.error_code) for leg in done.recipients or ()] == [
        ("delivered", None),
        ("delivery_failed", "30003"),
    ]
    legs = [
        (kind, data["recipient_phone_number"])
        for kind, data in await api.recorded()
        if data["text_message"]["id"] == str(group.id)
    ]
    assert legs == [
        ("text.sent", ANN),
        ("text.sent", BOB),
        ("text.delivered", ANN),
        ("text.delivery_failed", BOB),
    ]
    reply = await agent.send_text(conversation_id=group.conversation_id, text="Following up")
    assert (reply.conversation_id, len(reply.recipients or ())) == (group.conversation_id, 2)
    with pytest.raises(InkboxAPIError, match="404"):
        await agent.send_text(conversation_id=group.id, text="No such conversation")


async def test_a_repeated_send_has_no_second_effect(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await text(inkbox_sandbox, agent, "START")
    first = await agent.send_text(to=ANN, text="Once", idempotency_key="order-17")
    again = await agent.send_text(to=ANN, text="Once", idempotency_key="order-17")
    assert again.id == first.id
    assert await sent_texts(agent) == ["Once"]
    with pytest.raises(IdempotencyKeyReusedError):
        await agent.send_text(to=ANN, text="Twice", idempotency_key="order-17")


async def test_media_are_fetched_from_this_machine_and_linked(
    agent: AgentIdentity, inkbox_sandbox: Sandbox
) -> None:
    async def picture(request: web.Request) -> web.Response:
        return web.Response(body=b"\xff\xd8picture", content_type="image/jpeg")

    application = web.Application()
    application.router.add_get("/photo.jpg", picture)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await text(inkbox_sandbox, agent, "START")
    try:
        sent = await agent.send_text(to=ANN, media_urls=[f"{base}/photo.jpg", "https://example.com/b.png"])
        assert (sent.type, sent.text, len(sent.media or ())) == ("mms", None, 2)
        done = await settled(agent, sent)
        missing = await settled(agent, await agent.send_text(to=ANN, media_urls=[f"{base}/gone.jpg"]))
    finally:
        await runner.cleanup()
    assert done.delivery_status == "delivered"
    fetched, stand_in = done.media or []
    assert (fetched.content_type, fetched.size, stand_in.content_type) == ("image/jpeg", 9, "image/png")
    async with aiohttp.ClientSession() as session:
        async with session.get(fetched.url) as response:
            assert (response.content_type, await response.read()) == ("image/jpeg", b"\xff\xd8picture")
        async with session.get(stand_in.url) as response:
            assert len(await response.read()) == stand_in.size
        inkbox_sandbox.clock.advance(3601)
        async with session.get(fetched.url) as response:
            assert response.status == 403, "the link outlives its hour"
        renewed = ((await agent.get_text(sent.id)).media or [])[0]
        async with session.get(renewed.url) as response:
            assert response.status == 200
    assert missing.delivery_status == "sending_failed"
    assert "gone.jpg" in (missing.error_detail or "")


async def test_a_slow_file_holds_up_no_other_text(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def picture(request: web.Request) -> web.Response:
        is_asked.set()
        await may_answer.wait()
        return web.Response(body=b"picture", content_type="image/png")

    application = web.Application()
    application.router.add_get("/slow.png", picture)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await text(inkbox_sandbox, agent, "START")
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/slow.png"
        slow = await agent.send_text(to=ANN, media_urls=[url])
        await is_asked.wait()
        other = await settled(agent, await agent.send_text(to=ANN, text="Quick"))
        waiting = await agent.get_text(slow.id)
        may_answer.set()
        done = await settled(agent, slow)
    finally:
        await runner.cleanup()
    assert other.delivery_status == "delivered"
    assert (waiting.delivery_status, waiting.sent_at) == ("queued", None)
    assert done.delivery_status == "delivered"
    assert [file.size for file in done.media or ()] == [7]
