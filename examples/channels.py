"""One agent on the phone: it answers a text, an iMessage and a call.

    python examples/channels.py

Runs on a local Inkbox, which plays the people and the carrier.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox import Sandbox

ADA = "+14155550123"
SMS_SET_UP = 3600  # seconds in which a new number gets its permission to send texts


async def texts(sandbox: Sandbox, identity: AgentIdentity) -> None:
    """A person agrees to texts, asks something, and is answered."""
    assert identity.phone_number is not None
    number = identity.phone_number.number
    await sandbox.world.send_text(from_=ADA, to=number, text="START")
    await sandbox.world.send_text(from_=ADA, to=number, text="Are you open on Sunday?")
    for text in reversed(await identity.list_texts(is_read=False)):
        print(f"  Ada texts:          {text.text}")
        await identity.mark_text_read(str(text.id))
    sent = await identity.send_text(to=ADA, text="Yes, from ten to four.")
    print(f"  The agent texts:    {sent.text}")


async def imessages(sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    """A person connects to the agent through the triage line, and they talk."""
    triage = await inkbox.imessages.get_triage_number()
    print(f"  Ada texts {triage.number}: connect @{identity.agent_handle}")
    await sandbox.world.send_imessage(from_=ADA, text=f"connect @{identity.agent_handle}")
    await sandbox.world.send_imessage(from_=ADA, text="Do you take dogs?")
    [message] = await identity.list_imessages(is_read=False)
    print(f"  Ada writes:         {message.content}")
    await identity.send_imessage_reaction(message_id=message.id, reaction="love")
    reply = await identity.send_imessage(
        conversation_id=message.conversation_id, text="Gladly!", send_style="confetti"
    )
    print(f"  The agent loves it, and writes with {reply.send_style}: {reply.content}")


async def calls(sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    """A person calls; the agent answers over a WebSocket, with one sentence."""
    assert identity.phone_number is not None
    async with agent_on_the_line() as address:
        await inkbox.phone_numbers.update(
            identity.phone_number.id, incoming_call_action="auto_accept", client_websocket_url=address
        )
        placed = await sandbox.world.place_call(
            from_=ADA,
            to=identity.phone_number.number,
            script=[
                {"party": "remote", "text": "Hello, a table for two tonight?"},
                {"party": "local", "text": ""},
            ],
        )
        call = await finished(identity, str(placed.call_id))
    for line in await identity.list_transcripts(str(call)):
        who = "The agent" if line.party == "local" else "Ada"
        print(f"  {f'{who} says:':<19} {line.text}")


@asynccontextmanager
async def agent_on_the_line() -> AsyncIterator[str]:
    """A WebSocket server that answers whatever is said with one sentence; gives its address."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse()
        # Inkbox turns speech into text and back, so that the agent reads and writes.
        line.headers["X-Use-Inkbox-Text-To-Speech"] = "true"
        line.headers["X-Use-Inkbox-Speech-To-Text"] = "true"
        await line.prepare(request)
        async for frame in line:
            if frame.type is not WSMsgType.TEXT:
                continue
            event = json.loads(frame.data)
            if event["event"] == "transcript" and event["is_final"]:
                turn = event.get("turn_id")
                await line.send_json({"event": "text", "delta": "At eight, by the window.", "turn_id": turn})
                await line.send_json({"event": "text", "done": True, "turn_id": turn})
        return line

    application = web.Application()
    application.router.add_get("/call", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/call"
    finally:
        await runner.cleanup()


async def finished(identity: AgentIdentity, call_id: str) -> str:
    """Waits until a call is over; gives its id."""
    async with asyncio.timeout(10):
        while True:
            call = next(call for call in await identity.list_calls() if str(call.id) == call_id)
            if call.ended_at is not None:
                return call_id
            await asyncio.sleep(0.05)


async def main() -> None:
    """Gives an agent a number and iMessage, and has Ada use both."""
    async with Sandbox() as sandbox, sandbox.client() as inkbox:
        identity = await inkbox.create_identity("bistro", imessage_enabled=True)
        number = await identity.provision_phone_number(type="local", state="NY")
        print(f"The agent has the number {number.number}")
        sandbox.clock.advance(SMS_SET_UP)
        await texts(sandbox, identity)
        await imessages(sandbox, inkbox, identity)
        await calls(sandbox, inkbox, identity)


if __name__ == "__main__":
    asyncio.run(main())
