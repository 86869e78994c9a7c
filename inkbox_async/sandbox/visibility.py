"""Finding identities, as far as the caller may see and change them."""

from __future__ import annotations

from sqlite3 import Row

from .handles import normalise_handle
from .handling import ApiError, Call, not_found


def identity_row(call: Call, identity_id: str) -> Row:
    """A live identity of the caller's organization by id.

    Raises:
        ApiError: 404 when there is none.
    """
    row = call.tx.one(
        "SELECT * FROM identities WHERE id = ? AND organization_id = ? AND status <> 'deleted'",
        identity_id,
        call.caller.organization_id,
    )
    if row is None:
        raise not_found("Identity")
    return row


def visible_identity(call: Call) -> Row:
    """The identity that the path parameter `agent_handle` names, as far as the caller may see it.

    Raises:
        ApiError: 404 when there is none, or the caller may not see it.
    """
    row = call.tx.one(
        "SELECT * FROM identities WHERE agent_handle = ? AND organization_id = ? AND status <> 'deleted'",
        normalise_handle(call.path["agent_handle"]),
        call.caller.organization_id,
    )
    if row is None or not is_visible(call, row):
        raise not_found("Identity")
    return row


def own_identity(call: Call) -> Row:
    """The identity that the path names, if the caller is an admin or that identity itself.

    Raises:
        ApiError: 404 when the caller may not see it, 403 when it is another agent.
    """
    row = visible_identity(call)
    if not call.caller.may_touch(row["id"]):
        raise ApiError(403, "An agent's API key may change its own identity only.")
    return row


def is_visible(call: Call, identity: Row) -> bool:
    """True when the caller may see an identity of its organization."""
    if call.caller.may_touch(identity["id"]):
        return True
    return (
        call.tx.one(
            "SELECT 1 FROM identity_access WHERE target_identity_id = ? "
            "AND (viewer_identity_id IS NULL OR viewer_identity_id = ?)",
            identity["id"],
            call.caller.identity_id,
        )
        is not None
    )
