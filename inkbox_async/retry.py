"""When a failed request may be repeated, and after how long: pure functions, no I/O."""

from __future__ import annotations

import random
import ssl
from datetime import UTC, datetime
from enum import Enum
from uuid import uuid4

from .errors import InkboxAPIError, InkboxConnectionError, InkboxError, InkboxResponseError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1), and so may be repeated whatever became of the first try.

PUT and DELETE are idempotent but not here: when the first try got through and only its answer was lost, a
second DELETE answers 404 and a second PUT may undo what somebody else wrote in between. The caller is told
that the outcome is open instead of being told something wrong.
"""

RETRY_STATUSES = frozenset({429, 502, 503, 504})
FIRST_DELAY = 0.25
LONGEST_DELAY = 5.0
"""Seconds. A `Retry-After` beyond it is not waited for: the error is raised at once and carries it."""


class Idempotency(Enum):
    """What an operation does with an idempotency key.

    Members:
        NONE: It takes none.
        OPTIONAL: The key is sent when the caller gives one.
        SEND: A key is always sent, made when the caller gives none, and so the request may be repeated.
    """

    NONE = "none"
    OPTIONAL = "optional"
    SEND = "send"


def idempotency_headers(idempotency: Idempotency, key: str | None) -> dict[str, str]:
    """The headers that carry an idempotency key, empty when there is none to carry.

    Raises:
        ValueError: The key is not 1 to 255 printable ASCII characters, is blank, or is given to an
            operation that takes none.
    """
    if key is not None:
        check_idempotency_key(key)
    if idempotency is Idempotency.SEND:
        return {"Idempotency-Key": str(uuid4()) if key is None else key, "Prefer": "idempotency-replay"}
    if key is None:
        return {}
    if idempotency is Idempotency.NONE:
        raise ValueError("this operation takes no idempotency key")
    return {"Idempotency-Key": key}


def check_idempotency_key(key: str) -> None:
    """Refuse a key that no server takes, with a ValueError."""
    if not isinstance(key, str) or not (
        0 < len(key) <= 255 and key.isascii() and key.isprintable() and key.strip()
    ):
        raise ValueError("idempotency_key must be 1 to 255 printable ASCII characters and not blank")


def retry_delay(error: InkboxError, attempt: int, *, max_retries: int, repeatable: bool) -> float | None:
    """Seconds to wait before the request is sent again, or None when the error is final.

    Args:
        error: What the attempt came to.
        attempt: The number of the attempt that failed, from 1.
        max_retries: How many attempts may follow the first.
        repeatable: Whether the request may reach the server twice: a safe method, or a keyed send.
    """
    if attempt > max_retries or not _may_help(error, repeatable):
        return None
    retry_after = _retry_after(error) if isinstance(error, InkboxAPIError) else 0.0
    return max(back_off(attempt), retry_after) if retry_after <= LONGEST_DELAY else None


def _retry_after(error: InkboxAPIError) -> float:
    """Seconds that the server asks to wait, in either form of the header."""
    if error.retry_at is not None:
        return (error.retry_at - datetime.now(UTC)).total_seconds()
    return error.retry_after_seconds or 0


def back_off(attempt: int) -> float:
    """Seconds that double with each attempt, up to half of them more by chance, 5 at most."""
    # The exponent is bounded first: a float cannot hold 2 to the power of a thousand.
    seconds = FIRST_DELAY * (1 << min(attempt - 1, 10))
    return min(seconds * random.uniform(1.0, 1.5), LONGEST_DELAY)


def _may_help(error: InkboxError, repeatable: bool) -> bool:
    if isinstance(error, InkboxConnectionError):
        # An untrusted certificate stays untrusted.
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return False
        return repeatable or not error.sent
    if not repeatable:
        return False
    if isinstance(error, InkboxAPIError):
        return error.status_code in RETRY_STATUSES or error.code == "idempotency_in_progress"
    return isinstance(error, InkboxResponseError) and error.malformed
