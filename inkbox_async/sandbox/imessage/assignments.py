"""Connections of people with agents: made and ended through the triage line, ended with the identity."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.imessage import IMessageAssignment
from inkbox_async.generated.queries.imessage import ImessagesListAssignmentsQuery
from inkbox_async.sandbox import lifecycle
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.imessage.gates import named_identity
from inkbox_async.sandbox.store import Tx


@handles("imessages.list_assignments")
def list_assignments(call: Call) -> list[IMessageAssignment]:
    """Who is connected now, newest first."""
    query: ImessagesListAssignmentsQuery = call.query
    identity = named_identity(call, query.agent_identity_id)
    identity_id = None if identity is None else identity["id"]
    rows = call.tx.all(
        "SELECT * FROM imessage_assignments WHERE status = 'active' AND organization_id = ? "
        "AND (? IS NULL OR identity_id = ?) ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
        call.caller.organization_id,
        identity_id,
        identity_id,
        query.limit,
        query.offset,
    )
    return [_show(row) for row in rows]


def active_assignment(tx: Tx, identity_id: str, number: str) -> Row | None:
    """The connection of a person with an agent, None when there is none now."""
    return tx.one(
        "SELECT * FROM imessage_assignments "
        "WHERE identity_id = ? AND remote_number = ? AND status = 'active'",
        identity_id,
        number,
    )


def connect(tx: Tx, now: datetime, identity: Row, number: str) -> Row:
    """Connect a person with an agent; the connection there is, when they are connected already."""
    assignment = active_assignment(tx, identity["id"], number)
    if assignment is not None:
        return assignment
    assignment_id = uuid4()
    tx.insert(
        "imessage_assignments",
        id=assignment_id,
        organization_id=identity["organization_id"],
        identity_id=identity["id"],
        remote_number=number,
        created_at=now,
        updated_at=now,
    )
    tx.execute(
        "UPDATE imessage_conversations SET assignment_id = ?, updated_at = ? "
        "WHERE identity_id = ? AND remote_number = ?",
        assignment_id,
        now,
        identity["id"],
        number,
    )
    row = active_assignment(tx, identity["id"], number)
    assert row is not None
    return row


def release(tx: Tx, now: datetime, condition: str, *values: object) -> int:
    """End the active connections under a condition, and tell how many there were."""
    return tx.execute(
        "UPDATE imessage_assignments SET status = 'released', released_at = ?, updated_at = ? "
        f"WHERE status = 'active' AND {condition}",
        now,
        now,
        *values,
    ).rowcount


@lifecycle.when_identity_is_deleted
def release_all_of(call: Call, identity_id: str) -> None:
    """An identity's connections end with it."""
    release(call.tx, call.now, "identity_id = ?", identity_id)


def _show(row: Row) -> IMessageAssignment:
    return IMessageAssignment(
        id=row["id"],
        remote_number=row["remote_number"],
        agent_identity_id=row["identity_id"],
        organization_id=row["organization_id"],
        status=row["status"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        released_at=row["released_at"],
    )
