"""Agents at a call's WebSocket that send nonsense, or send the sandbox elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.phone.conversing import Conversation
from inkbox_async.sandbox.phone.handshake import Line

from .conftest import ANN, JSON, Agent, ended, serving

STOP = '{"event": "stop"}'


def sends(*frames: str) -> Agent:
    """An agent that sends frames as they are once the line is open."""

    async def act(socket: web.WebSocketResponse, frame: JSON) -> None:
        if frame["event"] == "start":
            for text in frames:
                await socket.send_str(text)

    return Agent(act)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (["[" * 200_000], []),
        (["null", "17"], []),
        (['{"event": 5}', '{"event": ["text"]}', '{"event": "media", "media": 5}'], []),
        (['{"event": "text", "delta": {}, "done": 1}'], []),
        (['{"event": "text", "delta": "I am", "n": %s, "done": true}' % ("9" * 5000)], []),
        ([r'{"event": "text", "delta": "\udfff", "done": true}'], ["\N{REPLACEMENT CHARACTER}"]),
        (
            [r'{"event": "text", "delta": "\ud83d"}', r'{"event": "text", "delta": "\ude00", "done": true}'],
            ["\N{GRINNING FACE}"],
        ),
        (['{"event": "text", "delta": "Hi", "x": NaN, "done": true}'], ["Hi"]),
    ],
)
async def test_nonsense_does_not_end_a_call(
    fresh: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, frames: list[str], said: list[str]
) -> None:
    async with serving(sends(*frames, STOP)) as agent:
        call = await ended(inkbox, (await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)).id)
    assert (call.status, call.hangup_reason) == ("completed", "local"), "the agent's stop has been heard"
    assert [row.text for row in await fresh.list_transcripts(call.id)] == said
    kept = await inkbox_sandbox.world.call_frames(call.id)
    assert kept[-1].frame == {"event": "stop"}
    assert kept[-1].model_dump_json(), "frames can be shown"


async def test_an_agent_cannot_send_the_sandbox_elsewhere(
    fresh: AgentIdentity, inkbox: AsyncInkbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Agent()) as other, serving(Agent()) as agent:
        agent.location = other.url
        placed = await fresh.place_call(to_number=ANN, client_websocket_url=agent.url)
        call = await ended(inkbox, placed.id)
    assert (call.status, call.hangup_reason) == ("failed", None)
    assert other.upgrades == [], "what an agent is told about a call goes to no other address"
    assert "redirects are not followed" in caplog.text


class Chatterbox:
    """A WebSocket that has always got the next frame already."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __aiter__(self) -> Chatterbox:
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return aiohttp.WSMessage(
            aiohttp.WSMsgType.TEXT, '{"event": "media", "media": {"payload": "/w=="}}', None
        )


async def test_an_agent_that_never_pauses_can_be_hung_up_on() -> None:
    async def said(party: str, text: str) -> None:
        raise AssertionError

    line = Line(cast(Any, Chatterbox(1000)), tts=False, stt=False)  # Any: a WebSocket as far as it matters
    listening = asyncio.create_task(Conversation(line, said, Clock()).listen())
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
