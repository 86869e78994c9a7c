"""Vault keys and recovery codes: the strength rule, how they are made, and what the server stores of them."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Final
from uuid import uuid4

from ..errors import InkboxVaultKeyError
from ..generated.models.vault import VaultKeyType
from ..secrecy import hiding
from .crypto import check_org_key, compute_auth_hash, derive_master_key, derive_salt, wrap_org_key
from .hidden import Hidden
from .key_records import VaultKeyMaterial

MIN_VAULT_KEY_LENGTH: Final = 16
"""Unicode code points."""

RECOVERY_CODE_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without 0, O, 1, I and L, which people mix up."""
RECOVERY_CODE_GROUPS: Final = 8
RECOVERY_CODE_GROUP_LENGTH: Final = 4
RECOVERY_CODE_COUNT: Final = 4
"""How many codes a new vault gets."""

_CHARACTER_RULES: Final = (
    (re.compile("[A-Z]"), "an upper-case letter (A-Z)"),
    (re.compile("[a-z]"), "a lower-case letter (a-z)"),
    (re.compile("[0-9]"), "a digit (0-9)"),
    (re.compile("[^A-Za-z0-9]"), "a character that is neither an ASCII letter nor a digit"),
)


def validate_vault_key(vault_key: str) -> None:
    """Check that a new vault key is strong enough.

    Raises:
        InkboxVaultKeyError: It is not; the message names the first rule that it breaks.
        TypeError: It is not text.
    """
    if not isinstance(vault_key, str):
        raise TypeError(f"a vault key is text, not {type(vault_key).__name__}")
    if len(vault_key) < MIN_VAULT_KEY_LENGTH:
        raise InkboxVaultKeyError(
            f"the new vault key is too short: it needs at least {MIN_VAULT_KEY_LENGTH} characters, "
            f"not {len(vault_key)}"
        )
    for pattern, what in _CHARACTER_RULES:
        if not pattern.search(vault_key):
            raise InkboxVaultKeyError(f"the new vault key is too weak: it needs at least {what}")


def random_recovery_code() -> str:
    """A fresh recovery code: 8 groups of 4 characters, about 158 random bits."""
    return "-".join(
        "".join(secrets.choice(RECOVERY_CODE_ALPHABET) for _ in range(RECOVERY_CODE_GROUP_LENGTH))
        for _ in range(RECOVERY_CODE_GROUPS)
    )


def canonical_recovery_code(text: str) -> str | None:
    """The form in which a recovery code was generated, whatever its case, spaces and hyphens are now.

    Returns:
        The code in groups of 4 capitals, or None when the text cannot be a recovery code.
    """
    symbols = re.sub(r"[\s-]", "", text).upper()
    if len(symbols) != RECOVERY_CODE_GROUPS * RECOVERY_CODE_GROUP_LENGTH:
        return None
    if not set(symbols) <= set(RECOVERY_CODE_ALPHABET):
        return None
    return "-".join(
        symbols[start : start + RECOVERY_CODE_GROUP_LENGTH]
        for start in range(0, len(symbols), RECOVERY_CODE_GROUP_LENGTH)
    )


def key_material(master_key: bytes, org_encryption_key: bytes, key_type: VaultKeyType) -> VaultKeyMaterial:
    """Wrap the organization key under a master key, for a vault key with a fresh id."""
    key_id = uuid4()
    return VaultKeyMaterial(
        id=key_id,
        wrapped_org_encryption_key=wrap_org_key(master_key, org_encryption_key, str(key_id)),
        auth_hash=compute_auth_hash(master_key),
        key_type=key_type,
    )


@hiding
async def generate_vault_key_material(
    vault_key: str,
    organization_id: str,
    org_encryption_key: bytes,
    *,
    key_type: VaultKeyType | str = VaultKeyType.PRIMARY,
) -> VaultKeyMaterial:
    """Make the material of a new vault key. Runs Argon2 in a thread.

    Args:
        vault_key: The new key: at least 16 characters, with an upper-case and a lower-case letter, a digit,
            and another character.
        organization_id: Id of the organization whose vault it is for.
        org_encryption_key: The vault's organization key, 32 bytes (`generate_org_encryption_key`).
        key_type: `primary` or `recovery`.

    Returns:
        What the server may store.

    Raises:
        InkboxVaultKeyError: The key is too weak.
        VaultOrganizationError: The organization id is too short (a ValueError).
        ValueError: The organization key has the wrong length.
    """
    validate_vault_key(vault_key)
    key = Hidden(vault_key)
    del vault_key
    check_org_key(org_encryption_key)
    salt = derive_salt(organization_id)
    master_key = await asyncio.to_thread(lambda: Hidden(derive_master_key(key.value, salt)))
    return key_material(master_key.value, org_encryption_key, VaultKeyType(key_type))


@hiding
async def generate_recovery_code(
    organization_id: str, org_encryption_key: bytes
) -> tuple[str, VaultKeyMaterial]:
    """Make a recovery code and its material. Runs Argon2 in a thread.

    Args:
        organization_id: Id of the organization whose vault it is for.
        org_encryption_key: The vault's organization key, 32 bytes.

    Returns:
        The code, to be shown once and never sent, and what the server may store.

    Raises:
        VaultOrganizationError: The organization id is too short (a ValueError).
        ValueError: The organization key has the wrong length.
    """
    check_org_key(org_encryption_key)
    salt = derive_salt(organization_id)
    code = Hidden(random_recovery_code())
    master_key = await asyncio.to_thread(lambda: Hidden(derive_master_key(code.value, salt)))
    return code.value, key_material(master_key.value, org_encryption_key, VaultKeyType.RECOVERY)
