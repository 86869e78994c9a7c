"""Sealed secrets as they travel: the calls that carry ciphertext, below everything that can open it."""

from __future__ import annotations

from collections.abc import Mapping

from ..generated.models.vault import VaultSecret, VaultSecretDetail, VaultUnlockResponse
from ..generated.resources.vault import VaultResource as VaultOperations
from ..resource import segment

SECRETS = "/api/v1/vault/secrets"


class SealedSecrets(VaultOperations):
    """The vault operations that need no key, and those that carry sealed payloads."""

    async def bundle(self, auth_hash: str) -> VaultUnlockResponse:
        """The wrap of the key with this verifier and the sealed secrets, or neither when none matches."""
        return await self._transport.request(
            "GET", "/api/v1/vault/unlock", VaultUnlockResponse, query={"auth_hash": auth_hash}
        )

    async def fetch(self, secret_id: str) -> VaultSecretDetail:
        """One secret with its sealed payload."""
        return await self._transport.request("GET", f"{SECRETS}/{segment(secret_id)}", VaultSecretDetail)

    async def store(self, secret: Mapping[str, object]) -> VaultSecret:
        """Store a new sealed secret."""
        return await self._transport.request("POST", SECRETS, VaultSecret, body=secret)

    async def change(self, secret_id: str, changes: Mapping[str, object]) -> VaultSecret:
        """Change what is named in `changes`; null clears."""
        return await self._transport.request(
            "PATCH", f"{SECRETS}/{segment(secret_id)}", VaultSecret, body=changes
        )
