"""API keys made over the API: for agents by an admin key, of any kind by a person's console session."""

from __future__ import annotations

from sqlite3 import Row

from inkbox_async.generated.models.identities import ApiKey, CreateApiKeyRequest, CreatedApiKey

from .auth import create_key
from .handling import ApiError, Call, handles
from .visibility import identity_row


@handles("api_keys.create")
def create(call: Call) -> CreatedApiKey:
    """Make a key. Its secret is shown this once."""
    body: CreateApiKeyRequest = call.body
    identity_id = None if body.scoped_identity_id is None else str(body.scoped_identity_id)
    if identity_id is not None:
        identity_row(call, identity_id)
    elif not call.caller.console:
        raise ApiError(403, "An API key may only make keys of identities: give scoped_identity_id.")
    key = create_key(
        call.tx,
        call.now,
        organization_id=call.caller.organization_id,
        scoped_identity_id=identity_id,
        label=body.label,
        description=body.description,
        created_by=call.tx.value(
            "SELECT user_id FROM organizations WHERE id = ?", call.caller.organization_id
        ),
        creator_type="human",
    )
    row = call.tx.one("SELECT * FROM api_keys WHERE id = ?", key.id)
    assert row is not None
    return CreatedApiKey(api_key=key.secret, record=show_key(row))


def show_key(row: Row) -> ApiKey:
    """What is told of a key."""
    return ApiKey(
        id=row["id"],
        organization_id=row["organization_id"],
        created_by=row["created_by"],
        creator_type=row["creator_type"],
        scoped_identity_id=row["scoped_identity_id"],
        label=row["label"],
        description=row["description"],
        status=row["status"],
        last4=row["last4"],
        display_prefix=row["id"][: len("ApiKey_") + 8],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
