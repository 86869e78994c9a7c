"""The vault: secrets that the server keeps and only clients can open. Names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inkbox_async.errors import InkboxVaultKeyError as InkboxVaultKeyError
    from inkbox_async.generated.models.vault import AccessRule as AccessRule
    from inkbox_async.generated.models.vault import VaultInfo as VaultInfo
    from inkbox_async.generated.models.vault import VaultKey as VaultKey
    from inkbox_async.generated.models.vault import VaultKeyType as VaultKeyType
    from inkbox_async.generated.models.vault import VaultSecret as VaultSecret
    from inkbox_async.generated.models.vault import VaultSecretDetail as VaultSecretDetail
    from inkbox_async.generated.models.vault import VaultSecretType as VaultSecretType
    from inkbox_async.vault.credentials import Credentials as Credentials
    from inkbox_async.vault.crypto import generate_org_encryption_key as generate_org_encryption_key
    from inkbox_async.vault.decrypted import DecryptedVaultSecret as DecryptedVaultSecret
    from inkbox_async.vault.decrypted import UnreadableSecret as UnreadableSecret
    from inkbox_async.vault.exceptions import SecretNotFoundError as SecretNotFoundError
    from inkbox_async.vault.exceptions import SecretTypeError as SecretTypeError
    from inkbox_async.vault.exceptions import SecretUnreadableError as SecretUnreadableError
    from inkbox_async.vault.exceptions import TOTPNotConfiguredError as TOTPNotConfiguredError
    from inkbox_async.vault.exceptions import VaultDecryptionError as VaultDecryptionError
    from inkbox_async.vault.exceptions import VaultKeyMismatchError as VaultKeyMismatchError
    from inkbox_async.vault.exceptions import VaultLockedError as VaultLockedError
    from inkbox_async.vault.exceptions import VaultNotInitializedError as VaultNotInitializedError
    from inkbox_async.vault.exceptions import VaultOrganizationError as VaultOrganizationError
    from inkbox_async.vault.keys import VaultInitializeResult as VaultInitializeResult
    from inkbox_async.vault.keys import VaultKeyMaterial as VaultKeyMaterial
    from inkbox_async.vault.keys import generate_recovery_code as generate_recovery_code
    from inkbox_async.vault.keys import generate_vault_key_material as generate_vault_key_material
    from inkbox_async.vault.payloads import APIKeyPayload as APIKeyPayload
    from inkbox_async.vault.payloads import KeyPairPayload as KeyPairPayload
    from inkbox_async.vault.payloads import LoginPayload as LoginPayload
    from inkbox_async.vault.payloads import OtherPayload as OtherPayload
    from inkbox_async.vault.payloads import SecretPayload as SecretPayload
    from inkbox_async.vault.payloads import SSHKeyPayload as SSHKeyPayload
    from inkbox_async.vault.payloads import UnknownPayload as UnknownPayload
    from inkbox_async.vault.resource import VaultResource as VaultResource
    from inkbox_async.vault.totp import TOTPAlgorithm as TOTPAlgorithm
    from inkbox_async.vault.totp import TOTPCode as TOTPCode
    from inkbox_async.vault.totp import TOTPConfig as TOTPConfig
    from inkbox_async.vault.totp import generate_totp as generate_totp
    from inkbox_async.vault.totp import parse_totp_uri as parse_totp_uri
    from inkbox_async.vault.unlocked import UnlockedVault as UnlockedVault

_HOMES: Final = {
    name: module
    for module, names in {
        "inkbox_async.errors": ("InkboxVaultKeyError",),
        "inkbox_async.generated.models.vault": (
            "AccessRule",
            "VaultInfo",
            "VaultKey",
            "VaultKeyType",
            "VaultSecret",
            "VaultSecretDetail",
            "VaultSecretType",
        ),
        "inkbox_async.vault.credentials": ("Credentials",),
        "inkbox_async.vault.crypto": ("generate_org_encryption_key",),
        "inkbox_async.vault.decrypted": (
            "DecryptedVaultSecret",
            "UnreadableSecret",
        ),
        "inkbox_async.vault.exceptions": (
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
        "inkbox_async.vault.keys": (
            "VaultInitializeResult",
            "VaultKeyMaterial",
            "generate_recovery_code",
            "generate_vault_key_material",
        ),
        "inkbox_async.vault.payloads": (
            "APIKeyPayload",
            "KeyPairPayload",
            "LoginPayload",
            "OtherPayload",
            "SSHKeyPayload",
            "SecretPayload",
            "UnknownPayload",
        ),
        "inkbox_async.vault.resource": ("VaultResource",),
        "inkbox_async.vault.totp": (
            "TOTPAlgorithm",
            "TOTPCode",
            "TOTPConfig",
            "generate_totp",
            "parse_totp_uri",
        ),
        "inkbox_async.vault.unlocked": ("UnlockedVault",),
    }.items()
    for name in names
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*_HOMES]
