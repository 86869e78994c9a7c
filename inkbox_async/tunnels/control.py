"""What a listener asks of the control plane."""

from __future__ import annotations

import builtins
from typing import Protocol
from uuid import UUID

from ..generated.models.tunnels import SignedCert, Tunnel


class ControlPlane(Protocol):
    """The operations on tunnels that a listener needs."""

    async def list(self) -> builtins.list[Tunnel]:
        """All tunnels."""
        ...

    async def get(self, tunnel_id: UUID | str) -> Tunnel:
        """One tunnel."""
        ...

    async def sign_csr(self, tunnel_id: UUID | str, *, csr_pem: str | bytes) -> SignedCert:
        """A certificate for a passthrough tunnel."""
        ...
