"""The documents, line by line: iMessage."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkbox_async import (
    AsyncInkbox,
    DuplicateContactRuleError,
    IMessageDeliveryStatus,
    IMessageRuleAction,
    IMessageService,
    InkboxAPIError,
)
from inkbox_async.sandbox import Sandbox

ADA = "+15551234567"


async def test_connecting(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    triage = await inkbox.imessages.get_triage_number()
    assert triage.number.startswith("+1646")
    assert triage.connect_command == "connect @your-handle"

    identity = await inkbox.create_identity("my-agent", imessage_enabled=True)
    other = await inkbox.create_identity("other-agent")
    enabled = [other.imessage_enabled]
    await other.update(imessage_enabled=True)
    assert [*enabled, other.imessage_enabled] == [False, True], "reachability is opt-in"
    await identity.update(imessage_filter_mode="whitelist")
    assert (identity.imessage_enabled, identity.imessage_filter_mode) == (True, "whitelist")
    await identity.update(imessage_filter_mode="blacklist")

    # There is no cold outreach: a person has to connect first.
    with pytest.raises(InkboxAPIError) as cold:
        await identity.send_imessage(to=ADA, text="Hello over iMessage")
    assert cold.value.status_code == 404
    await inkbox_sandbox.world.send_imessage(from_=ADA, to=triage.number, text="connect @my-agent")
    await identity.send_imessage(to=ADA, text="Hello over iMessage")


async def test_messaging(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, tmp_path: Path) -> None:
    identity = await inkbox.create_identity("my-agent", imessage_enabled=True)
    await inkbox_sandbox.world.send_imessage(from_=ADA, text="connect @my-agent")
    await inkbox_sandbox.world.send_imessage(from_=ADA, text="Hi!")

    sent = await identity.send_imessage(to=ADA, text="Hello over iMessage")
    reply = await identity.send_imessage(
        conversation_id=sent.conversation_id,
        text="With style",
        send_style="slam",
    )
    assert (sent.service, sent.status) == (IMessageService.IMESSAGE, IMessageDeliveryStatus.QUEUED)
    assert reply.conversation_id == sent.conversation_id

    msgs = await identity.list_imessages(limit=20, is_read=False)
    assert [msg.content for msg in msgs] == ["With style", "Hello over iMessage", "Hi!"]
    convos = await identity.list_imessage_conversations(limit=20)
    assert [convo.id for convo in convos] == [sent.conversation_id]
    convo = await identity.get_imessage_conversation(sent.conversation_id)
    assert convo.assignment_status == "active"
    connections = await identity.list_imessage_assignments(limit=20)
    assert [(a.remote_number, a.status) for a in connections] == [(ADA, "active")]
    assert connections[0].created_at < sent.created_at

    await identity.send_imessage_reaction(message_id=msgs[0].id, reaction="like")
    for kind in ("love", "like", "dislike", "laugh", "emphasize", "question"):
        assert (await identity.send_imessage_reaction(message_id=msgs[2].id, reaction=kind)).reaction == kind
    await inkbox_sandbox.world.send_imessage(from_=ADA, reaction="🦄", message_id=msgs[0].id)
    msgs = await identity.list_imessages(limit=1)
    assert [(r.direction, r.reaction, r.custom_emoji) for r in msgs[0].reactions or []] == [
        ("outbound", "like", None),
        ("inbound", "custom", "🦄"),
    ]

    assert (await identity.mark_imessage_conversation_read(sent.conversation_id)).updated_count == 1
    await identity.send_imessage_typing(sent.conversation_id)

    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff")
    upload = await identity.upload_imessage_media(
        content=photo.read_bytes(),
        filename="photo.jpg",
        content_type="image/jpeg",
    )
    message = await identity.send_imessage(to=ADA, media_urls=[upload.media_url])
    assert message.media is not None
    assert message.media[0].content_type == "image/jpeg"

    # Anything but "active" means that sends and reactions are refused until the person reconnects.
    triage = await inkbox.imessages.get_triage_number()
    await inkbox_sandbox.world.send_imessage(from_=ADA, to=triage.number, text="disconnect @my-agent")
    assert (await identity.get_imessage_conversation(sent.conversation_id)).assignment_status == "released"
    assert await identity.list_imessage_assignments() == []
    with pytest.raises(InkboxAPIError):
        await identity.send_imessage(conversation_id=sent.conversation_id, text="Still there?")
    with pytest.raises(InkboxAPIError):
        await identity.send_imessage_reaction(message_id=message.id, reaction="like")
    await inkbox_sandbox.world.send_imessage(from_=ADA, text="connect @my-agent")
    await identity.send_imessage(conversation_id=sent.conversation_id, text="Welcome back")


async def test_the_organizations_view(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    identity = await inkbox.create_identity("my-agent", imessage_enabled=True)
    await inkbox_sandbox.world.send_imessage(from_=ADA, text="connect @my-agent")
    await inkbox_sandbox.world.send_imessage(from_=ADA, text="Hi!")
    sent = await inkbox.imessages.send(to=ADA, text="Hello", agent_identity_id=identity.id)
    assert len(await inkbox.imessages.list(agent_identity_id=str(identity.id))) == 2
    assert await inkbox.imessages.list(is_blocked=True) == []
    assert len(await inkbox.imessages.list_conversations(is_blocked=False)) == 1
    assert len(await inkbox.imessages.list_assignments()) == 1
    assert (await inkbox.imessages.get_conversation(sent.conversation_id)).remote_number == ADA


async def test_contact_rules(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    identity = await inkbox.create_identity("my-agent", imessage_enabled=True)
    rule = await inkbox.imessage_contact_rules.create(
        "my-agent", action=IMessageRuleAction.BLOCK, match_target="+15559999999"
    )
    rules = await inkbox.imessage_contact_rules.list("my-agent")
    assert [row.id for row in rules] == [rule.id]
    assert rule.agent_identity_id == identity.id, "rules belong to the identity, not to a number"
    updated = await inkbox.imessage_contact_rules.update("my-agent", rule.id, status="paused")
    assert updated.status == "paused"
    with pytest.raises(DuplicateContactRuleError) as taken:
        await inkbox.imessage_contact_rules.create("my-agent", action="allow", match_target="+15559999999")
    assert taken.value.existing_rule_id == rule.id

    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    async with inkbox_sandbox.client(created.api_key) as agent:
        assert len(await agent.imessage_contact_rules.list("my-agent")) == 1
        own = await agent.get_identity("my-agent")
        for admins_only in (
            lambda: agent.imessage_contact_rules.update("my-agent", rule.id, status="active"),
            lambda: agent.imessage_contact_rules.delete("my-agent", rule.id),
            lambda: agent.imessage_contact_rules.list_all(),
            lambda: own.update(imessage_filter_mode="whitelist"),
        ):
            with pytest.raises(InkboxAPIError) as refused:
                await admins_only()
            assert refused.value.status_code == 403

    await inkbox.imessage_contact_rules.delete("my-agent", rule.id)
    assert await inkbox.imessage_contact_rules.list_all() == []
