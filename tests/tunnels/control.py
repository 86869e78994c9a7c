"""A control plane in memory: one tunnel, and an authority that signs its certificates."""

from __future__ import annotations

import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from inkbox_async.errors import InkboxAPIError
from inkbox_async.generated.models.tunnels import SignedCert, Tunnel

from .authority import Authority

TUNNEL_ID = "6f1d2c3b-8a49-4e57-b0c6-2d9e4f7a1b38"
API_KEY = "ApiKey_test"
NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


class FakeControl:
    """Answers like the API, and counts what it was asked."""

    def __init__(
        self, authority: Authority, zone: str, *, tls_mode: str = "edge", status: str | None = None
    ) -> None:
        self.authority = authority
        self.calls: list[str] = []
        self.certificate_days: float = 90
        self.failures: list[Exception] = []
        self.tunnel = Tunnel.model_validate(
            {
                "id": TUNNEL_ID,
                "organization_id": "org_test",
                "tunnel_name": "my-app",
                "tls_mode": tls_mode,
                "status": status or ("active" if tls_mode == "edge" else "awaiting_cert"),
                "public_host": "my-app.localhost",
                "zone": zone,
                "metadata": {},
                "created_at": NOW,
                "updated_at": NOW,
            }
        )

    async def list(self) -> list[Tunnel]:
        self._called("list")
        return [self.tunnel]

    async def get(self, tunnel_id: UUID | str) -> Tunnel:
        self._called("get")
        if str(tunnel_id) != str(self.tunnel.id):
            raise InkboxAPIError(404, "Not found")
        return self.tunnel

    async def sign_csr(self, tunnel_id: UUID | str, *, csr_pem: str | bytes) -> SignedCert:
        self._called("sign_csr")
        request = x509.load_pem_x509_csr(csr_pem.encode() if isinstance(csr_pem, str) else csr_pem)
        (name,) = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        signed = self.authority.issue(key, str(name.value), days=self.certificate_days)
        self.tunnel = self.tunnel.model_copy(update={"status": type(self.tunnel.status)("active")})
        return SignedCert(
            cert_pem=signed.public_bytes(serialization.Encoding.PEM).decode(),
            chain_pem=self.authority.pem.decode(),
            cert_fingerprint_sha256=signed.fingerprint(hashes.SHA256()).hex(),
            cert_expires_at=signed.not_valid_after_utc,
        )

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.failures:
            raise self.failures.pop(0)
