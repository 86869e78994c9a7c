"""Opaque cursors: where a page of a list ended, so that the next one goes on there whatever arrived since."""

from __future__ import annotations

import base64
import binascii
import json

from inkbox_async.sandbox.handling import invalid


def encode_cursor(sort_key: str, tie_breaker: str | int) -> str:
    """The cursor after a row with this place in the order of a list."""
    content = json.dumps([sort_key, tie_breaker], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[str, str | int]:
    """The place that a cursor names.

    Raises:
        ApiError: 422 for a text that is no cursor.
    """
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        content = None
    match content:
        case [str(sort_key), str(tie_breaker) | int(tie_breaker)] if _is_storable(sort_key) and _is_storable(
            tie_breaker
        ):
            return sort_key, tie_breaker
    raise invalid("Give the next_cursor of an earlier page, unchanged", "query", "cursor")


def _is_storable(value: str | int) -> bool:
    """Whether SQLite knows such numbers, and UTF-8 such texts."""
    if isinstance(value, str):
        return value.isascii()
    return not isinstance(value, bool) and abs(value) < 1 << 63
