"""The journal of deliveries: every attempt to send something to a receiver, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.sandbox import WebhookAttempt
from inkbox_async.sandbox.journal import redact_text
from inkbox_async.sandbox.store import Tx
from inkbox_async.secrecy import public_url

from .posting import Outcome

KEPT = 10_000
"""Attempts that are remembered, the newest."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an attempt was about.

    Attributes:
        organization_id: Whose event or call it is.
        event_id: Id of the event, or of the call.
        event_type: Its type, `phone.incoming_call` for a call.
        url: Where it was sent.
        subscription_id: The subscription; None for a call.
        phone_number_id: The number that is called; None for an event.
        payload: The body, where it is not kept with the event.
    """

    organization_id: str
    event_id: str
    event_type: str
    url: str
    subscription_id: str | None = None
    phone_number_id: str | None = None
    payload: str | None = None


def record(
    tx: Tx,
    now: datetime,
    subject: Subject,
    outcome: Outcome,
    *,
    verdict: str,
    attempt: int = 1,
    next_attempt_at: datetime | None = None,
) -> None:
    """Note an attempt. `verdict` is `delivered`, `retrying` or `given_up`."""
    body = outcome.body
    tx.insert(
        "webhook_attempts",
        id=uuid4(),
        organization_id=subject.organization_id,
        subscription_id=subject.subscription_id,
        phone_number_id=subject.phone_number_id,
        event_id=subject.event_id,
        event_type=subject.event_type,
        attempt=attempt,
        outcome=verdict,
        url=subject.url,
        request_id=outcome.request_id,
        signed=outcome.signed,
        request_payload=subject.payload,
        response_status=outcome.status,
        response_body=None if body is None else body.decode("utf-8", "replace"),
        error_detail=outcome.error,
        duration_ms=outcome.duration_ms,
        next_attempt_at=next_attempt_at,
        created_at=now,
    )
    tx.execute("DELETE FROM webhook_attempts WHERE seq <= (SELECT max(seq) FROM webhook_attempts) - ?", KEPT)


def attempts(
    tx: Tx, subscription_id: str | None = None, event_type: str | None = None
) -> list[WebhookAttempt]:
    """What is in the journal, newest first; of one subscription or one type of event where they are given."""
    rows = tx.all(
        "SELECT a.*, coalesce(a.request_payload, e.payload) AS body FROM webhook_attempts AS a "
        "LEFT JOIN events AS e ON e.id = a.event_id "
        "WHERE (? IS NULL OR a.subscription_id = ?) AND (? IS NULL OR a.event_type = ?) ORDER BY a.seq DESC",
        subscription_id,
        subscription_id,
        event_type,
        event_type,
    )
    return [_show(row) for row in rows]


def _show(row: Row) -> WebhookAttempt:
    return WebhookAttempt(
        id=row["id"],
        organization_id=row["organization_id"],
        webhook_subscription_id=row["subscription_id"],
        phone_number_id=row["phone_number_id"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        attempt=row["attempt"],
        outcome=row["outcome"],
        url=public_url(row["url"]),
        request_id=row["request_id"],
        signed=bool(row["signed"]),
        request_payload=None if row["body"] is None else redact_text(row["body"]),
        response_status=row["response_status"],
        response_body=None if row["response_body"] is None else redact_text(row["response_body"]),
        error_detail=row["error_detail"],
        duration_ms=row["duration_ms"],
        next_attempt_at=row["next_attempt_at"],
        created_at=row["created_at"],
    )
