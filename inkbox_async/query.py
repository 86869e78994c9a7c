"""Python values to query strings, and the check that datetimes on the wire have a time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from urllib.parse import quote
from uuid import UUID

from .unset import Unset


def query_string(query: Mapping[str, object]) -> str:
    """The percent-encoded query without its `?`; None and UNSET are left out, lists repeat their name.

    Raises:
        ValueError: A datetime has no time zone, or a text is no proper Unicode.
    """
    pairs: list[str] = []
    for name, value in query.items():
        if value is None or isinstance(value, Unset):
            continue
        if isinstance(value, str):
            pairs.append(f"{name}={quoted(name, value)}")
        elif isinstance(value, (list, tuple, set, frozenset)):
            pairs += [f"{name}={quoted(name, query_text(name, item))}" for item in value]
        else:
            pairs.append(f"{name}={quoted(name, query_text(name, value))}")
    return "&".join(pairs)


def quoted(name: str, text: str, safe: str = "") -> str:
    """A text percent-encoded.

    Raises:
        ValueError: It holds lone surrogates, which UTF-8 cannot carry.
    """
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        pass
    # Raised out here: the original error holds the text, which may be a secret, and would be the context.
    raise ValueError(f"{name} holds a text that UTF-8 cannot carry")


def query_text(name: str, value: object) -> str:
    """One query value as text, the way the wire spells it."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, UUID)):
        return str(value)
    if isinstance(value, datetime):
        check_aware(name, value)
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{name} cannot travel in a query as {type(value).__name__}")


def check_aware(name: str, value: datetime) -> None:
    """Refuse a datetime without a time zone, with a ValueError: the server could only guess."""
    if value.utcoffset() is None:
        raise ValueError(
            f"{name} has no time zone; use an aware datetime, such as datetime.now(timezone.utc)"
        )
