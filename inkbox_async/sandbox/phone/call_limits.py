"""How many calls an organization may place in a day, and how long they may last together."""

from __future__ import annotations

from datetime import datetime, timedelta
from sqlite3 import Row

from inkbox_async.generated.models.phone import RateLimitInfo
from inkbox_async.sandbox.clock import parse_timestamp, timestamp
from inkbox_async.sandbox.limits import Limits
from inkbox_async.sandbox.store import Tx

WINDOW = timedelta(hours=24)
NO_LIMIT = 1_000_000
"""What is told where the plan has no limit: the answer has room for numbers only."""


def rate_limit(tx: Tx, now: datetime, organization_id: str) -> RateLimitInfo:
    """What an organization has used of its calls in the last 24 hours."""
    limits = Limits.of(tx, organization_id)
    rows = tx.all(
        "SELECT started_at, ended_at FROM calls WHERE organization_id = ? AND direction = 'outbound' "
        "AND created_at > ?",
        organization_id,
        timestamp(now - WINDOW),
    )
    minutes = sum((_length(now, row) for row in rows), timedelta()) / timedelta(minutes=1)
    calls_limit = NO_LIMIT if limits.calls_per_day is None else limits.calls_per_day
    minutes_limit = NO_LIMIT if limits.call_minutes_per_day is None else limits.call_minutes_per_day
    return RateLimitInfo(
        calls_used=len(rows),
        calls_remaining=max(0, calls_limit - len(rows)),
        calls_limit=calls_limit,
        minutes_used=round(minutes, 2),
        minutes_remaining=round(max(0.0, minutes_limit - minutes), 2),
        minutes_limit=minutes_limit,
    )


def _length(now: datetime, row: Row) -> timedelta:
    if row["started_at"] is None:
        return timedelta()
    ended = now if row["ended_at"] is None else parse_timestamp(row["ended_at"])
    return ended - parse_timestamp(row["started_at"])
