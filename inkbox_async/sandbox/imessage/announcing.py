"""The `imessage.*` events: what webhooks tell of messages and tapbacks."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from typing import Any

from inkbox_async.sandbox import events
from inkbox_async.sandbox.imessage.rows import message_row, show_message, show_reaction
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.matching import match_party


def announce_message(tx: Tx, now: datetime, settings: Settings, message_id: object, event_type: str) -> None:
    """Record an event about a message."""
    row = message_row(tx, message_id)
    message = events.plain(show_message(tx, now, settings, row))
    del message["is_blocked"]
    _announce(tx, now, row, event_type, message=message)


def announce_reaction(tx: Tx, now: datetime, reaction: Row, message: Row) -> None:
    """Record that a person has put a tapback on a message."""
    event_type = "imessage.reaction_received"
    _announce(tx, now, message, event_type, reaction=events.plain(show_reaction(reaction, message)))


def _announce(
    tx: Tx,
    now: datetime,
    row: Row,
    event_type: str,
    *,
    message: dict[str, Any] | None = None,  # Any: JSON values
    reaction: dict[str, Any] | None = None,  # Any: JSON values
) -> None:
    """Nothing is told while the identity is paused or iMessage is off."""
    identity = tx.one(
        "SELECT * FROM identities WHERE id = ? AND status = 'active' AND imessage_enabled", row["identity_id"]
    )
    if identity is None:
        return
    contacts, agents = match_party(tx, identity["organization_id"], identity["id"], row["remote_number"])
    events.emit(
        tx,
        events.Event(
            organization_id=identity["organization_id"],
            event_type=event_type,
            occurred_at=now,
            data={
                "message": message,
                "reaction": reaction,
                "contacts": contacts,
                "agent_identities": agents,
            },
            agent_identity_id=identity["id"],
        ),
    )
