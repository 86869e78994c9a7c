"""Subscriptions: which events of which owner are sent to which address."""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.events import (
    A2AEventType,
    CallEventType,
    IMessageEventType,
    MailEventType,
    SlackEventType,
    TextEventType,
)
from inkbox_async.generated.models.webhooks import (
    CreateWebhookSubscriptionRequest,
    UpdateWebhookSubscriptionRequest,
    WebhookSubscription,
    WebhookSubscriptionList,
)
from inkbox_async.generated.queries.webhooks import WebhooksSubscriptionsListQuery
from inkbox_async.sandbox.handling import ApiError, Call, handles, invalid, not_found

from .callbacks import EVENT_TYPE as INCOMING_CALL
from .destinations import check_receiver

MAX_PER_OWNER = 20
CATALOGUE = frozenset(
    str(event)
    for family in (
        MailEventType,
        TextEventType,
        IMessageEventType,
        CallEventType,
        A2AEventType,
        SlackEventType,
    )
    for event in family
)
CHANNELS = {"mailbox_id": "message.", "phone_number_id": "text.", "agent_identity_id": ""}
"""How the names of each owner's events begin. Identities may subscribe to everything that concerns them."""

_OWNERS = {
    "mailbox_id": ("Mailbox", "SELECT identity_id FROM mailboxes WHERE status <> 'deleted'"),
    "phone_number_id": ("Phone number", "SELECT identity_id FROM phone_numbers WHERE status <> 'released'"),
    "agent_identity_id": ("Identity", "SELECT id FROM identities WHERE status <> 'deleted'"),
}
"""What each owner is called, and how to find the identity behind it."""


@handles("webhooks.subscriptions.create")
def create(call: Call) -> WebhookSubscription:
    """Subscribe an address to events of one owner."""
    body: CreateWebhookSubscriptionRequest = call.body
    owners = {name: str(value) for name in CHANNELS if (value := getattr(body, name)) is not None}
    if len(owners) != 1:
        raise invalid(f"Exactly one of {', '.join(CHANNELS)} must be given", "body")
    [(owner, owner_id)] = owners.items()
    url = _url(call, body.url)
    event_types = _event_types(body.event_types, owner)
    identity_id = _owner_identity(call, owner, owner_id)
    others = call.tx.all(
        f"SELECT * FROM webhook_subscriptions WHERE {owner} = ? AND status = 'active'",
        owner_id,
    )
    if len(others) >= MAX_PER_OWNER:
        raise ApiError(409, f"An owner may have at most {MAX_PER_OWNER} active webhook subscriptions.")
    _refuse_overlap(others, url, event_types)
    subscription_id = str(uuid4())
    call.tx.insert(
        "webhook_subscriptions",
        id=subscription_id,
        organization_id=call.caller.organization_id,
        owner_identity_id=identity_id,
        url=url,
        event_types=event_types,
        auth_token=_token(body.auth_token),
        created_at=call.now,
        updated_at=call.now,
        **owners,
    )
    return _show(_subscription(call, subscription_id))


@handles("webhooks.subscriptions.list")
def list_subscriptions(call: Call) -> WebhookSubscriptionList:
    """The subscriptions that the caller may see, those with all the given properties."""
    query: WebhooksSubscriptionsListQuery = call.query
    owners = {name: str(value) for name in CHANNELS if (value := getattr(query, name)) is not None}
    if len(owners) > 1:
        raise invalid(f"At most one of {', '.join(CHANNELS)} may be given", "query")
    rows = call.tx.all(
        "SELECT * FROM webhook_subscriptions WHERE organization_id = ? AND status = 'active' "
        "ORDER BY created_at, id",
        call.caller.organization_id,
    )
    return WebhookSubscriptionList(
        subscriptions=[
            _show(row)
            for row in rows
            if call.caller.may_touch(row["owner_identity_id"])
            and all(row[name] == value for name, value in owners.items())
            and query.url in (None, row["url"])
            and (query.event_type is None or query.event_type in json.loads(row["event_types"]))
        ]
    )


@handles("webhooks.subscriptions.get")
def get(call: Call) -> WebhookSubscription:
    """One subscription."""
    return _show(_subscription(call, call.path["sub_id"]))


