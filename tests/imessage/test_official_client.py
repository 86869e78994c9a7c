"""The published official client (inkbox 0.4.11) works unchanged on the sandbox's iMessage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import inkbox as official
import pytest
import pytest_asyncio

from inkbox_async import AgentIdentity
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, Api, connect, settled, write


@contextlib.asynccontextmanager
async def speaking(sandbox: Sandbox, key: str) -> AsyncIterator[Any]:  # Any: the official client is not typed
    client = official.Inkbox(key, base_url=sandbox.base_url)
    try:
        yield client
    finally:
        await asyncio.to_thread(client.close)


@pytest_asyncio.fixture
async def peer(inkbox_sandbox: Sandbox) -> AsyncIterator[Any]:  # Any: the official client is not typed
    """The official client with the admin key. It blocks: call it in a thread."""
    async with speaking(inkbox_sandbox, inkbox_sandbox.api_key) as client:
        yield client


async def test_conversation(peer: Any, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    identity = await asyncio.to_thread(peer.get_identity, "sales-agent")
    assert identity.imessage_enabled is True
    line = await asyncio.to_thread(peer.imessages.get_triage_number)
    assert line.connect_command.startswith("connect @")
    result = await inkbox_sandbox.world.send_imessage(from_=ANN, to=line.number, text="connect @sales-agent")
    [assignment] = await asyncio.to_thread(identity.list_imessage_assignments, limit=20)
    assert assignment.id == result.assignment_id
    assert str(assignment.status) == "active"
    received_id = await write(inkbox_sandbox, "Hello?")

    def talk() -> tuple[Any, ...]:  # Any: objects of the official client
        sent = identity.send_imessage(to=ANN, text="Hello over iMessage")
        reply = identity.send_imessage(conversation_id=sent.conversation_id, text="Wow", send_style="slam")
        upload = identity.upload_imessage_media(
            content=b"\xff\xd8photo", filename="photo.jpg", content_type="image/jpeg"
        )
        picture = identity.send_imessage(to=ANN, media_urls=[upload.media_url])
        reaction = identity.send_imessage_reaction(message_id=received_id, reaction="like")
        identity.send_imessage_typing(sent.conversation_id)
        result = identity.mark_imessage_conversation_read(sent.conversation_id)
        return sent, reply, upload, picture, reaction, result

    sent, reply, upload, picture, reaction, result = await asyncio.to_thread(talk)
    assert (sent.service, sent.status) == ("imessage", "queued")
    assert (reply.send_style, reply.conversation_id) == ("slam", sent.conversation_id)
    assert (upload.content_type, upload.size) == ("image/jpeg", 7)
    assert picture.media[0].content_type == "image/jpeg"
    assert (str(reaction.target_message_id), reaction.reaction) == (received_id, "like")
    assert result.updated_count == 1

    done = await settled(agent, (await agent.list_imessages(limit=1))[0])
    await inkbox_sandbox.world.send_imessage(from_=ANN, reaction="🎉", message_id=done.id)

    def read() -> tuple[Any, ...]:  # Any: objects of the official client
        return (
            identity.list_imessages(limit=20),
            identity.list_imessages(is_read=True),
            identity.list_imessage_conversations(limit=20),
            identity.get_imessage_conversation(sent.conversation_id),
        )

    messages, seen, [summary], conversation = await asyncio.to_thread(read)
    assert [m.content for m in messages] == [None, "Wow", "Hello over iMessage", "Hello?"]
    assert [str(m.id) for m in seen] == [received_id]
    assert [(r.reaction, r.custom_emoji) for r in messages[0].reactions] == [("custom", "🎉")]
    assert messages[0].recipients[0].delivered_at is not None
    assert (summary.total_count, summary.unread_count, summary.latest_has_media) == (4, 0, True)
    assert (conversation.id, conversation.assignment_status) == (sent.conversation_id, "active")


async def test_contact_rules(peer: Any, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    def manage() -> Any:  # Any: objects of the official client
        rules = peer.imessage_contact_rules
        rule = rules.create("sales-agent", action=official.IMessageRuleAction.BLOCK, match_target=BOB)
        assert rules.get("sales-agent", rule.id).match_target == BOB
        assert [r.id for r in rules.list("sales-agent", action="block", limit=10)] == [rule.id]
        with pytest.raises(official.DuplicateContactRuleError) as taken:
            rules.create("sales-agent", action="allow", match_target=BOB)
        assert taken.value.existing_rule_id == rule.id
        assert rules.update("sales-agent", rule.id, status="paused").status == "paused"
        assert [r.id for r in rules.list_all(agent_identity_id=str(agent.id))] == [rule.id]
        rules.delete("sales-agent", rule.id)
        assert rules.list_all() == []

    await asyncio.to_thread(manage)


async def test_refusals(peer: Any, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)

    def refused(**message: Any) -> Any:  # Any: arguments and errors of the official client
        with pytest.raises(official.InkboxAPIError) as error:
            peer.imessages.send(**message)
        return error.value

    def manage() -> None:
        assert refused(to=ANN, text="Hi").status_code == 400
        mine = {"agent_identity_id": str(agent.id)}
        assert refused(to=BOB, text="Hi", **mine).status_code == 404
        assert refused(to=ANN, **mine).status_code == 422
        assert refused(to=ANN, text="Hi", send_style="glitter", **mine).status_code == 422
        peer.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
        blocked = refused(to=ANN, text="Hi", **mine)
        assert (blocked.status_code, type(blocked).__name__) == (403, "RecipientBlockedError")
        peer.get_identity("sales-agent").update(imessage_enabled=False)
        with pytest.raises(official.InkboxError, match="imessage_enabled"):
            peer.get_identity("sales-agent").send_imessage(to=ANN, text="Hi")

    await asyncio.to_thread(manage)


async def test_an_agents_own_key(inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox)
    async with speaking(inkbox_sandbox, (await api.agent_of(agent)).key) as own:

        def act() -> None:
            assert own.imessages.get_triage_number().connect_command == "connect @sales-agent"
            assert own.imessages.send(to=ANN, text="Hi").remote_number == ANN
            assert len(own.imessages.list(is_blocked=True)) == 0
            assert len(own.imessages.list()) == 2

        await asyncio.to_thread(act)
