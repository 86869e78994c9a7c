"""Serves the third parties of a passthrough tunnel, whose TLS ends in this process."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .http1_server import Http1Server
from .http2_server import Http2Server
from .protocol import Envelope
from .site import Site
from .tcp_bridge import TcpBridge, TcpCloseReason
from .tls import TlsHandshakeError, TlsServerStream

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger("inkbox_async.tunnels")

HANDSHAKE_TIMEOUT: Final = 30.0
CLOSE_NOTIFY_TIMEOUT: Final = 1.0


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
