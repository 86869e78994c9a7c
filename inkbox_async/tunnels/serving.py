"""From a tunnel that is ready to what serves it: the seam to the heavy half. Imported in a thread."""

from __future__ import annotations

from .asgi import AsgiTarget
from .body_fetch import BodyFetcher
from .bootstrap import Prepared
from .connection import data_plane_context
from .exchange import Target
from .forward_url import PASSTHROUGH_TIMEOUTS, UrlTarget, upstream_context
from .options import ListenerOptions, split_zone
from .passthrough import Passthrough
from .protocol import DataPlane
from .runtime import Runtime
from .service import Service
from .session import EdgeAddress
from .site import Site
from .status import Status


def make_runtime(options: ListenerOptions, prepared: Prepared, api_key: str, status: Status) -> Runtime:
    """What serves a tunnel. Reads certificate stores, which takes tens of milliseconds.

    Args:
        options: What the listener was asked to do.
        prepared: The tunnel.
        api_key: Proves to the edge that the tunnel is ours.
        status: Told of every change.

    Raises:
        ValueError: A CA bundle holds no certificate.
        OSError: A CA bundle cannot be read.
    """
    host, port = split_zone(prepared.zone)
    extra_ca = options.extra_ca()
    certificate = prepared.certificate
    site = Site(_target(options, passthrough=certificate is not None), prepared.public_host, options.limits)
    plane = DataPlane(prepared.zone, str(prepared.tunnel.id), api_key)
    return Runtime(
        Service(plane, site, BodyFetcher(extra_ca)),
        address=EdgeAddress(host, port, data_plane_context(extra_ca)),
        status=status,
        pool_size=options.pool_size,
        passthrough=Passthrough(certificate.context, site) if certificate is not None else None,
        timing=options.timing,
        chores=[certificate.keep_renewed] if certificate is not None else [],
    )


def _target(options: ListenerOptions, *, passthrough: bool) -> Target:
    if not isinstance(options.forward_to, str):
        return AsgiTarget(options.forward_to)
    context = upstream_context(verify=options.forward_to_verify_tls, ca_bundle=options.upstream_ca())
    return UrlTarget(options.forward_to, context, PASSTHROUGH_TIMEOUTS if passthrough else None)
