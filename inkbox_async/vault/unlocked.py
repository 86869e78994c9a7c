"""The unlocked vault: secrets in the clear, and the calls that read and write them sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from ..generated.models.vault import VaultSecret
from ..secrecy import hiding
from ..unset import UNSET, Unset
from .decrypted import (
    DecryptedVaultSecret,
    UnreadableSecret,
    login_payload,
    open_secret,
    totp_code,
)
from .exceptions import SecretTypeError
from .hidden import Hidden
from .payloads import SecretPayload
from .sealed import SealedSecrets, canonical_id
from .totp import TOTPCode, TOTPConfig, parse_totp_uri

if TYPE_CHECKING:
    from .crypto import VaultCipher

MAX_NAME_LENGTH = 255


class UnlockedVault:
    """What `inkbox.vault.unlock(...)` returns.

    It stays usable after the vault key is replaced, because secrets are sealed under the organization key.
    Its repr shows how many secrets it holds and nothing else.

    Example:
        ```python
        unlocked = await inkbox.vault.unlock("my-Vault-key-01!")
        secret = await unlocked.create_secret("GitHub", LoginPayload(password="s3cret", username="ada"))
        await unlocked.set_totp(secret.id, "otpauth://totp/GitHub:ada?secret=JBSWY3DPEHPK3PXP")
        print((await unlocked.get_totp_code(secret.id)).code)
        ```
    """

    def __init__(
        self,
        sealed: SealedSecrets,
        cipher: VaultCipher,
        secrets: Iterable[DecryptedVaultSecret],
        unreadable: Iterable[UnreadableSecret] = (),
    ) -> None:
        self._sealed = sealed
        self._cipher = cipher
        self._secrets = {str(secret.id): secret for secret in secrets}
        self._unreadable = {str(report.id): report for report in unreadable}
        self._revision = 0

    def __repr__(self) -> str:
        return f"UnlockedVault({len(self._secrets)} secrets)"

    @property
    def secrets(self) -> list[DecryptedVaultSecret]:
        """The secrets that the unlock brought, with the changes made through this client since."""
        return [*self._secrets.values()]

    @property
    def unreadable(self) -> list[UnreadableSecret]:
        """The secrets that were skipped because they do not open or are of an unknown type, and why."""
        return [*self._unreadable.values()]

    @property
    def ids(self) -> list[str]:
        """The ids of all secrets that the unlock brought, readable or not."""
        return [*self._secrets, *self._unreadable]

    @property
    def revision(self) -> int:
        """Grows whenever `secrets` changes."""
        return self._revision

    async def get_secret(self, secret_id: UUID | str) -> DecryptedVaultSecret:
        """Fetch and open one secret, as it is now.

        Args:
            secret_id: Id of the secret.

        Raises:
            SecretUnreadableError: It does not open, or is of a type that this version does not know.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return open_secret(self._cipher, await self._sealed.fetch(canonical_id(secret_id)))

    @hiding
    async def create_secret(
        self, name: str, payload: SecretPayload, *, description: str | None = None
    ) -> VaultSecret:
        """Seal and store a new secret. Its type follows from the payload's class.

        Args:
            name: Name of the secret, 1 to 255 characters; the server can read it.
            payload: `LoginPayload`, `APIKeyPayload`, `KeyPairPayload`, `SSHKeyPayload` or `OtherPayload`.
            description: What it is for; the server can read it.

        Returns:
            The secret, without its content.

        Raises:
            TypeError: The payload is none of these classes, or holds a value of the wrong type.
            ValueError: The name is empty or too long.
            InkboxAPIError: The server refused it.
        """
        _check_name(name)
        kept = _snapshot(payload)
        secret_id = str(uuid4())
        body: dict[str, object] = {
            "id": secret_id,
            "name": name,
            "secret_type": payload.secret_type.value,
            "encrypted_payload": self._cipher.seal_payload(kept.to_wire(), secret_id),
        }
        if description is not None:
            body["description"] = description
        secret = await self._sealed.store(body)
        self._remember(secret, kept)
        return secret

    @hiding
    async def update_secret(
        self,
        secret_id: UUID | str,
        *,
        name: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        payload: SecretPayload | Unset | None = UNSET,
    ) -> VaultSecret:
        """Rename or describe a secret, or replace its payload. What is left out stays as it is.

        Args:
            secret_id: Id of the secret.
            name: New name, 1 to 255 characters.
            description: New description; None clears it.
            payload: New payload, of the secret's own type; it replaces the old one as a whole. None keeps it.

        Returns:
            The secret, without its content.

        Raises:
            SecretTypeError: The payload is of another type than the secret (a TypeError). The type cannot be
                changed; delete the secret and create another.
            ValueError: The name is empty or too long.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        key = canonical_id(secret_id)
        changes: dict[str, object] = {}
        if not isinstance(name, Unset):
            if name is not None:
                _check_name(name)
            changes["name"] = name
        if not isinstance(description, Unset):
            changes["description"] = description
        if isinstance(payload, Unset) or payload is None:
            secret = await self._sealed.change(key, changes)
            if key in self._secrets:
                self._remember(secret, self._secrets[key].payload)
            elif key in self._unreadable:
                self._unreadable[key] = replace(self._unreadable[key], name=secret.name)
                self._revision += 1
            return secret
        kept = _snapshot(payload)
        known = self._secrets.get(key)
        secret_type = (
            (await self._sealed.fetch(key)).secret_type.value if known is None else known.secret_type
        )
        if payload.secret_type != secret_type:
            raise SecretTypeError(
                f"secret {key} is of type {secret_type!r} and cannot take a {type(payload).__name__}; "
                "to change the type, delete the secret and create another"
            )
        return await self._reseal(key, kept, changes)

    async def delete_secret(self, secret_id: UUID | str) -> None:
        """Delete a secret and everybody's access to it.

        Args:
            secret_id: Id of the secret.

        Raises:
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        key = canonical_id(secret_id)
        await self._sealed.delete_secret(key)
        self.forget(key)

    @hiding
    async def set_totp(self, secret_id: UUID | str, totp: TOTPConfig | str) -> VaultSecret:
        """Add one-time codes to a login, or replace them.

        Args:
            secret_id: Id of the login.
            totp: A configuration, or an `otpauth://totp/...` URI.

        Returns:
            The secret, without its content.

        Raises:
            ValueError: The URI is not a valid TOTP URI; nothing was sent.
            SecretTypeError: The secret is not a login (a TypeError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        given = Hidden(totp)
        del totp
        return await self._change_totp(secret_id, _totp_config(given))

    async def remove_totp(self, secret_id: UUID | str) -> VaultSecret:
        """Remove one-time codes from a login. Harmless when it has none.

        Args:
            secret_id: Id of the login.

        Returns:
            The secret, without its content.

        Raises:
            SecretTypeError: The secret is not a login (a TypeError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return await self._change_totp(secret_id, None)

    async def get_totp_code(self, secret_id: UUID | str) -> TOTPCode:
        """Fetch a login and compute its current one-time code.

        `identity.credentials.get_totp_code` does the same without a request.

        Args:
            secret_id: Id of the login.

        Raises:
            SecretTypeError: The secret is not a login (a TypeError).
            TOTPNotConfiguredError: The login has no TOTP (a ValueError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return totp_code(await self.get_secret(secret_id))

    def narrowed(self, visible: Callable[[str], bool]) -> UnlockedVault:
        """A separate unlocked vault with only the secrets whose id `visible` accepts."""
        return UnlockedVault(
            self._sealed,
            self._cipher,
            [secret for key, secret in self._secrets.items() if visible(key)],
            [report for key, report in self._unreadable.items() if visible(key)],
        )

    def forget(self, secret_id: str) -> None:
        """Drop a secret from `secrets`, because it was deleted."""
        if self._secrets.pop(secret_id, None) or self._unreadable.pop(secret_id, None):
            self._revision += 1

    async def _change_totp(self, secret_id: UUID | str, totp: TOTPConfig | None) -> VaultSecret:
        secret = await self.get_secret(secret_id)
        payload = login_payload(secret)
        payload.totp = totp
        return await self._reseal(str(secret.id), _snapshot(payload), {})

    async def _reseal(
        self, secret_id: str, payload: SecretPayload, changes: dict[str, object]
    ) -> VaultSecret:
        sealed = self._cipher.seal_payload(payload.to_wire(), secret_id)
        secret = await self._sealed.change(secret_id, {**changes, "encrypted_payload": sealed})
        if secret_id in self._secrets or secret_id in self._unreadable:
            self._remember(secret, payload)
        return secret

    def _remember(self, secret: VaultSecret, payload: SecretPayload) -> None:
        key = str(secret.id)
        self._unreadable.pop(key, None)
        self._secrets[key] = DecryptedVaultSecret.of(secret, payload)
        self._revision += 1


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a secret is text, not {type(name).__name__}")
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"the name of a secret has 1 to {MAX_NAME_LENGTH} characters, not {len(name)}")


def _totp_config(given: Hidden[TOTPConfig | str]) -> TOTPConfig:
    return given.value if isinstance(given.value, TOTPConfig) else parse_totp_uri(given.value)


def _snapshot(payload: SecretPayload) -> SecretPayload:
    """The payload, checked, as it is now: what the caller makes of it later changes nothing here."""
    if not isinstance(payload, SecretPayload) or type(payload) is SecretPayload:
        raise TypeError(
            "the payload must be a LoginPayload, APIKeyPayload, KeyPairPayload, SSHKeyPayload or "
            f"OtherPayload, not {type(payload).__name__}"
        )
    return type(payload).from_wire(payload.to_wire())
