"""What the server stores of a vault key, and what making a vault gives back."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ..generated.models.vault import VaultKeyType


@dataclass
class VaultKeyMaterial:
    """What the server stores of a vault key or recovery code; it opens nothing by itself.

    Attributes:
        id: Id of the key, made by the client; the wrap is bound to it.
        wrapped_org_encryption_key: The organization key, sealed under the master key, as base64.
        auth_hash: Verifier that the server matches the key by. Keep it like a password.
        key_type: `primary` or `recovery`.
    """

    id: UUID
    wrapped_org_encryption_key: str
    auth_hash: str
    key_type: VaultKeyType

    def __repr__(self) -> str:
        return f"VaultKeyMaterial(id={self.id!r}, key_type={self.key_type.value!r}, auth_hash=***)"

    def to_wire(self) -> dict[str, str]:
        """The object to send."""
        return {
            "id": str(self.id),
            "wrapped_org_encryption_key": self.wrapped_org_encryption_key,
            "auth_hash": self.auth_hash,
            "key_type": self.key_type.value,
        }


@dataclass
class VaultInitializeResult:
    """A new vault and its recovery codes.

    Attributes:
        vault_id: Id of the vault.
        vault_key_id: Id of the vault key.
        recovery_key_count: Number of recovery codes.
        recovery_codes: The codes. Keep them safe: nobody can show them again.
    """

    vault_id: UUID
    vault_key_id: UUID
    recovery_key_count: int
    recovery_codes: list[str]

    def __repr__(self) -> str:
        return (
            f"VaultInitializeResult(vault_id={self.vault_id!r}, vault_key_id={self.vault_key_id!r}, "
            f"recovery_key_count={self.recovery_key_count}, recovery_codes=***)"
        )
