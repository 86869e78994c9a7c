"""How large bodies may be, and how long the edge may be silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .protocol import DEFAULT_BODY_LIMIT

PING_INTERVAL: Final = 20.0
PING_TIMEOUT: Final = 10.0


@dataclass(frozen=True)
class Limits:
    """Caps on bodies, in bytes."""

    inbound_body: int = DEFAULT_BODY_LIMIT
    outbound_body: int = DEFAULT_BODY_LIMIT


@dataclass(frozen=True)
class Timing:
    """How often the edge is asked for a sign of life, and how long it may take; seconds."""

    ping_interval: float = PING_INTERVAL
    ping_timeout: float = PING_TIMEOUT
