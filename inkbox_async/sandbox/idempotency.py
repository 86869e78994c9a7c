"""Sends that may be repeated: the answer to an `Idempotency-Key` is kept and given to every repetition."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from .clock import timestamp
from .handling import Answer, ApiError, Call, invalid
from .requests import encode

M = TypeVar("M", bound=BaseModel)

KEPT_FOR = timedelta(days=7)
MAX_KEY_LENGTH = 255
_SENDERS = frozenset({"email_address", "agent_handle"})
"""Path parameters that name the sender, which can be spelled in more than one way; its id is what counts."""


def send_once(
    call: Call, sender_kind: str, sender_id: str, operation: str, send: Callable[[], tuple[str | UUID, M]]
) -> Answer:
    """Send, unless this very send was made under the same `Idempotency-Key` in the last 7 days.

    Args:
        call: The request. Without the header it is an ordinary send.
        sender_kind: `mailbox`, `phone_number` or `imessage_identity`.
        sender_id: Id of the sender of that kind.
        operation: What is repeated, e.g. `mail.send`. Keys of different operations do not meet.
        send: Does it, and returns the id of the message and the model to answer with.

    Returns:
        The answer of `send`, now or then.

    Raises:
        ApiError: 409 `idempotency_key_reused` for the same key with another input (path, query or body),
            422 for a malformed key, and whatever `send` raises; a refused send is not remembered.
    """
    key = call.headers.get("idempotency-key")
    if key is None:
        return Answer(send()[1])
    if not key.strip() or len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise invalid("Give 1 to 255 printable ASCII characters", "header", "Idempotency-Key")
    place = (call.caller.organization_id, sender_kind, sender_id, operation, key)
    digest = _input_digest(call)
    expired_at = timestamp(call.now - KEPT_FOR)
    call.tx.execute("DELETE FROM sends WHERE created_at <= ?", expired_at)
    known = call.tx.one(
        "SELECT * FROM sends WHERE organization_id = ? AND sender_kind = ? AND sender_id = ? "
        "AND operation = ? AND idempotency_key = ?",
        *place,
    )
    if known is not None:
        if known["input_sha256"] != digest:
            message = "This idempotency key was used for another request. Use a new key for a new message."
            raise ApiError(409, {"error": "idempotency_key_reused", "message": message})
        return Answer(known["answer"], status=known["status"])
    message_id, model = send()
    answer = Answer(encode(model), status=call.operation.status)
    call.tx.insert(
        "sends",
        **dict(
            zip(
                ("organization_id", "sender_kind", "sender_id", "operation", "idempotency_key"),
                place,
                strict=True,
            )
        ),
        input_sha256=digest,
        message_id=message_id,
        status=answer.status,
        answer=answer.body,
        created_at=call.now,
    )
    return answer


def _input_digest(call: Call) -> str:
    """Tells one input from another: the path and what the body says, however it was spelled."""
    path = sorted((name, value) for name, value in call.path.items() if name not in _SENDERS)
    digest = hashlib.sha256(repr(path).encode())
    if isinstance(call.body, BaseModel):
        digest.update(call.body.model_dump_json(by_alias=True, exclude_unset=True).encode())
    else:
        digest.update(call.content)
    return digest.hexdigest()
