"""Events: what happened, recorded beside the change itself and queued for webhook subscriptions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from .store import Tx

TOPIC = "webhooks"
"""What the dispatcher listens to: `Tx.notify(TOPIC)` says that there may be something to deliver."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be told to every subscription of its owner that selects its type.

    Attributes:
        organization_id: Organization in which it happened.
        event_type: Name from the catalogue, e.g. `message.received`.
        occurred_at: When it happened, by the sandbox's clock (`call.now`).
        data: The `data` of the payload, as JSON values.
        agent_identity_id: The identity that it concerns. Give it for every event.
        mailbox_id: The mailbox, for `message.*`.
        phone_number_id: The local phone number, for `text.*`.
    """

    organization_id: str
    event_type: str
    occurred_at: datetime
    data: Mapping[str, Any]  # Any: JSON values of every type
    agent_identity_id: str | None = None
    mailbox_id: str | None = None
    phone_number_id: str | None = None


def emit(tx: Tx, event: Event) -> str:
    """Record an event and queue its deliveries, in the transaction of the change that it tells about.

    Nothing is sent before that transaction is stored, and nothing stored goes unsent, whatever happens to the
    process.

    Returns:
        The event's id, `evt_...`: the same in every delivery of it.
    """
    event_id = f"evt_{uuid.uuid4()}"
    payload = {
        "id": event_id,
        "event_type": event.event_type,
        "timestamp": wire_time(event.occurred_at),
        "data": event.data,
    }
    tx.insert(
        "events",
        id=event_id,
        organization_id=event.organization_id,
        mailbox_id=event.mailbox_id,
        phone_number_id=event.phone_number_id,
        agent_identity_id=event.agent_identity_id,
        event_type=event.event_type,
        payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
        created_at=event.occurred_at,
    )
    queued = tx.execute(
        "INSERT INTO webhook_deliveries (event_id, subscription_id, due_at) "
        "SELECT ?, id, ? FROM webhook_subscriptions AS s WHERE organization_id = ? AND status = 'active' "
        "AND (mailbox_id = ? OR phone_number_id = ? OR agent_identity_id = ?) "
        "AND EXISTS (SELECT 1 FROM json_each(s.event_types) WHERE value = ?) ORDER BY created_at",
        event_id,
        event.occurred_at,
        event.organization_id,
        event.mailbox_id,
        event.phone_number_id,
        event.agent_identity_id,
        event.event_type,
    ).rowcount
    if queued:
        tx.notify(TOPIC)
    return event_id


def wire_time(moment: datetime) -> str:
    """A time as payloads spell it: UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(model: BaseModel) -> dict[str, Any]:  # Any: JSON values of every type
    """A model as JSON values, times as payloads spell them."""
    return {name: _value(value) for name, value in model}


def _value(value: object) -> Any:  # Any: JSON values of every type
    match value:
        case datetime():
            return wire_time(value)
        case BaseModel():
            return plain(value)
        case list():
            return [_value(item) for item in value]
        case None | bool() | int():
            return value
        case _:
            return str(value)
