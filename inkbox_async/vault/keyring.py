"""What vault keys are used for: making the vault, unlocking it, replacing its key. Imported in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..generated.models.vault import VaultInfo, VaultKey, VaultKeyType
from .crypto import VaultCipher, compute_auth_hash, generate_org_encryption_key, unwrap_org_key
from .decrypted import open_secrets
from .derivation import KeyDeriver
from .exceptions import (
    VaultDecryptionError,
    VaultKeyMismatchError,
    VaultNotInitializedError,
    VaultOrganizationError,
)
from .hidden import Hidden
from .key_records import VaultInitializeResult, VaultKeyMaterial
from .keys import (
    RECOVERY_CODE_COUNT,
    canonical_recovery_code,
    key_material,
    random_recovery_code,
    validate_vault_key,
)
from .sealed import SealedBundle, SealedSecrets
from .unlocked import UnlockedVault

T = TypeVar("T")


@dataclass(repr=False)
class _Opened:
    """A key that matched: its verifier, what it unwraps and what the server sent with it."""

    auth_hash: Hidden[str]
    org_key: bytes
    bundle: SealedBundle


class Keyring:
    """Key operations on the vault of one client; derivations of the same key at the same time are shared."""

    def __init__(self) -> None:
        self._deriver = KeyDeriver()

    async def initialize(self, vault: SealedSecrets, vault_key: Hidden[str]) -> VaultInitializeResult:
        """Create the organization's vault; see `VaultResource.initialize`."""
        validate_vault_key(vault_key.value)
        organization_id = await vault.organization_id()
        if not organization_id:
            raise VaultOrganizationError("this API key belongs to no organization, so it can have no vault")
        codes = [Hidden(random_recovery_code()) for _ in range(RECOVERY_CODE_COUNT)]
        primary, *recovery = _first_keys(await self._derive_all([vault_key, *codes], organization_id))
        created = await vault.create(primary, recovery)
        return VaultInitializeResult(
            created.vault_id,
            created.vault_key_id,
            created.recovery_key_count,
            recovery_codes=[code.value for code in codes],
        )

    async def unlock(
        self, vault: SealedSecrets, vault_key: Hidden[str]
    ) -> tuple[UnlockedVault, dict[str, list[str]]]:
        """Open every secret that the API key may see; see `VaultResource.unlock`.

        Returns:
            The unlocked vault, and by secret the identities with access to it, as far as the server told.
        """
        info = await _existing(vault)
        opened = await self._open(vault, vault_key, info.organization_id)
        cipher = VaultCipher(opened.org_key)
        sealed = _drained(opened.bundle.encrypted_secrets or [])
        secrets = await asyncio.to_thread(open_secrets, cipher, sealed)
        return UnlockedVault(vault, cipher, secrets.readable, secrets.unreadable), secrets.viewers

    async def update_key(
        self, vault: SealedSecrets, new_vault_key: Hidden[str], proof: Hidden[str], proof_field: str
    ) -> VaultKey:
        """Replace the vault key; see `VaultResource.update_key`."""
        validate_vault_key(new_vault_key.value)
        info = await _existing(vault)
        opened = await self._open(vault, proof, info.organization_id)
        master_key = await self._deriver.derive(new_vault_key, info.organization_id)
        return await vault.replace_key(
            key_material(master_key.value, opened.org_key, VaultKeyType.PRIMARY),
            proof_field,
            opened.auth_hash,
        )

    async def _open(self, vault: SealedSecrets, vault_key: Hidden[str], organization_id: str) -> _Opened:
        master_key = await self._deriver.derive(vault_key, organization_id)
        auth_hash = Hidden(compute_auth_hash(master_key.value))
        bundle = await vault.bundle(auth_hash)
        if not bundle.wrapped_org_encryption_key:
            code = Hidden(canonical_recovery_code(vault_key.value))
            if code.value is not None and code != vault_key:
                master_key = await self._deriver.derive(Hidden(code.value), organization_id)
                auth_hash = Hidden(compute_auth_hash(master_key.value))
                bundle = await vault.bundle(auth_hash)
        wrapped = bundle.wrapped_org_encryption_key
        if not wrapped:
            raise VaultKeyMismatchError(
                "no active key of this vault matches; the vault key must be given exactly as it was chosen, "
                "including case and spaces, and a replaced key or used recovery code no longer works"
            )
        keys = await vault.key_entries()
        for key_type in (VaultKeyType.PRIMARY, VaultKeyType.RECOVERY):
            for key in keys:
                if key.key_type == key_type:
                    try:
                        org_key = unwrap_org_key(master_key.value, wrapped, key.id)
                    except VaultDecryptionError:
                        continue
                    return _Opened(auth_hash, org_key, bundle)
        raise VaultKeyMismatchError(
            "the key matches, but the organization key does not unwrap for any active key id; if the vault "
            "key is being replaced at this moment, try again"
        )

    async def _derive_all(self, texts: list[Hidden[str]], organization_id: str) -> list[Hidden[bytes]]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._deriver.derive(text, organization_id)) for text in texts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]


def _drained(items: list[T]) -> Iterator[T]:
    # What is let go at once brings the garbage collector, which halts the event loop, on later.
    items.reverse()
    while items:
        yield items.pop()


async def _existing(vault: SealedSecrets) -> VaultInfo:
    info = await vault.info()
    if info is None:
        raise VaultNotInitializedError(
            "the organization has no vault yet; create it with await inkbox.vault.initialize(vault_key)"
        )
    return info


def _first_keys(master_keys: list[Hidden[bytes]]) -> list[VaultKeyMaterial]:
    """The material of a new vault key and its recovery codes, for a new organization key."""
    org_key = generate_org_encryption_key()
    primary, *recovery = master_keys
    return [
        key_material(primary.value, org_key, VaultKeyType.PRIMARY),
        *(key_material(code.value, org_key, VaultKeyType.RECOVERY) for code in recovery),
    ]
