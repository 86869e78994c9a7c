"""How large bodies may be."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import DEFAULT_BODY_LIMIT


@dataclass(frozen=True)
class Limits:
    """Caps on bodies, in bytes."""

    inbound_body: int = DEFAULT_BODY_LIMIT
    outbound_body: int = DEFAULT_BODY_LIMIT
