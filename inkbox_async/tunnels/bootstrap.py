"""From the arguments of `connect` to everything a running tunnel needs: record, certificate, addresses."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import (
    InkboxAPIError,
    InkboxError,
    TunnelNotProvisioned,
    TunnelRemoved,
    TunnelStateConflict,
    TunnelTLSModeMismatch,
)
from ..generated.models.tunnels import TLSMode, Tunnel, TunnelStatus
from .control import ControlPlane
from .options import ListenerOptions
from .protocol import DEFAULT_ZONE
from .state import StateDirectory, TunnelState

if TYPE_CHECKING:
    from .renewal import Certificate

logger = logging.getLogger("inkbox_async.tunnels")


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
        certificate = await asyncio.to_thread(
            _certificate, control, state, str(tunnel.id), public_host, http2=options.enable_h2_transcode
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


def _certificate(
    control: ControlPlane, state: StateDirectory, tunnel_id: str, public_host: str, *, http2: bool
) -> Certificate:
    # X.509 takes tens of milliseconds to import: not on the event loop, and for passthrough tunnels only.
    from .renewal import Certificate

    return Certificate(control, state, tunnel_id, public_host, http2=http2)


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
