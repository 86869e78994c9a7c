"""Sealed secrets and who has access to them."""

from __future__ import annotations

from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.vault import (
    AccessGrantRequest,
    AccessRule,
    VaultSecret,
    VaultSecretCreateRequest,
    VaultSecretDetail,
    VaultSecretUpdateRequest,
)

from .handling import ApiError, Call, handles, invalid, not_found
from .lifecycle import when_identity_is_created, when_identity_is_deleted
from .store import Tx

EVERY_SECRET = ("*", "all")


def vault_of(call: Call) -> Row:
    """The vault of the caller's organization.

    Raises:
        ApiError: 404, it was not initialized.
    """
    vault = call.tx.one("SELECT * FROM vaults WHERE organization_id = ?", call.caller.organization_id)
    if vault is None:
        raise ApiError(404, "Vault not initialized")
    return vault


def is_access_inlined(tx: Tx, organization_id: str) -> bool:
    """Whether secrets are described with their access rules, as today's servers do."""
    settled = tx.value("SELECT access_inlined FROM vault_settings WHERE organization_id = ?", organization_id)
    return settled is None or bool(settled)


def inline_access(tx: Tx, organization_id: str, inlined: bool) -> None:
    """Settle whether secrets are described with their access rules from now on."""
    tx.execute("DELETE FROM vault_settings WHERE organization_id = ?", organization_id)
    tx.insert("vault_settings", organization_id=organization_id, access_inlined=inlined)


def show_details(call: Call, vault: Row) -> list[VaultSecretDetail]:
    """The secrets that the caller may see, with their sealed payloads, oldest first."""
    rules = _rules_by_secret(call, vault)
    return [_show_detail(row, rules.get(row["id"], [])) for row in _visible(call, vault)]


@handles("vault.list_secrets")
def list_secrets(call: Call) -> list[VaultSecret]:
    """The secrets that the caller may see, oldest first."""
    vault = vault_of(call)
    rules = _rules_by_secret(call, vault)
    wanted = call.query.secret_type
    return [
        _show(row, rules.get(row["id"], []))
        for row in _visible(call, vault)
        if wanted is None or row["secret_type"] == wanted
    ]


@handles("vault.create_secret")
def create_secret(call: Call) -> VaultSecret:
    """Store a sealed secret. Nobody but admin keys can read it until access is granted."""
    body: VaultSecretCreateRequest = call.body
    vault = vault_of(call)
    secret_id = str(body.id or uuid4())
    if call.tx.one("SELECT 1 FROM vault_secrets WHERE id = ?", secret_id) is not None:
        raise ApiError(409, "A secret with this id exists already")
    call.tx.insert(
        "vault_secrets",
        id=secret_id,
        vault_id=vault["id"],
        name=body.name,
        description=body.description,
        secret_type=body.secret_type,
        encrypted_payload=body.encrypted_payload,
        creator_identity_id=call.caller.identity_id,
        created_at=call.now,
        updated_at=call.now,
    )
    return _show(_secret(call, secret_id), [])


@handles("vault.get_secret")
def get_secret(call: Call) -> VaultSecretDetail:
    """One secret with its sealed payload."""
    row = _accessible(call)
    inlined = is_access_inlined(call.tx, call.caller.organization_id)
    return _show_detail(row, _rules(call, row["id"]) if inlined else [])


@handles("vault.update_secret")
def update_secret(call: Call) -> VaultSecret:
    """Change what was sent."""
    body: VaultSecretUpdateRequest = call.body
    row = _accessible(call)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    for name in ("name", "encrypted_payload"):
        if name in changes and changes[name] is None:
            raise invalid("Input should be a valid string", "body", name, kind="string_type")
    if changes:
        call.tx.update("vault_secrets", row["id"], **changes, updated_at=call.now)
    return _show(_secret(call, row["id"]), [])


@handles("vault.delete_secret")
def delete_secret(call: Call) -> None:
    """Remove a secret with its access rules."""
    call.tx.execute("DELETE FROM vault_secrets WHERE id = ?", _accessible(call)["id"])


@handles("vault.list_access_rules")
def list_access_rules(call: Call) -> list[AccessRule]:
    """Which identities have access to a secret, oldest rule first."""
    return [_show_rule(row) for row in _rules(call, _secret(call, call.path["secret_id"])["id"])]


@handles("vault.grant_access")
def grant_access(call: Call) -> AccessRule:
    """Give an identity access. An agent may give it to itself, once, for a secret that it made."""
    body: AccessGrantRequest = call.body
    secret = _secret(call, call.path["secret_id"])
    identity_id = str(body.identity_id)
    if not call.caller.may_touch(identity_id):
        raise ApiError(403, "An agent key cannot give other identities access to secrets")
    if (
        call.tx.one(
            "SELECT 1 FROM identities WHERE id = ? AND organization_id = ? AND status <> 'deleted'",
            identity_id,
            call.caller.organization_id,
        )
        is None
    ):
        raise not_found("Identity")
    if _has_access(call, secret["id"], identity_id):
        raise ApiError(409, "The identity has access already")
    if not call.caller.is_admin and secret["creator_identity_id"] != identity_id:
        raise ApiError(403, "An agent key can give itself access only to a secret that it just made")
    call.tx.update("vault_secrets", secret["id"], creator_identity_id=None)
    return _grant(call, secret["id"], identity_id)


