"""The certificate of a passthrough tunnel, renewed before it expires. Imported in a thread."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import datetime
from typing import Final

from ..errors import InkboxError
from .certificates import (
    PrivateKey,
    certificate_expiry,
    certificate_request,
    load_or_create_key,
    needs_signing,
    store_chain,
)
from .control import ControlPlane
from .options import split_zone
from .state import StateDirectory
from .tls import server_context

logger = logging.getLogger("inkbox_async.tunnels")

RENEWAL_CHECK: Final = 3600.0
"""Seconds between looks at the certificate of a running listener."""


class Certificate:
    """The certificate of a passthrough tunnel, renewed before it expires.

    Args:
        control: Signs.
        state: Where key and chain are kept.
        public_host: Whom the certificate names; a port is ignored.
        http2: Whether the TLS context offers HTTP/2.
    """

    def __init__(
        self, control: ControlPlane, state: StateDirectory, tunnel_id: str, public_host: str, *, http2: bool
    ) -> None:
        self._control = control
        self._state = state
        self._tunnel_id = tunnel_id
        self._host = split_zone(public_host)[0]
        self._http2 = http2
        self._key: PrivateKey = load_or_create_key(state)
        self._context: ssl.SSLContext | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the stored certificate expires; None when there is none for the key."""
        return certificate_expiry(self._state, self._key)

    @property
    def needs_signing(self) -> bool:
        """Whether a certificate must be had before serving, or renewed."""
        return needs_signing(self.expires_at)

    async def sign(self) -> None:
        """Have a certificate signed and keep it."""
        request = certificate_request(self._key, self._host)
        signed = await self._control.sign_csr(self._tunnel_id, csr_pem=request)
        store_chain(self._state, signed.cert_pem, signed.chain_pem)
        self._context = None

    def context(self) -> ssl.SSLContext:
        """The TLS context with the current certificate."""
        if self._context is None:
            self._context = server_context(self._state.chain_path, self._state.key_path, http2=self._http2)
        return self._context

    async def keep_renewed(self, interval: float = RENEWAL_CHECK) -> None:
        """Renew the certificate whenever it comes near its end; open connections keep the old one."""
        while True:
            await asyncio.sleep(interval)
            if self.needs_signing:
                try:
                    await self.sign()
                except (InkboxError, OSError) as error:
                    logger.warning(
                        "tunnel: the certificate could not be renewed, next try in %g s: %s", interval, error
                    )
                else:
                    logger.info("tunnel: the certificate was renewed and is valid until %s", self.expires_at)
