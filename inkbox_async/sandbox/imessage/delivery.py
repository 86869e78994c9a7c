"""iMessages on their way out: what awaits them, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Row

from inkbox_async.sandbox import outbox
from inkbox_async.sandbox.imessage.announcing import announce_message
from inkbox_async.sandbox.outcomes import take_outcome
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx

TOPIC = "imessage"
"""What the courier listens to: there may be messages whose status has to move on."""

DELIVERED, DOWNGRADED, DECLINED, ERROR = "delivered", "downgraded", "declined", "error"
_WORDS = {
    DECLINED: "The recipient's service declined the message.",
    ERROR: "The message could not be delivered.",
}


def dispatch(tx: Tx, now: datetime, identity: Row, message: Row, media_urls: Sequence[str]) -> None:
    """Send a stored message to its person. Its status moves on after the commit, see `advance`."""
    decided = take_outcome(tx, "imessage", message["remote_number"])
    changes: dict[str, object] = {"outcome": DELIVERED if decided is None else decided.outcome}
    if decided is not None and decided.outcome in _WORDS:
        changes |= {"error_code": decided.error_code or decided.outcome, "error_detail": decided.error_detail}
    tx.update("imessage_messages", message["id"], **changes)
    outbox.put(
        tx,
        now,
        channel="imessage",
        sender=f"@{identity['agent_handle']}",
        recipients=[message["remote_number"]],
        organization_id=identity["organization_id"],
        resource_id=message["id"],
        text=message["content"],
        media_urls=media_urls,
    )
    tx.notify(TOPIC)


def advance(settings: Settings, tx: Tx, now: datetime) -> bool:
    """Move every message that is on its way one step on: `queued`, `sent`, and what became of it.

    Returns whether any moved.
    """
    rows = tx.all(
        "SELECT id, status, outcome FROM imessage_messages WHERE status IN ('queued', 'sent') ORDER BY seq"
    )
    for row in rows:
        # Whoever declines does so before anything leaves.
        if row["status"] == "queued" and row["outcome"] != DECLINED:
            service = "sms" if row["outcome"] == DOWNGRADED else "imessage"
            changes: dict[str, object] = {"status": "sent", "sent_at": now, "service": service}
            event_type = "imessage.sent"
        elif row["outcome"] not in _WORDS:
            changes = {"status": "delivered", "delivered_at": now}
            event_type = "imessage.delivered"
        else:
            outcome = row["outcome"]
            words = {"error_message": _WORDS[outcome], "error_reason": outcome}
            changes = {"status": outcome, "failed_at": now, **words}
            event_type = "imessage.delivery_failed"
        tx.update("imessage_messages", row["id"], updated_at=now, **changes)
        announce_message(tx, now, settings, row["id"], event_type)
    return bool(rows)
