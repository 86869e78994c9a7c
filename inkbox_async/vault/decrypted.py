"""Opened secrets, and the reports of those that could not be opened."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from ..generated.models.vault import VaultSecret, VaultSecretDetail
from .exceptions import (
    SecretTypeError,
    SecretUnreadableError,
    TOTPNotConfiguredError,
    VaultDecryptionError,
)
from .payloads import LoginPayload, SecretPayload, UnknownPayload, parse_payload
from .totp import TOTPCode, generate_totp

if TYPE_CHECKING:
    from .crypto import VaultCipher

logger = logging.getLogger("inkbox_async.vault")


@dataclass
class DecryptedVaultSecret:
    """A secret with its payload in the clear. Its repr masks the payload.

    Attributes:
        id: Id of the secret.
        name: Name of the secret.
        secret_type: What it holds: `login`, `api_key`, `key_pair`, `ssh_key` or `other`.
        created_at: When it was created.
        updated_at: When it last changed.
        payload: What it holds, as the class of its type.
        description: What it is for.
    """

    id: UUID
    name: str
    secret_type: str
    created_at: datetime
    updated_at: datetime
    payload: SecretPayload
    description: str | None = None

    @classmethod
    def of(cls, secret: VaultSecret, payload: SecretPayload) -> DecryptedVaultSecret:
        """The secret as the server describes it, with this payload."""
        return cls(
            secret.id,
            secret.name,
            secret.secret_type.value,
            secret.created_at,
            secret.updated_at,
            payload,
            secret.description,
        )


@dataclass
class UnreadableSecret:
    """A secret that was skipped when the vault was unlocked.

    Attributes:
        id: Id of the secret.
        name: Name of the secret.
        secret_type: Its type, as the server names it.
        reason: Why it cannot be read. Holds nothing of its content.
        payload: The decrypted data when only the type is unknown to this version; None when it does not open.
    """

    id: UUID
    name: str
    secret_type: str
    reason: str
    payload: UnknownPayload | None = None

    def error(self) -> SecretUnreadableError:
        """The error that reading this secret raises."""
        return SecretUnreadableError(str(self.id), self.reason)


def open_secret(cipher: VaultCipher, sealed: VaultSecretDetail) -> DecryptedVaultSecret:
    """Open one secret.

    Raises:
        SecretUnreadableError: It does not open, or is of a type that this version does not know.
    """
    opened = _open(cipher, sealed)
    if isinstance(opened, UnreadableSecret):
        raise opened.error()
    return opened


@dataclass(repr=False)
class OpenedSecrets:
    """What came of opening many secrets.

    Attributes:
        readable: The opened secrets.
        unreadable: Reports of the others.
        viewers: By secret, the identities with access to it, where the server sent them along.
    """

    readable: list[DecryptedVaultSecret] = field(default_factory=list)
    unreadable: list[UnreadableSecret] = field(default_factory=list)
    viewers: dict[str, list[str]] = field(default_factory=dict)


def open_secrets(cipher: VaultCipher, sealed: Iterable[object]) -> OpenedSecrets:
    """Open many secrets, setting aside those that cannot be read. Slow for many: call it in a thread.

    Args:
        cipher: Opens payloads.
        sealed: The secrets as the server describes them: decoded JSON, or `VaultSecretDetail`.
    """
    secrets = OpenedSecrets()
    for item in sealed:
        opened: DecryptedVaultSecret | UnreadableSecret | None
        try:
            detail = VaultSecretDetail.model_validate(item)
        except ValidationError as error:
            opened = _flawed(item, error)
        else:
            opened = _open(cipher, detail)
            if detail.access:
                secrets.viewers[str(detail.id)] = [str(rule.identity_id) for rule in detail.access]
        if isinstance(opened, DecryptedVaultSecret):
            secrets.readable.append(opened)
        elif opened is not None:
            logger.warning("vault secret %s skipped: %s", opened.id, opened.reason)
            secrets.unreadable.append(opened)
        else:
            logger.warning("a vault secret was skipped, because the server gave it no usable id")
    return secrets


def _flawed(item: object, error: ValidationError) -> UnreadableSecret | None:
    """The report of a secret that the server describes wrongly; None when it cannot even be named."""
    if not isinstance(item, Mapping):
        return None
    try:
        secret_id = UUID(item.get("id"))
    except (TypeError, ValueError, AttributeError):
        return None
    # Of a problem only the type is told: its message may quote the value.
    problems = [
        f"{'.'.join(map(str, problem['loc']))} ({problem['type']})"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return UnreadableSecret(
        secret_id,
        str(item.get("name") or ""),
        str(item.get("secret_type") or ""),
        f"the server describes it wrongly: {', '.join(problems)}",
    )


def login_payload(secret: DecryptedVaultSecret) -> LoginPayload:
    """The payload of a login, the only type that holds a TOTP configuration.

    Raises:
        SecretTypeError: The secret is of another type.
    """
    if not isinstance(secret.payload, LoginPayload):
        raise SecretTypeError(
            f"secret {secret.id} is of type {secret.secret_type!r}; only logins have one-time codes"
        )
    return secret.payload


def totp_code(secret: DecryptedVaultSecret) -> TOTPCode:
    """The current one-time code of a login.

    Raises:
        SecretTypeError: The secret is not a login.
        TOTPNotConfiguredError: The login has no TOTP.
    """
    totp = login_payload(secret).totp
    if totp is None:
        raise TOTPNotConfiguredError(f"login {secret.id} has no TOTP; add it with set_totp")
    return generate_totp(totp)


def _open(cipher: VaultCipher, sealed: VaultSecretDetail) -> DecryptedVaultSecret | UnreadableSecret:
    secret_type = sealed.secret_type.value
    try:
        payload = parse_payload(secret_type, _open_payload(cipher, sealed))
    except VaultDecryptionError as error:
        return UnreadableSecret(sealed.id, sealed.name, secret_type, str(error))
    if isinstance(payload, UnknownPayload):
        reason = f"this version of inkbox_async does not know secrets of type {secret_type!r}"
        return UnreadableSecret(sealed.id, sealed.name, secret_type, reason, payload)
    return DecryptedVaultSecret.of(sealed, payload)


def _open_payload(cipher: VaultCipher, sealed: VaultSecretDetail) -> dict[str, object]:
    secret_id = str(sealed.id)
    try:
        return cipher.open_payload(sealed.encrypted_payload, secret_id)
    except VaultDecryptionError as error:
        # The official client seals for an upper-case id when its update_secret is given one.
        try:
            return cipher.open_payload(sealed.encrypted_payload, secret_id.upper())
        except VaultDecryptionError:
            raise error from None
