"""The question what is to become of a call, and the answers that count."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from inkbox_async import AsyncInkbox
from inkbox_async.generated.models.events import IncomingCallAnswer
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks import IncomingCallEvent

from .conftest import Receiver
from .payloads import INCOMING_CALL

NUMBER = "0c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f"


async def ask(
    sandbox: Sandbox, url: str, *, secret: str | None = None, timeout: float = 20
) -> IncomingCallAnswer | None:
    """Ask a receiver about the example's call."""
    return await sandbox.webhooks.ask_about_call(
        url=url,
        payload=INCOMING_CALL,
        secret=secret,
        organization_id=sandbox.organization_id,
        phone_number_id=NUMBER,
        timeout=timeout,
    )


def says(answer: Any, status: int = 200) -> web.Response:  # Any: JSON values
    """A response with a JSON body."""
    return web.Response(status=status, text=json.dumps(answer), content_type="application/json")


async def test_the_question_is_signed_and_flat(sandbox: Sandbox, receiver: Receiver) -> None:
    """It has no envelope; the journal keeps question and answer under the number that is called."""
    receiver.answer(says({"action": "answer", "client_websocket_url": "wss://agent.example.com/ws"}))
    answer = await ask(sandbox, receiver.url, secret="whsec_key")
    assert answer is not None
    assert (answer.action, answer.client_websocket_url) == ("answer", "wss://agent.example.com/ws")
    delivery = await receiver.next()
    assert delivery.is_signed_with("whsec_key")
    assert delivery.json == INCOMING_CALL
    assert isinstance(delivery.event, IncomingCallEvent)
    [attempt] = await sandbox.world.webhook_attempts(event_type="phone.incoming_call")
    assert str(attempt.phone_number_id) == NUMBER
    assert attempt.webhook_subscription_id is None
    assert attempt.event_id == INCOMING_CALL["id"]
    assert (attempt.outcome, attempt.response_status) == ("delivered", 200)
    assert json.loads(attempt.request_payload) == INCOMING_CALL


@pytest.mark.parametrize(
    ("body", "action"),
    [
        ({"action": "answer"}, "answer"),
        ({"action": "answer", "client_websocket_url": None}, "answer"),
        ({"action": "reject", "note": "newer receivers may say more"}, "reject"),
    ],
)
async def test_answers_that_count(
    sandbox: Sandbox, receiver: Receiver, body: dict[str, Any], action: str
) -> None:
    """The URL is optional, further properties do no harm."""
    receiver.answer(says(body))
    answer = await ask(sandbox, receiver.url)
    assert answer is not None
    assert answer.action == action
    assert answer.client_websocket_url is None


@pytest.mark.parametrize(
    "answer",
    [
        says({"action": "answer"}, 201),
        says({"action": "answer"}, 500),
        says({"action": "ignore"}),
        says({"action": 1}),
        says({}),
        says([]),
        says({"action": "answer", "client_websocket_url": 7}),
        web.Response(status=204),
        web.Response(text="answer"),
    ],
    ids=["201", "500", "ignore", "number", "empty", "list", "bad url", "no content", "no JSON"],
)
async def test_everything_else_declines(sandbox: Sandbox, receiver: Receiver, answer: web.Response) -> None:
    """Asked once, never again; the journal tells what came back."""
    receiver.answer(answer)
    assert await ask(sandbox, receiver.url) is None
    [attempt] = await sandbox.world.webhook_attempts()
    assert (attempt.outcome, attempt.response_status) == ("given_up", answer.status)


async def test_a_receiver_that_takes_too_long(sandbox: Sandbox, receiver: Receiver) -> None:
    """Its answer would come too late."""
    never = asyncio.Event()
    receiver.answer(never)
    assert await ask(sandbox, receiver.url, timeout=0.05) is None
    [attempt] = await sandbox.world.webhook_attempts()
    assert "0.05 seconds" in (attempt.error_detail or "")
    never.set()


async def test_a_receiver_that_is_not_there_or_not_here(sandbox: Sandbox) -> None:
    """Nobody listens; or the address is on another machine, which is not even tried."""
    absent = Receiver()
    await absent.start()
    await absent.stop()
    assert await ask(sandbox, absent.url) is None
    assert await ask(sandbox, "https://calls.example.com/") is None
    elsewhere, nowhere = await sandbox.world.webhook_attempts()
    assert str(absent.port) in (nowhere.error_detail or "")
    assert "--allow-external-webhooks" in (elsewhere.error_detail or "")


async def test_a_question_does_not_wait_for_events(
    sandbox: Sandbox, inkbox: AsyncInkbox, receiver: Receiver
) -> None:
    """Calls cannot wait for a receiver that is stuck with something else."""
    stuck = asyncio.Event()
    receiver.answer(stuck, says({"action": "reject"}))
    agent = await inkbox.create_identity("support")
    assert agent.mailbox is not None
    await inkbox.webhooks.subscriptions.create(
        mailbox_id=agent.mailbox.id, url=receiver.url, event_types=["message.received"]
    )
    await sandbox.world.send_email(from_="ann@example.com", to=[agent.mailbox.email_address], text="Hi")
    await receiver.next()
    answer = await ask(sandbox, receiver.url)
    assert answer is not None
    assert answer.action == "reject"
    stuck.set()
