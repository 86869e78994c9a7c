"""The `start_datetime`, `end_datetime` and `tz` filters: days and times as people write them, as instants."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from inkbox_async.sandbox.handling import invalid

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def zone_of(name: str | None) -> tzinfo:
    """The IANA time zone of that name, UTC without one.

    Raises:
        ApiError: 422 for a name that is none.
    """
    if name is None or name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise invalid("Give an IANA time zone, such as Europe/Berlin", "query", "tz") from None


def first_instant(text: str, zone: tzinfo, field: str) -> datetime:
    """The earliest instant of a period that starts with this day or time.

    Raises:
        ApiError: 422 when it is neither an ISO 8601 date nor a date and time.
    """
    return _instant(text, zone, field, days_later=0)


def end_of(text: str, zone: tzinfo, field: str) -> tuple[datetime, bool]:
    """The end of a period that ends with this day or time, and whether that instant still belongs to it.

    A day belongs to the period whole, so its end is the next day's beginning, which does not.

    Raises:
        ApiError: 422 when it is neither an ISO 8601 date nor a date and time.
    """
    is_day = _DATE.fullmatch(text.strip()) is not None
    return _instant(text, zone, field, days_later=1 if is_day else 0), not is_day


def _instant(text: str, zone: tzinfo, field: str, *, days_later: int) -> datetime:
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=days_later)
            return datetime.combine(day, time(), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid("Give an ISO 8601 date or date and time", "query", field) from None