@handles("webhooks.subscriptions.update")
def update(call: Call) -> WebhookSubscription:
    """Change the address, the events or the token."""
    body: UpdateWebhookSubscriptionRequest = call.body
    row = _subscription(call, call.path["sub_id"])
    for name in body.model_fields_set - {"auth_token"}:
        if getattr(body, name) is None:
            raise invalid(f"{name} cannot be null; leave it out to keep it", "body", name)
    owner = next(name for name in CHANNELS if row[name] is not None)
    url = row["url"] if body.url is None else _url(call, body.url)
    kept: list[str] = json.loads(row["event_types"])
    event_types = kept if body.event_types is None else _event_types(body.event_types, owner)
    token = _token(body.auth_token) if "auth_token" in body.model_fields_set else row["auth_token"]
    if (url, event_types, token) != (row["url"], kept, row["auth_token"]):
        others = call.tx.all(
            f"SELECT * FROM webhook_subscriptions WHERE {owner} = ? AND status = 'active' AND id <> ?",
            row[owner],
            row["id"],
        )
        _refuse_overlap(others, url, event_types)
        call.tx.update(
            "webhook_subscriptions",
            row["id"],
            url=url,
            event_types=event_types,
            auth_token=token,
            updated_at=call.now,
        )
    return _show(_subscription(call, row["id"]))


@handles("webhooks.subscriptions.delete")
def delete(call: Call) -> None:
    """End a subscription and what waits for it."""
    row = _subscription(call, call.path["sub_id"])
    call.tx.update("webhook_subscriptions", row["id"], status="deleted", updated_at=call.now)


def _subscription(call: Call, subscription_id: str) -> Row:
    row = call.tx.one(
        "SELECT * FROM webhook_subscriptions WHERE id = ? AND organization_id = ? AND status = 'active'",
        subscription_id,
        call.caller.organization_id,
    )
    if row is None or not call.caller.may_touch(row["owner_identity_id"]):
        raise not_found("Webhook subscription")
    return row


def _owner_identity(call: Call, owner: str, owner_id: str) -> str:
    """The identity behind an owner, which the caller must be allowed to act for."""
    called, select = _OWNERS[owner]
    identity_id: str | None = call.tx.value(
        f"{select} AND id = ? AND organization_id = ?", owner_id, call.caller.organization_id
    )
    if identity_id is None:
        raise not_found(called)
    if not call.caller.may_touch(identity_id):
        raise ApiError(403, "An agent's API key may subscribe to the events of its own identity only.")
    return identity_id


def _url(call: Call, url: str) -> str:
    try:
        return check_receiver(url, call.settings)
    except ValueError as error:
        raise invalid(str(error), "body", "url") from None


def _token(token: str | None) -> str | None:
    """The bearer token, if it can stand in a header (RFC 6750: visible ASCII characters)."""
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        raise invalid("Give visible ASCII characters", "body", "auth_token")
    return token


def _event_types(names: Sequence[str], owner: str) -> list[str]:
    for index, name in enumerate(names):
        place = ("body", "event_types", index)
        if name == INCOMING_CALL:
            raise invalid(f"{name} has its address on the phone number, not in a subscription", *place)
        if name not in CATALOGUE:
            raise invalid(f"{name!r} is not an event", *place)
        if not name.startswith(CHANNELS[owner]):
            raise invalid(f"{name} is no event of a {_OWNERS[owner][0].lower()}", *place)
        if name in names[:index]:
            raise invalid(f"{name} is named twice", *place)
    return list(names)


def _refuse_overlap(others: Sequence[Row], url: str, event_types: Sequence[str]) -> None:
    """Nobody needs the same event at the same address twice."""
    for row in others:
        shared = sorted({*json.loads(row["event_types"])} & {*event_types})
        if row["url"] == url and shared:
            raise ApiError(
                409,
                f"An active webhook subscription of this owner sends {', '.join(shared)} to {url} already.",
            )


def _show(row: Row) -> WebhookSubscription:
    return WebhookSubscription(
        id=row["id"],
        organization_id=row["organization_id"],
        mailbox_id=row["mailbox_id"],
        phone_number_id=row["phone_number_id"],
        agent_identity_id=row["agent_identity_id"],
        owner_identity_id=row["owner_identity_id"],
        url=row["url"],
        event_types=json.loads(row["event_types"]),
        status=row["status"],
        has_auth_token=row["auth_token"] is not None,
        auth_token=row["auth_token"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
