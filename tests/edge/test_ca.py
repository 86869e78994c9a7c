"""The sandbox's certificate authority: what it signs, what it refuses, what it leaves on disk."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import DNSName
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from inkbox_async.sandbox.edge import CertificateAuthority, CsrRefused

HOST = "vault-agent.localhost"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def csr(key: Key, *common_names: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value) for value in common_names])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("public_host", [HOST, f"{HOST}:8443"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_signed_certificate_is_valid_for_ninety_days(
    authority: CertificateAuthority, p256: ec.EllipticCurvePrivateKey, public_host: str, kind: str
) -> None:
    key = p256 if kind == "ec" else rsa.generate_private_key(65537, 2048)
    now = datetime.now(UTC)
    signed = authority.sign(csr(key, public_host), public_host, now)
    leaf = x509.load_pem_x509_certificate(signed.cert_pem.encode())
    chain = x509.load_pem_x509_certificates(signed.chain_pem.encode())
    root = x509.load_pem_x509_certificate(authority.ca_cert_path.read_bytes())
    verifier = PolicyBuilder().store(Store([root])).time(now).build_server_verifier(DNSName(HOST))
    assert verifier.verify(leaf, chain)[-1] == root
    assert signed.cert_pem.endswith("\n")
    assert leaf.public_key() == key.public_key()
    assert leaf.fingerprint(hashes.SHA256()).hex() == signed.fingerprint_sha256
    assert signed.expires_at == leaf.not_valid_after_utc
    assert timedelta(days=89, hours=23) < signed.expires_at - now <= timedelta(days=90)


def test_a_clock_moved_forward_gives_later_ends_and_certificates_that_are_valid_now(
    authority: CertificateAuthority, p256: ec.EllipticCurvePrivateKey
) -> None:
    later = datetime.now(UTC) + timedelta(days=80)
    signed = authority.sign(csr(p256, HOST), HOST, later)
    leaf = x509.load_pem_x509_certificate(signed.cert_pem.encode())
    assert leaf.not_valid_before_utc < datetime.now(UTC)
    assert signed.expires_at - later > timedelta(days=89)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["other.localhost"], "common name"),
        ([], "common name"),
        ([HOST, "other.localhost"], "common name"),
        ([f"{HOST}:1"], "common name"),
    ],
)
def test_other_names_are_refused(
    authority: CertificateAuthority, p256: ec.EllipticCurvePrivateKey, names: list[str], text: str
) -> None:
    with pytest.raises(CsrRefused, match=text):
        authority.sign(csr(p256, *names), HOST, datetime.now(UTC))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 3072),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_other_keys_are_refused(authority: CertificateAuthority, key: Key) -> None:
    with pytest.raises(CsrRefused, match="P-256 or RSA-2048"):
        authority.sign(csr(key, HOST), HOST, datetime.now(UTC))


@pytest.mark.parametrize(
    "text", ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_unreadable_requests_are_refused(authority: CertificateAuthority, text: str) -> None:
    with pytest.raises(CsrRefused, match="PKCS#10"):
        authority.sign(text, HOST, datetime.now(UTC))


def test_a_request_signed_by_someone_else_is_refused(
    authority: CertificateAuthority, p256: ec.EllipticCurvePrivateKey
) -> None:
    der = bytearray(x509.load_pem_x509_csr(csr(p256, HOST).encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CsrRefused):
        authority.sign(broken, HOST, datetime.now(UTC))


def test_a_later_start_trusts_what_an_earlier_one_signed(
    tmp_path: Path, p256: ec.EllipticCurvePrivateKey
) -> None:
    first = CertificateAuthority(tmp_path / "ca")
    root = first.ca_cert_path.read_bytes()
    signed = first.sign(csr(p256, HOST), HOST, datetime.now(UTC))
    second = CertificateAuthority(tmp_path / "ca")
    assert second.ca_cert_path.read_bytes() == root
    again = second.sign(csr(p256, HOST), HOST, datetime.now(UTC))
    verifier = (
        PolicyBuilder()
        .store(Store([x509.load_pem_x509_certificate(root)]))
        .build_server_verifier(DNSName(HOST))
    )
    for one in (signed, again):
        verifier.verify(
            x509.load_pem_x509_certificate(one.cert_pem.encode()),
            x509.load_pem_x509_certificates(one.chain_pem.encode()),
        )


def test_private_keys_stay_private(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    authority.server_context(["localhost"], ["h2"])
    directory = tmp_path / "ca"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name for path in directory.iterdir()} == {"inkbox-sandbox-ca.pem", "ca-key.pem"}
    assert stat.S_IMODE((directory / "ca-key.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in authority.ca_cert_path.read_bytes()
