"""The `text.*` events: what webhooks tell of a text."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from inkbox_async.sandbox import events
from inkbox_async.sandbox.phone.rows import show_text
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.matching import match_party

EVENT_TYPES = {
    "sent": "text.sent",
    "delivered": "text.delivered",
    "delivery_failed": "text.delivery_failed",
    "delivery_unconfirmed": "text.delivery_unconfirmed",
    "sending_failed": "text.delivery_failed",
}
"""The event that tells of each delivery status. A queued text is no event."""


def announce(
    tx: Tx,
    now: datetime,
    settings: Settings,
    text_id: str,
    event_type: str,
    *,
    party: str | None,
    recipient: str | None = None,
) -> None:
    """Record an event about a text; nothing for a number that was released meanwhile.

    Args:
        tx: The transaction.
        now: When it happened.
        settings: Where links to files lead.
        text_id: Id of the text.
        event_type: Name of the event.
        party: The other party that the event is about.
        recipient: That party again, when it is one of several recipients.
    """
    text = tx.one("SELECT * FROM texts WHERE id = ?", text_id)
    assert text is not None
    number: Row | None = tx.one(
        "SELECT * FROM phone_numbers WHERE id = ? AND status <> 'released'", text["phone_number_id"]
    )
    if number is None:
        return
    message = events.plain(show_text(tx, now, settings, text))
    del message["is_blocked"]
    contacts, agents = match_party(tx, number["organization_id"], number["identity_id"], party)
    events.emit(
        tx,
        events.Event(
            organization_id=number["organization_id"],
            event_type=event_type,
            occurred_at=now,
            data={
                "text_message": message,
                "contacts": contacts,
                "agent_identities": agents,
                "recipient_phone_number": recipient,
            },
            agent_identity_id=number["identity_id"],
            phone_number_id=number["id"],
        ),
    )
