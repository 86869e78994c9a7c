"""Signing keys beyond the specification: one pair of methods for both routes."""

from __future__ import annotations

from ..generated.models.identities import SigningKey, SigningKeyStatus
from ..generated.resources import identities as generated


class SigningKeysResource(generated.SigningKeysResource):
    """The secrets that webhooks and call WebSockets are signed with."""

    async def create_or_rotate(self, agent_handle: str | None = None) -> SigningKey:
        """Create a signing key, or replace it; what the old one signed no longer verifies.

        Args:
            agent_handle: Handle of the identity whose key it is. Left out, the route of the whole
                organization is used, which today's servers keep for agent keys only.

        Returns:
            The new key. The secret is shown this once.

        Raises:
            InkboxAPIError: 403 or 404, the API key may not do this; 409, an admin key must name the
                identity on today's servers.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/signing-keys`, `POST /api/v1/identities/{agent_handle}/signing-key`.
        """
        if agent_handle is None:
            return await super().create_or_rotate()
        return await self.create_or_rotate_for(agent_handle)

    async def get_status(self, agent_handle: str | None = None) -> SigningKeyStatus:
        """Tell whether there is a signing key, never the key itself.

        Args:
            agent_handle: Handle of the identity. Left out, the route of the whole organization is used.

        Returns:
            Whether a key is configured, and since when.

        Raises:
            InkboxAPIError: 403 or 404, the API key may not see it.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/signing-keys`, `GET /api/v1/identities/{agent_handle}/signing-key`.
        """
        if agent_handle is None:
            return await super().get_status()
        return await self.get_status_for(agent_handle)
