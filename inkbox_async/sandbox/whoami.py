"""Who the caller is, in the caller's own eyes."""

from __future__ import annotations

from inkbox_async.generated.models.identities import WhoamiApiKeyResponse, WhoamiJwtResponse

from .handling import Call, handles

SUBTYPES = {
    "admin": "api_key.admin_scoped",
    "agent": "api_key.agent_scoped.claimed",
    "unclaimed": "api_key.agent_scoped.unclaimed",
}


@handles("whoami.get")
def whoami(call: Call) -> WhoamiApiKeyResponse | WhoamiJwtResponse:
    """The key, or for a console session the person."""
    caller, tx = call.caller, call.tx
    if caller.console:
        organization = tx.one("SELECT * FROM organizations WHERE id = ?", caller.organization_id)
        assert organization is not None
        return WhoamiJwtResponse(
            auth_type="jwt",
            auth_subtype=None,
            organization_id=caller.organization_id,
            user_id=organization["user_id"],
            email=organization["email_address"],
            name="Owner",
            org_role="admin",
            org_slug=caller.organization_id.removeprefix("org_"),
        )
    key = tx.one("SELECT * FROM api_keys WHERE id = ?", caller.key_id)
    assert key is not None
    return WhoamiApiKeyResponse(
        auth_type="api_key",
        auth_subtype=SUBTYPES[caller.kind],
        organization_id=caller.organization_id,
        scope=(
            f"organization:{caller.organization_id}"
            if caller.identity_id is None
            else f"agent_identity:{caller.identity_id}"
        ),
        created_by=key["created_by"],
        creator_type=key["creator_type"],
        key_id=caller.key_id,
        label=key["label"],
        description=key["description"],
        created_at=key["created_at"],
        last_used_at=key["last_used_at"],
        expires_at=key["expires_at"],
    )
