"""Events on their way to receivers: signed, at least once, in order, across failures and restarts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError
from inkbox_async.generated.models.sandbox import WebhookAttempt
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.webhooks.dispatcher import RETRY_DELAYS
from inkbox_async.webhooks import MailEvent

from .conftest import Delivery, Receiver, until


def address_of(agent: AgentIdentity) -> str:
    """The address of an identity's mailbox."""
    assert agent.email_address is not None
    return agent.email_address


def mailbox_of(agent: AgentIdentity) -> UUID:
    """The id of an identity's mailbox."""
    assert agent.mailbox is not None
    return agent.mailbox.id


async def subscribe(inkbox: AsyncInkbox, agent: AgentIdentity, url: str, *events: str) -> UUID:
    """Subscribe an address to events of an agent's mailbox."""
    made = await inkbox.webhooks.subscriptions.create(
        mailbox_id=mailbox_of(agent), url=url, event_types=events or ("message.received",)
    )
    return made.id


async def write(sandbox: Sandbox, agent: AgentIdentity, subject: str) -> None:
    """Somebody writes to the agent."""
    await sandbox.world.send_email(
        from_="ann@example.com", to=[address_of(agent)], subject=subject, text="Hi"
    )


async def attempts(sandbox: Sandbox, count: int) -> list[WebhookAttempt]:
    """The journal, newest first, once that many attempts are in it."""

    async def are_there() -> bool:
        return len(await sandbox.world.webhook_attempts()) >= count

    await until(are_there)
    found = await sandbox.world.webhook_attempts()
    assert len(found) == count
    return found


def subject_of(delivery: Delivery) -> str | None:
    """The subject of the mail that a delivery tells of."""
    event = delivery.event
    assert isinstance(event, MailEvent)
    return event.data.message.subject


async def test_a_signed_event_arrives(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """One POST with the documented headers and the whole payload."""
    key = await inkbox.create_signing_key()
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Hello")
    delivery = await receiver.next()
    assert delivery.is_signed_with(key.signing_key)
    assert not delivery.is_signed_with("whsec_other")
    assert delivery.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f-]{36}", delivery.headers["X-Inkbox-Request-ID"])
    assert delivery.headers["X-Inkbox-Timestamp"].isdigit()
    event = delivery.event
    assert isinstance(event, MailEvent)
    assert event.id is not None
    assert event.id.startswith("evt_")
    assert event.event_type == "message.received"
    assert delivery.json["timestamp"].endswith("Z")
    message = event.data.message
    assert message.mailbox_id == mailbox_of(agent)
    stored = await inkbox.messages.get(address_of(agent), message.id)
    assert (stored.subject, stored.message_id) == ("Hello", message.message_id)
    assert delivery.json["data"]["contacts"] == []


