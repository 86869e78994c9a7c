"""`inkbox.vault`: making the vault, unlocking it, its keys, and who has access to which secret."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from ..generated.models.vault import VaultKey
from ..secrecy import hiding
from ..transport import Transport
from .hidden import Hidden
from .key_records import VaultInitializeResult
from .sealed import SealedSecrets, canonical_id
from .unlocked import UnlockedVault

if TYPE_CHECKING:
    from .keyring import Keyring

MAX_CONCURRENT_REQUESTS = 8


class _State:
    """What one client knows of its vault."""

    def __init__(self) -> None:
        self.keyring: Keyring | None = None
        self.unlocked: UnlockedVault | None = None


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
        self._state = _State()
        self._sealed = SealedSecrets(transport)

    def on(self, transport: Transport) -> VaultResource:
        """The same vault over another transport; unlocking either unlocks both."""
        twin = VaultResource(transport)
        twin._state = self._state
        return twin

    @property
    def unlocked(self) -> UnlockedVault | None:
        """What the last `unlock` on this client returned, before any narrowing; None while locked."""
        return self._state.unlocked

    @hiding
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
        key = Hidden(vault_key)
        del vault_key
        _check_text(key)
        return await (await self._keyring()).initialize(self._sealed, key)

    @hiding
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
        key = Hidden(vault_key)
        del vault_key
        _check_text(key)
        unlocked, viewers = await (await self._keyring()).unlock(self._sealed, key)
        self._state.unlocked = unlocked
        if identity_id is None:
            return unlocked
        identity = canonical_id(identity_id)
        # A server that sends one secret's rules along sends those of all.
        known = viewers or await self._viewers(unlocked.ids)
        return unlocked.narrowed(lambda secret_id: identity in known.get(secret_id, ()))

    @hiding
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
            proof, proof_field = Hidden(current_vault_key), "current_auth_hash"
        elif recovery_code is not None and current_vault_key is None:
            proof, proof_field = Hidden(recovery_code), "recovery_auth_hash"
        else:
            raise ValueError("give exactly one of current_vault_key and recovery_code")
        new_key = Hidden(new_vault_key)
        del new_vault_key, current_vault_key, recovery_code
        _check_text(new_key)
        _check_text(proof)
        return await (await self._keyring()).update_key(self._sealed, new_key, proof, proof_field)

    @hiding
    async def delete_key(self, auth_hash: str) -> None:
        """Delete a vault key or recovery code, so that it unlocks nothing any more.

        Args:
            auth_hash: Verifier of the key (`VaultKeyMaterial.auth_hash`), 64 hexadecimal digits. Not the key.

        Raises:
            ValueError: It is not a verifier; nothing was sent.
            InkboxAPIError: 404 when no active key has it, 409 for the last vault key.

        Source: `DELETE /api/v1/vault/keys/{auth_hash}`.
        """
        verifier = Hidden(auth_hash)
        del auth_hash
        if not isinstance(verifier.value, str) or not re.fullmatch("[0-9a-fA-F]{64}", verifier.value):
            raise ValueError(
                "delete_key takes the auth hash of a key, 64 hexadecimal digits, not the key itself"
            )
        await self._transport.request("DELETE", f"/api/v1/vault/keys/{verifier.value.lower()}", None)

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

    async def _keyring(self) -> Keyring:
        if self._state.keyring is None:
            keyring = (await asyncio.to_thread(_import_keyring))()
            # Somebody else may have been as quick.
            self._state.keyring = self._state.keyring or keyring
        return self._state.keyring

    async def _viewers(self, secret_ids: Sequence[str]) -> dict[str, list[str]]:
        """By secret, who has access to it, one request a secret."""
        viewers: dict[str, list[str]] = {}
        missing = iter(secret_ids)

        async def fetch_some() -> None:
            for key in missing:
                viewers[key] = [str(rule.identity_id) for rule in await self.list_access_rules(key)]

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(MAX_CONCURRENT_REQUESTS, len(secret_ids))):
                    group.create_task(fetch_some())
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__
        return viewers


def _import_keyring() -> type[Keyring]:
    # Argon2, OpenSSL and the payload classes take tens of milliseconds to import: not on the event loop.
    from .keyring import Keyring

    return Keyring


def _check_text(key: Hidden[str]) -> None:
    if not isinstance(key.value, str):
        raise TypeError(f"a vault key is text, not {type(key.value).__name__}")
