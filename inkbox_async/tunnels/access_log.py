"""One log line for each request served; the query, which may hold secrets, is left out."""

from __future__ import annotations

import logging

logger = logging.getLogger("inkbox_async.tunnels.access")


def is_enabled() -> bool:
    """Whether anybody reads the lines."""
    return logger.isEnabledFor(logging.INFO)


def log(method: str, target: bytes, outcome: int | str, seconds: float) -> None:
    """Note a request that was served.

    Args:
        method: HTTP method, or `WS` for a WebSocket.
        target: Path and query.
        outcome: HTTP status, or what became of the request.
        seconds: How long it took.
    """
    path = target.partition(b"?")[0].decode("utf-8", "backslashreplace")
    logger.info("%s %s -> %s (%.0f ms)", method, path, outcome, seconds * 1000)
