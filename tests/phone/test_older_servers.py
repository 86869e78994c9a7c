"""The client against servers that know the documents' routes only, and leave out what came later."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError, PhoneCall, TextMessage
from inkbox_async.generated.models.identities import AgentIdentityDetail

NUMBER_ID, CALL_ID, IDENTITY_ID = (str(uuid.uuid4()) for _ in range(3))
TIME = "2026-05-01T11:00:00Z"
CALL = {
    "id": CALL_ID,
    "local_phone_number": "+15555550100",
    "remote_phone_number": "+15555550199",
    "direction": "outbound",
    "status": "initiated",
    "created_at": TIME,
    "updated_at": TIME,
}
SAID = {
    "id": CALL_ID,
    "call_id": CALL_ID,
    "seq": 0,
    "ts_ms": 0,
    "party": "remote",
    "text": "Hello",
    "created_at": TIME,
}


class OldServer:
    """Answers the routes of numbers, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []  # Any: JSON bodies of every type
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        base = f"/api/v1/phone/numbers/{NUMBER_ID}"
        answers: dict[str, Any] = {  # Any: JSON bodies of every type
            f"{base}/calls": [CALL],
            f"{base}/calls/{CALL_ID}": CALL,
            f"{base}/calls/{CALL_ID}/transcripts": [SAID],
            "/api/v1/phone/place-call": CALL,
        }
        if request.path in answers:
            return web.json_response(answers[request.path])
        return web.json_response({"detail": "Not Found"}, status=404)


@pytest.fixture
async def server() -> AsyncIterator[OldServer]:
    old = OldServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", old.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    old.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield old
    await runner.cleanup()


@pytest.fixture
async def inkbox(server: OldServer) -> AsyncIterator[AsyncInkbox]:
    async with AsyncInkbox("ApiKey_test", base_url=server.url, max_retries=0) as client:
        yield client


def identity_on(inkbox: AsyncInkbox) -> AgentIdentity:
    number = {
        "id": NUMBER_ID,
        "number": "+15555550100",
        "type": "local",
        "status": "active",
        "incoming_call_action": "auto_reject",
        "created_at": TIME,
        "updated_at": TIME,
    }
    data = {
        "id": IDENTITY_ID,
        "organization_id": "org_1",
        "agent_handle": "scout",
        "phone_number": number,
        "created_at": TIME,
        "updated_at": TIME,
    }
    return AgentIdentity(AgentIdentityDetail.model_validate(data), inkbox)


async def test_calls_and_transcripts_are_found_by_number(inkbox: AsyncInkbox, server: OldServer) -> None:
    identity = identity_on(inkbox)
    (call,) = await identity.list_calls(limit=10, offset=0)
    assert (call.mode, call.origin, call.on_voicemail) == ("client_websocket", "dedicated_number", "hang_up")
    assert (call.is_blocked, call.connections, call.forwardings) == (False, None, [])
    assert [row.text for row in await identity.list_transcripts(call.id)] == ["Hello"]
    assert (await inkbox.calls.get(NUMBER_ID, CALL_ID)).id == call.id
    assert [path.partition("?")[0].removeprefix("/api/v1/phone/") for _, path, _ in server.asked] == [
        "calls",
        f"numbers/{NUMBER_ID}/calls",
        f"calls/{CALL_ID}/transcripts",
        f"numbers/{NUMBER_ID}/calls/{CALL_ID}/transcripts",
        f"numbers/{NUMBER_ID}/calls/{CALL_ID}",
    ]


async def test_a_question_with_dates_is_not_turned_into_another(inkbox: AsyncInkbox) -> None:
    with pytest.raises(InkboxAPIError, match="404"):
        await identity_on(inkbox).list_calls(start_datetime="2026-05-01")


async def test_placing_a_call_sends_what_both_eras_read(inkbox: AsyncInkbox, server: OldServer) -> None:
    call = await identity_on(inkbox).place_call(to_number="+15555550199", client_websocket_url="wss://a/ws")
    assert call.rate_limit is None
    assert server.asked[-1][2] == {
        "to_number": "+15555550199",
        "from_number": "+15555550100",
        "client_websocket_url": "wss://a/ws",
        "origination": "dedicated_number",
        "mode": "client_websocket",
    }


async def test_calls_over_other_lines_name_the_identity(inkbox: AsyncInkbox, server: OldServer) -> None:
    await identity_on(inkbox).place_call(to_number="+15555550199", origination="shared_imessage_number")
    sent = server.asked[-1][2]
    assert (sent["agent_identity_id"], "from_number" in sent) == (IDENTITY_ID, False)


def test_new_values_and_nulls_are_read() -> None:
    call = PhoneCall.model_validate(
        {**CALL, "status": "parked", "origin": None, "mode": None, "is_blocked": None, "forwardings": None}
    )
    assert (call.status, call.origin, call.is_blocked, call.forwardings) == (
        "parked",
        "dedicated_number",
        False,
        [],
    )
    text = TextMessage.model_validate(
        {
            "id": CALL_ID,
            "direction": "inbound",
            "local_phone_number": "+15555550100",
            "type": "rcs",
            "is_read": False,
            "delivery_status": "blocked_spam_filter",
            "origin": None,
            "media": [],
            "recipients": [],
            "created_at": TIME,
            "updated_at": TIME,
        }
    )
    assert (text.type, text.delivery_status, text.origin) == ("rcs", "blocked_spam_filter", "user_initiated")
    assert (text.media, text.recipients) == (None, None)
