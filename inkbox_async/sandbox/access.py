"""Who sees whom among the agents of an organization: access rows, one wildcard or one for each viewer."""

from __future__ import annotations

from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.identities import GrantIdentityAccessRequest, IdentityAccess

from .handling import ApiError, Call, handles, invalid, not_found
from .visibility import visible_identity


@handles("identities.list_access")
def list_access(call: Call) -> list[IdentityAccess]:
    """The grants on an identity, oldest first."""
    return [_show(row) for row in _grants(call, visible_identity(call)["id"])]


@handles("identities.grant_access")
def grant_access(call: Call) -> IdentityAccess:
    """Let one viewer, or everybody, see an identity."""
    body: GrantIdentityAccessRequest = call.body
    target_id = visible_identity(call)["id"]
    grants = _grants(call, target_id)
    wildcard = next((row for row in grants if row["viewer_identity_id"] is None), None)
    if body.viewer_identity_id is None:
        if wildcard is not None:
            return _show(wildcard)
        call.tx.execute("DELETE FROM identity_access WHERE target_identity_id = ?", target_id)
        return _show(_grant(call, target_id, None))
    viewer_id = str(body.viewer_identity_id)
    if viewer_id == target_id:
        raise invalid("An identity always sees itself", "body", "viewer_identity_id")
    if call.tx.one(*_live_identity(call, viewer_id)) is None:
        raise not_found("Viewer identity")
    if wildcard is not None:
        detail = "Every identity of the organization may see this one already."
        raise ApiError(409, {"error": "redundant_grant", "detail": detail})
    if any(row["viewer_identity_id"] == viewer_id for row in grants):
        raise ApiError(409, "This identity may see it already.")
    return _show(_grant(call, target_id, viewer_id))


@handles("identities.revoke_access")
def revoke_access(call: Call) -> None:
    """Take one viewer's grant away. Under a wildcard everybody else gets a grant of their own."""
    target_id, viewer_id = visible_identity(call)["id"], call.path["viewer_identity_id"]
    grants = _grants(call, target_id)
    if any(row["viewer_identity_id"] is None for row in grants):
        if viewer_id == target_id or call.tx.one(*_live_identity(call, viewer_id)) is None:
            raise not_found("Access")
        call.tx.execute("DELETE FROM identity_access WHERE target_identity_id = ?", target_id)
        others = call.tx.all(
            "SELECT id FROM identities WHERE organization_id = ? AND status <> 'deleted' "
            "AND id NOT IN (?, ?)",
            call.caller.organization_id,
            target_id,
            viewer_id,
        )
        for other in others:
            _grant(call, target_id, other["id"])
        return
    revoked = call.tx.execute(
        "DELETE FROM identity_access WHERE target_identity_id = ? AND viewer_identity_id = ?",
        target_id,
        viewer_id,
    )
    if revoked.rowcount == 0:
        raise not_found("Access")


def _grants(call: Call, target_id: str) -> list[Row]:
    return call.tx.all(
        "SELECT * FROM identity_access WHERE target_identity_id = ? ORDER BY created_at, id", target_id
    )


def _grant(call: Call, target_id: str, viewer_id: str | None) -> Row:
    grant_id = uuid4()
    call.tx.insert(
        "identity_access",
        id=grant_id,
        target_identity_id=target_id,
        viewer_identity_id=viewer_id,
        created_at=call.now,
    )
    row = call.tx.one("SELECT * FROM identity_access WHERE id = ?", grant_id)
    assert row is not None
    return row


def _live_identity(call: Call, identity_id: str) -> tuple[str, str, str]:
    return (
        "SELECT 1 FROM identities WHERE id = ? AND organization_id = ? AND status <> 'deleted'",
        identity_id,
        call.caller.organization_id,
    )


def _show(row: Row) -> IdentityAccess:
    return IdentityAccess(
        id=row["id"],
        target_identity_id=row["target_identity_id"],
        viewer_identity_id=row["viewer_identity_id"],
        created_at=row["created_at"],
    )
