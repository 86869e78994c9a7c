"""The vault: secrets that the server keeps and only clients can open. Names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..errors import InkboxVaultKeyError as InkboxVaultKeyError
    from ..generated.models.vault import AccessRule as AccessRule
    from ..generated.models.vault import VaultInfo as VaultInfo
    from ..generated.models.vault import VaultKey as VaultKey
    from ..generated.models.vault import VaultKeyType as VaultKeyType
    from ..generated.models.vault import VaultSecret as VaultSecret
    from ..generated.models.vault import VaultSecretDetail as VaultSecretDetail
    from ..generated.models.vault import VaultSecretType as VaultSecretType
    from .credentials import Credentials as Credentials
    from .crypto import generate_org_encryption_key as generate_org_encryption_key
    from .decrypted import DecryptedVaultSecret as DecryptedVaultSecret
    from .decrypted import UnreadableSecret as UnreadableSecret
    from .exceptions import SecretNotFoundError as SecretNotFoundError
    from .exceptions import SecretTypeError as SecretTypeError
    from .exceptions import SecretUnreadableError as SecretUnreadableError
    from .exceptions import TOTPNotConfiguredError as TOTPNotConfiguredError
    from .exceptions import VaultDecryptionError as VaultDecryptionError
    from .exceptions import VaultKeyMismatchError as VaultKeyMismatchError
    from .exceptions import VaultLockedError as VaultLockedError
    from .exceptions import VaultNotInitializedError as VaultNotInitializedError
    from .exceptions import VaultOrganizationError as VaultOrganizationError
    from .key_records import VaultInitializeResult as VaultInitializeResult
    from .key_records import VaultKeyMaterial as VaultKeyMaterial
    from .keys import generate_recovery_code as generate_recovery_code
    from .keys import generate_vault_key_material as generate_vault_key_material
    from .payloads import APIKeyPayload as APIKeyPayload
    from .payloads import KeyPairPayload as KeyPairPayload
    from .payloads import LoginPayload as LoginPayload
    from .payloads import OtherPayload as OtherPayload
    from .payloads import SecretPayload as SecretPayload
    from .payloads import SSHKeyPayload as SSHKeyPayload
    from .payloads import UnknownPayload as UnknownPayload
    from .resource import VaultResource as VaultResource
    from .totp import TOTPAlgorithm as TOTPAlgorithm
    from .totp import TOTPCode as TOTPCode
    from .totp import TOTPConfig as TOTPConfig
    from .totp import generate_totp as generate_totp
    from .totp import parse_totp_uri as parse_totp_uri
    from .unlocked import UnlockedVault as UnlockedVault

_HOMES: Final = {
    name: module
    for module, names in {
        "..errors": ("InkboxVaultKeyError",),
        "..generated.models.vault": (
            "AccessRule",
            "VaultInfo",
            "VaultKey",
            "VaultKeyType",
            "VaultSecret",
            "VaultSecretDetail",
            "VaultSecretType",
        ),
        ".credentials": ("Credentials",),
        ".crypto": ("generate_org_encryption_key",),
        ".decrypted": (
            "DecryptedVaultSecret",
            "UnreadableSecret",
        ),
        ".exceptions": (
            "SecretNotFoundError",
            "SecretTypeError",
            "SecretUnreadableError",
            "TOTPNotConfiguredError",
            "VaultDecryptionError",
            "VaultKeyMismatchError",
            "VaultLockedError",
            "VaultNotInitializedError",
            "VaultOrganizationError",
        ),
        ".key_records": (
            "VaultInitializeResult",
            "VaultKeyMaterial",
        ),
        ".keys": (
            "generate_recovery_code",
            "generate_vault_key_material",
        ),
        ".payloads": (
            "APIKeyPayload",
            "KeyPairPayload",
            "LoginPayload",
            "OtherPayload",
            "SSHKeyPayload",
            "SecretPayload",
            "UnknownPayload",
        ),
        ".resource": ("VaultResource",),
        ".totp": (
            "TOTPAlgorithm",
            "TOTPCode",
            "TOTPConfig",
            "generate_totp",
            "parse_totp_uri",
        ),
        ".unlocked": ("UnlockedVault",),
    }.items()
    for name in names
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*_HOMES]
