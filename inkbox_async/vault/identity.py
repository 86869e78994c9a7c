"""What an agent identity does with the vault: its credentials, and secrets it makes for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from ..errors import InkboxAPIError, InkboxError
from ..generated.models.vault import VaultSecret
from ..resources import Resources
from ..secrecy import hiding
from .credentials import Credentials
from .decrypted import DecryptedVaultSecret
from .exceptions import VaultLockedError
from .payloads import SecretPayload
from .totp import TOTPCode, TOTPConfig
from .unlocked import UnlockedVault


class IdentityVault:
    """The vault part of `AgentIdentity`, which mixes it in and provides the client and the id."""

    _inkbox: Resources
    _credentials: tuple[UnlockedVault, int, Credentials] | None = None

    if TYPE_CHECKING:

        @property
        def id(self) -> UUID:
            """Id of the identity."""

    @property
    def credentials(self) -> Credentials:
        """Typed access to the unlocked secrets, without any request.

        Which secrets those are follows from the API key: an agent key sees what its identity was granted,
        an admin key sees all. Changes made elsewhere appear after the next `inkbox.vault.unlock(...)`.

        Raises:
            VaultLockedError: The vault is locked on this client (an InkboxError).
        """
        unlocked = self._unlocked("credentials")
        cached = self._credentials
        if cached is None or cached[0] is not unlocked or cached[1] != unlocked.revision:
            cached = (unlocked, unlocked.revision, Credentials(unlocked.secrets, unlocked.unreadable))
            self._credentials = cached
        return cached[2]

    @hiding
    async def create_secret(
        self, name: str, payload: SecretPayload, *, description: str | None = None
    ) -> VaultSecret:
        """Seal and store a new secret, and give this identity access to it.

        Args:
            name: Name of the secret, 1 to 255 characters; the server can read it.
            payload: `LoginPayload`, `APIKeyPayload`, `KeyPairPayload`, `SSHKeyPayload` or `OtherPayload`.
            description: What it is for; the server can read it.

        Returns:
            The secret, without its content.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
            TypeError: The payload is none of these classes, or holds a value of the wrong type.
            ValueError: The name is empty or too long.
            InkboxAPIError: The server refused it. When only giving access failed, the secret exists, and a
                note on the error names it.
        """
        secret = await self._unlocked("create_secret").create_secret(name, payload, description=description)
        try:
            await self._inkbox.vault.grant_access(secret.id, self.id)
        except InkboxError as error:
            # 409: the server has given access by itself.
            if not isinstance(error, InkboxAPIError) or error.status_code != 409:
                error.add_note(
                    f"secret {secret.id} was created, but this identity may have no access to it yet; call "
                    "inkbox.vault.grant_access or inkbox.vault.delete_secret"
                )
                raise
        return secret

    async def get_secret(self, secret_id: UUID | str) -> DecryptedVaultSecret:
        """Fetch and open one secret, as it is now.

        Args:
            secret_id: Id of the secret.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
            SecretUnreadableError: It does not open, or is of a type that this version does not know.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return await self._unlocked("get_secret").get_secret(secret_id)

    @hiding
    async def set_totp(self, secret_id: UUID | str, totp: TOTPConfig | str) -> VaultSecret:
        """Add one-time codes to a login, or replace them.

        Args:
            secret_id: Id of the login.
            totp: A configuration, or an `otpauth://totp/...` URI.

        Returns:
            The secret, without its content.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
            ValueError: The URI is not a valid TOTP URI; nothing was sent.
            SecretTypeError: The secret is not a login (a TypeError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return await self._unlocked("set_totp").set_totp(secret_id, totp)

    async def remove_totp(self, secret_id: UUID | str) -> VaultSecret:
        """Remove one-time codes from a login. Harmless when it has none.

        Args:
            secret_id: Id of the login.

        Returns:
            The secret, without its content.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
            SecretTypeError: The secret is not a login (a TypeError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return await self._unlocked("remove_totp").remove_totp(secret_id)

    async def get_totp_code(self, secret_id: UUID | str) -> TOTPCode:
        """Fetch a login and compute its current one-time code.

        `identity.credentials.get_totp_code` does the same without a request.

        Args:
            secret_id: Id of the login.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
            SecretTypeError: The secret is not a login (a TypeError).
            TOTPNotConfiguredError: The login has no TOTP (a ValueError).
            SecretUnreadableError: The login does not open.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        return await self._unlocked("get_totp_code").get_totp_code(secret_id)

    async def delete_secret(self, secret_id: UUID | str) -> None:
        """Delete a secret and everybody's access to it.

        Args:
            secret_id: Id of the secret.

        Raises:
            VaultLockedError: The vault is locked on this client; nothing was sent.
                `inkbox.vault.delete_secret` works locked.
            InkboxAPIError: 403 without access, 404 when there is no such secret.
        """
        await self._unlocked("delete_secret").delete_secret(secret_id)

    async def revoke_credential_access(self, secret_id: UUID | str) -> None:
        """Take this identity's access to a secret away. Works while the vault is locked.

        Secrets that are already unlocked stay in memory until the next unlock.

        Args:
            secret_id: Id of the secret.

        Raises:
            InkboxAPIError: 404 when the identity has no access to it.
        """
        await self._inkbox.vault.revoke_access(secret_id, self.id)

    def _unlocked(self, member: str) -> UnlockedVault:
        unlocked = self._inkbox.vault.unlocked
        if unlocked is None:
            raise VaultLockedError(
                f"identity.{member} needs the unlocked vault: call await inkbox.vault.unlock(vault_key) "
                "first, or give vault_key to AsyncInkbox"
            )
        return unlocked
