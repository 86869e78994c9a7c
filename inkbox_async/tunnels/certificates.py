"""The key and certificate of a passthrough tunnel; the key never leaves this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ..secrecy import hiding
from .state import CHAIN_FILE, KEY_FILE, StateDirectory

RENEW_BEFORE: Final = timedelta(days=14)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@hiding
def load_or_create_key(state: StateDirectory) -> PrivateKey:
    """The key of the state directory; a new EC P-256 key when there is none that can be read."""
    pem = state.read(KEY_FILE)
    if pem is not None:
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            key = None
        if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            state.key_path.chmod(0o600)
            return key
    new = ec.generate_private_key(ec.SECP256R1())
    state.write(
        KEY_FILE,
        new.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return new


def certificate_request(key: PrivateKey, public_host: str) -> str:
    """A certificate signing request (PKCS#10, PEM) for the public host."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, public_host)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(public_host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def certificate_expiry(state: StateDirectory, key: PrivateKey) -> datetime | None:
    """When the stored certificate expires; None when there is none for this key."""
    pem = state.read(CHAIN_FILE)
    if pem is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None
    if _public_bytes(certificate.public_key()) != _public_bytes(key.public_key()):
        return None
    return certificate.not_valid_after_utc


def needs_signing(expiry: datetime | None, now: datetime | None = None) -> bool:
    """Whether a certificate must be had or renewed: there is none, or it has less than 14 days left."""
    return expiry is None or expiry - (now or datetime.now(UTC)) < RENEW_BEFORE


def store_chain(state: StateDirectory, cert_pem: str, chain_pem: str) -> None:
    """Keep a signed certificate with its intermediates, leaf first."""
    leaf = cert_pem if cert_pem.endswith("\n") else f"{cert_pem}\n"
    state.write(CHAIN_FILE, (leaf + chain_pem).encode("ascii"))


def _public_bytes(key: object) -> bytes:
    assert hasattr(key, "public_bytes")
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
