"""Sealed secrets as they travel: the calls that carry ciphertext, below everything that can open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from ..errors import InkboxAPIError
from ..generated.models.vault import (
    VaultInfo,
    VaultInitializeResponse,
    VaultKey,
    VaultSecret,
    VaultSecretDetail,
)
from ..generated.resources.vault import VaultResource as VaultOperations
from ..modeling import InkboxModel
from ..resource import segment
from .hidden import Hidden
from .key_records import VaultKeyMaterial

SECRETS = "/api/v1/vault/secrets"


class SealedBundle(InkboxModel):
    """The answer to an unlock, with its secrets unread: each is read by itself, where it may be flawed."""

    wrapped_org_encryption_key: str | None = None
    encrypted_secrets: list[object] | None = None


class KeyEntry(InkboxModel):
    """The part of a listed vault key that unlocking needs."""

    id: str
    key_type: str


class _Whoami(InkboxModel):
    """The part of `GET /api/whoami` that keys are derived from."""

    organization_id: str | None = None


class SealedSecrets(VaultOperations):
    """The vault operations that need no key, and those that carry sealed payloads or wrapped keys."""

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

    async def organization_id(self) -> str | None:
        """The organization that the API key belongs to."""
        return (await self._transport.request("GET", "/api/whoami", _Whoami)).organization_id

    async def create(
        self, vault_key: VaultKeyMaterial, recovery_keys: Sequence[VaultKeyMaterial]
    ) -> VaultInitializeResponse:
        """Create the vault with its first keys."""
        return await self._transport.request(
            "POST",
            "/api/v1/vault/initialize",
            VaultInitializeResponse,
            body={
                "vault_key": vault_key.to_wire(),
                "recovery_keys": [key.to_wire() for key in recovery_keys],
            },
        )

    async def replace_key(
        self, vault_key: VaultKeyMaterial, proof_field: str, proof: Hidden[str]
    ) -> VaultKey:
        """Put a vault key in the place of the present one; the proof is the verifier of another key."""
        return await self._transport.request(
            "PUT",
            "/api/v1/vault/keys/primary",
            VaultKey,
            body={
                "id": vault_key.id,
                "wrapped_org_encryption_key": vault_key.wrapped_org_encryption_key,
                "auth_hash": vault_key.auth_hash,
                proof_field: proof.value,
            },
        )

    async def bundle(self, auth_hash: Hidden[str]) -> SealedBundle:
        """The wrap of the key with this verifier and the sealed secrets, or neither when none matches."""
        return await self._transport.request(
            "GET", "/api/v1/vault/unlock", SealedBundle, query={"auth_hash": auth_hash.value}
        )

    async def key_entries(self) -> list[KeyEntry]:
        """The active keys, read no further than unlocking needs."""
        return await self._transport.request("GET", "/api/v1/vault/keys", list[KeyEntry])

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


def canonical_id(value: UUID | str) -> str:
    """An id the way payloads are sealed for it: a UUID in lower case with hyphens, other text unchanged."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        return str(value)
