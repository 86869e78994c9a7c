"""What a running sandbox is called and where it is reached."""

from __future__ import annotations

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
        ca_cert_path: PEM file of the authority that signed the edge's certificate.
        zone: What tunnel clients dial, as tunnel records tell them; by default `localhost:{edge_port}`.
        public_domain: Domain under which tunnels are published; by default the zone.
        allow_external_webhooks: Whether webhooks may be sent to other machines.
        authority: Signs the certificates of the edge and of passthrough tunnels; None without an edge.
    """

    base_url: str = ""
    smtp_host: str | None = None
    smtp_port: int | None = None
    edge_host: str | None = None
    edge_port: int | None = None
    ca_cert_path: str | None = None
    zone: str | None = None
    public_domain: str | None = None
    allow_external_webhooks: bool = False
    authority: CertificateAuthority | None = field(default=None, repr=False)

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
