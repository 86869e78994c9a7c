"""Calls from people: declined, accepted, or decided by the agent's webhook; and what is kept of them."""

from __future__ import annotations

import base64
import io
import json
import wave
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, PhoneCall, verify_webhook
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError
from inkbox_async.sandbox.phone import audio
from inkbox_async.sandbox.phone.carrier import MAX_DURATION

from .conftest import ANN, JSON, Agent, Api, answered, echo, ended, phone, say, serving

SCRIPT = [{"party": "remote", "text": "I want a refund."}]


async def ring(inkbox: AsyncInkbox, sandbox: Sandbox, identity: AgentIdentity, **fields: object) -> PhoneCall:
    """Have Ann call the agent; returns the call once it has ended."""
    call_id = (await sandbox.world.place_call(from_=ANN, to=phone(identity).number, **fields)).call_id  # type: ignore[arg-type]
    return await ended(inkbox, call_id)


async def accept(inkbox: AsyncInkbox, identity: AgentIdentity, url: str) -> None:
    await inkbox.phone_numbers.update(
        phone(identity).id, incoming_call_action="auto_accept", client_websocket_url=url
    )


class Receiver:
    """What is asked about calls: remembers the questions, and answers."""

    def __init__(self, answer: JSON = None, status: int = 200) -> None:
        self.url = ""
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self._answer, self._status = answer, status

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), await request.read()))
        return web.json_response(self._answer, status=self._status)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    application = web.Application()
    application.router.add_post("/calls", receiver.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/calls"
        yield receiver
    finally:
        await runner.cleanup()


async def test_calls_are_declined_unless_something_else_is_said(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert (call.direction, call.status, call.hangup_reason) == ("inbound", "failed", "rejected")
    assert (call.is_blocked, call.started_at) == (False, None)
    assert await api.recorded() == []


async def test_a_blocked_caller_is_kept_from_the_agent(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    await inkbox.phone_contact_rules.create(phone(fresh).id, action="block", match_target=ANN)
    async with serving(Agent()) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh)
    assert (call.status, call.hangup_reason, call.is_blocked) == ("failed", "rejected", True)
    assert agent.upgrades == []
    assert await api.recorded() == []
    assert [found.id for found in await fresh.list_calls(is_blocked=True)] == [call.id]
    caller = await api.agent_of(fresh)
    assert await caller.ok("GET", "/phone/calls", is_blocked="true") == []
    assert (await caller.call("GET", f"/phone/calls/{call.id}")).status == 404


async def test_an_accepted_call_is_carried_to_the_agent(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent(echo)) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert (call.status, call.hangup_reason) == ("completed", "remote")
    assert call.client_websocket_url == agent.url
    context = json.loads(agent.upgrades[0]["X-Call-Context"])
    assert (context["direction"], context["remote_phone_number"]) == ("inbound", ANN)
    assert "X-Inkbox-Signature" not in agent.upgrades[0], "there is no signing key yet"
    found = await inkbox.phone_numbers.search_transcripts(phone(fresh).id, q="refund", party="remote")
    assert [(row.call_id, row.party, row.text) for row in found] == [(call.id, "remote", SCRIPT[0]["text"])]
    assert len(await inkbox.phone_numbers.search_transcripts(phone(fresh).id, q="refund")) == 2
    assert await inkbox.phone_numbers.search_transcripts(phone(fresh).id, q="invoice") == []


async def test_a_caller_with_many_cards_gets_through(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    for index in range(40):
        await inkbox.contacts.create(
            given_name=f"Ann {index} " + "\u00e9" * 100, phones=[{"value_e164": ANN}]
        )
    async with serving(Agent(echo)) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert call.status == "completed"
    (headers,) = agent.upgrades
    contacts = json.loads(headers["X-Call-Context"])["contacts"]
    assert contacts[0]["name"].startswith("Ann 0 ")
    assert 0 < len(contacts) < 40, "servers read headers up to a length only"


async def test_the_webhook_answers_and_names_the_websocket(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    secret = (await inkbox.create_signing_key()).signing_key
    async with serving(Agent(echo)) as agent:
        receiver = Receiver({"action": "answer", "client_websocket_url": agent.url})
        async with receiving(receiver):
            await inkbox.phone_numbers.update(
                phone(fresh).id, incoming_call_action="webhook", incoming_call_webhook_url=receiver.url
            )
            call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert (call.status, call.client_websocket_url) == ("completed", agent.url)
    ((headers, body),) = receiver.asked
    assert verify_webhook(payload=body, headers=headers, secret=secret)
    question = json.loads(body)
    assert (question["id"], question["status"]) == (str(call.id), "initiated")
    assert (question["direction"], question["remote_phone_number"]) == ("inbound", ANN)
    assert (question["contacts"], question["agent_identities"]) == ([], [])
    assert question["rate_limit"]["calls_limit"] == 100
    assert question["client_websocket_url"] is None, "nobody has taken the call yet"
    assert not {"event_type", "is_blocked"} & question.keys()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, {"action": "reject"}),
        (200, {"action": "ignore"}),
        (200, "answer"),
        (500, {"action": "answer"}),
        (200, {"action": "answer"}),
    ],
)
async def test_everything_but_an_answer_with_an_address_declines(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, status: int, answer: JSON
) -> None:
    async with receiving(Receiver(answer, status)) as receiver:
        await inkbox.phone_numbers.update(
            phone(fresh).id, incoming_call_action="webhook", incoming_call_webhook_url=receiver.url
        )
        call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert (call.status, call.hangup_reason) == ("failed", "rejected")
    assert len(receiver.asked) == 1


async def test_an_answer_may_mean_the_stored_websocket(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent(echo)) as agent, receiving(Receiver({"action": "answer"})) as receiver:
        await inkbox.phone_numbers.update(
            phone(fresh).id,
            incoming_call_action="webhook",
            incoming_call_webhook_url=receiver.url,
            client_websocket_url=agent.url,
        )
        call = await ring(inkbox, inkbox_sandbox, fresh, script=SCRIPT)
    assert (call.status, call.client_websocket_url) == ("completed", agent.url)
    ((_, body),) = receiver.asked
    assert json.loads(body)["client_websocket_url"] is None, "nobody has taken the call yet"


async def test_the_caller_waits_for_the_agent_where_the_script_says_so(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async def greet(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await say(socket, "Welcome.")
        if frame["event"] == "transcript" and frame["is_final"]:
            await say(socket, "You are welcome.")

    script = [{"party": "local", "text": "a greeting"}, {"party": "remote", "text": "Thanks, bye."}]
    async with serving(Agent(greet)) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh, script=script)
    assert (call.status, call.hangup_reason) == ("completed", "remote")
    said = [row.text for row in await fresh.list_transcripts(call.id)]
    assert said == ["Welcome.", "Thanks, bye.", "You are welcome."]


async def test_the_caller_hangs_up_after_a_while(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent()) as agent:
        await accept(inkbox, fresh, agent.url)
        placed = await inkbox_sandbox.world.place_call(from_=ANN, to=phone(fresh).number, hangup_after=600)
        await answered(inkbox, placed.call_id)
        inkbox_sandbox.clock.advance(600)
        call = await ended(inkbox, placed.call_id)
    assert (call.status, call.hangup_reason) == ("completed", "remote")


def wav(samples: list[int], rate: int = 8000, channels: int = 1) -> str:
    """A WAV file as a `data:` address."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array("h", samples).tobytes())
    return "data:audio/wav;base64," + base64.b64encode(content.getvalue()).decode()


async def bye(socket: web.WebSocketResponse, frame: JSON) -> None:
    """Hang up after 25 pieces of sound."""
    if frame["event"] == "media" and frame["media"]["timestamp"] == "480":
        await socket.send_json({"event": "stop"})


async def test_a_recording_is_played_to_agents_that_listen_themselves(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    samples = [round(9000 * ((index % 40) - 20) / 20) for index in range(400)]

    async def hang_up(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "media" and frame["media"]["timestamp"] == "40":
            await socket.send_json({"event": "stop"})

    async with serving(Agent(hang_up, {"X-Use-Inkbox-Speech-To-Text": "false"})) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh, audio_url=wav(samples))
    assert (call.use_inkbox_tts, call.use_inkbox_stt) == (True, False)
    pieces = [
        base64.b64decode(frame["media"]["payload"]) for frame in agent.heard if frame["event"] == "media"
    ]
    assert [len(piece) for piece in pieces] == [160, 160, 80]
    assert b"".join(pieces) == audio.mu_law(samples)


@pytest.mark.parametrize(
    "url", [wav([0] * 8, rate=16000), wav([0] * 8, channels=2), "data:audio/wav,RIFF", "data:audio/wav"]
)
async def test_other_recordings_are_refused(fresh: AgentIdentity, inkbox_sandbox: Sandbox, url: str) -> None:
    with pytest.raises(ApiError) as caught:
        await inkbox_sandbox.world.place_call(from_=ANN, to=phone(fresh).number, audio_url=url)
    assert caught.value.status == 422
    assert await fresh.list_calls() == []


async def test_a_caller_who_would_stay_for_ever_is_cut_off(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent()) as agent:
        await accept(inkbox, fresh, agent.url)
        placed = await inkbox_sandbox.world.place_call(from_=ANN, to=phone(fresh).number, hangup_after=1e300)
        await answered(inkbox, placed.call_id)
        inkbox_sandbox.clock.advance(MAX_DURATION.total_seconds())
        call = await ended(inkbox, placed.call_id)
    assert (call.status, call.hangup_reason) == ("completed", "max_duration")


async def test_what_no_phone_can_do(fresh: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    number = phone(fresh).number
    for attempt in (
        inkbox_sandbox.world.place_call(from_=number, to=number),
        inkbox_sandbox.world.place_call(from_=ANN, to=number, script=[{"party": "caller", "text": "Hello"}]),
        inkbox_sandbox.world.send_text(from_=number, to=number, text="Hello"),
        inkbox_sandbox.world.send_text(from_=ANN, to=[number, ANN], text="Hello"),
    ):
        with pytest.raises(ApiError) as caught:
            await attempt
        assert caught.value.status == 422
    assert await fresh.list_calls() == []


async def test_nobody_has_the_number(inkbox_sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as caught:
        await inkbox_sandbox.world.place_call(from_=ANN, to="+12125550000")
    assert caught.value.status == 404
    with pytest.raises(ApiError) as unknown:
        await inkbox_sandbox.world.call_frames("3c2b1a09-8f7e-4d6c-b5a4-93827160f5e4")
    assert unknown.value.status == 404


async def test_a_call_ends_with_its_sandbox(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.db"
    async with serving(Agent()) as agent:
        async with Sandbox(data=data) as sandbox, sandbox.client() as inkbox:
            identity = await inkbox.create_identity("sales-agent")
            await identity.provision_phone_number()
            placed = await identity.place_call(to_number=ANN, client_websocket_url=agent.url)
            await answered(inkbox, placed.id)
        async with Sandbox(data=data) as sandbox, sandbox.client() as inkbox:
            call = await ended(inkbox, placed.id)
    assert call.status == "completed"


async def test_reset_drops_calls_that_go_on(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent()) as agent:
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        await answered(inkbox, placed.id)
        await inkbox_sandbox.reset()
        await agent.left.wait()
    identity = await inkbox.create_identity("another")
    await identity.provision_phone_number()
    assert await identity.list_calls() == []


async def test_a_recording_takes_its_time(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    async with serving(Agent(bye, {"X-Use-Inkbox-Speech-To-Text": "false"})) as agent:
        await accept(inkbox, fresh, agent.url)
        call = await ring(inkbox, inkbox_sandbox, fresh, audio_url=wav([0] * 4000))
    assert call.started_at is not None
    assert call.ended_at is not None
    assert call.ended_at - call.started_at >= timedelta(seconds=0.5), "a line carries 8000 samples a second"


async def test_the_clock_hurries_a_recording(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    length = 600
    async with serving(Agent(None, {"X-Use-Inkbox-Speech-To-Text": "false"})) as agent:
        await accept(inkbox, fresh, agent.url)
        recording = wav([0] * (8000 * length))
        placed = await inkbox_sandbox.world.place_call(
            from_=ANN, to=phone(fresh).number, audio_url=recording, hangup_after=length + 60
        )
        await agent.sounded.wait()
        inkbox_sandbox.clock.advance(length + 60)
        call = await ended(inkbox, placed.call_id)
    assert call.hangup_reason == "remote"
