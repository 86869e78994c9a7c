"""The tunnel edge of the sandbox: what `{zone}` and `https://{handle}.{domain}` are in production.

Its names are imported when they are used: a sandbox without tunnels needs neither TLS nor HTTP/2.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ca import CertificateAuthority, CsrRefused, SignedCertificate
    from .directory import TunnelDirectory, TunnelRecord, Verdict
    from .limits import EdgeLimits
    from .names import EdgeNames
    from .server import Edge

__all__ = [
    "CertificateAuthority",
    "CsrRefused",
    "Edge",
    "EdgeLimits",
    "EdgeNames",
    "SignedCertificate",
    "TunnelDirectory",
    "TunnelRecord",
    "Verdict",
]

_HOMES = {
    "ca": ("CertificateAuthority", "CsrRefused", "SignedCertificate"),
    "directory": ("TunnelDirectory", "TunnelRecord", "Verdict"),
    "limits": ("EdgeLimits",),
    "names": ("EdgeNames",),
    "server": ("Edge",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
