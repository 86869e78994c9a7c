"""How long the tunnel edge waits and how much it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final, Self

POOL_SIZE_MIN: Final = 1
POOL_SIZE_MAX: Final = 32

_SECONDS: Final = "_seconds"
"""What the names of times end with; all other limits are whole numbers."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """How long the edge waits and how much it takes. Times are seconds, sizes are bytes.

    Raises:
        ValueError: A limit is out of its range.
    """

    default_pool_size: int = POOL_SIZE_MAX
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
    put_aside_bytes: int | None = None
    """Request bodies larger than this, and those that are still growing and have not announced their length,
    are put aside: the envelope names a URL, `inkbox-body-uri`, from which the listener fetches the body. None
    sends every body with its envelope."""
    max_websocket_message_bytes: int = 16 << 20
    """Largest WebSocket message taken from either side."""

    def __post_init__(self) -> None:
        if not POOL_SIZE_MIN <= self.default_pool_size <= POOL_SIZE_MAX:
            raise ValueError(
                f"default_pool_size must be from {POOL_SIZE_MIN} to {POOL_SIZE_MAX}, "
                f"not {self.default_pool_size}"
            )
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{limit.name} must be a number above 0, not {value}")

    @classmethod
    def parse(cls, settings: Iterable[str]) -> Self:
        """The limits with some of them set as on a command line: `response_deadline_seconds=2.5`.

        Raises:
            ValueError: A setting is not `NAME=NUMBER`, or its limit does not exist or is out of its range.
        """
        names = {limit.name for limit in fields(cls)}
        values: dict[str, Any] = {}  # Any: the limits' own types
        for setting in settings:
            name, _, text = setting.partition("=")
            if name not in names:
                raise ValueError(f"there is no limit {name!r}; there are {', '.join(sorted(names))}")
            try:
                values[name] = float(text) if name.endswith(_SECONDS) else int(text)
            except ValueError:
                kind = "a number of seconds" if name.endswith(_SECONDS) else "a whole number"
                raise ValueError(f"{name} needs {kind}, as in {name}=5, not {text!r}") from None
        return cls(**values)
