"""What a tunnel serves: the target, its public host, and the limits on bodies."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from .exceptions import AppFailure, LocalAnswer
from .exchange import Request, Target
from .limits import Limits
from .server_websocket import ServerWebSocket

logger = logging.getLogger("inkbox_async.tunnels")


@dataclass(frozen=True)
class Site:
    """What is served, and within which limits."""

    target: Target
    public_host: str
    limits: Limits

    async def serve_websocket(self, request: Request, peer: ServerWebSocket) -> None:
        """Let the target serve a WebSocket that ends in this process, as those of passthrough tunnels do.

        Where the target does not answer the handshake, it is answered in its place.
        """
        try:
            await self.target.websocket(request, peer)
            await peer.close(1000, "")
        except LocalAnswer as answer:
            if peer.answered:
                await peer.close(1011, "")
            else:
                if isinstance(answer, AppFailure):
                    answer = LocalAnswer(500, "internal error")
                await peer.reject(answer.status, [(b"content-type", b"text/plain")], answer.text.encode())
        except asyncio.CancelledError:
            await peer.close(1001, "")
            raise
        except ConnectionResetError:
            logger.debug("tunnel: a third party went away during a WebSocket")
        except Exception:
            logger.exception("tunnel: an internal error in a WebSocket")
            if peer.answered:
                await peer.close(1011, "")
            else:
                await peer.reject(500, [(b"content-type", b"text/plain")], b"internal error")
        finally:
            await peer.aclose()
