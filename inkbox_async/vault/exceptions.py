"""What the vault raises besides API errors, each also catchable as the documented built-in exception.

InkboxError
├── VaultLockedError                                the vault has not been unlocked on this client
├── VaultNotInitializedError   (also ValueError)    the organization has no vault yet
├── VaultOrganizationError     (also ValueError)    no vault keys can be made for the organization
├── InkboxVaultKeyError                             a new vault key is too weak
│   └── VaultKeyMismatchError  (also ValueError)    no key of this vault matches
├── VaultDecryptionError       (also ValueError)    sealed data does not open
│   └── SecretUnreadableError                       one secret cannot be read; the others can
├── SecretNotFoundError        (also KeyError)      no such secret among the unlocked ones
├── SecretTypeError            (also TypeError)     the secret or payload is of another type
└── TOTPNotConfiguredError     (also ValueError)    the login has no TOTP
"""

from __future__ import annotations

from ..errors import InkboxError, InkboxVaultKeyError


class VaultLockedError(InkboxError):
    """The vault is locked on this client; `await inkbox.vault.unlock(...)` first."""


class VaultNotInitializedError(InkboxError, ValueError):
    """The organization has no vault; `await inkbox.vault.initialize(...)` makes one."""


class VaultOrganizationError(InkboxError, ValueError):
    """The API key belongs to no organization, or to one whose id is too short to derive keys from."""


class VaultKeyMismatchError(InkboxVaultKeyError, ValueError):
    """The vault key or recovery code belongs to no active key of this vault."""


class VaultDecryptionError(InkboxError, ValueError):
    """Sealed data does not open: another key, another id, or altered bytes."""


class SecretUnreadableError(VaultDecryptionError):
    """One secret cannot be read, and says why; the others are not affected.

    Attributes:
        secret_id: Id of the secret.
        reason: Why it cannot be read. Holds nothing of its content.
    """

    def __init__(self, secret_id: str, reason: str) -> None:
        self.secret_id = secret_id
        self.reason = reason
        super().__init__(secret_id, reason)

    def __str__(self) -> str:
        return f"secret {self.secret_id} cannot be read: {self.reason}"


class SecretNotFoundError(InkboxError, KeyError):
    """No such secret among the unlocked ones.

    Attributes:
        secret_id: The id that was looked for.
    """

    def __init__(self, secret_id: str) -> None:
        self.secret_id = secret_id
        super().__init__(secret_id)

    def __str__(self) -> str:
        return (
            f"no secret {self.secret_id!r} among the unlocked ones; check the id and this API key's access, "
            "and unlock the vault again if the secret is newer than the last unlock"
        )


class SecretTypeError(InkboxError, TypeError):
    """The secret is not of the type that was asked for, or the payload not of the secret's type."""


class TOTPNotConfiguredError(InkboxError, ValueError):
    """The login holds no TOTP configuration; `set_totp` adds one."""
