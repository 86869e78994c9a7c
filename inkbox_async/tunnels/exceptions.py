"""What can go wrong on this machine while a tunnel is set up and run."""

from __future__ import annotations

from ..errors import TunnelError


class TunnelAuthenticationError(TunnelError):
    """The edge rejected the API key for this tunnel; check the key and its scope, then start again."""


class TunnelAppError(TunnelError):
    """The ASGI application refused to start."""


class ForwardTargetRefused(ValueError):
    """`forward_to` points outside this machine; pass `allow_remote_forwarding=True` if that is meant."""


class TunnelStateError(RuntimeError):
    """The state directory is not a plain directory of ours, so no key is kept there."""


class LocalAnswer(Exception):
    """An answer that the listener gives itself, in place of the application.

    Args:
        status: HTTP status for the third party.
        text: Body, as plain text.
        reason: Value of `inkbox-reason`, or None.
    """

    def __init__(self, status: int, text: str, reason: str | None = None) -> None:
        self.status = status
        self.text = text
        self.reason = reason
        super().__init__(status, text)


class AppFailure(LocalAnswer):
    """What an edge is told of a WebSocket whose application raised before it had answered."""
