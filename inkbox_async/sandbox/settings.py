"""What a running sandbox is called and where it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .edge import CertificateAuthority

PLATFORM_DOMAIN = "inkboxmail.com"
"""The domain of every mailbox that has no sending domain of its own: the production one."""


@dataclass(slots=True)
class Settings:
    """Names and addresses, complete once the sandbox is ready.

    Attributes:
        base_url: Where the API is, without a trailing slash.
        smtp_host: Where mail is taken in.
        smtp_port: Its port.
        edge_host: Where the tunnel edge listens; None without an edge.
        edge_port: Its port.
        zone: What tunnel clients dial, as tunnel records tell them; by default `localhost:{edge_port}`.
        public_domain: Domain under which tunnels are published; by default the zone.
        allow_external_webhooks: Whether webhooks may be sent to other machines.
        make_authority: Gives what signs the certificates of the edge and of passthrough tunnels; None
            without an edge.
    """

    base_url: str = ""
    smtp_host: str | None = None
    smtp_port: int | None = None
    edge_host: str | None = None
    edge_port: int | None = None
    zone: str | None = None
    public_domain: str | None = None
    allow_external_webhooks: bool = False
    make_authority: Callable[[], CertificateAuthority] | None = field(default=None, repr=False)

    @property
    def authority(self) -> CertificateAuthority | None:
        """Signs the certificates of the edge and of passthrough tunnels; made when it is first asked for."""
        return None if self.make_authority is None else self.make_authority()

    @property
    def ca_cert_path(self) -> str | None:
        """PEM file of the authority."""
        authority = self.authority
        return None if authority is None else str(authority.ca_cert_path)

    @property
    def control_url(self) -> str:
        """Where the control API is."""
        return f"{self.base_url}/_sandbox"

    @property
    def console_url(self) -> str:
        """A page for people that shows what is in the sandbox."""
        return f"{self.base_url}/console"

    @property
    def tunnel_zone(self) -> str:
        """What tunnel clients dial: host, and port where it is not 443."""
        if self.zone is not None:
            return self.zone
        return "localhost" if self.edge_port is None else f"localhost:{self.edge_port}"

    def public_host(self, tunnel_name: str) -> str:
        """Where the world finds a tunnel: `{tunnel_name}.localhost:{edge_port}`."""
        return f"{tunnel_name}.{self.public_domain or self.tunnel_zone}"
