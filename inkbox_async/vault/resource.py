"""`inkbox.vault`: making the vault, unlocking it, its keys, and who has access to which secret."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from ..errors import InkboxAPIError
from ..generated.models.vault import (
    AccessRule,
    VaultInfo,
    VaultInitializeResponse,
    VaultKey,
    VaultKeyType,
    VaultUnlockResponse,
)
from ..modeling import InkboxModel
from .crypto import (
    VaultCipher,
    compute_auth_hash,
    generate_org_encryption_key,
    unwrap_org_key,
)
from .decrypted import canonical_id, open_secrets
from .derivation import KeyDeriver
from .exceptions import (
    VaultDecryptionError,
    VaultKeyMismatchError,
    VaultNotInitializedError,
    VaultOrganizationError,
)
from .keys import (
    RECOVERY_CODE_COUNT,
    VaultInitializeResult,
    canonical_recovery_code,
    key_material,
    random_recovery_code,
    validate_vault_key,
)
from .sealed import SealedSecrets
from .unlocked import UnlockedVault

if TYPE_CHECKING:
    from ..transport import Transport

MAX_CONCURRENT_REQUESTS = 8

logger = logging.getLogger("inkbox_async.vault")


class _Whoami(InkboxModel):
    """The part of `GET /api/whoami` that keys are derived from."""

    organization_id: str | None = None


@dataclass(repr=False)
class _Opened:
    """A key that matched: its verifier, what it unwraps and what the server sent with it."""

    auth_hash: str
    org_key: bytes
    bundle: VaultUnlockResponse


@dataclass(repr=False)
class _State:
    """What one client knows of its vault."""

    deriver: KeyDeriver
    unlocked: UnlockedVault | None = None


class VaultResource(SealedSecrets):
    """The organization's encrypted vault.

    Keys are derived and secrets are sealed and opened on this side; the server only ever sees ciphertext,
    ids, names and access rules. Argon2 runs in threads, so the event loop keeps going.

    Example:
        ```python
        result = await inkbox.vault.initialize("my-Vault-key-01!")
        print(result.recovery_codes)  # keep them safe: nobody can show them again
        unlocked = await inkbox.vault.unlock("my-Vault-key-01!")
        for secret in unlocked.secrets:
            print(secret.name, secret.secret_type)
        ```
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._state = _State(KeyDeriver())

    def on(self, transport: Transport) -> VaultResource:
        """The same vault over another transport; unlocking either unlocks both."""
        twin = VaultResource(transport)
        twin._state = self._state
        return twin

    @property
    def unlocked(self) -> UnlockedVault | None:
        """What the last `unlock` on this client returned, before any narrowing; None while locked."""
        return self._state.unlocked

    async def info(self) -> VaultInfo | None:
        """Describe the vault of the organization. Needs no vault key.

        Returns:
            The vault, or None when the organization has not initialized one.

        Raises:
            InkboxAPIError: The server refused it.

        Source: `GET /api/v1/vault/info`.
        """
        try:
            return await self._transport.request("GET", "/api/v1/vault/info", VaultInfo)
        except InkboxAPIError as error:
            if error.status_code != 404:
                raise
            return None

    async def initialize(self, vault_key: str) -> VaultInitializeResult:
        """Create the organization's vault. It is still locked afterwards: call `unlock`.

        Args:
            vault_key: At least 16 characters, with an upper-case and a lower-case letter, a digit, and
                another character. Whoever loses it and the recovery codes loses the secrets.

        Returns:
            The ids of the vault and its key, and four recovery codes, each of which unlocks like the key.

        Raises:
            InkboxVaultKeyError: The key is too weak; nothing was sent.
            VaultOrganizationError: The API key belongs to no organization (a ValueError).
            InkboxAPIError: 409 when there is a vault already, 403 with an agent key.

        Source: `POST /api/v1/vault/initialize`.
        """
        validate_vault_key(vault_key)
        organization_id = (await self._transport.request("GET", "/api/whoami", _Whoami)).organization_id
        if not organization_id:
            raise VaultOrganizationError("this API key belongs to no organization, so it can have no vault")
        codes = [random_recovery_code() for _ in range(RECOVERY_CODE_COUNT)]
        org_key = generate_org_encryption_key()
        primary, *recovery = await self._derive_all([vault_key, *codes], organization_id)
        created = await self._transport.request(
            "POST",
            "/api/v1/vault/initialize",
            VaultInitializeResponse,
            body={
                "vault_key": key_material(primary, org_key, VaultKeyType.PRIMARY).to_wire(),
                "recovery_keys": [
                    key_material(master_key, org_key, VaultKeyType.RECOVERY).to_wire()
                    for master_key in recovery
                ],
            },
        )
        return VaultInitializeResult(
            created.vault_id, created.vault_key_id, created.recovery_key_count, recovery_codes=codes
        )

    async def unlock(self, vault_key: str, *, identity_id: UUID | str | None = None) -> UnlockedVault:
        """Unlock the vault on this client and open every secret that the API key may see.

        A secret that does not open, or is of an unknown type, does not stand in the way of the others: it is
        listed in `unreadable`, and reading it raises.

        Args:
            vault_key: The vault key, exactly as it was chosen, or a recovery code in any spelling. A recovery
                code is not used up.
            identity_id: Return only the secrets that this identity has access to. `unlocked`, and with it
                `identity.credentials`, still holds all.

        Returns:
            The unlocked vault; `inkbox.vault.unlocked` is the same object unless `identity_id` is given.

        Raises:
            VaultNotInitializedError: There is no vault (a ValueError).
            VaultKeyMismatchError: No active key of the vault matches (a ValueError).
            InkboxAPIError: The server refused it.

        Source: `GET /api/v1/vault/unlock`.
        """
        info = await self._existing()
        opened = await self._open(vault_key, info.organization_id)
        cipher = VaultCipher(opened.org_key)
        sealed = opened.bundle.encrypted_secrets
        secrets, unreadable = await asyncio.to_thread(open_secrets, cipher, sealed)
        for report in unreadable:
            logger.warning("vault secret %s skipped: %s", report.id, report.reason)
        unlocked = UnlockedVault(SealedSecrets(self._transport), cipher, secrets, unreadable)
        self._state.unlocked = unlocked
        if identity_id is None:
            return unlocked
        rules = await self._access_rules({str(secret.id): secret.access for secret in sealed})
        identity = canonical_id(identity_id)
        return unlocked.narrowed(lambda key: any(str(rule.identity_id) == identity for rule in rules[key]))

    async def update_key(
        self, new_vault_key: str, *, current_vault_key: str | None = None, recovery_code: str | None = None
    ) -> VaultKey:
        """Replace the vault key. Secrets stay as they are, and unlocked vaults stay usable.

        Args:
            new_vault_key: As strong as `initialize` asks for.
            current_vault_key: The present key. Give this or `recovery_code`.
            recovery_code: A recovery code, in any spelling; it is used up.

        Returns:
            The new key, without anything secret.

        Raises:
            ValueError: Not exactly one of the two proofs was given; nothing was sent.
            InkboxVaultKeyError: The new key is too weak; nothing was sent.
            VaultNotInitializedError: There is no vault (a ValueError).
            VaultKeyMismatchError: The proof matches no active key (a ValueError).
            InkboxAPIError: 403 when the proof is not of the right kind.

        Source: `PUT /api/v1/vault/keys/primary`.
        """
        if current_vault_key is not None and recovery_code is None:
            proof, proof_field = current_vault_key, "current_auth_hash"
        elif recovery_code is not None and current_vault_key is None:
            proof, proof_field = recovery_code, "recovery_auth_hash"
        else:
            raise ValueError("give exactly one of current_vault_key and recovery_code")
        validate_vault_key(new_vault_key)
        info = await self._existing()
        opened = await self._open(proof, info.organization_id)
        master_key = await self._state.deriver.derive(new_vault_key, info.organization_id)
        body = key_material(master_key, opened.org_key, VaultKeyType.PRIMARY).to_wire()
        del body["key_type"]
        body[proof_field] = opened.auth_hash
        return await self._transport.request("PUT", "/api/v1/vault/keys/primary", VaultKey, body=body)

    async def delete_key(self, auth_hash: str) -> None:
        """Delete a vault key or recovery code, so that it unlocks nothing any more.

        Args:
            auth_hash: Verifier of the key (`VaultKeyMaterial.auth_hash`), 64 hexadecimal digits. Not the key.

        Raises:
            ValueError: It is not a verifier; nothing was sent.
            InkboxAPIError: 404 when no active key has it, 409 for the last vault key.

        Source: `DELETE /api/v1/vault/keys/{auth_hash}`.
        """
        if not re.fullmatch("[0-9a-fA-F]{64}", auth_hash):
            raise ValueError(
                "delete_key takes the auth hash of a key, 64 hexadecimal digits, not the key itself"
            )
        await self._transport.request("DELETE", f"/api/v1/vault/keys/{auth_hash.lower()}", None)

    async def delete_secret(self, secret_id: UUID | str) -> None:
        """Delete a secret and everybody's access to it. Works while the vault is locked.

        Args:
            secret_id: Id of the secret.

        Raises:
            InkboxAPIError: 403 without access, 404 when there is no such secret.

        Source: `DELETE /api/v1/vault/secrets/{secret_id}`.
        """
        await super().delete_secret(secret_id)
        if self._state.unlocked is not None:
            self._state.unlocked.forget(canonical_id(secret_id))

    async def _existing(self) -> VaultInfo:
        info = await self.info()
        if info is None:
            raise VaultNotInitializedError(
                "the organization has no vault yet; create it with await inkbox.vault.initialize(vault_key)"
            )
        return info

    async def _open(self, vault_key: str, organization_id: str) -> _Opened:
        master_key = await self._state.deriver.derive(vault_key, organization_id)
        bundle = await self.bundle(compute_auth_hash(master_key))
        if not bundle.wrapped_org_encryption_key:
            code = canonical_recovery_code(vault_key)
            if code is not None and code != vault_key:
                master_key = await self._state.deriver.derive(code, organization_id)
                bundle = await self.bundle(compute_auth_hash(master_key))
        wrapped = bundle.wrapped_org_encryption_key
        if not wrapped:
            raise VaultKeyMismatchError(
                "no active key of this vault matches; the vault key must be given exactly as it was chosen, "
                "including case and spaces, and a replaced key or used recovery code no longer works"
            )
        keys = await self.list_keys()
        for key_type in (VaultKeyType.PRIMARY, VaultKeyType.RECOVERY):
            for key in keys:
                if key.key_type == key_type:
                    try:
                        org_key = unwrap_org_key(master_key, wrapped, str(key.id))
                    except VaultDecryptionError:
                        continue
                    return _Opened(compute_auth_hash(master_key), org_key, bundle)
        raise VaultKeyMismatchError(
            "the key matches, but the organization key does not unwrap for any active key id; if the vault "
            "key is being replaced at this moment, try again"
        )

    async def _derive_all(self, texts: list[str], organization_id: str) -> list[bytes]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._state.deriver.derive(text, organization_id)) for text in texts
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _access_rules(self, inlined: Mapping[str, list[AccessRule]]) -> dict[str, list[AccessRule]]:
        """The access rules of each secret: those the server sent along, else one request a secret."""
        rules = {key: list(known) for key, known in inlined.items()}
        missing = iter([key for key, known in rules.items() if not known])

        async def fetch_some() -> None:
            for key in missing:
                rules[key] = await self.list_access_rules(key)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(MAX_CONCURRENT_REQUESTS, len(rules))):
                    group.create_task(fetch_some())
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__
        return rules
