"""Slips in subscriptions are found before anything is sent; everything else travels as given."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from inkbox_async.generated.models.webhooks import WebhookSubscription, WebhookSubscriptionList
from inkbox_async.resources.webhook_subscriptions import WebhooksNamespace, WebhookSubscriptionsResource
from inkbox_async.transport import Transport

MAILBOX = UUID("5d0a6c1e-2b7f-4c39-9a41-7e8b3d5f2c10")
URL = "https://example.com/hooks"


class RecordingTransport:
    """Answers every request with a subscription and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []  # Any: JSON values
        self.newer: dict[str, Any] = {}  # Any: JSON values of servers newer than the documents

    async def request(
        self,
        method: str,
        path: str,
        response_type: object,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> object:
        """One request."""
        given = {k: v for k, v in (query or body or {}).items() if v is not None}
        self.requests.append((method, path, given))
        if response_type is None:
            return None
        row = WebhookSubscription.model_validate(
            {
                "id": uuid4(),
                "organization_id": "org_1",
                "url": URL,
                "event_types": [],
                "status": "active",
                "created_at": "2026-06-01T12:00:00Z",
                "updated_at": "2026-06-01T12:00:00Z",
                **self.newer,
            }
        )
        return (
            WebhookSubscriptionList(subscriptions=[row]) if response_type is WebhookSubscriptionList else row
        )


@pytest.fixture
def transport() -> RecordingTransport:
    """A transport without a network."""
    return RecordingTransport()


@pytest.fixture
def subscriptions(transport: RecordingTransport) -> WebhookSubscriptionsResource:
    """The resource on that transport."""
    return WebhooksNamespace(cast(Transport, transport)).subscriptions


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"url": URL, "event_types": ["message.sent"]}, "Exactly one"),
        (
            {"url": URL, "event_types": ["message.sent"], "mailbox_id": "a", "phone_number_id": "b"},
            "Exactly one",
        ),
        ({"url": URL, "event_types": ["text.sent"], "mailbox_id": "", "phone_number_id": "b"}, "Exactly one"),
        ({"url": None, "event_types": ["message.sent"], "mailbox_id": "a"}, "url"),
        ({"url": URL, "event_types": None, "mailbox_id": "a"}, "event_types"),
        ({"url": URL, "event_types": [], "mailbox_id": "a"}, "at least one"),
        ({"url": URL, "event_types": "message.sent", "mailbox_id": "a"}, "list of event names"),
        ({"url": URL, "event_types": iter(["message.sent"]), "mailbox_id": "a"}, "list of event names"),
        ({"url": URL, "event_types": ["message.sent", "message.sent"], "mailbox_id": "a"}, "more than once"),
        (
            {"url": URL, "event_types": ["phone.incoming_call"], "phone_number_id": "a"},
            "incoming_call_webhook_url",
        ),
        (
            {"url": URL, "event_types": ["text.sent"], "mailbox_id": "a"},
            "phone_number_id, this one has mailbox_id",
        ),
        ({"url": URL, "event_types": ["message.sent"], "phone_number_id": "a"}, "mailbox_id"),
        (
            {"url": URL, "event_types": ["imessage.sent", "text.sent"], "agent_identity_id": "a"},
            "phone_number_id",
        ),
        ({"url": URL, "event_types": ["fax.sent"], "mailbox_id": "a"}, "no known channel"),
        ({"url": URL, "event_types": ["Message.sent"], "mailbox_id": "a"}, "no known channel"),
    ],
)
async def test_create_refuses(
    subscriptions: WebhookSubscriptionsResource,
    transport: RecordingTransport,
    arguments: dict[str, Any],
    complaint: str,
) -> None:
    """Each slip has its own words, and no request leaves."""
    with pytest.raises(ValueError, match=complaint):
        await subscriptions.create(**arguments)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("owner", "events"),
    [
        ("mailbox_id", ["message.received", "message.received_typo"]),
        ("phone_number_id", ("text.received",)),
        ("agent_identity_id", ["imessage.received", "imessage.reaction_received"]),
        ("agent_identity_id", ["imessage.sent", "call.ended", "a2a.task.created", "slack.dm_received"]),
    ],
)
async def test_create_sends_the_chosen_owner_alone(
    subscriptions: WebhookSubscriptionsResource, transport: RecordingTransport, owner: str, events: list[str]
) -> None:
    """A typo with a good prefix is the server's to find."""
    chosen: dict[str, Any] = {owner: MAILBOX}
    await subscriptions.create(url=URL, event_types=events, **chosen)
    body = {"url": URL, "event_types": list(events), owner: MAILBOX}
    assert transport.requests == [("POST", "/api/v1/webhooks/subscriptions", body)]


async def test_the_first_subscription_may_bring_the_signing_key(
    subscriptions: WebhookSubscriptionsResource, transport: RecordingTransport
) -> None:
    """Today's servers show it this once; older ones know nothing of it."""
    arguments: dict[str, Any] = {"url": URL, "event_types": ["message.sent"], "mailbox_id": MAILBOX}
    old = await subscriptions.create(**arguments)
    assert (old.signing_key, old.auth_token, old.context_config) == (None, None, None)
    context = {"email": {"mode": "count", "count": 3}, "texts": None}
    transport.newer = {"signing_key": "whsec_new", "auth_token": "a-token", "context_config": context}
    new = await subscriptions.create(**arguments)
    assert (new.signing_key, new.auth_token, new.context_config) == ("whsec_new", "a-token", context)
    assert "whsec_new" not in repr(new)
    assert "a-token" not in repr(new)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"url": None}, "cannot be cleared"),
        ({"event_types": None}, "event_types"),
        ({"event_types": []}, "at least one"),
        ({"event_types": ["text.sent", "text.sent"]}, "more than once"),
        ({"event_types": ["phone.incoming_call"]}, "cannot be subscribed"),
        ({"event_types": ["fax.sent"]}, "no known channel"),
    ],
)
async def test_update_refuses(
    subscriptions: WebhookSubscriptionsResource,
    transport: RecordingTransport,
    arguments: dict[str, Any],
    complaint: str,
) -> None:
    """What is given must make sense."""
    with pytest.raises(ValueError, match=complaint):
        await subscriptions.update(MAILBOX, **arguments)
    assert transport.requests == []


async def test_update_sends_what_is_given(
    subscriptions: WebhookSubscriptionsResource, transport: RecordingTransport
) -> None:
    """What is left out stays as it is; the owner is not known here, so any family passes."""
    await subscriptions.update(MAILBOX)
    await subscriptions.update(str(MAILBOX), url=URL)
    await subscriptions.update(MAILBOX, event_types=["text.sent", "message.sent"])
    path = f"/api/v1/webhooks/subscriptions/{MAILBOX}"
    assert transport.requests == [
        ("PATCH", path, {}),
        ("PATCH", path, {"url": URL}),
        ("PATCH", path, {"event_types": ["text.sent", "message.sent"]}),
    ]


async def test_list_leaves_its_filters_to_the_server(
    subscriptions: WebhookSubscriptionsResource, transport: RecordingTransport
) -> None:
    """Only filters that are given travel."""
    found = await subscriptions.list(mailbox_id=MAILBOX, url=URL)
    assert [type(row).__name__ for row in found] == ["WebhookSubscription"]
    assert transport.requests == [
        ("GET", "/api/v1/webhooks/subscriptions", {"mailbox_id": MAILBOX, "url": URL})
    ]
    await subscriptions.delete(MAILBOX)
    assert transport.requests[-1] == ("DELETE", f"/api/v1/webhooks/subscriptions/{MAILBOX}", {})
