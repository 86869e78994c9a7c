"""The tunnel edge of the sandbox: what `{zone}` and `https://{handle}.{domain}` are in production."""

from inkbox_async.sandbox.edge.ca import CertificateAuthority, CsrRefused, SignedCertificate
from inkbox_async.sandbox.edge.directory import TunnelDirectory, TunnelRecord, Verdict
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.names import EdgeNames
from inkbox_async.sandbox.edge.server import Edge

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
