"""What an application sees of a third party: requests, responders and WebSockets, whatever carries them."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from .bridge_frames import Message
from .protocol import Headers

CANCEL_GRACE: Final = 0.5
"""Seconds an application has to act on a disconnect before its task is cancelled."""


class Body(Protocol):
    """The body of a request, read piece by piece."""

    @property
    def whole(self) -> bytes | None:
        """All of the body when it has arrived already and nothing of it was read, else None."""
        ...

    async def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            ConnectionResetError: The third party or the edge is gone, or the body exceeds the listener's
                limit; the request was then answered already.
        """
        ...


class Request:
    """One request of a third party."""

    __slots__ = (
        "body",
        "client",
        "disconnected",
        "handshake_timeout",
        "headers",
        "http_version",
        "method",
        "public_host",
        "target",
    )

    def __init__(
        self,
        *,
        method: str,
        target: bytes,
        headers: Headers,
        client: str | None,
        public_host: str,
        body: Body,
        http_version: str = "1.1",
        handshake_timeout: float = 30.0,
    ) -> None:
        self.method = method
        self.target = target
        """Path and query as the third party sent them."""
        self.headers = headers
        """The third party's own headers, lower-case."""
        self.client = client
        """The third party's IP address, if known."""
        self.public_host = public_host
        self.body = body
        self.http_version = http_version
        self.handshake_timeout = handshake_timeout
        """Seconds in which a WebSocket's handshake must be through."""
        self.disconnected = asyncio.Event()
        """Set when nobody waits for the response any more."""


class Responder(Protocol):
    """Where the response to a request goes."""

    @property
    def started(self) -> bool:
        """Whether the head of a response was given."""
        ...

    async def start(self, status: int, headers: Headers) -> None:
        """Give the head of the response."""
        ...

    async def send(self, data: bytes, more: bool) -> None:
        """Give a piece of the body; waits while the third party reads slower than that."""
        ...


class WebSocketPeer(Protocol):
    """A third party's WebSocket, from its handshake to its end."""

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the third party offers."""
        ...

    async def accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Complete the handshake.

        Raises:
            ConnectionResetError: The third party is gone.
        """
        ...

    async def reject(self, status: int, headers: Headers, body: bytes) -> None:
        """Refuse the handshake with an HTTP response."""
        ...

    async def receive(self) -> Message:
        """The next message; after a `Close` nothing follows."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message; waits while the third party reads slower than that.

        Raises:
            ConnectionResetError: The WebSocket is over.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """End the WebSocket; does nothing when it is over already."""
        ...


class Target(Protocol):
    """Where requests go: an ASGI application or a URL."""

    async def start(self) -> None:
        """Get ready, once before the first request."""
        ...

    async def aclose(self) -> None:
        """Release everything, once after the last request."""
        ...

    async def http(self, request: Request, responder: Responder) -> None:
        """Answer a request.

        Raises:
            LocalAnswer: The application could not; this is to be said instead, if nothing was sent yet.
        """
        ...

    async def websocket(self, request: Request, peer: WebSocketPeer) -> None:
        """Serve a WebSocket until it ends.

        Raises:
            LocalAnswer: The handshake failed; this is to be said instead, if it was not answered yet.
        """
        ...
