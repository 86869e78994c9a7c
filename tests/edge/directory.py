"""A control plane in memory, for an edge that is tested without the rest of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from inkbox_async.sandbox.edge import TunnelRecord, Verdict

KEY = "ApiKey_of_the_tunnel"
FOREIGN_KEY = "ApiKey_of_another_tunnel"
TUNNEL_ID = "6f1d2c3b-8a49-4e57-b0c6-2d9e4f7a1b38"
PASSTHROUGH_ID = "0b7a5c92-4d1e-4f63-9a28-c3e5d7f90a14"


class MemoryDirectory:
    """Two tunnels, `sales-agent` (edge) and `vault-agent` (passthrough), and a log of the edge's reports."""

    def __init__(self) -> None:
        self.tunnels = {
            TUNNEL_ID: TunnelRecord(TUNNEL_ID, "sales-agent", "edge", "active"),
            PASSTHROUGH_ID: TunnelRecord(PASSTHROUGH_ID, "vault-agent", "passthrough", "active"),
        }
        self.log: list[tuple[str, str]] = []

    def set_status(self, tunnel_id: str, status: str) -> None:
        self.tunnels[tunnel_id] = replace(self.tunnels[tunnel_id], status=status)

    def remove(self, tunnel_id: str) -> None:
        del self.tunnels[tunnel_id]

    async def resolve_tunnel_by_name(self, name: str) -> TunnelRecord | None:
        return next((record for record in self.tunnels.values() if record.tunnel_name == name), None)

    async def resolve_tunnel(self, tunnel_id: str) -> TunnelRecord | None:
        return self.tunnels.get(tunnel_id)

    async def authenticate(self, api_key: str, tunnel: TunnelRecord) -> Verdict:
        if api_key == KEY:
            return Verdict.ALLOWED
        return Verdict.FORBIDDEN if api_key == FOREIGN_KEY else Verdict.UNKNOWN_KEY

    async def mark_connected(self, tunnel_id: str, ip_address: str | None, at: datetime) -> None:
        self.log.append(("connected", f"{tunnel_id} {ip_address}"))

    async def mark_disconnected(self, tunnel_id: str, at: datetime) -> None:
        self.log.append(("disconnected", tunnel_id))

    def now(self) -> datetime:
        return datetime.now(UTC)
