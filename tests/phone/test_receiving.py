"""Texts that come in: conversations, control words, reading, searching, deleting, and who sees what."""

from __future__ import annotations

import base64
import uuid

import aiohttp
import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError

from .conftest import ANN, BOB, Api, phone, settled, text


async def test_a_text_arrives(agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api) -> None:
    text_id = await text(inkbox_sandbox, agent, "What time is it?")
    received = await agent.get_text(text_id)
    assert (received.direction, received.type, received.is_read) == ("inbound", "sms", False)
    assert (received.remote_phone_number, received.sender_phone_number) == (ANN, ANN)
    assert (received.delivery_status, received.recipients, received.media) == (None, None, None)
    ((kind, data),) = await api.recorded()
    assert kind == "text.received"
    assert data["text_message"]["text"] == "What time is it?"
    assert (data["contacts"], data["agent_identities"]) == ([], [])


async def test_control_words_are_answered_by_the_service(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    for word, status in (
        ("START", "opted_in"),
        ("stop", "opted_out"),
        ("Unstop", "opted_in"),
        ("QUIT", "opted_out"),
        ("yes", "opted_in"),
        ("HELP", "opted_in"),
        ("start the engine", "opted_in"),
    ):
        await text(inkbox_sandbox, agent, word)
        assert (await inkbox.sms_opt_ins.get(ANN)).status == status, word
    replies = [found for found in await agent.list_texts() if found.origin == "auto_reply"]
    assert len(replies) == 6, "each word is answered, and a sentence is not"
    assert all(reply.direction == "outbound" for reply in replies)
    assert (await settled(agent, replies[0])).delivery_status == "delivered"


async def test_a_blocked_sender_is_kept_from_the_agent(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api
) -> None:
    await inkbox.phone_contact_rules.create(phone(agent).id, action="block", match_target=ANN)
    hidden = await text(inkbox_sandbox, agent, "STOP")
    shown = await text(inkbox_sandbox, agent, "Hello", sender=BOB)
    assert [data["text_message"]["id"] for _, data in await api.recorded()] == [shown]
    assert (await inkbox.sms_opt_ins.get(ANN)).status == "opted_out", "STOP counts, blocked or not"
    number_id = phone(agent).id
    listed = await inkbox.texts.list(number_id)
    assert [(str(found.id), found.is_blocked) for found in listed] == [(shown, False), (hidden, True)]
    assert [str(found.id) for found in await inkbox.texts.list(number_id, is_blocked=True)] == [hidden]
    assert [str(found.id) for found in await inkbox.texts.search(number_id, q="stop")] == [hidden]
    conversations = await inkbox.texts.list_conversations(number_id, is_blocked=False)
    assert [conversation.remote_phone_number for conversation in conversations] == [BOB]
    caller = await api.agent_of(agent)
    base = f"/phone/numbers/{number_id}/texts"
    assert [found["id"] for found in await caller.ok("GET", base, is_blocked="true")] == []
    assert [found["id"] for found in await caller.ok("GET", base)] == [shown]
    assert (await caller.call("GET", f"{base}/{hidden}")).status == 404
    assert (await caller.call("GET", f"{base}/conversations/{ANN}")).status == 404
    assert await caller.ok("GET", f"{base}/search", q="stop") == []


async def test_conversations_with_people_and_groups(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    number = phone(agent).number
    first = await agent.get_text(await text(inkbox_sandbox, agent, "One"))
    await text(inkbox_sandbox, agent, "Two")
    group = await inkbox_sandbox.world.send_text(from_=BOB, to=[number, ANN], text="All of us")
    (single,) = await agent.list_text_conversations()
    assert (single.id, single.remote_phone_number, single.is_group) == (first.conversation_id, ANN, False)
    assert (single.latest_text, single.unread_count, single.total_count) == ("Two", 2, 2)
    both = await agent.list_text_conversations(include_groups=True)
    assert [conversation.id for conversation in both] == [group.conversation_id, single.id]
    assert (both[0].is_group, both[0].participants) == (True, [ANN, BOB])
    assert (both[0].remote_phone_number, both[0].latest_type) == (None, "mms")
    assert [found.text for found in await agent.get_text_conversation(ANN)] == ["Two", "One"]
    assert first.conversation_id is not None
    by_id = await agent.get_text_conversation(first.conversation_id, limit=1, offset=1)
    assert [found.text for found in by_id] == ["One"]
    for missing in (BOB, str(uuid.uuid4()), "nobody"):
        with pytest.raises(InkboxAPIError, match="404"):
            await agent.get_text_conversation(missing)


async def test_reading(agent: AgentIdentity, inkbox_sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    first = await text(inkbox_sandbox, agent, "START")
    await text(inkbox_sandbox, agent, "Two")
    await text(inkbox_sandbox, agent, "Other", sender=BOB)
    assert len(await agent.list_texts(is_read=False)) == 3
    assert (await agent.mark_text_read(first)).is_read
    result = await agent.mark_text_conversation_read(ANN)
    assert (result["updated_count"], result.updated_count, result.is_read) == (1, 1, True)
    assert result.remote_phone_number == ANN
    assert (await agent.mark_text_conversation_read(ANN))["updated_count"] == 0
    assert [found.text for found in await agent.list_texts(is_read=False)] == ["Other"]
    unread = await inkbox.texts.update_conversation(phone(agent).id, ANN, is_read=False)
    assert unread.updated_count == 2
    (summary,) = [c for c in await agent.list_text_conversations() if c.remote_phone_number == ANN]
    assert summary.unread_count == 2
    assert not (await inkbox.texts.update(phone(agent).id, first)).is_read


async def test_searching_and_deleting(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, inkbox: AsyncInkbox, api: Api
) -> None:
    number_id = phone(agent).id
    old = await text(inkbox_sandbox, agent, "The invoice for May")
    new = await text(inkbox_sandbox, agent, "Another INVOICE, please")
    await text(inkbox_sandbox, agent, "Good morning")
    found = await inkbox.texts.search(number_id, q="invoice", limit=20)
    assert [str(item.id) for item in found] == [new, old]
    assert [str(item.id) for item in await inkbox.texts.search(number_id, q="may inv")] == [old]
    assert await inkbox.texts.search(number_id, q='"*(') == []
    await inkbox.texts.update(number_id, old, status="deleted")
    assert [str(item.id) for item in await inkbox.texts.search(number_id, q="invoice")] == [new]
    assert old not in [str(item.id) for item in await agent.list_texts()]
    assert len(await agent.get_text_conversation(ANN)) == 2
    with pytest.raises(InkboxAPIError, match="404"):
        await agent.get_text(old)
    base = f"/phone/numbers/{number_id}/texts"
    assert (await api.call("PATCH", f"{base}/{new}", {"status": "archived"})).status == 422
    wrong: list[dict[str, str | int]] = [{"q": ""}, {"q": "x" * 501}, {"q": "a", "limit": 201}, {}]
    for query in wrong:
        assert (await api.call("GET", f"{base}/search", query=query)).status == 422


async def test_lists_page_and_select_by_date(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    ids = [await text(inkbox_sandbox, agent, str(index)) for index in range(3)]
    assert [str(found.id) for found in await agent.list_texts(limit=2)] == [ids[2], ids[1]]
    assert [str(found.id) for found in await agent.list_texts(limit=2, offset=2)] == [ids[0]]
    moment = (await agent.get_text(ids[1])).created_at.isoformat()
    assert [str(f.id) for f in await agent.list_texts(start_datetime=moment)] == [ids[2], ids[1]]
    assert [str(f.id) for f in await agent.list_texts(end_datetime=moment)] == [ids[1], ids[0]]
    assert await agent.list_texts(end_datetime="2001-01-01") == []
    assert await agent.list_text_conversations(end_datetime="2001-01-01") == []
    for wrong in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"start_datetime": "soon"}, {"tz": "Mars"}):
        with pytest.raises(InkboxAPIError, match="422"):
            await agent.list_texts(**wrong)


async def test_pictures_come_along(agent: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    result = await inkbox_sandbox.world.send_text(
        from_=ANN, to=phone(agent).number, media_urls=[url, "https://example.com/photo.jpg"]
    )
    assert result.text_id is not None
    received = await agent.get_text(result.text_id)
    png, far = received.media or []
    assert (received.type, received.text) == ("mms", None)
    assert (png.content_type, png.size, far.content_type) == ("image/png", 4, "image/jpeg")
    async with aiohttp.ClientSession() as session, session.get(png.url) as response:
        assert (response.content_type, await response.read()) == ("image/png", b"\x89PNG")
    (conversation,) = await agent.list_text_conversations()
    assert conversation.latest_has_media


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (404, {"from_": ANN, "to": BOB, "text": "Hi"}),
        (422, {"from_": "Ann", "to": BOB, "text": "Hi"}),
        (422, {"from_": ANN, "to": "x", "text": "Hi"}),
        (422, {"from_": ANN, "to": BOB}),
        (422, {"from_": ANN, "to": BOB, "media_urls": ["data:image/png;base64,%"]}),
    ],
)
async def test_what_no_phone_can_send(
    inkbox_sandbox: Sandbox, status: int, fields: dict[str, object]
) -> None:
    with pytest.raises(ApiError) as caught:
        await inkbox_sandbox.world.send_text(**fields)  # type: ignore[arg-type]
    assert caught.value.status == status


async def test_other_organizations_texts_do_not_exist(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api
) -> None:
    text_id = await text(inkbox_sandbox, agent)
    stranger = await api.other_organization()
    base = f"/phone/numbers/{phone(agent).id}/texts"
    for path in (base, f"{base}/{text_id}", f"{base}/conversations", f"{base}/conversations/{ANN}"):
        assert (await stranger.call("GET", path)).status == 404, path
    assert (await stranger.call("PATCH", f"{base}/{text_id}", {"is_read": True})).status == 404
    assert (await stranger.call("POST", base, {"to": ANN, "text": "Hi"})).status == 404