@handles("vault.revoke_access")
def revoke_access(call: Call) -> None:
    """Take an identity's access away."""
    secret = _secret(call, call.path["secret_id"])
    identity_id = call.path["identity_id"]
    if not call.caller.may_touch(identity_id):
        raise ApiError(403, "An agent key cannot take access from other identities")
    revoked = call.tx.execute(
        "DELETE FROM vault_access WHERE vault_secret_id = ? AND identity_id = ?", secret["id"], identity_id
    )
    if revoked.rowcount == 0:
        raise not_found("Access rule")
    call.tx.update("vault_secrets", secret["id"], creator_identity_id=None)


@when_identity_is_created
def grant_to_new_identity(call: Call, identity_id: str) -> None:
    """Give a new identity the secrets that its creation names."""
    wanted = getattr(call.body, "vault_secret_ids", None)
    if wanted is None:
        return
    if wanted in EVERY_SECRET:
        vault = call.tx.one("SELECT * FROM vaults WHERE organization_id = ?", call.caller.organization_id)
        secret_ids = [] if vault is None else [row["id"] for row in _visible(call, vault)]
    else:
        secret_ids = [str(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
    for secret_id in dict.fromkeys(secret_ids):
        _secret(call, secret_id)
        _grant(call, secret_id, identity_id)


@when_identity_is_deleted
def drop_rules_of_identity(call: Call, identity_id: str) -> None:
    """A deleted identity has access to nothing."""
    call.tx.execute("DELETE FROM vault_access WHERE identity_id = ?", identity_id)


def _visible(call: Call, vault: Row) -> list[Row]:
    if call.caller.is_admin:
        return call.tx.all(
            "SELECT * FROM vault_secrets WHERE vault_id = ? ORDER BY created_at, rowid", vault["id"]
        )
    return call.tx.all(
        "SELECT s.* FROM vault_secrets AS s JOIN vault_access AS a ON a.vault_secret_id = s.id "
        "WHERE s.vault_id = ? AND a.identity_id = ? ORDER BY s.created_at, s.rowid",
        vault["id"],
        call.caller.identity_id,
    )


def _secret(call: Call, secret_id: str) -> Row:
    row = call.tx.one(
        "SELECT s.* FROM vault_secrets AS s JOIN vaults AS v ON v.id = s.vault_id "
        "WHERE s.id = ? AND v.organization_id = ?",
        secret_id,
        call.caller.organization_id,
    )
    if row is None:
        raise not_found("Secret")
    return row


def _accessible(call: Call) -> Row:
    """The secret that the path names, if the caller may read and change it."""
    row = _secret(call, call.path["secret_id"])
    if not call.caller.is_admin and not _has_access(call, row["id"], call.caller.identity_id or ""):
        raise ApiError(403, "This agent has no access to the secret")
    return row


def _has_access(call: Call, secret_id: str, identity_id: str) -> bool:
    return (
        call.tx.one(
            "SELECT 1 FROM vault_access WHERE vault_secret_id = ? AND identity_id = ?", secret_id, identity_id
        )
        is not None
    )


def _grant(call: Call, secret_id: str, identity_id: str) -> AccessRule:
    rule_id = str(uuid4())
    call.tx.insert(
        "vault_access", id=rule_id, vault_secret_id=secret_id, identity_id=identity_id, created_at=call.now
    )
    row = call.tx.one("SELECT * FROM vault_access WHERE id = ?", rule_id)
    assert row is not None
    return _show_rule(row)


def _rules(call: Call, secret_id: str) -> list[Row]:
    return call.tx.all(
        "SELECT * FROM vault_access WHERE vault_secret_id = ? ORDER BY created_at, rowid", secret_id
    )


def _rules_by_secret(call: Call, vault: Row) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    if not is_access_inlined(call.tx, call.caller.organization_id):
        return found
    for row in call.tx.all(
        "SELECT a.* FROM vault_access AS a JOIN vault_secrets AS s ON s.id = a.vault_secret_id "
        "WHERE s.vault_id = ? ORDER BY a.created_at, a.rowid",
        vault["id"],
    ):
        found.setdefault(row["vault_secret_id"], []).append(row)
    return found


def _show(row: Row, rules: list[Row]) -> VaultSecret:
    return VaultSecret(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        secret_type=row["secret_type"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        access=[_show_rule(rule) for rule in rules],
    )


def _show_detail(row: Row, rules: list[Row]) -> VaultSecretDetail:
    return VaultSecretDetail(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        secret_type=row["secret_type"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        access=[_show_rule(rule) for rule in rules],
        encrypted_payload=row["encrypted_payload"],
    )


def _show_rule(row: Row) -> AccessRule:
    return AccessRule(
        id=row["id"],
        vault_secret_id=row["vault_secret_id"],
        identity_id=row["identity_id"],
        created_at=row["created_at"],
    )
