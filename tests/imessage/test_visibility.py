"""Who sees what: admins, agents, agents that nobody has claimed, and other organizations."""

from __future__ import annotations

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, Api, connect, write

LISTS = ("/imessage/messages", "/imessage/conversations", "/imessage/assignments")


@pytest.fixture
async def other(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, agent: AgentIdentity) -> AgentIdentity:
    """A second agent; each of the two is connected with a person of its own."""
    other = await inkbox.create_identity("help-agent", imessage_enabled=True)
    await connect(inkbox_sandbox)
    await write(inkbox_sandbox, "For sales")
    await connect(inkbox_sandbox, "+15550001111", "help-agent")
    await write(inkbox_sandbox, "For help", "+15550001111")
    return other


async def test_an_admin_sees_all_and_narrows(api: Api, agent: AgentIdentity, other: AgentIdentity) -> None:
    for path in LISTS:
        assert len(await api.ok("GET", path)) == 2
        [row] = await api.ok("GET", path, agent_identity_id=str(other.id))
        assert row["remote_number"] == "+15550001111"
        stranger = "00000000-0000-4000-8000-000000000000"
        assert (await api.call("GET", path, query={"agent_identity_id": stranger})).status == 404


async def test_an_agent_sees_its_own(api: Api, agent: AgentIdentity, other: AgentIdentity) -> None:
    own = await api.agent_of(agent)
    [theirs] = await api.ok("GET", "/imessage/conversations", agent_identity_id=str(other.id))
    [message] = await api.ok("GET", "/imessage/messages", agent_identity_id=str(other.id))
    for path in LISTS:
        for query in ({}, {"agent_identity_id": str(agent.id)}):
            reply = await own.call("GET", path, query=query)
            assert [row["remote_number"] for row in reply.body] == [ANN]
        assert (await own.call("GET", path, query={"agent_identity_id": str(other.id)})).status == 403
    in_it = {"conversation_id": theirs["id"]}
    assert (await own.call("GET", f"/imessage/conversations/{theirs['id']}")).status == 404
    assert await own.ok("GET", "/imessage/messages", **in_it) == []
    assert (await own.call("POST", "/imessage/messages", {**in_it, "text": "Hi"})).status == 404
    assert (await own.call("POST", "/imessage/mark-read", in_it)).status == 404
    assert (await own.call("POST", "/imessage/typing", in_it)).status == 404
    tapback = {"message_id": message["id"], "reaction": "like"}
    assert (await own.call("POST", "/imessage/reactions", tapback)).status == 404
    to_ann = {"to": ANN, "text": "Hi"}
    assert (await own.call("POST", "/imessage/messages", to_ann)).status == 201
    named = {"agent_identity_id": str(other.id)}
    assert (await own.call("POST", "/imessage/messages", to_ann, query=named)).status == 403


async def test_a_conversation_of_another_identity_than_asserted(
    inkbox: AsyncInkbox, api: Api, agent: AgentIdentity, other: AgentIdentity
) -> None:
    [theirs] = await other.list_imessage_conversations()
    reply = await api.call(
        "GET", f"/imessage/conversations/{theirs.id}", query={"agent_identity_id": str(agent.id)}
    )
    assert reply.status == 404
    own = await api.agent_of(agent)
    named = {"agent_identity_id": str(other.id)}
    assert (await own.call("GET", f"/imessage/conversations/{theirs.id}", query=named)).status == 403


async def test_other_organizations_see_nothing(api: Api, agent: AgentIdentity, other: AgentIdentity) -> None:
    stranger = await api.other_organization()
    [conversation] = await agent.list_imessage_conversations()
    for path in LISTS:
        assert await stranger.ok("GET", path) == []
        named = {"agent_identity_id": str(agent.id)}
        assert (await stranger.call("GET", path, query=named)).status == 404
    in_it = {"conversation_id": str(conversation.id)}
    assert (await stranger.call("GET", f"/imessage/conversations/{conversation.id}")).status == 404
    assert (await stranger.call("POST", "/imessage/messages", {**in_it, "text": "Hi"})).status == 404
    assert (await stranger.call("POST", "/imessage/mark-read", in_it)).status == 404


async def test_an_agent_that_nobody_has_claimed(api: Api) -> None:
    signup = {"human_email": "owner@example.com", "display_name": "Young", "note_to_human": "Hello"}
    async with api.session.post(f"{api.sandbox.base_url}/api/v1/agent-signup", json=signup) as response:
        answer = await response.json()
        assert response.status < 300, answer
    young = Api(api.sandbox, api.session, answer["api_key"])
    handle = answer["agent_handle"]
    rules = f"/imessage/identities/{handle}/contact-rules"
    assert (await young.call("GET", rules)).status == 403
    body = {"action": "block", "match_target": ANN}
    assert (await young.call("POST", rules, body)).status == 403
    assert (await young.ok("GET", "/imessage/triage-number"))["connect_command"] == f"connect @{handle}"
    assert await young.ok("GET", "/imessage/messages") == []


@pytest.mark.parametrize("path", [*LISTS, "/imessage/triage-number", "/imessage/contact-rules"])
async def test_a_key_is_needed(api: Api, path: str) -> None:
    assert (await Api(api.sandbox, api.session, "wrong").call("GET", path)).status == 401
