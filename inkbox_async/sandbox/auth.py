"""API keys: how they are made and stored, and who a request comes from."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from inkbox_async.operation import Operation

from .clock import timestamp
from .handling import ApiError, Caller
from .store import Tx

ANYONE = Caller("anyone")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the secret is not stored anywhere."""

    id: str
    secret: str = field(repr=False)


def create_key(
    tx: Tx,
    now: datetime,
    *,
    organization_id: str,
    scoped_identity_id: str | None,
    label: str,
    description: str | None = None,
    created_by: str,
    creator_type: str,
    secret: str | None = None,
) -> NewKey:
    """Make and store a key: an admin key, or with `scoped_identity_id` an agent key.

    `secret` is the whole key where it is already known; by default a new one, `ApiKey_<uuid>.<secret>`.
    """
    if secret is None:
        secret = f"ApiKey_{uuid.uuid4()}.{secrets.token_urlsafe(32)}"
    key_id = secret.partition(".")[0]
    tx.insert(
        "api_keys",
        id=key_id,
        organization_id=organization_id,
        scoped_identity_id=scoped_identity_id,
        secret_sha256=_digest(secret),
        last4=secret[-4:],
        label=label,
        description=description,
        created_by=created_by,
        creator_type=creator_type,
        created_at=now,
        updated_at=now,
    )
    return NewKey(key_id, secret)


def revoke_keys_of(tx: Tx, now: datetime, identity_id: str) -> None:
    """Revoke every key of an identity: its calls are refused with 401 from now on."""
    tx.execute(
        "UPDATE api_keys SET status = 'revoked', revoked_at = ?, updated_at = ? "
        "WHERE scoped_identity_id = ? AND status = 'active'",
        now,
        now,
        identity_id,
    )


def caller_of_key(tx: Tx, now: datetime, key: str, *, console: bool = False) -> Caller | None:
    """Whose key it is, None for an unknown, revoked or expired one. Its last use is noted."""
    row = tx.one(
        "SELECT k.id, k.organization_id, k.scoped_identity_id, k.secret_sha256, s.claim_status "
        "FROM api_keys AS k LEFT JOIN signups AS s ON s.identity_id = k.scoped_identity_id "
        "WHERE k.id = ? AND k.status = 'active' AND (k.expires_at IS NULL OR k.expires_at > ?)",
        key.partition(".")[0],
        timestamp(now),
    )
    if row is None or not hmac.compare_digest(row["secret_sha256"], _digest(key)):
        return None
    tx.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?", now, row["id"])
    identity_id = row["scoped_identity_id"]
    if identity_id is None:
        return Caller("admin", row["organization_id"], row["id"], console=console)
    unclaimed = row["claim_status"] == "agent_unclaimed"
    return Caller("unclaimed" if unclaimed else "agent", row["organization_id"], row["id"], identity_id)


def authenticate(tx: Tx, now: datetime, headers: Mapping[str, str], operation: Operation) -> Caller:
    """Who sent a request with these headers (names in lower case), if they may call the operation.

    Raises:
        ApiError: 401 for a missing or bad key, 403 when the operation needs another kind of key.
    """
    key, console = headers.get("x-api-key", ""), False
    if not key:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            key, console = token.strip(), True
    if not key:
        if "anyone" in operation.callers:
            return ANYONE
        raise _unauthorized("An API key is missing. Send it in the header X-API-Key.")
    caller = caller_of_key(tx, now, key, console=console) if key.isascii() else None
    if caller is None:
        if "anyone" in operation.callers:
            return ANYONE
        raise _unauthorized("This API key is unknown, revoked or expired.")
    if caller.kind not in operation.callers and "anyone" not in operation.callers:
        _refuse(caller, operation)
    return caller


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, {"WWW-Authenticate": "ApiKey"})


def _refuse(caller: Caller, operation: Operation) -> NoReturn:
    if caller.kind == "unclaimed" and "agent" in operation.callers:
        raise ApiError(403, f"{operation.id} is open to this agent once its human has confirmed the sign-up.")
    wanted = "an admin API key" if "admin" in operation.callers else "the API key of an agent identity"
    have = "an admin API key" if caller.is_admin else "the API key of an agent identity"
    raise ApiError(403, f"{operation.id} needs {wanted}; this is {have}.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
