"""Serves the third parties of a passthrough tunnel, whose TLS ends in this process."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .exceptions import LocalAnswer
from .exchange import Request, Target
from .http1_server import Http1Server
from .http2_server import Http2Server
from .limits import Limits
from .protocol import Envelope
from .server_websocket import ServerWebSocket
from .tcp_bridge import TcpBridge, TcpCloseReason
from .tls import TlsHandshakeError, TlsServerStream

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger("inkbox_async.tunnels")

HANDSHAKE_TIMEOUT: Final = 30.0
CLOSE_NOTIFY_TIMEOUT: Final = 1.0


@dataclass(frozen=True)
class Site:
    """What is served, and within which limits."""

    target: Target
    public_host: str
    limits: Limits

    async def serve_websocket(self, request: Request, peer: ServerWebSocket) -> None:
        """Let the target serve a WebSocket, and answer the handshake in its place where it does not."""
        try:
            await self.target.websocket(request, peer)
            await peer.close(1000, "")
        except LocalAnswer as answer:
            if peer.answered:
                await peer.close(1011, "")
            else:
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


class Passthrough:
    """Takes the TCP streams that the edge hands over.

    Args:
        context: Gives the TLS context for a new connection; it changes when the certificate is renewed.
        site: What is served.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], site: Site) -> None:
        self._context = context
        self._site = site

    async def serve(self, session: Session, envelope: Envelope) -> None:
        """Serve one connection of a third party until it ends."""
        assert envelope.tcp_id is not None
        session.hold()
        try:
            bridge = await TcpBridge.open(session, envelope.tcp_id)
        except ConnectionResetError as error:
            logger.info("tunnel: a third party's connection was lost: %s", error)
            return
        finally:
            session.release()
        reason = TcpCloseReason.CANCELLED
        try:
            reason = await self._converse(bridge)
        finally:
            await bridge.close(TcpCloseReason.PROTOCOL_ERROR if bridge.broken else reason)

    async def _converse(self, bridge: TcpBridge) -> TcpCloseReason:
        tls = TlsServerStream(bridge, self._context())
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await tls.handshake()
        except (TlsHandshakeError, TimeoutError) as error:
            logger.info("tunnel: a TLS handshake failed: %s", error or "no answer in time")
            return TcpCloseReason.TLS_ERROR
        except ConnectionResetError:
            return TcpCloseReason.INBOUND_ERROR
        protocol = Http2Server if tls.alpn_protocol == "h2" else Http1Server
        try:
            await protocol(tls, self._site).serve()
        except ConnectionResetError as error:
            logger.debug("tunnel: a third party's connection broke: %s", error)
            return TcpCloseReason.INBOUND_ERROR
        except Exception:
            logger.exception("tunnel: an internal error on a third party's connection")
            return TcpCloseReason.OUTBOUND_ERROR
        finally:
            try:
                async with asyncio.timeout(CLOSE_NOTIFY_TIMEOUT):
                    await tls.close_notify()
            except (ConnectionResetError, TimeoutError):
                logger.debug("tunnel: a third party was gone before its TLS connection was closed")
        return TcpCloseReason.CLEAN_EOF
