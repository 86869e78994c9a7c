"""The triage line: discovery, connecting, disconnecting, and what it never tells."""

from __future__ import annotations

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError

from .conftest import ANN, BOB, Api, connect, write


async def test_the_command_names_the_agent_of_the_key(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    placeholder = await inkbox.imessages.get_triage_number()
    assert placeholder.connect_command == "connect @your-handle"
    key = (await api.agent_of(agent)).key
    async with inkbox_sandbox.client(key) as own:
        line = await own.imessages.get_triage_number()
    assert line.connect_command == "connect @sales-agent"
    assert line.number == placeholder.number
    result = await inkbox_sandbox.world.send_imessage(from_=ANN, to=line.number, text=line.connect_command)
    [assignment] = await agent.list_imessage_assignments()
    assert assignment.id == result.assignment_id
    assert assignment.remote_number == ANN
    assert assignment.agent_identity_id == agent.id
    assert assignment.organization_id == agent.organization_id
    assert (assignment.status, assignment.released_at) == ("active", None)


async def test_connecting_leaves_no_message_and_no_event(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    assert await agent.list_imessages() == []
    assert await agent.list_imessage_conversations() == []
    assert await api.recorded() == []


@pytest.mark.parametrize(
    "words", ["connect @sales-agent", "Connect sales-agent", "  CONNECT  @Sales-Agent \n"]
)
async def test_spellings_of_the_command(inkbox_sandbox: Sandbox, agent: AgentIdentity, words: str) -> None:
    result = await inkbox_sandbox.world.send_imessage(from_=ANN, text=words)
    assert result.reply == "You are connected to @sales-agent."
    assert [a.id for a in await agent.list_imessage_assignments()] == [result.assignment_id]


async def test_connecting_twice_is_one_connection(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    assert await connect(inkbox_sandbox) == await connect(inkbox_sandbox)
    assert len(await agent.list_imessage_assignments()) == 1


async def test_nobody_learns_why_an_agent_cannot_be_reached(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await inkbox.create_identity("deaf-agent")
    paused = await inkbox.create_identity("paused-agent", imessage_enabled=True)
    await paused.update(status="paused")
    await inkbox.create_identity("closed-agent", imessage_enabled=True)
    await inkbox.imessage_contact_rules.create("closed-agent", action="block", match_target=ANN)
    listed = await inkbox.create_identity("listed-agent", imessage_enabled=True)
    await listed.update(imessage_filter_mode="whitelist")
    for handle in ("nobody-here", "deaf-agent", "paused-agent", "closed-agent", "listed-agent"):
        result = await inkbox_sandbox.world.send_imessage(from_=ANN, text=f"connect @{handle}")
        assert result.reply == f"@{handle} cannot be reached."
        assert result.assignment_id is None
    assert await inkbox.imessages.list_assignments() == []
    await inkbox.imessage_contact_rules.create("listed-agent", action="allow", match_target=ANN)
    await connect(inkbox_sandbox, handle="listed-agent")


async def test_disconnecting_and_connecting_again(inkbox_sandbox: Sandbox, agent: AgentIdentity) -> None:
    line = "+16465550100"
    first = await connect(inkbox_sandbox)
    await write(inkbox_sandbox)
    [conversation] = await agent.list_imessage_conversations()
    assert conversation.assignment_status == "active"

    left = await inkbox_sandbox.world.send_imessage(from_=ANN, to=line, text="disconnect @sales-agent")
    assert left.reply == "You are no longer connected to @sales-agent."
    assert str(left.assignment_id) == first
    assert await agent.list_imessage_assignments() == []
    released = await agent.get_imessage_conversation(conversation.id)
    assert released.assignment_status == "released"
    assert len(await agent.list_imessages(conversation_id=conversation.id)) == 1, "it stays readable"
    again = await inkbox_sandbox.world.send_imessage(from_=ANN, to=line, text="disconnect @sales-agent")
    assert again.reply == "You are not connected to @sales-agent."
    with pytest.raises(ApiError) as lost:
        await inkbox_sandbox.world.send_imessage(from_=ANN, text="Are you there?")
    assert lost.value.status == 409

    second = await connect(inkbox_sandbox)
    assert second != first
    revived = await agent.get_imessage_conversation(conversation.id)
    assert (str(revived.assignment_id), revived.assignment_status) == (second, "active")
    await agent.send_imessage(conversation_id=conversation.id, text="Welcome back")


async def test_one_person_and_several_agents(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    other = await inkbox.create_identity("help-agent", imessage_enabled=True)
    await connect(inkbox_sandbox)
    await connect(inkbox_sandbox, handle="help-agent")
    with pytest.raises(ApiError, match="@sales-agent, @help-agent") as unclear:
        await inkbox_sandbox.world.send_imessage(from_=ANN, text="Hi")
    assert unclear.value.status == 409
    for handle in ("sales-agent", "help-agent"):
        await inkbox_sandbox.world.send_imessage(from_=ANN, to=f"@{handle}", text=f"For {handle}")
    assert [m.content for m in await agent.list_imessages()] == ["For sales-agent"]
    assert [m.content for m in await other.list_imessages()] == ["For help-agent"]
    listed = await inkbox_sandbox.world.send_imessage(from_=ANN, to="+16465550100", text="list")
    assert listed.reply == "You are connected to @sales-agent, @help-agent."
    nobody = await inkbox_sandbox.world.send_imessage(from_=BOB, to="+16465550100", text="list")
    assert nobody.reply == "You are connected to nobody."
    lost = await inkbox_sandbox.world.send_imessage(from_=BOB, to="+16465550100", text="What is this?")
    assert "connect @handle" in str(lost.reply)


async def test_connections_end_with_the_identity(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox)
    await agent.delete()
    assert await inkbox.imessages.list_assignments() == []
    assert await inkbox.imessages.list_conversations() == []
    assert await inkbox.imessages.list() == []


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"from_": "5551234567", "text": "connect @sales-agent"}, 422),
        ({"from_": ANN}, 422),
        ({"from_": ANN, "text": "Hi"}, 409),
        ({"from_": ANN, "text": "Hi", "to": "@sales-agent"}, 409),
        ({"from_": ANN, "text": "Hi", "to": "+15550000000"}, 404),
        ({"from_": ANN, "text": "Hi", "message_id": "1b577299-0115-432f-b551-11863a56cf7a"}, 422),
        ({"from_": ANN, "reaction": "like"}, 422),
    ],
)
async def test_what_people_cannot_do(
    inkbox_sandbox: Sandbox, agent: AgentIdentity, message: dict[str, str], status: int
) -> None:
    with pytest.raises(ApiError) as refused:
        await inkbox_sandbox.world.send_imessage(**message)
    assert refused.value.status == status


async def test_people_over_http(inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity) -> None:
    async def post(body: object) -> tuple[int, dict[str, object]]:
        url = f"{inkbox_sandbox.control_url}/imessages"
        async with api.session.post(url, json=body) as response:
            return response.status, await response.json()

    status, connected = await post({"from": ANN, "text": "connect @sales-agent"})
    assert (status, connected["reply"]) == (202, "You are connected to @sales-agent.")
    status, written = await post({"from": ANN, "text": "Hi"})
    assert status == 202
    [message] = await agent.list_imessages()
    assert str(message.id) == written["message_id"]
    status, tapped = await post({"from": ANN, "reaction": "love", "message_id": written["message_id"]})
    assert (status, tapped["message_id"]) == (202, None)
    assert tapped["reaction_id"]
    assert (await post({"from": "Ann", "text": "Hi"}))[0] == 422
