"""Calls that an agent places: over its WebSocket, with a person at the other end, to a documented end."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from aiohttp import web

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    HangupReason,
    InkboxAPIError,
    RecipientBlockedError,
    verify_webhook,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.phone.carrier import MAX_DURATION

from .conftest import ANN, BOB, JSON, Agent, Api, answered, echo, ended, phone, say, serving

SCRIPT = [
    {"party": "remote", "text": "Hello, is this the sales agent?"},
    {"party": "remote", "text": "Goodbye."},
]
URL = "wss://agent.example.com/ws"


async def answer_with(sandbox: Sandbox, outcome: str = "answered", **fields: object) -> None:
    await sandbox.world.set_outcome(channel="call", to=ANN, outcome=outcome, **fields)  # type: ignore[arg-type]


async def test_a_call_from_the_first_ring_to_the_last_word(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    secret = (await inkbox.create_signing_key()).signing_key
    await answer_with(inkbox_sandbox, script=SCRIPT)
    async with serving(Agent(echo)) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        assert (placed.status, placed.direction, placed.is_blocked) == ("initiated", "outbound", False)
        assert (placed.local_phone_number, placed.remote_phone_number) == (phone(fresh).number, ANN)
        assert (placed.use_inkbox_tts, placed.use_inkbox_stt, placed.started_at) == (None, None, None)
        limit = placed.rate_limit
        assert limit is not None
        assert (limit.calls_used, limit.calls_remaining, limit.calls_limit) == (1, 99, 100)
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason) == ("completed", HangupReason.REMOTE)
    assert (call.use_inkbox_tts, call.use_inkbox_stt) == (True, True)
    assert call.started_at is not None
    assert call.ended_at is not None
    assert call.created_at < call.started_at < call.ended_at

    (headers,) = agent.upgrades
    context = headers["X-Call-Context"]
    assert verify_webhook(payload=context.encode(), headers=headers, secret=secret)
    assert f'"call_id":"{call.id}"' in context
    assert f'"phone_number":"{phone(fresh).number}"' in context
    assert agent.events()[0] == "start"
    assert agent.heard[-1] == {
        "event": "stop",
        "stream_id": agent.heard[0]["stream_id"],
        "reason": "caller_hang_up",
    }
    heard = [frame["text"] for frame in agent.heard if frame["event"] == "transcript" and frame["is_final"]]
    assert heard == [line["text"] for line in SCRIPT]
    partial = next(frame for frame in agent.heard if frame["event"] == "transcript")
    assert (partial["is_final"], partial["text"]) == (False, "Hello, is this")

    said = [(row.seq, row.party, row.text) for row in await fresh.list_transcripts(call.id)]
    assert said == [
        (0, "remote", SCRIPT[0]["text"]),
        (1, "local", f"You said: {SCRIPT[0]['text']}"),
        (2, "remote", SCRIPT[1]["text"]),
        (3, "local", f"You said: {SCRIPT[1]['text']}"),
    ]
    frames = await inkbox_sandbox.world.call_frames(call.id)
    assert [frame.frame["event"] for frame in frames] == ["text"] * 4
    (left,) = await inkbox_sandbox.world.outbox("call")
    assert (left.from_, left.to, left.resource_id) == (phone(fresh).number, [ANN], call.id)
    assert "You said" in (left.text or "")
    ((kind, data),) = await api.recorded()
    assert kind == "call.ended"
    assert (data["call"]["status"], data["outcome"]) == ("completed", None)
    assert [entry["text"] for entry in data["transcript"]["entries"]] == [text for _, _, text in said]


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [("busy", "failed", "rejected"), ("rejected", "failed", "rejected"), ("no_answer", "canceled", None)],
)
async def test_nobody_answers(
    fresh: AgentIdentity,
    inkbox: AsyncInkbox,
    inkbox_sandbox: Sandbox,
    outcome: str,
    status: str,
    reason: str | None,
) -> None:
    await answer_with(inkbox_sandbox, outcome)
    async with serving(Agent()) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason, call.started_at) == (status, reason, None)
    assert agent.upgrades == [], "the WebSocket is opened for calls that are answered"


async def test_an_agent_that_refuses_or_is_not_there(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent()) as agent:
        agent.refuse = 401
        refused = await ended(
            inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id
        )
    gone = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id)
    elsewhere = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=URL)).id)
    for call in (refused, gone, elsewhere):
        assert (call.status, call.hangup_reason, call.started_at) == ("failed", None, None)
    assert len(agent.upgrades) == 1


async def test_the_agent_hangs_up(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    async def greet_and_go(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await say(socket, "Wrong number.")
            await socket.send_json({"event": "stop", "reason": "goodbye"})

    async with serving(Agent(greet_and_go)) as agent:
        call = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id)
    assert (call.status, call.hangup_reason) == ("completed", "local")
    assert agent.heard[-1]["reason"] == "agent_hang_up"
    assert [row.text for row in await inkbox.transcripts.list(phone(fresh).id, call.id)] == ["Wrong number."]


async def test_words_before_done_are_not_spoken_and_clear_drops_them(
    fresh: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    async def stammer(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await socket.send_json({"event": "text", "delta": "Never mind"})
            await socket.send_json({"event": "clear"})
            await socket.send_json({"event": "text", "delta": "Good "})
            await socket.send_str("this is no JSON")
            await socket.send_json(["no", "object"])
            await socket.send_json({"event": "hangup"})
            await socket.send_json({"event": "media", "media": {"payload": ""}})
            await socket.send_json({"event": "transcript", "party": "remote", "text": "Made up"})
            await socket.send_json({"event": "text", "delta": "evening", "done": True})
            await socket.send_json({"event": "text", "delta": "Unfinished"})
            await socket.send_json({"event": "stop"})

    async with serving(Agent(stammer)) as agent:
        call = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id)
    assert [(row.party, row.text) for row in await fresh.list_transcripts(call.id)] == [
        ("local", "Good evening")
    ]


async def test_a_silent_person_stays_until_the_longest_call_is_over(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent()) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await agent.connected.wait()
        call = await answered(inkbox, placed.id)
        inkbox_sandbox.clock.advance(MAX_DURATION.total_seconds())
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason) == ("completed", "max_duration")
    assert agent.heard[-1]["reason"] == "max_duration"


async def test_a_dead_websocket_does_not_end_the_call(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async def drop(socket: web.WebSocketResponse, frame: JSON) -> None:
        await socket.close(code=1008)

    async with serving(Agent(drop)) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await agent.connected.wait()
        call = await answered(inkbox, placed.id)
        assert call.ended_at is None
        inkbox_sandbox.clock.advance(MAX_DURATION.total_seconds())
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason) == ("completed", "max_duration")


async def test_hanging_up_through_the_api(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    async with serving(Agent()) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await answered(inkbox, placed.id)
        assert (await fresh.hangup_call(placed.id)).id == placed.id
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason) == ("completed", "local")
    with pytest.raises(InkboxAPIError, match="409"):
        await inkbox.calls.hangup(placed.id)
    with pytest.raises(InkboxAPIError, match="404"):
        await inkbox.calls.hangup(uuid.uuid4())


async def test_hanging_up_while_the_agent_takes_its_time(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    has_come, may_answer = asyncio.Event(), asyncio.Event()

    class Slow(Agent):
        async def serve(self, request: web.Request) -> web.StreamResponse:
            has_come.set()
            await may_answer.wait()
            return await super().serve(request)

    async with serving(Slow()) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await has_come.wait()
        await inkbox.calls.hangup(placed.id)
        call = await ended(inkbox, placed.id)
        may_answer.set()
    assert (call.status, call.hangup_reason, call.started_at) == ("canceled", "local", None)


async def test_raw_audio_both_ways(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async def mirror(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await socket.send_json(
                {"event": "transcript", "party": "remote", "text": "Hello", "is_final": True}
            )
            await socket.send_json(
                {"event": "transcript", "party": "remote", "text": "Hel", "is_final": False}
            )
            await socket.send_json({"event": "transcript", "party": "local", "text": "Hi"})
            await socket.send_json({"event": "text", "delta": "ignored", "done": True})
            media = {"payload": "////fw==", "track": "outbound"}
            await socket.send_json({"event": "media", "media": media})
            await socket.send_json({"event": "audio_done"})

    await answer_with(inkbox_sandbox, script=SCRIPT[:1])
    raw = {"X-Use-Inkbox-Text-To-Speech": "false", "X-Use-Inkbox-Speech-To-Text": "False"}
    async with serving(Agent(mirror, raw)) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        while agent.events().count("media") < 3:
            await agent.sounded.wait()
            agent.sounded.clear()
        await inkbox.calls.hangup(placed.id)
        call = await ended(inkbox, placed.id)
    assert (call.use_inkbox_tts, call.use_inkbox_stt) == (False, False)
    media = [frame["media"] for frame in agent.heard if frame["event"] == "media"]
    assert [part["timestamp"] for part in media[:3]] == ["0", "20", "40"]
    assert {part["track"] for part in media} == {"inbound"}
    assert "transcript" not in agent.events()
    said = [(row.party, row.text) for row in await fresh.list_transcripts(call.id)]
    assert said == [("remote", "Hello"), ("local", "Hi")]


async def test_whoever_speaks_into_the_agent_s_words_interrupts_it(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ramble(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await socket.send_json({"event": "text", "delta": "As I was saying, and "})
        if frame["event"] == "barge_in":
            await socket.send_json({"event": "clear"})
            await say(socket, "Sorry?")

    monkeypatch.setattr("inkbox_async.sandbox.phone.conversing.LONGEST_TURN", 0.2)
    script = [{"party": "local", "text": "a greeting"}, {"party": "remote", "text": "Excuse me!"}]
    await answer_with(inkbox_sandbox, script=script)
    async with serving(Agent(ramble)) as agent:
        call = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id)
    (interruption,) = [frame for frame in agent.heard if frame["event"] == "barge_in"]
    assert (interruption["trigger"], interruption["tts_interrupted"]) == ("caller_speech", True)
    assert [row.text for row in await fresh.list_transcripts(call.id)] == ["Excuse me!", "Sorry?"]


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (422, {"from_number": None}),
        (422, {"client_websocket_url": None}),
        (422, {"client_websocket_url": "https://agent.example.com"}),
        (422, {"client_websocket_url": "wss://"}),
        (422, {"client_websocket_url": "wss:///ws"}),
        (422, {"client_websocket_url": "wss://[::1/ws"}),
        (422, {"client_websocket_url": "wss://agent.example.com/a path"}),
        (422, {"client_websocket_url": "ws://agent.example.com/ws"}),
        (422, {"to_number": "911"}),
        (422, {"reason": "Book a table"}),
        (422, {"mode": "hosted_agent", "client_websocket_url": None}),
        (422, {"mode": "hosted_agent", "reason": "Book a table"}),
        (422, {"hosted_agent_authority_mode": "yolo"}),
        (422, {"voicemail_message": "Please call back"}),
        (422, {"voicemail_detection": "disabled", "on_voicemail": "hang_up"}),
        (422, {"origination": "shared_imessage_number"}),
        (422, {"volume": 11}),
        (403, {"from_number": "+12125550000"}),
        (503, {"mode": "hosted_agent", "reason": "Book a table", "client_websocket_url": None}),
        (409, {"origination": "shared_imessage_number", "from_number": None}),
    ],
)
async def test_what_cannot_be_placed(
    fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api, status: int, changes: dict[str, object]
) -> None:
    body = {"to_number": ANN, "from_number": phone(fresh).number, "client_websocket_url": URL, **changes}
    reply = await api.call("POST", "/phone/place-call", {k: v for k, v in body.items() if v is not None})
    assert reply.status == status, reply
    assert await fresh.list_calls() == []


async def test_only_one_s_own_living_number_can_call(
    fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api
) -> None:
    other = await inkbox.create_identity("other")
    theirs = await other.provision_phone_number()
    caller = await api.agent_of(fresh)
    body = {"to_number": ANN, "from_number": theirs.number, "client_websocket_url": URL}
    assert (await caller.call("POST", "/phone/place-call", body)).status == 403
    stranger = await api.other_organization()
    assert (await stranger.call("POST", "/phone/place-call", body)).status == 403
    await inkbox.phone_numbers.release(theirs.id)
    assert (await api.call("POST", "/phone/place-call", body)).status == 400


async def test_contact_rules_forbid_calls(fresh: AgentIdentity, inkbox: AsyncInkbox) -> None:
    rule = await inkbox.phone_contact_rules.create(phone(fresh).id, action="block", match_target=ANN)
    with pytest.raises(RecipientBlockedError) as blocked:
        await fresh.place_call(to_number=ANN, client_websocket_url=URL)
    assert (blocked.value.matched_rule_id, blocked.value.address) == (rule.id, ANN)
    assert (await fresh.place_call(to_number=BOB, client_websocket_url=URL)).status == "initiated"


async def test_calls_and_minutes_of_a_day_are_limited(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    await inkbox_sandbox.world.update_organization(limits={"calls_per_day": 1})
    placed = await fresh.place_call(to_number=ANN, client_websocket_url=URL)
    assert placed.rate_limit is not None
    assert placed.rate_limit.calls_remaining == 0
    with pytest.raises(InkboxAPIError) as over:
        await fresh.place_call(to_number=ANN, client_websocket_url=URL)
    assert over.value.status_code == 429
    assert over.value.retry_after_seconds is not None
    inkbox_sandbox.clock.advance(timedelta(days=1).total_seconds())
    async with serving(Agent()) as agent:
        long = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await answered(inkbox, long.id)
        inkbox_sandbox.clock.advance(1800)
        await inkbox.calls.hangup(long.id)
        await ended(inkbox, long.id)
    await inkbox_sandbox.world.update_organization(limits={"calls_per_day": None, "call_minutes_per_day": 45})
    more = await fresh.place_call(to_number=ANN, client_websocket_url=URL)
    assert more.rate_limit is not None
    assert 29.9 < more.rate_limit.minutes_used < 31
    await inkbox_sandbox.world.update_organization(limits={"call_minutes_per_day": 30})
    with pytest.raises(InkboxAPIError, match="429"):
        await fresh.place_call(to_number=ANN, client_websocket_url=URL)


async def test_calls_are_listed_by_identity_and_by_number(
    fresh: AgentIdentity, inkbox: AsyncInkbox, api: Api
) -> None:
    number_id = phone(fresh).id
    ids = [(await fresh.place_call(to_number=ANN, client_websocket_url=URL)).id for _ in range(3)]
    newest = list(reversed(ids))
    assert [call.id for call in await fresh.list_calls()] == newest
    assert [call.id for call in await fresh.list_calls(limit=1, offset=1)] == [ids[1]]
    assert [call.id for call in await inkbox.calls.list(number_id)] == newest
    assert [call.id for call in await inkbox.calls.list(agent_identity_id=fresh.id)] == newest
    assert await inkbox.calls.list(agent_identity_id=fresh.id, end_datetime="2001-01-01") == []
    assert await inkbox.calls.list(number_id, is_blocked=True) == []
    for ways in (
        inkbox.calls.get(ids[0]),
        inkbox.calls.get(call_id=ids[0]),
        inkbox.calls.get(number_id, ids[0]),
    ):
        assert (await ways).id == ids[0]
    with pytest.raises(InkboxAPIError, match="422"):
        await inkbox.calls.list()
    with pytest.raises(ValueError, match="agent_identity_id"):
        await inkbox.calls.list(number_id, start_datetime="2026-01-01")
    with pytest.raises(ValueError, match="call_id"):
        await inkbox.calls.get()  # type: ignore[call-overload]
    caller = await api.agent_of(fresh)
    assert len(await caller.ok("GET", "/phone/calls")) == 3
    other = await inkbox.create_identity("other")
    assert (
        await caller.call("GET", "/phone/calls", query={"agent_identity_id": str(other.id)})
    ).status == 403
    theirs = (await other.provision_phone_number()).id
    with pytest.raises(InkboxAPIError, match="404"):
        await inkbox.calls.get(theirs, ids[0])
    stranger = await api.other_organization()
    for path in (
        f"/phone/calls/{ids[0]}",
        f"/phone/calls/{ids[0]}/transcripts",
        f"/phone/numbers/{number_id}/calls",
    ):
        assert (await stranger.call("GET", path)).status == 404
    assert (await stranger.call("POST", f"/phone/calls/{ids[0]}/hangup")).status == 404
