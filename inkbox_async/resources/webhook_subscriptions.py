"""Webhook subscriptions beyond the specification: slips in owners and events are found before sending."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from ..generated.resources import webhooks as generated
from ..unset import UNSET, Unset
from .checks import checked

if TYPE_CHECKING:
    from ..transport import Transport

INCOMING_CALL = "phone.incoming_call"
FAMILIES = {
    "message.": "mailbox_id",
    "text.": "phone_number_id",
    "imessage.": "agent_identity_id",
    "call.": "agent_identity_id",
    "a2a.": "agent_identity_id",
    "slack.": "agent_identity_id",
}
"""How the names of each family of events begin, and who owns subscriptions to them."""


def check_event_types(event_types: Collection[str] | None, owner: str | None = None) -> None:
    """Check a choice of events.

    Args:
        event_types: The names of the events.
        owner: The argument that names the owner; None when it is not known.

    Raises:
        ValueError: It is None, a single text or empty, or it names an event twice, one that nobody can
            subscribe to, one of no known family, or one that belongs to another kind of owner.
    """
    if event_types is None:
        raise ValueError("event_types must be a list of event names, such as ['message.received']")
    if isinstance(event_types, (str, bytes)) or not isinstance(event_types, Collection):
        raise ValueError(f"event_types must be a list of event names, not {event_types!r}")
    names = [str(name) for name in event_types]
    if not names:
        raise ValueError("event_types must name at least one event")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"event_types names {repeated} more than once")
    for name in names:
        _check_event(name, owner)


def _check_event(name: str, owner: str | None) -> None:
    if name == INCOMING_CALL:
        raise ValueError(
            f"{INCOMING_CALL} cannot be subscribed to: its receiver's answer decides the call, so the phone "
            "number names the receiver, as incoming_call_webhook_url"
        )
    wanted = next((who for prefix, who in FAMILIES.items() if name.startswith(prefix)), None)
    if wanted is None:
        raise ValueError(
            f"{name!r} belongs to no known channel; events begin with {', '.join(map(repr, FAMILIES))}"
        )
    if owner is not None and wanted != owner:
        raise ValueError(f"{name!r} belongs to a subscription with {wanted}, this one has {owner}")


def _check_create(
    *,
    url: str | None = None,
    event_types: Collection[str] | None = None,
    mailbox_id: UUID | str | None = None,
    phone_number_id: UUID | str | None = None,
    agent_identity_id: UUID | str | None = None,
    **_: object,
) -> None:
    owners = {
        "mailbox_id": mailbox_id,
        "phone_number_id": phone_number_id,
        "agent_identity_id": agent_identity_id,
    }
    given = [name for name, value in owners.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"Exactly one of {', '.join(owners)} must be given, not {' and '.join(given) or 'none'}"
        )
    if url is None:
        raise ValueError("url must be given: where the events are to be sent")
    check_event_types(event_types, given[0])


def _check_update(
    *, url: str | Unset | None = UNSET, event_types: Collection[str] | Unset | None = UNSET, **_: object
) -> None:
    if url is None:
        raise ValueError("url cannot be cleared; leave it out to keep it")
    if not isinstance(event_types, Unset):
        check_event_types(event_types)


class WebhookSubscriptionsResource(generated.WebhookSubscriptionsResource):
    """Which events of which owner are sent to which address: `inkbox.webhooks.subscriptions`.

    Slips in the arguments of `create` and `update` raise a ValueError that names them, and nothing is sent.
    Whether an event of that exact name exists is for the server to say (422).
    """

    create = checked(_check_create)(generated.WebhookSubscriptionsResource.create)
    update = checked(_check_update)(generated.WebhookSubscriptionsResource.update)


class WebhooksNamespace:
    """What belongs to webhooks on a client: `inkbox.webhooks`.

    Attributes:
        subscriptions: Which events of which owner are sent to which address.
    """

    def __init__(self, transport: Transport) -> None:
        self.subscriptions = WebhookSubscriptionsResource(transport)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
