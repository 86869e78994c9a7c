"""From the arguments of `connect` to everything a running tunnel needs: record, certificate, addresses."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from ..errors import (
    InkboxAPIError,
    InkboxError,
    TunnelNotProvisioned,
    TunnelRemoved,
    TunnelStateConflict,
    TunnelTLSModeMismatch,
)
from ..generated.models.tunnels import SignedCert, TLSMode, Tunnel, TunnelStatus
from .certificates import (
    PrivateKey,
    certificate_expiry,
    certificate_request,
    load_or_create_key,
    needs_signing,
    store_chain,
)
from .options import ListenerOptions, split_zone
from .protocol import DEFAULT_ZONE
from .state import StateDirectory, TunnelState
from .tls import server_context

logger = logging.getLogger("inkbox_async.tunnels")

RENEWAL_CHECK: Final = 3600.0
"""Seconds between looks at the certificate of a running listener."""


class ControlPlane(Protocol):
    """The operations on tunnels that a listener needs."""

    async def list(self) -> list[Tunnel]:
        """All tunnels."""
        ...

    async def get(self, tunnel_id: UUID | str) -> Tunnel:
        """One tunnel."""
        ...

    async def sign_csr(self, tunnel_id: UUID | str, *, csr_pem: str | bytes) -> SignedCert:
        """A certificate for a passthrough tunnel."""
        ...


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


@dataclass(frozen=True)
class Prepared:
    """A tunnel that is ready to be served."""

    tunnel: Tunnel
    public_host: str
    zone: str
    certificate: Certificate | None


async def bootstrap(options: ListenerOptions, control: ControlPlane) -> Prepared:
    """Find the tunnel, make sure it can be served, and remember it for the next start.

    Raises:
        TunnelNotProvisioned: There is no tunnel of that name.
        TunnelRemoved: The tunnel of the last start is gone, and there is no other of that name.
        TunnelStateConflict: The tunnel is not active.
        TunnelTLSModeMismatch: The tunnel has another TLS mode than was asked for.
        TunnelStateError: The state directory is a link.
        InkboxAPIError: The server refused a request.
        InkboxConnectionError: The server could not be reached.
    """
    state = options.state
    state.prepare()
    remembered = state.load()
    tunnel = await _find(options.name, remembered, control)
    if options.tls_mode is not None and tunnel.tls_mode != options.tls_mode:
        raise TunnelTLSModeMismatch(
            409,
            f"the tunnel's TLS mode is {tunnel.tls_mode}, not {TLSMode(options.tls_mode)}; "
            "it is fixed when the identity is created",
        )
    public_host = tunnel.public_host or remembered.public_host or f"{options.name}.{DEFAULT_ZONE}"
    certificate = None
    if tunnel.tls_mode == TLSMode.PASSTHROUGH:
        certificate = Certificate(
            control, state, str(tunnel.id), public_host, http2=options.enable_h2_transcode
        )
        if tunnel.status == TunnelStatus.AWAITING_CERT or certificate.needs_signing:
            await certificate.sign()
            tunnel = await control.get(tunnel.id)
    if tunnel.status != TunnelStatus.ACTIVE:
        raise TunnelStateConflict(409, f"the tunnel's status is {tunnel.status}; it must be active")
    if certificate is not None:
        certificate.context()
    zone = options.data_plane_zone or tunnel.zone or remembered.zone or DEFAULT_ZONE
    state.save(TunnelState(str(tunnel.id), options.name, str(tunnel.tls_mode), zone, public_host))
    return Prepared(tunnel, public_host, zone, certificate)


async def check_not_removed(tunnel: Tunnel, control: ControlPlane) -> None:
    """Whether a tunnel that was served is still there, as far as the control plane can be asked.

    Raises:
        TunnelRemoved: It is gone.
    """
    try:
        await control.get(tunnel.id)
    except InkboxAPIError as error:
        if error.status_code == 404:
            raise _removed(tunnel.tunnel_name, error) from error
    except InkboxError as error:
        logger.debug("tunnel: the control plane could not be asked: %s", error)


def _removed(name: str, error: InkboxAPIError) -> TunnelRemoved:
    return TunnelRemoved(
        f"the tunnel {name!r} was deleted with its identity", agent_support=error.agent_support
    )


async def _find(name: str, remembered: TunnelState, control: ControlPlane) -> Tunnel:
    removed: InkboxAPIError | None = None
    if remembered.tunnel_id is not None:
        try:
            tunnel = await control.get(remembered.tunnel_id)
        except InkboxAPIError as error:
            if error.status_code != 404:
                raise
            removed = error
        else:
            if tunnel.tunnel_name == name:
                return tunnel
    for tunnel in await control.list():
        if tunnel.tunnel_name == name:
            return tunnel
    if removed is not None:
        raise _removed(name, removed) from removed
    raise TunnelNotProvisioned(
        f"no tunnel named {name!r} is visible to this API key; create_identity({name!r}) makes one"
    )
