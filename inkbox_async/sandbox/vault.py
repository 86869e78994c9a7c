"""The vault's server side: making it, its keys and recovery codes, unlocking. Nothing is ever decrypted."""

from __future__ import annotations

from sqlite3 import IntegrityError, Row
from uuid import uuid4

from inkbox_async.generated.models.vault import (
    PrimaryKeyReplaceRequest,
    VaultInfo,
    VaultInitializeRequest,
    VaultInitializeResponse,
    VaultKey,
    VaultKeyMaterialRequest,
    VaultKeyType,
    VaultUnlockResponse,
    WrappedVaultKey,
)

from .handling import ApiError, Call, handles, invalid
from .vault_secrets import show_details, vault_of


@handles("vault.info")
def info(call: Call) -> VaultInfo:
    """The vault with the numbers of what is in it."""
    vault = vault_of(call)
    return VaultInfo(
        id=vault["id"],
        organization_id=vault["organization_id"],
        created_at=vault["created_at"],
        updated_at=vault["updated_at"],
        key_count=len(_keys(call, vault, VaultKeyType.PRIMARY)),
        secret_count=call.tx.value("SELECT count(*) FROM vault_secrets WHERE vault_id = ?", vault["id"]),
        recovery_key_count=len(_keys(call, vault, VaultKeyType.RECOVERY)),
    )


@handles("vault.initialize")
def initialize(call: Call) -> VaultInitializeResponse:
    """Make the organization's vault with its first keys."""
    body: VaultInitializeRequest = call.body
    if body.vault_key.key_type != VaultKeyType.PRIMARY:
        raise invalid("The vault key is of type primary", "body", "vault_key", "key_type")
    for place, key in enumerate(body.recovery_keys):
        if key.key_type != VaultKeyType.RECOVERY:
            raise invalid("Recovery keys are of type recovery", "body", "recovery_keys", place, "key_type")
    organization_id = call.caller.organization_id
    if call.tx.one("SELECT 1 FROM vaults WHERE organization_id = ?", organization_id) is not None:
        raise ApiError(409, "The organization has a vault already")
    vault_id = str(uuid4())
    call.tx.insert(
        "vaults", id=vault_id, organization_id=organization_id, created_at=call.now, updated_at=call.now
    )
    for key in (body.vault_key, *body.recovery_keys):
        _add_key(call, vault_id, key, key.key_type)
    return VaultInitializeResponse(
        vault_id=vault_id, vault_key_id=body.vault_key.id, recovery_key_count=len(body.recovery_keys)
    )


@handles("vault.unlock")
def unlock(call: Call) -> VaultUnlockResponse:
    """The wrap of the key that matches and the secrets that the caller may see; without a match, nothing."""
    vault = vault_of(call)
    if call.query.auth_hash is None:
        return VaultUnlockResponse(
            wrapped_org_encryption_keys=[
                WrappedVaultKey(
                    id=row["id"],
                    auth_hash=row["auth_hash"],
                    wrapped_org_encryption_key=row["wrapped_org_encryption_key"],
                )
                for row in _keys(call, vault)
            ],
            encrypted_secrets=show_details(call, vault),
        )
    key = _key_by_hash(call, vault, call.query.auth_hash)
    if key is None:
        return VaultUnlockResponse()
    return VaultUnlockResponse(
        wrapped_org_encryption_key=key["wrapped_org_encryption_key"],
        encrypted_secrets=show_details(call, vault),
    )


@handles("vault.list_keys")
def list_keys(call: Call) -> list[VaultKey]:
    """The active keys, oldest first."""
    return [_show_key(row) for row in _keys(call, vault_of(call), call.query.type)]


@handles("vault.update_key")
def update_key(call: Call) -> VaultKey:
    """Put a new vault key in the place of the present one, upon proof; a recovery code is used up by it."""
    body: PrimaryKeyReplaceRequest = call.body
    if (body.current_auth_hash is None) == (body.recovery_auth_hash is None):
        raise ApiError(400, "Give exactly one of current_auth_hash and recovery_auth_hash")
    vault = vault_of(call)
    spent: list[str] = []
    if body.current_auth_hash is not None:
        proof = _key_by_hash(call, vault, body.current_auth_hash)
        if proof is None or proof["key_type"] != VaultKeyType.PRIMARY:
            raise ApiError(403, "current_auth_hash is not that of the vault key")
    else:
        proof = _key_by_hash(call, vault, body.recovery_auth_hash or "")
        if proof is None or proof["key_type"] != VaultKeyType.RECOVERY:
            raise ApiError(404, "Recovery key not found")
        spent.append(proof["id"])
    spent += [row["id"] for row in _keys(call, vault, VaultKeyType.PRIMARY)]
    for key_id in spent:
        call.tx.execute("DELETE FROM vault_keys WHERE id = ?", key_id)
    row = _add_key(call, vault["id"], body, VaultKeyType.PRIMARY)
    call.tx.update("vaults", vault["id"], updated_at=call.now)
    return _show_key(row)


@handles("vault.delete_key")
def delete_key(call: Call) -> None:
    """Remove a key by its verifier, unless it is the last vault key."""
    vault = vault_of(call)
    key = _key_by_hash(call, vault, call.path["auth_hash"])
    if key is None:
        raise ApiError(404, "Vault key not found")
    if key["key_type"] == VaultKeyType.PRIMARY and len(_keys(call, vault, VaultKeyType.PRIMARY)) == 1:
        raise ApiError(409, "The last vault key cannot be deleted; replace it instead")
    call.tx.execute("DELETE FROM vault_keys WHERE id = ?", key["id"])
    call.tx.update("vaults", vault["id"], updated_at=call.now)


def _keys(call: Call, vault: Row, key_type: str | None = None) -> list[Row]:
    return call.tx.all(
        "SELECT * FROM vault_keys WHERE vault_id = ? AND (? IS NULL OR key_type = ?) "
        "ORDER BY created_at, rowid",
        vault["id"],
        key_type,
        key_type,
    )


def _key_by_hash(call: Call, vault: Row, auth_hash: str) -> Row | None:
    return call.tx.one(
        "SELECT * FROM vault_keys WHERE vault_id = ? AND auth_hash = ?", vault["id"], auth_hash
    )


def _add_key(
    call: Call,
    vault_id: str,
    key: VaultKeyMaterialRequest | PrimaryKeyReplaceRequest,
    key_type: VaultKeyType,
) -> Row:
    try:
        call.tx.insert(
            "vault_keys",
            id=key.id,
            vault_id=vault_id,
            key_type=key_type,
            auth_hash=key.auth_hash,
            wrapped_org_encryption_key=key.wrapped_org_encryption_key,
            created_by=call.tx.value(
                "SELECT user_id FROM organizations WHERE id = ?", call.caller.organization_id
            ),
            created_at=call.now,
            updated_at=call.now,
        )
    except IntegrityError:
        raise ApiError(409, "A key with this id or this auth_hash exists already") from None
    row = call.tx.one("SELECT * FROM vault_keys WHERE id = ?", key.id)
    assert row is not None
    return row


def _show_key(row: Row) -> VaultKey:
    return VaultKey(
        id=row["id"],
        key_type=row["key_type"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
