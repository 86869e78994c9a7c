"""Subscriptions in the sandbox, through the client and through the official one."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID, uuid4

import aiohttp
import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError
from inkbox_async.generated.models.webhooks import WebhookSubscription
from inkbox_async.sandbox import Sandbox

URL = "https://hooks.example.com/inkbox"


def mailbox_of(agent: AgentIdentity) -> UUID:
    """The id of an identity's mailbox."""
    assert agent.mailbox is not None
    return agent.mailbox.id


async def refused(attempt: Any) -> InkboxAPIError:  # Any: an awaitable of whatever the call returns
    """The error that a call must end with."""
    with pytest.raises(InkboxAPIError) as caught:
        await attempt
    return caught.value


async def raw(
    sandbox: Sandbox, body: dict[str, Any], method: str = "POST", path: str = ""
) -> tuple[int, str]:
    """One request past the client's own checks: status and detail."""
    url = f"{sandbox.base_url}/api/v1/webhooks/subscriptions{path}"
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": sandbox.api_key}) as session,
        session.request(method, url, json=body) as response,
    ):
        answer = await response.json()
        return response.status, str(answer.get("detail"))


async def test_a_subscription_from_birth_to_end(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """Create, get, list, change, delete."""
    subscriptions = inkbox.webhooks.subscriptions
    made = await subscriptions.create(
        mailbox_id=mailbox_of(agent), url=URL, event_types=["message.received", "message.bounced"]
    )
    assert isinstance(made, WebhookSubscription)
    assert (made.mailbox_id, made.phone_number_id, made.agent_identity_id) == (mailbox_of(agent), None, None)
    assert made.owner_identity_id == agent.id
    assert (made.url, made.status) == (URL, "active")
    assert made.event_types == ["message.received", "message.bounced"]
    assert made.organization_id.startswith("org_")
    assert await subscriptions.get(made.id) == made
    assert await subscriptions.list() == [made]
    changed = await subscriptions.update(made.id, url=f"{URL}/2", event_types=["message.sent"])
    assert (changed.url, changed.event_types) == (f"{URL}/2", ["message.sent"])
    assert changed.updated_at > made.updated_at
    assert await subscriptions.update(made.id) == changed
    await subscriptions.delete(made.id)
    assert (await refused(subscriptions.get(made.id))).status_code == 404
    assert (await refused(subscriptions.update(made.id, url=URL))).status_code == 404
    assert (await refused(subscriptions.delete(made.id))).status_code == 404
    assert await subscriptions.list() == []


async def test_each_kind_of_owner(inkbox: AsyncInkbox) -> None:
    """A phone number and an identity own subscriptions as well; an identity takes every kind of event."""
    agent = await inkbox.create_identity("caller", phone_number={"type": "local"})
    assert agent.phone_number is not None
    subscriptions = inkbox.webhooks.subscriptions
    number = await subscriptions.create(
        phone_number_id=str(agent.phone_number.id), url=URL, event_types=["text.received"]
    )
    assert (number.phone_number_id, number.owner_identity_id) == (agent.phone_number.id, agent.id)
    identity = await subscriptions.create(
        agent_identity_id=agent.id, url=URL, event_types=["imessage.received", "call.ended"]
    )
    assert identity.agent_identity_id == agent.id
    assert await subscriptions.list(agent_identity_id=agent.id) == [identity]
    assert await subscriptions.list(phone_number_id=agent.phone_number.id) == [number]


async def test_filters_add_up(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """Owner, address and event each narrow the list."""
    subscriptions = inkbox.webhooks.subscriptions
    one = await subscriptions.create(
        mailbox_id=mailbox_of(agent), url=URL, event_types=["message.received", "message.sent"]
    )
    two = await subscriptions.create(
        mailbox_id=mailbox_of(agent), url=f"{URL}/2", event_types=["message.received"]
    )
    other = await inkbox.create_identity("other")
    three = await subscriptions.create(mailbox_id=mailbox_of(other), url=URL, event_types=["message.sent"])
    assert await subscriptions.list() == [one, two, three]
    assert await subscriptions.list(mailbox_id=mailbox_of(agent)) == [one, two]
    assert await subscriptions.list(url=URL) == [one, three]
    assert await subscriptions.list(event_type="message.sent") == [one, three]
    assert await subscriptions.list(mailbox_id=mailbox_of(agent), url=URL, event_type="message.sent") == [one]
    assert await subscriptions.list(mailbox_id=uuid4()) == []
    error = await refused(subscriptions.list(mailbox_id=mailbox_of(agent), agent_identity_id=agent.id))
    assert error.status_code == 422


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"event_types": ["message.received_typo"]}, "not an event"),
        ({"event_types": ["phone.incoming_call"]}, "phone number"),
        ({"event_types": ["text.received"]}, "no event of a mailbox"),
        ({"event_types": ["message.sent", "message.sent"]}, "twice"),
        ({"event_types": []}, "at least 1"),
        ({"event_types": "message.sent"}, "list"),
        ({"event_types": None}, "list"),
        ({"url": "http://hooks.example.com/"}, "https"),
        ({"url": "ftp://127.0.0.1/"}, "https"),
        ({"url": "hooks"}, "absolute URL"),
        ({"url": "https://"}, "absolute URL"),
        ({"url": "https://example.com:port/"}, "absolute URL"),
        ({"url": "https://exam ple.com/"}, "absolute URL"),
        ({"url": "https://example.com/" + "x" * 2048}, "absolute URL"),
        ({"url": None}, "string"),
        ({"agent_identity_id": str(uuid4())}, "Exactly one"),
        ({"mailbox_id": None}, "Exactly one"),
        ({"mailbox_id": "support"}, "UUID"),
        ({"auth_tokn": "x"}, "not permitted"),
    ],
)
async def test_bad_input_is_refused_and_nothing_stored(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, change: dict[str, Any], complaint: str
) -> None:
    """422 with the reason, for creating and, where it applies, for changing."""
    good = {"url": URL, "event_types": ["message.received"], "mailbox_id": str(mailbox_of(agent))}
    status, detail = await raw(sandbox, good | change)
    assert (status, complaint in detail) == (422, True), detail
    assert await inkbox.webhooks.subscriptions.list() == []
    if "event_types" in change or "url" in change:
        made = await inkbox.webhooks.subscriptions.create(**cast(dict[str, Any], good))
        status, detail = await raw(sandbox, change, "PATCH", f"/{made.id}")
        assert status == 422, detail
        assert await inkbox.webhooks.subscriptions.get(made.id) == made


