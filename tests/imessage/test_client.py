"""The client's own part: checks before sending, the guard of identities, other servers' answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    IMessage,
    IMessageConversation,
    IMessageConversationSummary,
    InkboxError,
)
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, Api, connect

ID = "e3acc3ad-ae03-498b-846f-2ffab2f4db4a"
TIMES = {"created_at": "2026-03-01T18:00:00+00:00", "updated_at": "2026-03-02T09:16:30.123456+00:00"}


@pytest.mark.parametrize(
    "message",
    [
        {"text": "Hi"},
        {"to": ANN, "conversation_id": ID, "text": "Hi"},
        {"to": ANN},
        {"to": ANN, "text": ""},
        {"to": ANN, "media_urls": []},
        {"to": ANN, "media_urls": "https://example.com/cat.png"},
        {"to": ANN, "text": "Hi", "idempotency_key": "ö"},
    ],
)
async def test_messages_that_are_not_even_sent(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity, message: dict[str, Any]
) -> None:
    asked = len(inkbox_sandbox.requests())
    with pytest.raises(ValueError):  # noqa: PT011 (the words differ)
        await agent.send_imessage(**message)
    assert len(inkbox_sandbox.requests()) == asked


@pytest.mark.parametrize("reaction", ["custom", "banana", ""])
async def test_tapbacks_that_are_not_even_sent(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, reaction: str
) -> None:
    with pytest.raises(ValueError, match="love, like, dislike, laugh, emphasize, question"):
        await inkbox.imessages.send_reaction(message_id=ID, reaction=reaction)
    with pytest.raises(ValueError, match="part_index"):
        await inkbox.imessages.send_reaction(message_id=ID, reaction="like", part_index=-1)
    assert inkbox_sandbox.requests() == []


async def test_an_identity_without_imessage_says_how_to_enable_it(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    quiet = await inkbox.create_identity("quiet-agent")
    assert quiet.imessage_enabled is False
    asked = len(inkbox_sandbox.requests())
    for act in (
        lambda: quiet.send_imessage(to=ANN, text="Hi"),
        lambda: quiet.list_imessages(),
        lambda: quiet.list_imessage_assignments(),
        lambda: quiet.list_imessage_conversations(),
        lambda: quiet.get_imessage_conversation(ID),
        lambda: quiet.send_imessage_reaction(message_id=ID, reaction="like"),
        lambda: quiet.mark_imessage_conversation_read(ID),
        lambda: quiet.send_imessage_typing(ID),
        lambda: quiet.upload_imessage_media(content=b"x", filename="x"),
    ):
        with pytest.raises(InkboxError) as refused:
            await act()
        for words in ("quiet-agent", "identity.update(imessage_enabled=True)", "create_identity("):
            assert words in str(refused.value)
    assert len(inkbox_sandbox.requests()) == asked
    await quiet.update(imessage_enabled=True)
    assert await quiet.list_imessages() == []


async def test_what_travels(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hi")
    await agent.list_imessages()
    await agent.list_imessages(is_read=False, is_blocked=False)
    await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target="+15550001111")
    await inkbox.imessage_contact_rules.list("sales-agent")
    await agent.send_imessage_reaction(message_id=sent.id, reaction="like")
    tap, rules, rule, filtered, listed, send = inkbox_sandbox.requests()[:6]
    assert dict(send.query) == {"agent_identity_id": str(agent.id)}
    assert send.body == {"to": ANN, "text": "Hi"}, "what is not given is not sent"
    assert {"idempotency-key", "prefer"} <= {name.lower() for name, _ in _pairs(send.headers)}
    assert dict(_pairs(listed.query)) == {"agent_identity_id": str(agent.id), "limit": "50", "offset": "0"}
    assert dict(_pairs(filtered.query))["is_read"] == "false"
    assert rule.body == {"action": "block", "match_type": "exact_number", "match_target": "+15550001111"}
    assert not rules.query
    assert tap.body == {"message_id": str(sent.id), "reaction": "like", "part_index": 0}


def _pairs(values: Any) -> list[tuple[str, str]]:  # Any: a mapping or pairs
    return list(values.items() if hasattr(values, "items") else values)


def test_messages_of_other_servers() -> None:
    plain = {"id": ID, "conversation_id": ID, "direction": "inbound", "message_type": "message", **TIMES}
    message = IMessage.model_validate_json(
        json.dumps(
            {**plain, "service": "telegraph", "is_read": True, "media": [], "is_blocked": None, "new": 1}
        )
    )
    assert message.service == "telegraph"
    assert (message.media, message.is_blocked, message.is_group) == (None, False, False)
    assert (message.assignment_id, message.remote_number, message.status) == (None, None, None)
    assert message.model_extra == {"new": 1}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"assignment_id": ID}, "active"),
        ({"assignment_id": ID, "assignment_status": None}, "active"),
        ({"assignment_id": ID, "assignment_status": ""}, "active"),
        ({"assignment_id": ID, "assignment_status": "released"}, "released"),
        ({"assignment_id": ID, "assignment_status": "moved"}, "moved"),
        ({"assignment_id": None}, None),
        ({}, None),
    ],
)
def test_conversations_of_other_servers(fields: dict[str, Any], status: str | None) -> None:
    for model in (IMessageConversation, IMessageConversationSummary):
        found = model.model_validate_json(json.dumps({"id": ID, **TIMES, **fields}))
        assert found.assignment_status == status
