"""Tapbacks in both directions: names, emojis, replacement, and when they are refused."""

from __future__ import annotations

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    IMessageReactionType,
    InkboxAPIError,
    RecipientBlockedError,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError

from .conftest import ANN, BOB, Api, connect, write

SENDABLE = ["love", "like", "dislike", "laugh", "emphasize", "question", "eyes"]


async def tap(sandbox: Sandbox, message_id: object, reaction: str, number: str = ANN) -> None:
    await sandbox.world.send_imessage(from_=number, reaction=reaction, message_id=str(message_id))


@pytest.mark.parametrize("reaction", SENDABLE)
async def test_the_agent_reacts(inkbox_sandbox: Sandbox, agent: AgentIdentity, reaction: str) -> None:
    assignment = await connect(inkbox_sandbox)
    message_id = await write(inkbox_sandbox)
    sent = await agent.send_imessage_reaction(message_id=message_id, reaction=reaction)
    [message] = await agent.list_imessages()
    assert (sent.reaction, sent.direction, sent.custom_emoji, sent.part_index) == (
        reaction,
        "outbound",
        None,
        0,
    )
    assert (sent.target_message_id, sent.conversation_id) == (message.id, message.conversation_id)
    assert (str(sent.assignment_id), sent.remote_number) == (assignment, ANN)
    assert message.reactions is not None
    [shown] = message.reactions
    assert (shown.id, shown.reaction, shown.created_at) == (sent.id, reaction, sent.created_at)


async def test_a_new_tapback_replaces_the_old_one_of_the_same_side_and_part(
    inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    message_id = await write(inkbox_sandbox)
    await agent.send_imessage_reaction(message_id=message_id, reaction="like")
    await tap(inkbox_sandbox, message_id, "love")
    await agent.send_imessage_reaction(message_id=message_id, reaction=IMessageReactionType.LAUGH)
    await agent.send_imessage_reaction(message_id=message_id, reaction="question", part_index=1)
    await tap(inkbox_sandbox, message_id, "🎉")
    [message] = await agent.list_imessages()
    assert [(r.direction, r.reaction, r.custom_emoji, r.part_index) for r in message.reactions or []] == [
        ("outbound", "laugh", None, 0),
        ("outbound", "question", None, 1),
        ("inbound", "custom", "🎉", 0),
    ]


@pytest.mark.parametrize(
    ("word", "reaction", "emoji"),
    [
        ("like", "like", None),
        ("eyes", "eyes", None),
        ("🎉", "custom", "🎉"),
        ("👩🏽‍🚀", "custom", "👩🏽‍🚀"),
        ("1️⃣", "custom", "1️⃣"),
    ],
)
async def test_a_person_reacts(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity, word: str, reaction: str, emoji: str | None
) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hello")
    await tap(inkbox_sandbox, sent.id, word)
    [message] = await agent.list_imessages()
    assert [(r.direction, r.reaction, r.custom_emoji) for r in message.reactions or []] == [
        ("inbound", reaction, emoji)
    ]
    [(_, data)] = [event for event in await api.recorded() if event[0] == "imessage.reaction_received"]
    assert data["message"] is None
    assert (data["reaction"]["reaction"], data["reaction"]["custom_emoji"]) == (reaction, emoji)
    assert data["reaction"]["target_message_id"] == str(sent.id)


@pytest.mark.parametrize("word", ["custom", "banana", "", ":)", "🎉 🎉", "🎉" * 33])
async def test_what_is_no_tapback(inkbox_sandbox: Sandbox, agent: AgentIdentity, word: str) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hello")
    with pytest.raises(ApiError) as refused:
        await tap(inkbox_sandbox, sent.id, word)
    assert refused.value.status == 422


async def test_tapbacks_of_others(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await connect(inkbox_sandbox, BOB)
    sent = await agent.send_imessage(to=ANN, text="Hello")
    with pytest.raises(ApiError) as refused:
        await tap(inkbox_sandbox, sent.id, "like", BOB)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "fields", [{"reaction": "custom"}, {"reaction": "banana"}, {"part_index": -1}, {"message_id": "x"}]
)
async def test_malformed_tapbacks(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity, fields: dict[str, object]
) -> None:
    await connect(inkbox_sandbox)
    message_id = await write(inkbox_sandbox)
    body = {"message_id": message_id, "reaction": "like", **fields}
    assert (await api.call("POST", "/imessage/reactions", body)).status == 422
    assert (await agent.list_imessages())[0].reactions is None


async def test_tapbacks_pass_the_gates_of_messages(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    message_id = await write(inkbox_sandbox)

    async def refusal(target: str = message_id) -> InkboxAPIError:
        with pytest.raises(InkboxAPIError) as refused:
            await inkbox.imessages.send_reaction(message_id=target, reaction="like")
        return refused.value

    assert (await refusal("00000000-0000-4000-8000-000000000000")).status_code == 404
    rule = await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
    blocked = await refusal()
    assert isinstance(blocked, RecipientBlockedError)
    assert blocked.matched_rule_id == rule.id
    tapped = await inkbox_sandbox.world.send_imessage(from_=ANN, reaction="like", message_id=message_id)
    assert tapped.reaction_id is None, "blocked tapbacks are not recorded"
    await inkbox.imessage_contact_rules.delete("sales-agent", rule.id)
    await agent.update(imessage_enabled=False)
    assert (await refusal()).status_code == 400
    await agent.update(imessage_enabled=True)
    await inkbox_sandbox.world.send_imessage(from_=ANN, to="+16465550100", text="disconnect @sales-agent")
    assert (await refusal()).status_code == 409
    with pytest.raises(ApiError) as lost:
        await tap(inkbox_sandbox, message_id, "like")
    assert lost.value.status == 409
    assert (await agent.list_imessages())[0].reactions is None
