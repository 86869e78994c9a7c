"""Calls from one number of the sandbox to another: two calls, two WebSockets, one line between them."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox, PhoneCall
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.phone import audio

from .conftest import JSON, Agent, Api, answered, echo, ended, phone, say, serving, until
from .test_incoming_calls import Receiver, receiving

RAW = {"X-Use-Inkbox-Text-To-Speech": "false", "X-Use-Inkbox-Speech-To-Text": "false"}


@pytest.fixture
async def colleague(inkbox: AsyncInkbox) -> AgentIdentity:
    """Another identity with a number."""
    identity = await inkbox.create_identity("support-agent")
    await identity.provision_phone_number(type="local", state="CA")
    return identity


async def route(
    inkbox: AsyncInkbox, identity: AgentIdentity, **fields: Any
) -> None:  # Any: settings of a number
    await inkbox.phone_numbers.update(phone(identity).id, **fields)


async def accept(inkbox: AsyncInkbox, identity: AgentIdentity, agent: Agent) -> None:
    await route(inkbox, identity, incoming_call_action="auto_accept", client_websocket_url=agent.url)


async def at_the_other_end(identity: AgentIdentity) -> PhoneCall:
    """The only call of an identity, once it has ended."""
    (call,) = await until(identity.list_calls, lambda calls: bool(calls) and calls[0].ended_at is not None)
    return call


async def greet(socket: web.WebSocketResponse, frame: JSON) -> None:
    """Greet, answer once, and hang up."""
    if frame["event"] == "start":
        await say(socket, "Support, hello.")
    if frame["event"] == "transcript" and frame["is_final"]:
        await say(socket, "Goodbye.")
        await socket.send_json({"event": "stop"})


async def test_two_agents_talk(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    async with serving(Agent(echo)) as caller, serving(Agent(greet)) as callee:
        await accept(inkbox, colleague, callee)
        placed = await fresh.place_call(to_number=phone(colleague).number, client_websocket_url=caller.url)
        call = await ended(inkbox, placed.id)
        other = await at_the_other_end(colleague)
    assert (call.direction, call.status, call.hangup_reason) == ("outbound", "completed", "remote")
    assert (other.direction, other.status, other.hangup_reason) == ("inbound", "completed", "local")
    assert (other.local_phone_number, other.remote_phone_number) == (
        phone(colleague).number,
        phone(fresh).number,
    )
    assert [(row.party, row.text) for row in await colleague.list_transcripts(other.id)] == [
        ("local", "Support, hello."),
        ("remote", "You said: Support, hello."),
        ("local", "Goodbye."),
    ]
    heard = [(row.party, row.text) for row in await fresh.list_transcripts(call.id)]
    assert heard[:2] == [("remote", "Support, hello."), ("local", "You said: Support, hello.")]
    assert callee.heard[-1]["reason"] == "agent_hang_up"
    assert caller.heard[-1]["reason"] == "caller_hang_up"
    assert f'"call_id":"{other.id}"' in callee.upgrades[0]["X-Call-Context"]
    assert '"agent_handle":"sales-agent"' in callee.upgrades[0]["X-Call-Context"]
    assert await inkbox_sandbox.world.outbox("call") == [], "nothing has left for the outside"
    assert [kind for kind, _ in await api.recorded()] == ["call.ended", "call.ended"]
    assert other.started_at is not None
    assert other.ended_at is not None
    spoken = len(audio.hum("Support, hello.") + audio.hum("You said: Support, hello.")) / 8000
    assert (other.ended_at - other.started_at).total_seconds() >= spoken, "words take time to be said"


async def test_declined_at_once(fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox) -> None:
    async with serving(Agent()) as caller:
        placed = await fresh.place_call(to_number=phone(colleague).number, client_websocket_url=caller.url)
        call = await ended(inkbox, placed.id)
    other = await at_the_other_end(colleague)
    for declined in (call, other):
        assert (declined.status, declined.hangup_reason, declined.started_at) == ("failed", "rejected", None)
    assert caller.upgrades == []


async def test_a_blocked_number_does_not_get_through(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    await inkbox.phone_contact_rules.create(
        phone(colleague).id, action="block", match_target=phone(fresh).number
    )
    async with serving(Agent()) as caller, serving(Agent()) as callee:
        await accept(inkbox, colleague, callee)
        placed = await fresh.place_call(to_number=phone(colleague).number, client_websocket_url=caller.url)
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason, call.is_blocked) == ("failed", "rejected", False)
    assert (await at_the_other_end(colleague)).is_blocked
    assert callee.upgrades == []


@pytest.mark.parametrize(("decision", "reason"), [("answer", "remote"), ("reject", "rejected")])
async def test_the_webhook_decides(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox, decision: str, reason: str
) -> None:
    async with serving(Agent(echo)) as caller, serving(Agent(greet)) as callee:
        receiver = Receiver({"action": decision, "client_websocket_url": callee.url})
        async with receiving(receiver):
            await route(
                inkbox, colleague, incoming_call_action="webhook", incoming_call_webhook_url=receiver.url
            )
            placed = await fresh.place_call(
                to_number=phone(colleague).number, client_websocket_url=caller.url
            )
            call = await ended(inkbox, placed.id)
    assert call.hangup_reason == reason
    assert len(receiver.asked) == 1
    assert len(caller.upgrades) == len(callee.upgrades) == (decision == "answer")


async def test_no_agent_at_one_end(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    number = phone(colleague).number
    async with serving(Agent()) as caller, serving(Agent()) as callee:
        callee.refuse = 401
        await accept(inkbox, colleague, callee)
        call = await ended(
            inkbox, (await fresh.place_call(to_number=number, client_websocket_url=caller.url)).id
        )
        assert (call.status, call.hangup_reason) == ("failed", None)
        assert caller.upgrades == [], "the caller's agent is asked for once somebody has answered"

        callee.refuse, caller.refuse = None, 401
        call = await ended(
            inkbox, (await fresh.place_call(to_number=number, client_websocket_url=caller.url)).id
        )
        assert (call.status, call.hangup_reason) == ("failed", None)
        other = await ended(inkbox, (await colleague.list_calls())[0].id)
    assert (other.status, other.hangup_reason) == ("completed", "remote")
    assert callee.heard[-1]["event"] == "stop"


async def test_the_caller_hangs_up_while_it_rings(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    class Thoughtful(Receiver):
        async def serve(self, request: web.Request) -> web.Response:
            is_asked.set()
            await may_answer.wait()
            return await super().serve(request)

    async with serving(Agent()) as caller, serving(Agent()) as callee:
        receiver = Thoughtful({"action": "answer", "client_websocket_url": callee.url})
        async with receiving(receiver):
            await route(
                inkbox, colleague, incoming_call_action="webhook", incoming_call_webhook_url=receiver.url
            )
            placed = await fresh.place_call(
                to_number=phone(colleague).number, client_websocket_url=caller.url
            )
            await is_asked.wait()
            await fresh.hangup_call(placed.id)
            call = await ended(inkbox, placed.id)
            may_answer.set()
            other = await at_the_other_end(colleague)
    assert (call.status, call.hangup_reason) == ("canceled", "local")
    assert (other.status, other.hangup_reason) == ("canceled", "remote")
    assert caller.upgrades == callee.upgrades == []


async def test_hanging_up_ends_both_calls(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    async with serving(Agent()) as caller, serving(Agent()) as callee:
        await accept(inkbox, colleague, callee)
        placed = await fresh.place_call(to_number=phone(colleague).number, client_websocket_url=caller.url)
        await answered(inkbox, placed.id)
        await inkbox.calls.hangup(placed.id)
        call = await ended(inkbox, placed.id)
        other = await at_the_other_end(colleague)
    assert (call.status, call.hangup_reason) == ("completed", "local")
    assert (other.status, other.hangup_reason) == ("completed", "remote")


async def test_sound_and_words_cross_as_each_end_wants_them(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox
) -> None:
    sound = bytes(range(256)) * 2
    is_told = asyncio.Event()

    async def play(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            media = {"payload": base64.b64encode(sound).decode(), "track": "outbound"}
            await socket.send_json({"event": "media", "media": media})
            await socket.send_json({"event": "media", "media": {"payload": "not base64"}})
            await socket.send_json(
                {"event": "transcript", "party": "local", "text": "Hello", "is_final": True}
            )
            await socket.send_json({"event": "audio_done"})

    async def welcome(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            await say(socket, "Support, hello.")
        if frame["event"] == "transcript":
            is_told.set()

    def sound_in(agent: Agent) -> bytes:
        frames = [frame["media"]["payload"] for frame in agent.heard if frame["event"] == "media"]
        return b"".join(map(base64.b64decode, frames))

    async def hears_everything(agent: Agent, expected: bytes) -> None:
        while sound_in(agent) != expected:
            await agent.sounded.wait()
            agent.sounded.clear()

    number = phone(colleague).number
    async with serving(Agent(play, RAW)) as caller, serving(Agent(None, RAW)) as callee:
        await accept(inkbox, colleague, callee)
        placed = await fresh.place_call(to_number=number, client_websocket_url=caller.url)
        await hears_everything(callee, sound)
        await inkbox.calls.hangup(placed.id)
        await ended(inkbox, placed.id)
    async with serving(Agent(play, RAW)) as caller, serving(Agent(welcome)) as callee:
        await accept(inkbox, colleague, callee)
        placed = await fresh.place_call(to_number=number, client_websocket_url=caller.url)
        await hears_everything(caller, audio.hum("Support, hello."))
        await is_told.wait()
        await fresh.hangup_call(placed.id)
        await ended(inkbox, placed.id)
    words = [frame["text"] for frame in callee.heard if frame["event"] == "transcript" and frame["is_final"]]
    assert words == ["Hello"]
    assert "media" not in callee.events()


async def test_an_outcome_decides_before_the_number_does(
    fresh: AgentIdentity, colleague: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    number = phone(colleague).number
    await inkbox_sandbox.world.set_outcome(channel="call", to=number, outcome="no_answer")
    async with serving(Agent()) as caller:
        placed = await fresh.place_call(to_number=number, client_websocket_url=caller.url)
        assert (await ended(inkbox, placed.id)).status == "canceled"
    assert await colleague.list_calls() == []
