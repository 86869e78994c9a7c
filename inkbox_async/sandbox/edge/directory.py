"""What the edge needs to know from outside: tunnel records, who may serve them, and the limits it keeps."""

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


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """How long the edge waits and how much it takes. Times are seconds, sizes are bytes."""

    default_pool_size: int = 32
    """Intakes a listener is told to park when it states no wish."""
    response_deadline_seconds: float = 30.0
    """Until a listener must have begun its answer; then the third party gets 504."""
    intake_idle_seconds: float = 600.0
    """Until an unused parked intake is answered with 408."""
    handover_seconds: float = 30.0
    """How long requests wait for the successor of a drained listener."""
    drain_quiesce_seconds: float = 5.0
    """How long GOAWAY of a drain is held back for messages that are half way through."""
    drain_linger_seconds: float = 90.0
    """How long a drained connection is kept for late replies and bridges."""
    displaced_linger_seconds: float = 10.0
    """How long the connection of a displaced listener is kept."""
    handshake_seconds: float = 10.0
    """For ClientHello, TLS handshake and the first request of a connection."""
    closing_seconds: float = 5.0
    """For the other side's part of a WebSocket or TCP close."""
    gather_bytes: int = 65_536
    """Bytes of a request body that are gathered before the request is given to a listener."""
    gather_seconds: float = 0.1
    """How long they are gathered: a body that grows slowly is passed on as it comes."""
    max_websocket_message_bytes: int = 16 << 20
    """Largest WebSocket message taken from either side."""
