"""The names the edge answers to: its zone, and the tunnels' public hosts below its domains."""

from __future__ import annotations

import re
from typing import Final

LOCAL_DOMAIN: Final = "localhost"
"""Tunnels are always reachable below this one too: clients resolve `*.localhost` to loopback themselves."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def hostname(authority: str) -> str:
    """The host of `host[:port]`: lower case, no trailing dot, an IPv6 literal without its brackets."""
    authority = authority.strip().lower()
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0].rstrip(".")


class EdgeNames:
    """Which name means what.

    Args:
        zone: Host listeners dial, with a port unless that is 443, as in the tunnel records.
        public_domain: What follows the tunnel's name in its public host, with a port unless that is 443.
    """

    def __init__(self, zone: str, public_domain: str) -> None:
        domains = (hostname(zone), hostname(public_domain), LOCAL_DOMAIN)
        self._domains = frozenset(domains)
        self.service_hosts = tuple(dict.fromkeys((*domains, "127.0.0.1", "::1")))
        """Hosts of the edge itself, never of a tunnel; the zone is the first."""

    def tunnel_name(self, authority: str) -> str | None:
        """The tunnel meant by a Host, `:authority` or SNI value; None when it is no name of a tunnel."""
        label, _, domain = hostname(authority).partition(".")
        if domain in self._domains and _LABEL.fullmatch(label):
            return label
        return None
