"""What is read: lists and their filters, summaries, receipts, typing, what rules keep out."""

from __future__ import annotations

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, Api, connect, write

STRANGER = "00000000-0000-4000-8000-000000000000"


async def test_a_received_message(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    assignment = await connect(inkbox_sandbox)
    message_id = await write(inkbox_sandbox, "Hello?")
    [message] = await agent.list_imessages()
    assert str(message.id) == message_id
    assert str(message.assignment_id) == assignment
    assert (message.direction, message.status, message.service) == ("inbound", "received", "imessage")
    assert (message.content, message.remote_number, message.is_read) == ("Hello?", ANN, False)
    assert (message.recipients, message.reactions, message.media) == (None, None, None)


async def test_a_received_file(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await inkbox_sandbox.world.send_imessage(from_=ANN, media_urls=["https://example.com/cat.png"])
    [message] = await agent.list_imessages()
    assert message.content is None
    assert message.media is not None
    assert [(item.url, item.content_type) for item in message.media] == [
        ("https://example.com/cat.png", "image/png")
    ]
    [summary] = await agent.list_imessage_conversations()
    assert (summary.latest_text, summary.latest_has_media) == (None, True)


async def test_pages_and_filters_of_messages(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await connect(inkbox_sandbox, BOB)
    for number in range(5):
        await write(inkbox_sandbox, f"Ann {number}")
    await write(inkbox_sandbox, "Bob", BOB)
    everything = [m.content for m in await agent.list_imessages()]
    assert everything == ["Bob", *(f"Ann {number}" for number in reversed(range(5)))]
    page = await agent.list_imessages(limit=2, offset=3)
    assert [m.content for m in page] == everything[3:5]
    [bob] = await agent.list_imessages(limit=1)
    await agent.mark_imessage_conversation_read(bob.conversation_id)
    assert [m.content for m in await agent.list_imessages(is_read=True)] == ["Bob"]
    assert len(await agent.list_imessages(is_read=False)) == 5
    assert [m.content for m in await agent.list_imessages(conversation_id=bob.conversation_id)] == ["Bob"]
    assert await agent.list_imessages(conversation_id=STRANGER) == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "offset=-1", "is_read=maybe", "conversation_id=x"])
async def test_bad_queries(api: Api, query: str) -> None:
    assert (await api.call("GET", f"/imessage/messages?{query}")).status == 422


async def test_summaries(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await connect(inkbox_sandbox, BOB)
    await write(inkbox_sandbox, "From Ann")
    await write(inkbox_sandbox, "From Bob", BOB)
    sent = await agent.send_imessage(to=ANN, text="To Ann")
    ann, bob = await agent.list_imessage_conversations()
    assert (ann.id, ann.remote_number) == (sent.conversation_id, ANN)
    assert (ann.latest_text, ann.latest_direction, ann.latest_message_at) == (
        "To Ann",
        "outbound",
        sent.created_at,
    )
    assert (ann.unread_count, ann.total_count) == (1, 2), "what was sent is not unread"
    assert (bob.latest_text, bob.latest_direction, bob.unread_count) == ("From Bob", "inbound", 1)
    assert [c.id for c in await agent.list_imessage_conversations(limit=1, offset=1)] == [bob.id]
    conversation = await agent.get_imessage_conversation(ann.id)
    assert (conversation.remote_number, conversation.assignment_status) == (ANN, "active")
    assert conversation.assignment_id == ann.assignment_id


async def test_receipts(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox, "1")
    await write(inkbox_sandbox, "2")
    sent = await agent.send_imessage(to=ANN, text="3")
    result = await agent.mark_imessage_conversation_read(sent.conversation_id)
    assert (result.conversation_id, result.updated_count) == (sent.conversation_id, 2)
    assert result["updated_count"] == 2
    assert (await agent.mark_imessage_conversation_read(sent.conversation_id)).updated_count == 0
    assert [m.is_read for m in await agent.list_imessages()] == [False, True, True]
    [summary] = await agent.list_imessage_conversations()
    assert (summary.unread_count, summary.total_count) == (0, 3)


async def test_receipts_and_typing_need_a_connection(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    sent = await agent.send_imessage(to=ANN, text="Hi")
    await agent.send_imessage_typing(sent.conversation_id)

    async def statuses(conversation: object) -> list[int]:
        found = []
        for act in (inkbox.imessages.mark_conversation_read, inkbox.imessages.send_typing):
            with pytest.raises(InkboxAPIError) as refused:
                await act(str(conversation))
            found.append(refused.value.status_code)
        return found

    assert await statuses(STRANGER) == [404, 404]
    await agent.update(imessage_enabled=False)
    assert await statuses(sent.conversation_id) == [400, 400]
    await agent.update(imessage_enabled=True)
    await inkbox_sandbox.world.send_imessage(from_=ANN, to="+16465550100", text="disconnect sales-agent")
    assert await statuses(sent.conversation_id) == [409, 409]


async def test_what_contact_rules_keep_out(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox, "Before")
    events = len(await api.recorded())
    await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
    blocked_id = await write(inkbox_sandbox, "Spam")
    assert len(await api.recorded()) == events, "nobody is told"

    assert [m.content for m in await agent.list_imessages()] == ["Spam", "Before"], "admins see it"
    [blocked] = await agent.list_imessages(is_blocked=True)
    assert (str(blocked.id), blocked.is_blocked) == (blocked_id, True)
    assert [m.content for m in await agent.list_imessages(is_blocked=False)] == ["Before"]
    for is_blocked, text, count in ((None, "Spam", 2), (True, "Spam", 1), (False, "Before", 1)):
        [summary] = await agent.list_imessage_conversations(is_blocked=is_blocked)
        assert (summary.latest_text, summary.total_count, summary.unread_count) == (text, count, count)

    own = await api.agent_of(agent)
    async with inkbox_sandbox.client(own.key) as client:
        agents_view = await client.get_identity("sales-agent")
        assert [m.content for m in await agents_view.list_imessages()] == ["Before"]
        assert await agents_view.list_imessages(is_blocked=True) == []
        assert await agents_view.list_imessage_conversations(is_blocked=True) == []
        [summary] = await agents_view.list_imessage_conversations()
        assert (summary.latest_text, summary.total_count, summary.unread_count) == ("Before", 1, 1)
        assert (await agents_view.mark_imessage_conversation_read(summary.id)).updated_count == 1
        with pytest.raises(InkboxAPIError) as hidden:
            await agents_view.send_imessage_reaction(message_id=blocked_id, reaction="like")
        assert hidden.value.status_code == 404


async def test_a_verdict_is_not_rewritten_by_later_rules(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    rule = await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=ANN)
    await write(inkbox_sandbox, "Spam")
    await inkbox.imessage_contact_rules.delete("sales-agent", rule.id)
    await write(inkbox_sandbox, "Fine")
    assert [(m.content, m.is_blocked) for m in await agent.list_imessages()] == [
        ("Fine", False),
        ("Spam", True),
    ]


@pytest.mark.parametrize(
    ("mode", "action", "is_blocked"),
    [
        ("blacklist", None, False),
        ("blacklist", "allow", False),
        ("blacklist", "block", True),
        ("whitelist", None, True),
        ("whitelist", "allow", False),
        ("whitelist", "block", True),
    ],
)
async def test_both_filter_modes(
    inkbox: AsyncInkbox,
    inkbox_sandbox: Sandbox,
    agent: AgentIdentity,
    mode: str,
    action: str | None,
    is_blocked: bool,
) -> None:
    await connect(inkbox_sandbox)
    await agent.update(imessage_filter_mode=mode)
    assert agent.imessage_filter_mode == mode
    await inkbox.imessage_contact_rules.create("sales-agent", action="block", match_target=BOB)
    if action is not None:
        await inkbox.imessage_contact_rules.create("sales-agent", action=action, match_target=ANN)
    await write(inkbox_sandbox)
    [message] = await agent.list_imessages()
    assert message.is_blocked is is_blocked


async def test_the_filter_mode_is_an_admins_affair(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    async with inkbox_sandbox.client((await api.agent_of(agent)).key) as client:
        own = await client.get_identity("sales-agent")
        with pytest.raises(InkboxAPIError) as refused:
            await own.update(imessage_filter_mode="whitelist")
    assert refused.value.status_code == 403


async def test_a_message_to_a_disabled_agent_is_lost(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    await agent.update(imessage_enabled=False)
    with pytest.raises(Exception, match="not enabled"):
        await write(inkbox_sandbox)
    assert await inkbox.imessages.list() == []
    with pytest.raises(InkboxAPIError) as refused:
        await inkbox.imessages.list(agent_identity_id=agent.id)
    assert refused.value.status_code == 400
