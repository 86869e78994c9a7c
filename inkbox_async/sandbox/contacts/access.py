"""Who sees a contact: one grant to everybody, or one for each identity, or none."""

from __future__ import annotations

from inkbox_async.generated.models.contacts import ContactAccess, GrantContactAccessRequest
from inkbox_async.sandbox.handling import ApiError, Call, handles, not_found
from inkbox_async.sandbox.visibility import identity_row

from .rows import add_grant, contact_of, grants_of, show_grant

_REDUNDANT = {
    "error": "redundant_grant",
    "detail": "Every identity of the organization may see this contact already.",
}


@handles("contacts.access.list")
def list_access(call: Call) -> list[ContactAccess]:
    """The grants on a contact, oldest first."""
    return [show_grant(row) for row in grants_of(call.tx, contact_of(call)["id"])]


@handles("contacts.access.grant")
def grant(call: Call) -> ContactAccess:
    """Let one identity, or everybody, see a contact."""
    body: GrantContactAccessRequest = call.body
    contact_id = contact_of(call)["id"]
    identity_id = None if body.identity_id is None else identity_row(call, str(body.identity_id))["id"]
    granted = {row["identity_id"] for row in grants_of(call.tx, contact_id)}
    if None in granted:
        raise ApiError(409, _REDUNDANT)
    if identity_id in granted:
        raise ApiError(409, "Access is granted to this identity already.")
    if identity_id is None:
        call.tx.execute("DELETE FROM contact_access WHERE contact_id = ?", contact_id)
    return show_grant(add_grant(call.tx, call.now, contact_id, identity_id))


@handles("contacts.access.revoke")
def revoke(call: Call) -> None:
    """Take one identity's access away. Under a wildcard everybody else gets a grant of their own."""
    contact_id, identity_id = contact_of(call)["id"], call.path["identity_id"]
    if not call.caller.may_touch(identity_id):
        raise ApiError(403, "An agent's API key may only give up the access of its own identity.")
    granted = {row["identity_id"] for row in grants_of(call.tx, contact_id)}
    if None in granted:
        identity_row(call, identity_id)
        others = call.tx.all(
            "SELECT id FROM identities WHERE organization_id = ? AND status <> 'deleted' AND id <> ? "
            "ORDER BY created_at",
            call.caller.organization_id,
            identity_id,
        )
        call.tx.execute("DELETE FROM contact_access WHERE contact_id = ?", contact_id)
        for other in others:
            add_grant(call.tx, call.now, contact_id, other["id"])
    elif identity_id in granted:
        call.tx.execute(
            "DELETE FROM contact_access WHERE contact_id = ? AND identity_id = ?", contact_id, identity_id
        )
    else:
        raise not_found("Access")
