"""Signing keys of webhooks and call WebSockets: the organization's, and those of single identities."""

from __future__ import annotations

import secrets
from datetime import datetime
from sqlite3 import Row

from inkbox_async.generated.models.identities import SigningKey, SigningKeyStatus

from .handling import Call, handles
from .store import Tx
from .visibility import own_identity


def key_row(tx: Tx, organization_id: str, identity_id: str | None) -> Row | None:
    """The key of an identity, or with None of the organization: columns `secret` and `created_at`."""
    return tx.one(
        "SELECT secret, created_at FROM signing_keys WHERE organization_id = ? AND identity_id IS ?",
        organization_id,
        identity_id,
    )


def signing_secret(tx: Tx, organization_id: str, identity_id: str | None) -> str | None:
    """What to sign with for an identity: its own key, else the organization's; None when there is none."""
    row = key_row(tx, organization_id, identity_id) or key_row(tx, organization_id, None)
    return None if row is None else str(row["secret"])


def rotate_key(tx: Tx, now: datetime, organization_id: str, identity_id: str | None) -> str:
    """Make a new key for an identity, or with None for the organization, in place of the old one."""
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    tx.execute(
        "DELETE FROM signing_keys WHERE organization_id = ? AND identity_id IS ?",
        organization_id,
        identity_id,
    )
    tx.insert(
        "signing_keys",
        organization_id=organization_id,
        identity_id=identity_id,
        secret=secret,
        created_at=now,
    )
    return secret


@handles("signing_keys.create_or_rotate")
def create_or_rotate(call: Call) -> SigningKey:
    """An agent's key acts on its identity, an admin key on the organization."""
    return _rotate(call, call.caller.identity_id)


@handles("signing_keys.create_or_rotate_for")
def create_or_rotate_for(call: Call) -> SigningKey:
    """Make or replace the key of one identity."""
    return _rotate(call, own_identity(call)["id"])


@handles("signing_keys.get_status")
def get_status(call: Call) -> SigningKeyStatus:
    """An agent asks for its identity, an admin whether there is any key at all."""
    if not call.caller.is_admin:
        return _status(key_row(call.tx, call.caller.organization_id, call.caller.identity_id))
    return _status(
        call.tx.one(
            "SELECT created_at FROM signing_keys WHERE organization_id = ? ORDER BY created_at DESC",
            call.caller.organization_id,
        )
    )


@handles("signing_keys.get_status_for")
def get_status_for(call: Call) -> SigningKeyStatus:
    """Whether one identity has a key of its own."""
    return _status(key_row(call.tx, call.caller.organization_id, own_identity(call)["id"]))


def _rotate(call: Call, identity_id: str | None) -> SigningKey:
    secret = rotate_key(call.tx, call.now, call.caller.organization_id, identity_id)
    return SigningKey(signing_key=secret, created_at=call.now)


def _status(row: Row | None) -> SigningKeyStatus:
    return SigningKeyStatus(configured=row is not None, created_at=None if row is None else row["created_at"])
