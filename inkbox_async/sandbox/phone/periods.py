"""The date filters of lists of calls and texts, as SQL."""

from __future__ import annotations

from typing import Protocol

from inkbox_async.sandbox.mail.periods import end_of, first_instant, zone_of


class Period(Protocol):
    """The queries that have date filters."""

    start_datetime: str | None
    end_datetime: str | None
    tz: str | None


def period(query: Period, column: str) -> tuple[str, list[object]]:
    """An SQL condition on a column of times, and its values.

    Raises:
        ApiError: 422 for what is no date, time or time zone.
    """
    zone = zone_of(query.tz)
    conditions: list[str] = []
    values: list[object] = []
    if query.start_datetime is not None:
        conditions.append(f"{column} >= ?")
        values.append(first_instant(query.start_datetime, zone, "start_datetime"))
    if query.end_datetime is not None:
        end, is_inside = end_of(query.end_datetime, zone, "end_datetime")
        conditions.append(f"{column} {'<=' if is_inside else '<'} ?")
        values.append(end)
    return " AND ".join(conditions) or "1", values
