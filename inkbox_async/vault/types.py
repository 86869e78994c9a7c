"""The vault's types in one place, where the documents import them from."""

from inkbox_async.generated.models.vault import (
    AccessRule,
    VaultInfo,
    VaultKey,
    VaultKeyType,
    VaultSecret,
    VaultSecretDetail,
    VaultSecretType,
)
from inkbox_async.vault.decrypted import DecryptedVaultSecret, UnreadableSecret
from inkbox_async.vault.keys import VaultInitializeResult, VaultKeyMaterial
from inkbox_async.vault.payloads import (
    APIKeyPayload,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SecretPayload,
    SSHKeyPayload,
    UnknownPayload,
)
from inkbox_async.vault.totp import TOTPAlgorithm, TOTPCode, TOTPConfig

__all__ = [
    "APIKeyPayload",
    "AccessRule",
    "DecryptedVaultSecret",
    "KeyPairPayload",
    "LoginPayload",
    "OtherPayload",
    "SSHKeyPayload",
    "SecretPayload",
    "TOTPAlgorithm",
    "TOTPCode",
    "TOTPConfig",
    "UnknownPayload",
    "UnreadableSecret",
    "VaultInfo",
    "VaultInitializeResult",
    "VaultKey",
    "VaultKeyMaterial",
    "VaultKeyType",
    "VaultSecret",
    "VaultSecretDetail",
    "VaultSecretType",
]
