"""What a listener is doing, and who wants to hear of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

logger = logging.getLogger("inkbox_async.tunnels")


class TunnelRuntimeStatus(StrEnum):
    """What a listener is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"
    SUPERSEDED = "superseded"


class Status:
    """The runtime status and who wants to hear of it; a status is reported when it changes.

    Args:
        callback: Called with each new status; what it raises is logged.
    """

    def __init__(self, callback: Callable[[str], object] | None) -> None:
        self._callback = callback
        self._on_connected: Callable[[], object] | None = None
        self.current = TunnelRuntimeStatus.IDLE
        self.last_connected_at: datetime | None = None

    def watch(self, on_connected: Callable[[], object]) -> None:
        """Also call a function of our own at each connection."""
        self._on_connected = on_connected

    def change(self, status: TunnelRuntimeStatus) -> None:
        """Enter a status."""
        if status is TunnelRuntimeStatus.CONNECTED:
            self.last_connected_at = datetime.now(UTC)
            if self._on_connected is not None:
                self._on_connected()
        if status is self.current or self.current is TunnelRuntimeStatus.SUPERSEDED:
            return
        self.current = status
        if self._callback is not None:
            try:
                self._callback(status)
            except Exception:
                logger.exception("tunnel: on_status raised")
