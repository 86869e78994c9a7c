"""Calls that come in: which of them ring, and which are declined at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.sandbox.phone.contact_rules import verdict_on
from inkbox_async.sandbox.rules import INBOUND
from inkbox_async.sandbox.store import Tx

TOPIC = "calls"
"""What the carrier listens to: there may be a call to be carried, or to be hung up."""

RINGING_ACTIONS = frozenset({"auto_accept", "webhook"})
"""What a number may do with calls so that they ring. The sandbox has no voice agent, and forwards nothing."""


def arrive(
    tx: Tx, now: datetime, number: Row, caller: str, plan: Mapping[str, object], sound: bytes | None
) -> str:
    """Have somebody call a phone number, and return the call's id.

    Args:
        tx: The transaction.
        now: The sandbox's present.
        number: The number that is called.
        caller: Number of the phone that calls.
        plan: What the caller does: `script`, `hangup_after`, `leaves`.
        sound: What the caller says, as mu-law samples.
    """
    is_allowed = verdict_on(tx, number, caller, INBOUND).is_allowed
    rings = is_allowed and number["incoming_call_action"] in RINGING_ACTIONS
    end: dict[str, object] = {} if rings else {"hangup_reason": "rejected", "ended_at": now}
    call_id = str(uuid4())
    tx.insert(
        "calls",
        id=call_id,
        organization_id=number["organization_id"],
        identity_id=number["identity_id"],
        phone_number_id=number["id"],
        local_number=number["number"],
        remote_number=caller,
        direction="inbound",
        status="initiated" if rings else "failed",
        is_blocked=not is_allowed,
        plan=plan,
        audio=sound,
        created_at=now,
        updated_at=now,
        **end,
    )
    if rings:
        tx.notify(TOPIC)
    return call_id


def ring_here(tx: Tx, now: datetime, number: Row, caller: str, call_id: str) -> dict[str, object]:
    """Have a call that is being placed ring at another number of the sandbox.

    Args:
        tx: The transaction.
        now: The sandbox's present.
        number: The number that is called.
        caller: The number that calls.
        call_id: Id of the call at the caller's end.

    Returns:
        What the caller meets: `peer`, the id of the call at the other end, or an `outcome` where it is
        declined at once.
    """
    peer_id = arrive(tx, now, number, caller, {"peer": call_id}, None)
    is_declined = tx.value("SELECT ended_at FROM calls WHERE id = ?", peer_id) is not None
    return {"outcome": "rejected"} if is_declined else {"peer": peer_id}
