"""The sandbox's certificate authority: root, issuing CA, server certificates and signed CSRs."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inkbox_async.sandbox.edge.names import hostname
from inkbox_async.sandbox.private import private_directory, temporary_file, write_private

LEAF_DAYS: Final = 90
"""Life of a signed certificate, on the sandbox's clock."""

_CA_DAYS: Final = 3650
_BACKDATE: Final = timedelta(hours=1)
_CA_FILE: Final = "inkbox-sandbox-ca.pem"
_ROOT_KEY_FILE: Final = "ca-key.pem"

_PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class CsrRefused(ValueError):
    """The certificate request cannot be signed; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A leaf that was issued for a CSR. Leaf and chain, put one after the other, are the full chain."""

    cert_pem: str
    chain_pem: str
    fingerprint_sha256: str
    """SHA-256 of the DER form, lower-case hex."""
    expires_at: datetime


class CertificateAuthority:
    """Issues every certificate the edge needs. Its private keys never leave its directory.

    Args:
        directory: Where root certificate and key are kept, and read again by a later start. It is made if
            missing, readable by this user only.
    """

    def __init__(self, directory: Path) -> None:
        private_directory(directory)
        self.ca_cert_path = directory / _CA_FILE
        """PEM of the root: what clients must trust."""
        key_path = directory / _ROOT_KEY_FILE
        if self.ca_cert_path.exists() and key_path.exists():
            self._root = x509.load_pem_x509_certificate(self.ca_cert_path.read_bytes())
            root_key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
            assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        else:
            root_key = ec.generate_private_key(ec.SECP256R1())
            self._root = _authority("Inkbox Sandbox Root CA", root_key, None, root_key, path_length=1)
            write_private(key_path, _private_pem(root_key))
            write_private(self.ca_cert_path, _pem(self._root))
        self._issuing_key = ec.generate_private_key(ec.SECP256R1())
        self._issuing = _authority(
            "Inkbox Sandbox Issuing CA", self._issuing_key, self._root, root_key, path_length=0
        )
        self._server_key = ec.generate_private_key(ec.SECP256R1())

    def server_context(self, names: Sequence[str], alpn: Sequence[str]) -> ssl.SSLContext:
        """A server-side TLS context with a fresh certificate for these DNS names and IP addresses."""
        leaf = self._issue(names, self._server_key.public_key(), datetime.now(UTC), datetime.now(UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(list(alpn))
        # the ssl module loads certificates from files only
        path = temporary_file(
            self.ca_cert_path.parent, _private_pem(self._server_key) + _pem(leaf) + _pem(self._issuing)
        )
        try:
            context.load_cert_chain(path)
        finally:
            path.unlink()
        return context

    def sign(self, csr_pem: str, public_host: str, now: datetime) -> SignedCertificate:
        """Sign a tunnel's certificate request.

        Args:
            csr_pem: PKCS#10 in PEM form; EC P-256 or RSA-2048; its common name must be `public_host`.
            public_host: The tunnel's public host; a port in it is not part of the certificate.
            now: The present on the sandbox's clock; the certificate lives `LEAF_DAYS` from then.

        Raises:
            CsrRefused: The request is unreadable, not validly signed, for another name or of a wrong key.
        """
        key = _checked_key(csr_pem, public_host)
        # A sandbox clock that was moved forward must not give a certificate that is not valid yet.
        leaf = self._issue([hostname(public_host)], key, min(now, datetime.now(UTC)), now)
        return SignedCertificate(
            cert_pem=_pem(leaf).decode("ascii"),
            chain_pem=_pem(self._issuing).decode("ascii"),
            fingerprint_sha256=leaf.fingerprint(hashes.SHA256()).hex(),
            expires_at=leaf.not_valid_after_utc,
        )

    def _issue(
        self, names: Sequence[str], key: _PublicKey, begin: datetime, now: datetime
    ) -> x509.Certificate:
        issuer_key = self._issuing_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(names[0]))
            .issuer_name(self._issuing.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - _BACKDATE)
            .not_valid_after(now + timedelta(days=LEAF_DAYS))
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .sign(self._issuing_key, hashes.SHA256())
        )


def _checked_key(csr_pem: str, public_host: str) -> _PublicKey:
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        names = [attribute.value for attribute in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        signed, key = csr.is_signature_valid, csr.public_key()
    except Exception:  # cryptography raises many kinds for broken DER, among them undocumented ones
        raise CsrRefused("csr_pem is not a readable PKCS#10 certificate request in PEM form") from None
    if not signed:
        raise CsrRefused("the certificate request is not signed with its own key")
    if names not in ([public_host], [hostname(public_host)]):
        raise CsrRefused(f"the common name of the certificate request must be {public_host}")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048:
        return key
    raise CsrRefused("the key of the certificate request must be EC P-256 or RSA-2048")


def _authority(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int,
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = _name(common_name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=_CA_DAYS) if issuer is None else issuer.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
