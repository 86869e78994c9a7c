"""What a listener was asked to do, checked before anything is stored or sent."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..errors import TunnelNameInvalid
from ..generated.models.tunnels import TLSMode
from ..handles import validate_tunnel_name
from .forward_check import check_forward_url, trust_authorities
from .limits import Limits, Timing
from .protocol import DEFAULT_BODY_LIMIT, POOL_SIZE_MAX, POOL_SIZE_MIN
from .state import StateDirectory

DATA_PLANE_PORT: Final = 443
CA_VARIABLE: Final = "INKBOX_CA_BUNDLE"

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]  # Any: frameworks type these differently
ForwardTo: TypeAlias = str | ASGIApp
CaBundle: TypeAlias = bytes | str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class ListenerOptions:
    """The arguments of `connect`, checked.

    Raises:
        TunnelNameInvalid: `name` is no legal handle.
        ForwardTargetRefused: `forward_to` leads away from this machine.
        TypeError: `forward_to` is neither a URL nor an application, or another argument is of a wrong type.
        ValueError: Another argument is out of range or unusable.
        OSError: A CA bundle cannot be read.
    """

    name: str
    forward_to: ForwardTo
    tls_mode: TLSMode | str | None = None
    pool_size: int | None = None
    state_dir: str | os.PathLike[str] | None = None
    on_status: Callable[[str], object] | None = None
    allow_remote_forwarding: bool = False
    forward_to_verify_tls: bool = True
    forward_to_ca_bundle: CaBundle | None = None
    data_plane_zone: str | None = None
    max_inbound_body_bytes: int = DEFAULT_BODY_LIMIT
    max_outbound_body_bytes: int = DEFAULT_BODY_LIMIT
    enable_h2_transcode: bool = True
    ca: CaBundle | None = None
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TunnelNameInvalid(f"name must be text, not {type(self.name).__name__}")
        object.__setattr__(self, "name", validate_tunnel_name(self.name))
        size = self.pool_size
        if size is not None and (
            not isinstance(size, int) or isinstance(size, bool) or not POOL_SIZE_MIN <= size <= POOL_SIZE_MAX
        ):
            raise ValueError(f"pool_size must be a number from {POOL_SIZE_MIN} to {POOL_SIZE_MAX}")
        if isinstance(self.forward_to, str):
            check_forward_url(self.forward_to, allow_remote=self.allow_remote_forwarding)
            if (bundle := self.upstream_ca()) is not None:
                trust_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), bundle)
        elif not callable(self.forward_to):
            raise TypeError("forward_to must be a URL or an ASGI application")
        if self.on_status is not None and not callable(self.on_status):
            raise TypeError("on_status must be a function")
        for name in ("max_inbound_body_bytes", "max_outbound_body_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} must be a number of bytes")
        if self.tls_mode is not None and self.tls_mode not in ("edge", "passthrough"):
            raise ValueError("tls_mode must be 'edge' or 'passthrough'")
        if self.data_plane_zone is not None:
            split_zone(self.data_plane_zone)
        self.extra_ca()

    @property
    def limits(self) -> Limits:
        """The caps on bodies."""
        return Limits(self.max_inbound_body_bytes, self.max_outbound_body_bytes)

    @property
    def state(self) -> StateDirectory:
        """Where key, certificate and state are kept."""
        if self.state_dir is None:
            return StateDirectory.default(self.name)
        return StateDirectory(Path(self.state_dir))

    def upstream_ca(self) -> bytes | None:
        """More authorities (PEM) to trust for an `https://` target, where its certificate is looked at."""
        bundle = self.forward_to_ca_bundle
        return None if bundle is None or not self.forward_to_verify_tls else read_bundle(bundle)

    def extra_ca(self) -> bytes | None:
        """More authorities (PEM) to trust for the edge; `ca`, else the file that INKBOX_CA_BUNDLE names."""
        bundle = self.ca if self.ca is not None else os.environ.get(CA_VARIABLE) or None
        return None if bundle is None else read_bundle(bundle)


def read_bundle(bundle: CaBundle) -> bytes:
    """The PEM bytes of a CA bundle, given as such or as a path.

    Raises:
        OSError: The file cannot be read.
    """
    return bundle if isinstance(bundle, bytes) else Path(bundle).expanduser().read_bytes()


def split_zone(zone: str) -> tuple[str, int]:
    """Host and port of a zone; the port is 443 unless the zone names one (`localhost:8443`, `[::1]:8443`).

    Raises:
        ValueError: It is neither a host nor `host:port`.
    """
    host, colon, port = zone.rpartition(":")
    if not colon or (zone.count(":") > 1 and not host.endswith("]")):
        host, port = zone, str(DATA_PLANE_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or any(c.isspace() for c in host) or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"the zone must be a host or host:port, not {zone!r}")
    return host, int(port)