async def test_without_a_key_deliveries_are_unsigned(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Request id and timestamp travel all the same."""
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Hello")
    delivery = await receiver.next()
    assert "X-Inkbox-Signature" not in delivery.headers
    assert "X-Inkbox-Request-ID" in delivery.headers
    assert "X-Inkbox-Timestamp" in delivery.headers


async def test_deliveries_carry_the_token_that_the_receiver_asks_for(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """From the next delivery on, as long as there is one; nothing that is printed shows it."""
    subscriptions = inkbox.webhooks.subscriptions
    created = await subscriptions.create(
        mailbox_id=mailbox_of(agent), url=receiver.url, event_types=["message.received"], auth_token="t0ken-1"
    )
    assert (created.has_auth_token, created.auth_token) == (True, "t0ken-1")
    assert "t0ken-1" not in repr(created)
    await write(sandbox, agent, "With the first")
    assert (await receiver.next()).headers["Authorization"] == "Bearer t0ken-1"

    await subscriptions.update(created.id, auth_token="t0ken-2")
    assert (await subscriptions.get(created.id)).auth_token == "t0ken-2"
    kept = await subscriptions.update(created.id, event_types=["message.received", "message.sent"])
    assert kept.auth_token == "t0ken-2"
    await write(sandbox, agent, "With the second")
    assert (await receiver.next()).headers["Authorization"] == "Bearer t0ken-2"

    cleared = await subscriptions.update(created.id, auth_token=None)
    assert (cleared.has_auth_token, cleared.auth_token) == (False, None)
    await write(sandbox, agent, "With none")
    assert "Authorization" not in (await receiver.next()).headers
    for unspeakable in ("", "two words", "line\r\nX-Other: yes", "schl\u00fcssel"):
        with pytest.raises(InkboxAPIError, match="auth_token") as refused:
            await subscriptions.update(created.id, auth_token=unspeakable)
        assert refused.value.status_code == 422
    journal = "".join(entry.model_dump_json() for entry in await sandbox.world.act("control.list_requests"))
    assert "auth_token" in journal
    assert "t0ken" not in journal


async def test_which_key_signs(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """The newest key of the organization; once the identity has its own, that one."""
    await subscribe(inkbox, agent, receiver.url)
    old = await inkbox.create_signing_key()
    new = await inkbox.create_signing_key()
    await write(sandbox, agent, "one")
    delivery = await receiver.next()
    assert delivery.is_signed_with(new.signing_key)
    assert not delivery.is_signed_with(old.signing_key)
    own = await inkbox.signing_keys.create_or_rotate(agent.agent_handle)
    await write(sandbox, agent, "two")
    assert (await receiver.next()).is_signed_with(own.signing_key)


async def test_only_selected_events_of_the_owner(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Another mailbox and other events stay silent; the life of a sent mail is told in order."""
    other = await inkbox.create_identity("other")
    await subscribe(inkbox, agent, receiver.url, "message.sent", "message.delivered")
    await write(sandbox, agent, "not selected")
    await write(sandbox, other, "not the owner")
    await agent.send_email(to=["ann@example.com"], subject="Answer", body_text="Hello")
    told = [(await receiver.next()).json["event_type"] for _ in range(2)]
    assert told == ["message.sent", "message.delivered"]


async def test_agents_of_the_organization_are_named(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """The sender and every cc of mail that arrived, each with its bucket and address; never the recipient."""
    peer = await inkbox.create_identity("peer", display_name="Peer")
    await subscribe(inkbox, agent, receiver.url)
    await sandbox.world.send_email(
        from_=address_of(peer),
        to=[address_of(agent)],
        cc=[address_of(peer), "ann@example.com"],
        text="Hi",
    )
    found = (await receiver.next()).json["data"]["agent_identities"]
    who = {
        "address": address_of(peer),
        "id": str(peer.id),
        "agent_handle": "peer",
        "display_name": "Peer",
    }
    assert found == [{"bucket": "from", **who}, {"bucket": "cc", **who}]


async def test_a_receiver_that_fails_twice_gets_everything_in_order(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """The first event is repeated with the same id and body, a fresh request id; the others wait for it."""
    key = await inkbox.create_signing_key()
    receiver.answer(500, 503)
    subscription = await subscribe(inkbox, agent, receiver.url)
    for subject in ("one", "two", "three"):
        await write(sandbox, agent, subject)
    first = await receiver.next()
    for number, delay in enumerate(RETRY_DELAYS[:2], start=1):
        await attempts(sandbox, number)
        sandbox.clock.advance(delay)
        again = await receiver.next()
        assert again.body == first.body
        assert again.headers["X-Inkbox-Request-ID"] != first.headers["X-Inkbox-Request-ID"]
        assert again.is_signed_with(key.signing_key)
    rest = [subject_of(await receiver.next()) for _ in range(2)]
    assert [subject_of(first), *rest] == ["one", "two", "three"]
    assert len(receiver.received) == 5

    journal = list(reversed(await attempts(sandbox, 5)))
    assert {row.webhook_subscription_id for row in journal} == {subscription}
    assert [(row.attempt, row.outcome, row.response_status) for row in journal] == [
        (1, "retrying", 500),
        (2, "retrying", 503),
        (3, "delivered", 204),
        (1, "delivered", 204),
        (1, "delivered", 204),
    ]
    assert {row.event_id for row in journal[:3]} == {first.json["id"]}
    assert journal[0].request_payload == first.body.decode()
    assert journal[0].request_id == first.headers["X-Inkbox-Request-ID"]
    assert journal[0].signed
    assert journal[0].next_attempt_at is not None


async def test_a_dead_receiver_is_given_up_and_the_next_event_goes_on(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """After the last delay the event is dropped; the one behind it is delivered."""
    receiver.answer(*[500] * (len(RETRY_DELAYS) + 1))
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "lost")
    await write(sandbox, agent, "kept")
    for number, delay in enumerate(RETRY_DELAYS, start=1):
        assert subject_of(await receiver.next()) == "lost"
        await attempts(sandbox, number)
        sandbox.clock.advance(delay)
    assert subject_of(await receiver.next()) == "lost"
    assert subject_of(await receiver.next()) == "kept"
    journal = await attempts(sandbox, len(RETRY_DELAYS) + 2)
    assert [row.outcome for row in journal if row.attempt == len(RETRY_DELAYS) + 1] == ["given_up"]


async def test_a_slow_receiver_holds_nobody_up(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Subscriptions are served independently of each other."""
    patience = asyncio.Event()
    slow = Receiver()
    await slow.start()
    try:
        slow.answer(patience)
        await subscribe(inkbox, agent, slow.url)
        await subscribe(inkbox, agent, receiver.url)
        await write(sandbox, agent, "one")
        await slow.next()
        await write(sandbox, agent, "two")
        assert [subject_of(await receiver.next()) for _ in range(2)] == ["one", "two"]
        assert len(slow.received) == 1
        patience.set()
        assert subject_of(await slow.next()) == "two"
    finally:
        patience.set()
        await slow.stop()


async def test_nothing_waiting_is_lost_by_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """The data file remembers what was not delivered, in what order, and when it is due."""
    data = tmp_path / "inkbox.db"
    receiver.answer(500)
    async with Sandbox(data=data) as sandbox, sandbox.client() as inkbox:
        key = await inkbox.create_signing_key()
        agent = await inkbox.create_identity("support")
        await subscribe(inkbox, agent, receiver.url)
        await write(sandbox, agent, "one")
        await receiver.next()
        await attempts(sandbox, 1)
        await write(sandbox, agent, "two")
    assert len(receiver.received) == 1
    async with Sandbox(data=data) as sandbox:
        sandbox.clock.advance(RETRY_DELAYS[0])
        again, two = await receiver.next(), await receiver.next()
        assert again.body == receiver.received[0].body
        assert (subject_of(again), subject_of(two)) == ("one", "two")
        assert again.is_signed_with(key.signing_key)


async def test_an_unreachable_receiver_is_tried_again(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity
) -> None:
    """Nobody listens at first; the journal says why nothing arrived."""
    late = Receiver()
    await late.start()
    port = late.port
    await late.stop()
    await subscribe(inkbox, agent, f"http://127.0.0.1:{port}/hooks")
    await write(sandbox, agent, "Hello")
    [attempt] = await attempts(sandbox, 1)
    assert attempt.outcome == "retrying"
    assert attempt.response_status is None
    assert str(port) in (attempt.error_detail or "")
    late = Receiver()
    await late.start(port)
    try:
        sandbox.clock.advance(RETRY_DELAYS[0])
        assert subject_of(await late.next()) == "Hello"
    finally:
        await late.stop()


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=302, headers={"Location": "/elsewhere"}),
        web.Response(status=404),
        web.Response(status=500, body=b"x" * 200_000),
    ],
    ids=["redirect", "not found", "long error page"],
)
async def test_only_2xx_is_a_success(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver, answer: web.Response
) -> None:
    """Redirects are not followed; of an error page, a part is kept."""
    receiver.answer(answer)
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Hello")
    [attempt] = await attempts(sandbox, 1)
    assert attempt.outcome == "retrying"
    assert attempt.response_status == answer.status
    assert len(attempt.response_body or "") <= 64 * 1024
    assert len(receiver.received) == 1


async def test_a_changed_address_is_used_at_once(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """What waits goes where the subscription points now."""
    receiver.answer(500)
    subscription = await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Hello")
    await attempts(sandbox, 1)
    await inkbox.webhooks.subscriptions.update(subscription, url=f"{receiver.url}/new")
    sandbox.clock.advance(RETRY_DELAYS[0])
    await receiver.next()
    await receiver.next()
    newest, _ = await attempts(sandbox, 2)
    assert (newest.outcome, newest.url) == ("delivered", f"{receiver.url}/new")


async def test_a_deleted_subscription_is_silent_at_once(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Neither new events nor those that wait are sent; another subscription goes on."""
    receiver.answer(500)
    doomed = await subscribe(inkbox, agent, f"{receiver.url}/doomed")
    await write(sandbox, agent, "one")
    await receiver.next()
    await attempts(sandbox, 1)
    await inkbox.webhooks.subscriptions.delete(doomed)
    await subscribe(inkbox, agent, receiver.url)
    sandbox.clock.advance(sum(RETRY_DELAYS))
    await write(sandbox, agent, "two")
    assert subject_of(await receiver.next()) == "two"
    tried = await sandbox.world.webhook_attempts(subscription_id=doomed)
    assert [attempt.attempt for attempt in tried] == [1]


async def test_nothing_leaves_this_machine(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Addresses elsewhere are not even looked up; the journal says how to allow them."""
    elsewhere = (
        "https://hooks.example.com/",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/",
        "https://0x7f.1/",
    )
    for url in elsewhere:
        await subscribe(inkbox, agent, url)
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Hello")
    await receiver.next()
    for attempt in await attempts(sandbox, len(elsewhere) + 1):
        if attempt.url in elsewhere:
            assert attempt.outcome == "given_up"
            assert "--allow-external-webhooks" in (attempt.error_detail or "")


async def test_names_under_localhost_are_this_machine(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """Whatever the system's resolver thinks of them."""
    await subscribe(inkbox, agent, f"http://agent.localhost:{receiver.port}/hooks")
    await write(sandbox, agent, "Hello")
    assert (await receiver.next()).headers["Host"] == f"agent.localhost:{receiver.port}"


async def test_a_reset_forgets_what_waits(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """After it, nothing of before arrives, and new events do, although numbers begin anew."""
    patience = asyncio.Event()
    receiver.answer(patience)
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "before, under way")
    await receiver.next()
    await write(sandbox, agent, "before, waiting")
    await sandbox.reset()
    agent = await inkbox.create_identity("support")
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "after")
    assert subject_of(await receiver.next()) == "after"
    patience.set()
    [attempt] = await attempts(sandbox, 1)
    assert attempt.outcome == "delivered"


async def test_the_journal_can_be_narrowed(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """By subscription and by type of event; a secret is never in it."""
    key = await inkbox.create_signing_key()
    one = await subscribe(inkbox, agent, receiver.url)
    await subscribe(inkbox, agent, f"{receiver.url}/2", "message.sent", "message.received")
    await write(sandbox, agent, "Hello")
    await agent.send_email(to=["ann@example.com"], subject="Answer", body_text="Hello")
    for _ in range(3):
        await receiver.next()
    await attempts(sandbox, 3)
    world = sandbox.world
    assert len(await world.webhook_attempts(subscription_id=one)) == 1
    assert len(await world.webhook_attempts(event_type="message.received")) == 2
    assert len(await world.webhook_attempts(event_type="message.sent")) == 1
    assert await world.webhook_attempts(event_type="text.sent") == []
    shown = str(await world.webhook_attempts())
    assert key.signing_key.removeprefix("whsec_") not in shown


async def test_the_official_verifier_accepts_deliveries(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, receiver: Receiver
) -> None:
    """The published package's own function, on what the sandbox really sends."""
    official = pytest.importorskip("inkbox")
    key = await inkbox.create_signing_key()
    await subscribe(inkbox, agent, receiver.url)
    await write(sandbox, agent, "Grüße")
    delivery = await receiver.next()
    assert official.verify_webhook(payload=delivery.body, headers=delivery.headers, secret=key.signing_key)
