"""What the edge needs to know from outside: tunnel records, and who may serve them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TunnelRecord:
    """One tunnel as the control plane knows it."""

    id: str
    tunnel_name: str
    tls_mode: str
    """`edge` or `passthrough`."""
    status: str
    """`active`, `awaiting_cert`, ..."""

    @property
    def is_passthrough(self) -> bool:
        return self.tls_mode == "passthrough"


class Verdict(Enum):
    """Whether a key may serve a tunnel."""

    ALLOWED = "allowed"
    UNKNOWN_KEY = "unknown-key"
    """No such key: answered with 401."""
    FORBIDDEN = "forbidden"
    """A good key for something else: answered with 403."""


class TunnelDirectory(Protocol):
    """The control plane as the edge sees it. Every call may wait; none may raise for something unknown."""

    async def resolve_tunnel_by_name(self, name: str) -> TunnelRecord | None:
        """The live tunnel of this name (an agent handle)."""
        ...

    async def resolve_tunnel(self, tunnel_id: str) -> TunnelRecord | None:
        """The live tunnel with this id. `tunnel_id` comes off the wire and may be any text."""
        ...

    async def authenticate(self, api_key: str, tunnel: TunnelRecord) -> Verdict:
        """Whether this key may serve this tunnel."""
        ...

    async def mark_connected(self, tunnel_id: str, ip_address: str | None, at: datetime) -> None:
        """A listener has said hello: currently_connected, last_connected_at, last_connected_ip_addr."""
        ...

    async def mark_disconnected(self, tunnel_id: str, at: datetime) -> None:
        """The tunnel has no listener any more: currently_connected, last_disconnected_at."""
        ...

    def now(self) -> datetime:
        """The present, aware, on the clock of the records."""
        ...
