"""The state directory: its layout, its permissions."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from inkbox_async.tunnels import TunnelStateError
from inkbox_async.tunnels.certificates import (
    certificate_expiry,
    certificate_request,
    load_or_create_key,
    needs_signing,
    store_chain,
)
from inkbox_async.tunnels.state import StateDirectory, TunnelState

from .authority import Authority
from .control import TUNNEL_ID

HOST = "my-app.localhost"


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "tunnels" / "my-app")
    state.prepare()
    return state


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestTheDirectory:
    def test_it_is_private(self, state: StateDirectory) -> None:
        assert mode(state.path) == 0o700
        state.path.chmod(0o755)
        state.prepare()
        assert mode(state.path) == 0o700

    def test_the_default_is_in_the_home_directory(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert StateDirectory.default("my-app").path == tmp_path / ".inkbox" / "tunnels" / "my-app"
        assert StateDirectory(Path("~/x")).path == tmp_path / "x"

    def test_a_link_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with pytest.raises(TunnelStateError, match="link"):
            StateDirectory(tmp_path / "link").prepare()

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(TunnelStateError, match="not a directory"):
            StateDirectory(tmp_path / "file").prepare()


class TestTheStateFile:
    def test_its_form(self, state: StateDirectory) -> None:
        state.save(TunnelState(TUNNEL_ID, "my-app", "edge", "inkboxwire.com", "my-app.inkboxwire.com"))
        text = (state.path / "state.json").read_text()
        assert text == (
            '{\n  "mode": "edge",\n  "name": "my-app",\n  "public_host": "my-app.inkboxwire.com",\n'
            f'  "tunnel_id": "{TUNNEL_ID}",\n  "zone": "inkboxwire.com"\n}}\n'
        )
        assert mode(state.path / "state.json") == 0o600
        assert [path.name for path in state.path.iterdir()] == ["state.json"]
        assert state.load().tunnel_id == TUNNEL_ID

    def test_what_is_null_is_left_out(self, state: StateDirectory) -> None:
        state.save(TunnelState(TUNNEL_ID, "my-app"))
        assert json.loads((state.path / "state.json").read_text()) == {
            "tunnel_id": TUNNEL_ID,
            "name": "my-app",
        }

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "7", '{"tunnel_id": 7}', '{"tunnel_id": "no-uuid"}', "\udcff"]
    )
    def test_what_cannot_be_read_is_as_if_missing(self, state: StateDirectory, text: str) -> None:
        (state.path / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert state.load().tunnel_id is None

    def test_an_old_secret_is_ignored_and_not_kept(self, state: StateDirectory) -> None:
        (state.path / "state.json").write_text(json.dumps({"tunnel_id": TUNNEL_ID, "connect_secret": "x"}))
        state.save(state.load())
        assert "connect_secret" not in (state.path / "state.json").read_text()


class TestKeyAndCertificate:
    def test_the_key_is_p256_private_and_kept(self, state: StateDirectory) -> None:
        key = load_or_create_key(state)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == "secp256r1"
        assert mode(state.key_path) == 0o600
        assert state.key_path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
        again = load_or_create_key(state)
        assert again.private_numbers() == key.private_numbers()

    def test_a_key_of_another_kind_is_taken(self, state: StateDirectory) -> None:
        key = rsa.generate_private_key(65537, 2048)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        state.key_path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        state.key_path.chmod(0o644)
        assert isinstance(load_or_create_key(state), rsa.RSAPrivateKey)
        assert mode(state.key_path) == 0o600

    def test_a_broken_key_is_replaced(self, state: StateDirectory) -> None:
        state.key_path.write_bytes(b"not a key")
        assert isinstance(load_or_create_key(state), ec.EllipticCurvePrivateKey)

    def test_the_request(self, state: StateDirectory) -> None:
        key = load_or_create_key(state)
        request = x509.load_pem_x509_csr(certificate_request(key, HOST).encode())
        assert request.is_signature_valid
        assert request.subject.rfc4514_string() == f"CN={HOST}"
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert not names.critical
        assert names.value.get_values_for_type(x509.DNSName) == [HOST]
        assert request.signature_hash_algorithm is not None
        assert request.signature_hash_algorithm.name == "sha256"

    @pytest.mark.parametrize(("days", "renew"), [(10, True), (13.9, True), (14.1, False), (90, False)])
    def test_when_to_renew(
        self, state: StateDirectory, authority: Authority, days: float, renew: bool
    ) -> None:
        key = load_or_create_key(state)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert needs_signing(certificate_expiry(state, key))
        leaf = authority.issue(key.public_key(), HOST, days=days)
        pem = leaf.public_bytes(serialization.Encoding.PEM).decode().rstrip("\n")
        store_chain(state, pem, authority.pem.decode())
        assert needs_signing(certificate_expiry(state, key)) is renew
        assert mode(state.chain_path) == 0o600
        assert len(x509.load_pem_x509_certificates(state.chain_path.read_bytes())) == 2

    def test_a_certificate_for_another_key_does_not_count(
        self, state: StateDirectory, authority: Authority
    ) -> None:
        leaf = authority.issue(ec.generate_private_key(ec.SECP256R1()).public_key(), HOST)
        store_chain(state, leaf.public_bytes(serialization.Encoding.PEM).decode(), "")
        assert certificate_expiry(state, load_or_create_key(state)) is None
