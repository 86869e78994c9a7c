"""The vault's types in one place, where the documents import them from."""

from ..generated.models.vault import (
    AccessRule,
    VaultInfo,
    VaultKey,
    VaultKeyType,
    VaultSecret,
    VaultSecretDetail,
    VaultSecretType,
)
from .decrypted import DecryptedVaultSecret, UnreadableSecret
from .key_records import VaultInitializeResult, VaultKeyMaterial
from .payloads import (
    APIKeyPayload,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SecretPayload,
    SSHKeyPayload,
    UnknownPayload,
)
from .totp import TOTPAlgorithm, TOTPCode, TOTPConfig

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
