"""Sending: every gate with its code, the way of a message to its person, failed deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    IdempotencyKeyReusedError,
    IMessageSendStyle,
    InkboxAPIError,
    RecipientBlockedError,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError

from .conftest import ANN, BOB, Api, connect, settled, write

DAY = 24 * 60 * 60


async def refusal(agent: AgentIdentity, **message: Any) -> InkboxAPIError:
    """How the server refuses a message; nothing is stored of it."""
    before = await agent.list_imessages(limit=200)
    with pytest.raises(InkboxAPIError) as refused:
        await agent.send_imessage(**{"to": ANN, "text": "Hello", **message})
    assert [m.id for m in await agent.list_imessages(limit=200)] == [m.id for m in before]
    return refused.value


async def test_on_its_way(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    assignment = await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Your table is booked.", send_style="confetti")
    assert (sent.direction, sent.remote_number, sent.content) == ("outbound", ANN, "Your table is booked.")
    assert (sent.status, sent.service, sent.message_type) == ("queued", "imessage", "message")
    assert sent.send_style is IMessageSendStyle.CONFETTI
    assert str(sent.assignment_id) == assignment
    assert (sent.was_downgraded, sent.is_read, sent.is_blocked) == (False, False, False)
    assert (sent.media, sent.reactions, sent.error_code) == (None, None, None)
    assert sent.recipients is not None
    [recipient] = sent.recipients
    assert (recipient.remote_number, recipient.delivery_status, recipient.sent_at) == (ANN, "queued", None)

    done = await settled(agent, sent)
    assert done.status == "delivered"
    assert done.recipients is not None
    [recipient] = done.recipients
    assert recipient.sent_at is not None
    assert recipient.delivered_at is not None
    assert sent.created_at < recipient.sent_at < recipient.delivered_at
    assert recipient.failed_at is None

    [left] = await inkbox_sandbox.world.outbox("imessage")
    assert (left.from_, left.to, left.text) == ("@sales-agent", [ANN], "Your table is booked.")
    assert left.resource_id == sent.id


@pytest.mark.parametrize("style", list(IMessageSendStyle))
async def test_every_style(inkbox_sandbox: Sandbox, agent: AgentIdentity, style: IMessageSendStyle) -> None:
    await connect(inkbox_sandbox)
    assert (await agent.send_imessage(to=ANN, text="Hi", send_style=style)).send_style is style


async def test_by_number_and_by_conversation_are_one_conversation(
    inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="1")
    reply = await agent.send_imessage(conversation_id=str(sent.conversation_id), text="2")
    assert reply.conversation_id == sent.conversation_id
    received = await write(inkbox_sandbox, "3")
    messages = await agent.list_imessages(conversation_id=sent.conversation_id)
    assert [m.content for m in messages] == ["3", "2", "1"]
    assert str(messages[0].id) == received


@pytest.mark.parametrize(("outcome", "events"), [("declined", 1), ("error", 2)])
async def test_failed_deliveries(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity, outcome: str, events: int
) -> None:
    await connect(inkbox_sandbox)
    await inkbox_sandbox.world.set_outcome(
        channel="imessage", to=ANN, outcome=outcome, error_code="4001", error_detail="Gone fishing", times=1
    )
    sent = await agent.send_imessage(to=ANN, text="Hi")
    assert (sent.status, sent.error_code, sent.error_detail) == ("queued", None, None), (
        "it has not failed yet"
    )
    done = await settled(agent, sent)
    assert done.status == outcome
    assert (done.error_code, done.error_detail, done.error_reason) == ("4001", "Gone fishing", outcome)
    assert done.error_message
    assert done.recipients is not None
    [recipient] = done.recipients
    assert (recipient.delivery_status, recipient.error_code) == (outcome, "4001")
    assert recipient.failed_at is not None
    assert recipient.delivered_at is None
    told = [
        (kind, data["message"]["error_code"], data["message"]["recipients"][0]["error_code"])
        for kind, data in await api.recorded()
    ]
    expected = [("imessage.sent", None, None), ("imessage.delivery_failed", "4001", "4001")]
    assert told == expected[-events:]
    assert (await settled(agent, await agent.send_imessage(to=ANN, text="Again"))).status == "delivered"


async def test_where_imessage_is_not_possible_it_goes_by_sms(
    inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    await inkbox_sandbox.world.set_outcome(channel="imessage", to=ANN, outcome="downgraded")
    sent = await agent.send_imessage(to=ANN, text="Hi")
    assert (sent.service, sent.was_downgraded) == ("imessage", False)
    done = await settled(agent, sent)
    assert (done.status, done.service, done.was_downgraded, done.error_code) == (
        "delivered",
        "sms",
        True,
        None,
    )
    assert done.recipients is not None
    assert done.recipients[0].service == "sms"


async def test_outcomes_of_other_channels(inkbox_sandbox: Sandbox) -> None:
    for outcome in ("bounced", "delivery_failed", "busy"):
        with pytest.raises(ApiError) as refused:
            await inkbox_sandbox.world.set_outcome(channel="imessage", to=ANN, outcome=outcome)
        assert refused.value.status == 422


async def test_never_connected(agent: AgentIdentity) -> None:
    error = await refusal(agent)
    assert error.status_code == 404
    assert isinstance(error.detail, dict)
    assert error.detail["connect_command"] == "connect @sales-agent"
    assert "connect @sales-agent" in str(error)
    assert "+1646" in str(error)


async def test_not_connected_any_more(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hi")
    await inkbox_sandbox.world.send_imessage(from_=ANN, to="+16465550100", text="disconnect @sales-agent")
    for message in ({}, {"to": None, "conversation_id": sent.conversation_id}):
        error = await refusal(agent, **message)
        assert error.status_code == 409
        assert isinstance(error.detail, dict)
        assert error.detail["error"] == "imessage_assignment_inactive"


async def test_not_enabled(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hi")
    await agent.update(imessage_enabled=False)
    for message in ({"to": ANN, "agent_identity_id": agent.id}, {"conversation_id": sent.conversation_id}):
        with pytest.raises(InkboxAPIError) as refused:
            await inkbox.imessages.send(text="Hi", **message)
        assert refused.value.status_code == 400
    assert len(await inkbox.imessages.list()) == 1, "what was sent stays readable"


async def test_an_admin_names_the_sender(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    with pytest.raises(InkboxAPIError) as refused:
        await inkbox.imessages.send(to=ANN, text="Hi")
    assert refused.value.status_code == 400
    sent = await inkbox.imessages.send(to=ANN, text="Hi", agent_identity_id=agent.id)
    reply = await inkbox.imessages.send(conversation_id=sent.conversation_id, text="Hi")
    assert reply.conversation_id == sent.conversation_id


async def test_blocked_people(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    rule = await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
    error = await refusal(agent)
    assert isinstance(error, RecipientBlockedError)
    assert (error.status_code, error.matched_rule_id, error.address) == (403, rule.id, ANN)
    assert error.reason
    await inkbox.imessage_contact_rules.update("sales-agent", rule.id, status="paused")
    await agent.send_imessage(to=ANN, text="Hi")
    await agent.update(imessage_filter_mode="whitelist")
    error = await refusal(agent)
    assert isinstance(error, RecipientBlockedError)
    assert error.matched_rule_id is None
    await inkbox.imessage_contact_rules.update("sales-agent", rule.id, status="active", action="allow")
    await agent.send_imessage(to=ANN, text="Hi")


async def test_the_daily_limit_follows_the_clock(
    inkbox_sandbox: Sandbox, agent: AgentIdentity, api: Api
) -> None:
    await connect(inkbox_sandbox)
    await inkbox_sandbox.world.update_organization(limits={"imessage_sends_per_day": 2})
    await agent.send_imessage(to=ANN, text="1")
    inkbox_sandbox.clock.advance(DAY / 2)
    await agent.send_imessage(to=ANN, text="2")
    body = {"to": ANN, "text": "3"}
    reply = await api.call("POST", f"/imessage/messages?agent_identity_id={agent.id}", body)
    assert reply.status == 429
    assert DAY / 2 - 60 < int(reply.headers["Retry-After"]) <= DAY / 2
    assert reply.headers["X-RateLimit-Limit"] == "2"
    inkbox_sandbox.clock.advance(DAY / 2)
    await agent.send_imessage(to=ANN, text="3")
    assert (await api.call("POST", f"/imessage/messages?agent_identity_id={agent.id}", body)).status == 429


async def test_a_hundred_messages_a_day_unless_the_plan_says_otherwise(
    inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    settings = await inkbox_sandbox.world.update_organization()
    assert settings.limits.imessage_sends_per_day == 100


async def test_the_first_word_where_the_limits_ask_for_it(
    inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await inkbox_sandbox.world.update_organization(limits={"imessages_before_first_word": 0})
    await connect(inkbox_sandbox)
    error = await refusal(agent)
    assert error.status_code == 409
    assert isinstance(error.detail, dict)
    assert error.detail["error"] == "imessage_awaiting_inbound"
    assert await agent.list_imessage_conversations() == []
    await write(inkbox_sandbox)
    await agent.send_imessage(to=ANN, text="Hello")


async def test_a_repeated_key_sends_once(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    first = await agent.send_imessage(to=ANN, text="Hi", idempotency_key="order-17")
    again = await agent.send_imessage(to=ANN, text="Hi", idempotency_key="order-17")
    assert again.id == first.id
    assert len(await agent.list_imessages()) == 1
    with pytest.raises(IdempotencyKeyReusedError):
        await agent.send_imessage(to=ANN, text="Ho", idempotency_key="order-17")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "Hi"},
        {"to": ANN},
        {"to": ANN, "text": ""},
        {"to": ANN, "media_urls": []},
        {"to": ANN, "text": "Hi", "conversation_id": "e3acc3ad-ae03-498b-846f-2ffab2f4db4a"},
        {"to": "5551234567", "text": "Hi"},
        {"to": "ann@example.com", "text": "Hi"},
        {"to": [ANN, BOB], "text": "Hi"},
        {"to": ANN, "text": "x" * 18_996},
        {"to": ANN, "text": "Hi", "send_style": "glitter"},
        {"to": ANN, "media_urls": ["https://example.com/1.png", "https://example.com/2.png"]},
        {"to": ANN, "media_urls": ["file:///etc/passwd"]},
        {"to": ANN, "media_urls": ["not an address"]},
        {"to": ANN, "text": "Hi", "colour": "blue"},
        {"conversation_id": "not-an-id", "text": "Hi"},
    ],
    ids=lambda body: str(body)[:60],
)
async def test_malformed_messages(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity, body: dict[str, object]
) -> None:
    await connect(inkbox_sandbox)
    reply = await api.call("POST", f"/imessage/messages?agent_identity_id={agent.id}", body)
    assert reply.status == 422, reply
    assert await agent.list_imessages() == []
    assert await inkbox_sandbox.world.outbox("imessage") == []


async def test_the_longest_text(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    assert len(str((await agent.send_imessage(to=ANN, text="x" * 18_995)).content)) == 18_995


async def test_unknown_conversations_and_identities(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hi")
    other = await inkbox.create_identity("help-agent", imessage_enabled=True)
    stranger = "00000000-0000-4000-8000-000000000000"
    for message in (
        {"conversation_id": stranger},
        {"conversation_id": sent.conversation_id, "agent_identity_id": other.id},
        {"to": ANN, "agent_identity_id": stranger},
    ):
        with pytest.raises(InkboxAPIError) as refused:
            await inkbox.imessages.send(text="Hi", **message)
        assert refused.value.status_code == 404


async def test_what_is_on_its_way_arrives_after_a_restart(tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path / "data") as sandbox, sandbox.client() as inkbox:
        agent = await inkbox.create_identity("sales-agent", imessage_enabled=True)
        await connect(sandbox)
        upload = await agent.upload_imessage_media(content=b"photo", filename="photo.jpg")
        sent = await agent.send_imessage(to=ANN, text="Hi", media_urls=[upload.media_url])
        key = sandbox.api_key
    async with Sandbox(data=tmp_path / "data") as sandbox, sandbox.client(key) as inkbox:
        agent = await inkbox.get_identity("sales-agent")
        done = await settled(agent, sent)
        assert (done.status, done.content) == ("delivered", "Hi")
        assert done.media is not None
        async with sandbox.session() as session, session.get(done.media[0].url) as response:
            assert await response.read() == b"photo", "links lead to the sandbox as it is reached now"
        kinds = await sandbox.store.run(lambda tx: tx.all("SELECT event_type FROM events ORDER BY seq"))
        assert [row["event_type"] for row in kinds] == ["imessage.sent", "imessage.delivered"]
        assert [a.remote_number for a in await agent.list_imessage_assignments()] == [ANN]