async def test_plain_http_is_good_enough_on_this_machine(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """A laptop has no certificates."""
    for host in ("127.0.0.1:9000", "localhost", "agent.localhost:8040", "[::1]:9000"):
        made = await inkbox.webhooks.subscriptions.create(
            mailbox_id=mailbox_of(agent), url=f"http://{host}/hooks", event_types=["message.received"]
        )
        assert made.url == f"http://{host}/hooks"


async def test_twenty_active_ones_are_the_most(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """The 21st is refused; a deleted one makes room; another owner has room of its own."""
    subscriptions = inkbox.webhooks.subscriptions

    async def add(number: int, agent: AgentIdentity = agent) -> WebhookSubscription:
        return await subscriptions.create(
            mailbox_id=mailbox_of(agent), url=f"{URL}/{number}", event_types=["message.received"]
        )

    made = [await add(number) for number in range(20)]
    error = await refused(add(20))
    assert (error.status_code, "20" in str(error.detail)) == (409, True)
    await add(20, await inkbox.create_identity("other"))
    await subscriptions.delete(made[7].id)
    await add(20)


async def test_the_same_event_at_the_same_address_twice(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """409 names the event and the address; other events, addresses and owners are free."""
    subscriptions = inkbox.webhooks.subscriptions
    owner = mailbox_of(agent)
    one = await subscriptions.create(
        mailbox_id=owner, url=URL, event_types=["message.received", "message.sent"]
    )
    error = await refused(
        subscriptions.create(mailbox_id=owner, url=URL, event_types=["message.bounced", "message.sent"])
    )
    assert error.status_code == 409
    assert "message.sent" in str(error.detail)
    assert URL in str(error.detail)
    two = await subscriptions.create(mailbox_id=owner, url=URL, event_types=["message.bounced"])
    error = await refused(subscriptions.update(two.id, event_types=["message.received"]))
    assert error.status_code == 409
    await subscriptions.update(one.id, event_types=["message.sent"])
    await subscriptions.update(two.id, event_types=["message.received"])


async def test_who_sees_what(sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    """An agent key sees and makes its own identity's; another organization sees nothing."""
    other = await inkbox.create_identity("other")
    made = await inkbox.webhooks.subscriptions.create(
        mailbox_id=mailbox_of(agent), url=URL, event_types=["message.received"]
    )
    key = await inkbox.api_keys.create(label="agent", scoped_identity_id=other.id)
    async with sandbox.client(key.api_key) as theirs:
        subscriptions = theirs.webhooks.subscriptions
        assert await subscriptions.list() == []
        assert (await refused(subscriptions.get(made.id))).status_code == 404
        assert (await refused(subscriptions.delete(made.id))).status_code == 404
        error = await refused(
            subscriptions.create(mailbox_id=mailbox_of(agent), url=URL, event_types=["message.sent"])
        )
        assert error.status_code == 403
        own = await subscriptions.create(mailbox_id=mailbox_of(other), url=URL, event_types=["message.sent"])
        assert await subscriptions.list() == [own]
    assert await inkbox.webhooks.subscriptions.list() == [made, own]
    organization = await sandbox.world.create_organization()
    async with sandbox.client(organization.api_key) as stranger:
        subscriptions = stranger.webhooks.subscriptions
        assert await subscriptions.list() == []
        assert (await refused(subscriptions.get(made.id))).status_code == 404
        error = await refused(
            subscriptions.create(mailbox_id=mailbox_of(agent), url=URL, event_types=["message.sent"])
        )
        assert error.status_code == 404


async def test_an_unclaimed_agent_is_refused(sandbox: Sandbox) -> None:
    """Until a human has confirmed the sign-up."""
    signup = await AsyncInkbox.signup("human@example.com", note_to_human="Hello", base_url=sandbox.base_url)
    async with sandbox.client(signup.api_key) as unclaimed:
        error = await refused(unclaimed.webhooks.subscriptions.list())
        assert error.status_code == 403


async def test_subscriptions_end_with_their_owner(inkbox: AsyncInkbox) -> None:
    """A deleted identity and a released number leave no subscriptions behind."""
    agent = await inkbox.create_identity("caller", phone_number={"type": "local"})
    assert agent.phone_number is not None
    subscriptions = inkbox.webhooks.subscriptions
    await subscriptions.create(mailbox_id=mailbox_of(agent), url=URL, event_types=["message.sent"])
    await subscriptions.create(phone_number_id=agent.phone_number.id, url=URL, event_types=["text.sent"])
    await subscriptions.create(agent_identity_id=agent.id, url=URL, event_types=["imessage.sent"])
    await inkbox.identities.delete(agent.agent_handle)
    assert await subscriptions.list() == []


async def test_the_official_client_manages_subscriptions(sandbox: Sandbox, agent: AgentIdentity) -> None:
    """The published package, unchanged, on this server."""
    official = pytest.importorskip("inkbox")

    def drive() -> None:
        with official.Inkbox(api_key=sandbox.api_key, base_url=sandbox.base_url) as client:
            subscriptions = client.webhooks.subscriptions
            made = subscriptions.create(
                mailbox_id=str(mailbox_of(agent)), url=URL, event_types=["message.received"]
            )
            assert made.status == "active"
            assert made.mailbox_id == mailbox_of(agent)
            assert [row.id for row in subscriptions.list(mailbox_id=mailbox_of(agent))] == [made.id]
            assert subscriptions.get(made.id).event_types == ["message.received"]
            assert subscriptions.update(made.id, event_types=["message.sent"]).event_types == ["message.sent"]
            with pytest.raises(official.InkboxAPIError) as caught:
                subscriptions.update(made.id, event_types=["message.received_typo"])
            assert caught.value.status_code == 422
            subscriptions.delete(made.id)
            assert subscriptions.list() == []

    await asyncio.to_thread(drive)
