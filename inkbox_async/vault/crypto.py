"""The vault's cryptography: Argon2id key derivation and AES-256-GCM sealing, byte for byte as on the wire.

Everything here is synchronous and pure; `derive_master_key` takes a tenth of a second and 64 MiB, so
coroutines go through `inkbox_async.vault.derivation`.

- master key = Argon2id (RFC 9106) of the vault key, salted with the organization id
- auth hash = SHA-256 of the master key: what the server knows the key by
- organization key = 32 random bytes, wrapped by the master key, sealing every secret
- blob = base64 of ciphertext, nonce (12 bytes), tag (16 bytes), in this order (AES-256-GCM,
  NIST SP 800-38D), with the id of the key or secret as additional authenticated data
"""

from __future__ import annotations

import binascii
import hashlib
import json
import secrets
from typing import Final

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import InkboxVaultKeyError
from .exceptions import VaultDecryptionError, VaultOrganizationError

ARGON2_TIME_COST: Final = 3
ARGON2_MEMORY_COST: Final = 65536
"""KiB: 64 MiB."""
ARGON2_PARALLELISM: Final = 1
ARGON2_HASH_LEN: Final = 32
ARGON2_MIN_SALT_BYTES: Final = 8

AES_KEY_BYTES: Final = 32
AES_NONCE_BYTES: Final = 12
AES_TAG_BYTES: Final = 16
_TAG_AT: Final = -AES_TAG_BYTES
_NONCE_AT: Final = _TAG_AT - AES_NONCE_BYTES


def derive_salt(organization_id: str) -> bytes:
    """The Argon2 salt of an organization: the UTF-8 bytes of its id, unchanged.

    Raises:
        VaultOrganizationError: The id has fewer than 8 bytes, which Argon2 does not accept.
    """
    salt = organization_id.encode()
    if len(salt) < ARGON2_MIN_SALT_BYTES:
        raise VaultOrganizationError(
            f"organization id {organization_id!r} is too short: keys are derived from at least "
            f"{ARGON2_MIN_SALT_BYTES} bytes"
        )
    return salt


def derive_master_key(vault_key: str, salt: bytes) -> bytes:
    """Derive the 32-byte master key from a vault key or recovery code. Slow on purpose.

    The text is taken as given: not trimmed, case-folded or normalised.

    Raises:
        InkboxVaultKeyError: The text is not valid Unicode (it holds lone surrogates).
    """
    password = _utf8(vault_key)
    del vault_key
    if password is None:
        raise InkboxVaultKeyError("the vault key is not valid Unicode text: it holds lone surrogates")
    return hash_secret_raw(
        secret=password,
        salt=salt,
        time_cost=ARGON2_TIME_COST,
        memory_cost=ARGON2_MEMORY_COST,
        parallelism=ARGON2_PARALLELISM,
        hash_len=ARGON2_HASH_LEN,
        type=Type.ID,
        version=ARGON2_VERSION,
    )


def compute_auth_hash(master_key: bytes) -> str:
    """The verifier that the server matches a key by: 64 lower-case hexadecimal digits."""
    return hashlib.sha256(master_key).hexdigest()


class VaultCipher:
    """AES-256-GCM under one key, with the vault's blob layout. Its repr shows nothing."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) != AES_KEY_BYTES:
            raise ValueError(f"the key must have {AES_KEY_BYTES} bytes, not {len(key)}")
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, associated_id: str) -> str:
        """Encrypt under a fresh random nonce; returns the base64 blob."""
        nonce = secrets.token_bytes(AES_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, plaintext, associated_id.encode())
        blob = sealed[:_TAG_AT] + nonce + sealed[_TAG_AT:]
        return binascii.b2a_base64(blob, newline=False).decode("ascii")

    def open(self, sealed: str, associated_id: str) -> bytes:
        """Decrypt a base64 blob that was sealed for `associated_id`.

        Raises:
            VaultDecryptionError: Not base64, too short, or sealed under another key or id.
        """
        try:
            blob = binascii.a2b_base64(sealed, strict_mode=True)
        except ValueError:
            raise VaultDecryptionError("the sealed data is not valid base64") from None
        if len(blob) < AES_NONCE_BYTES + AES_TAG_BYTES:
            raise VaultDecryptionError("the sealed data is too short to hold a nonce and a tag")
        ciphertext, nonce, tag = blob[:_NONCE_AT], blob[_NONCE_AT:_TAG_AT], blob[_TAG_AT:]
        try:
            return self._aead.decrypt(nonce, ciphertext + tag, associated_id.encode())
        except InvalidTag:
            raise VaultDecryptionError(
                "the sealed data does not open: it was altered, or sealed under another key or for another id"
            ) from None

    def seal_payload(self, payload: dict[str, object], secret_id: str) -> str:
        """Seal a payload as compact JSON for the secret with this id; returns the base64 blob."""
        return self.seal(json.dumps(payload, separators=(",", ":")).encode("ascii"), secret_id)

    def open_payload(self, sealed: str, secret_id: str) -> dict[str, object]:
        """Open the payload of the secret with this id.

        Raises:
            VaultDecryptionError: It does not open, or is not a JSON object.
        """
        payload = _json_object(self.open(sealed, secret_id))
        if payload is None:
            raise VaultDecryptionError("the decrypted payload is not a JSON object")
        return payload


def generate_org_encryption_key() -> bytes:
    """A fresh organization key: 32 random bytes that will seal every secret of a vault."""
    return secrets.token_bytes(AES_KEY_BYTES)


def check_org_key(org_key: bytes) -> None:
    """Refuse an organization key of the wrong length, with a ValueError."""
    if len(org_key) != AES_KEY_BYTES:
        raise ValueError(f"the organization key must have {AES_KEY_BYTES} bytes, not {len(org_key)}")


def wrap_org_key(master_key: bytes, org_key: bytes, vault_key_id: str) -> str:
    """Seal the organization key under a master key, for the vault key with this id."""
    check_org_key(org_key)
    return VaultCipher(master_key).seal(org_key, vault_key_id)


def unwrap_org_key(master_key: bytes, wrapped: str, vault_key_id: str) -> bytes:
    """Open a wrapped organization key.

    Raises:
        VaultDecryptionError: It was wrapped under another master key or for another vault key id.
    """
    org_key = VaultCipher(master_key).open(wrapped, vault_key_id)
    if len(org_key) != AES_KEY_BYTES:
        raise VaultDecryptionError(f"the unwrapped organization key does not have {AES_KEY_BYTES} bytes")
    return org_key


def _utf8(text: str) -> bytes | None:
    # Returns instead of raising: a UnicodeEncodeError, even as a suppressed context, carries the text.
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _json_object(plaintext: bytes) -> dict[str, object] | None:
    # Returns instead of raising: a JSONDecodeError, even as a suppressed context, carries the plaintext.
    try:
        value = json.loads(plaintext.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
