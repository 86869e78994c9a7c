"""The cryptography, byte for byte against the official client's output."""

from __future__ import annotations

import hashlib
import re

import pytest
from argon2.low_level import ARGON2_VERSION
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.errors import InkboxVaultKeyError
from inkbox_async.vault import crypto
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.exceptions import VaultDecryptionError, VaultOrganizationError
from inkbox_async.vault.payloads import PAYLOAD_TYPES

from .vectors import Case, case_id, cases, value


def force_nonce(monkeypatch: pytest.MonkeyPatch, nonce_hex: str) -> None:
    nonce = bytes.fromhex(nonce_hex)

    def token_bytes(size: int) -> bytes:
        assert size == len(nonce)
        return nonce

    monkeypatch.setattr("inkbox_async.vault.crypto.secrets.token_bytes", token_bytes)


def test_parameters() -> None:
    constants = value("constants")
    assert constants["argon2"] == {
        "type": "argon2id",
        "version": ARGON2_VERSION,
        "time_cost": crypto.ARGON2_TIME_COST,
        "memory_cost_kib": crypto.ARGON2_MEMORY_COST,
        "parallelism": crypto.ARGON2_PARALLELISM,
        "hash_len": crypto.ARGON2_HASH_LEN,
    }
    assert constants["aes"]["key_bytes"] == crypto.AES_KEY_BYTES
    assert constants["aes"]["nonce_bytes"] == crypto.AES_NONCE_BYTES
    assert constants["aes"]["tag_bytes"] == crypto.AES_TAG_BYTES


@pytest.mark.parametrize("case", cases("kdf"), ids=case_id)
def test_key_derivation(case: Case) -> None:
    assert case["vault_key"].encode().hex() == case["vault_key_utf8_hex"]
    salt = crypto.derive_salt(case["organization_id"])
    assert salt.hex() == case["salt_hex"]
    master_key = crypto.derive_master_key(case["vault_key"], salt)
    assert master_key.hex() == case["master_key_hex"]
    assert crypto.compute_auth_hash(master_key) == case["auth_hash"]


@pytest.mark.parametrize("case", cases("kdf_errors"), ids=case_id)
def test_short_organization_ids_are_refused(case: Case) -> None:
    with pytest.raises(VaultOrganizationError, match="at least 8 bytes") as caught:
        crypto.derive_salt(case["organization_id"])
    assert isinstance(caught.value, ValueError)


def test_a_vault_key_that_is_no_unicode_is_refused_without_showing_it() -> None:
    with pytest.raises(InkboxVaultKeyError) as caught:
        crypto.derive_master_key("hunter2-\ud800", b"org_12345")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None, "the encoding error carries the key"


@pytest.mark.parametrize("case", cases("wrap_org_key"), ids=case_id)
def test_wrapping_the_organization_key(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    master_key = bytes.fromhex(case["master_key_hex"])
    org_key = bytes.fromhex(case["org_encryption_key_hex"])
    force_nonce(monkeypatch, case["nonce_hex_input"])
    wrapped = crypto.wrap_org_key(master_key, org_key, case["vault_key_id"])
    assert wrapped == case["wrapped_org_encryption_key"]
    assert crypto.unwrap_org_key(master_key, wrapped, case["vault_key_id"]) == org_key
    with pytest.raises(VaultDecryptionError):
        crypto.unwrap_org_key(master_key, wrapped, "00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("case", cases("secret_payload_encrypt"), ids=case_id)
def test_sealing_payloads(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    cipher = VaultCipher(bytes.fromhex(case["org_encryption_key_hex"]))
    payload = PAYLOAD_TYPES[case["secret_type"]].from_wire(case["payload"])
    force_nonce(monkeypatch, case["nonce_hex_input"])
    sealed = cipher.seal_payload(payload.to_wire(), case["secret_id"])
    assert sealed == case["encrypted_payload"]
    assert cipher.open(sealed, case["secret_id"]).decode() == case["plaintext_utf8"]
    opened = cipher.open_payload(sealed, case["secret_id"])
    assert PAYLOAD_TYPES[case["secret_type"]].from_wire(opened) == payload


@pytest.mark.parametrize("case", cases("decrypt_failures"), ids=case_id)
def test_what_must_not_open(case: Case) -> None:
    cipher = VaultCipher(bytes.fromhex(case["key_hex"]))
    if "result" in case:
        assert cipher.open_payload(case["encrypted_payload"], case["secret_id"]) == case["result"]
        return
    with pytest.raises(VaultDecryptionError) as caught:
        cipher.open_payload(case["encrypted_payload"], case["secret_id"])
    assert isinstance(caught.value, ValueError)


def test_an_undecodable_plaintext_is_not_carried_by_the_error() -> None:
    cipher = VaultCipher(bytes(32))
    for plaintext in (b"hunter2", b"\xff\xfehunter2", b'["hunter2"]', b"[" * 100_000):
        with pytest.raises(VaultDecryptionError, match="not a JSON object") as caught:
            cipher.open_payload(cipher.seal(plaintext, "id"), "id")
        assert caught.value.__context__ is None, "the parser's error carries the plaintext"
        assert "hunter2" not in str(caught.value)


@given(
    key=st.binary(min_size=32, max_size=32),
    payload=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())),
    secret_id=st.uuids().map(str),
)
def test_sealed_payloads_open_again(key: bytes, payload: dict[str, object], secret_id: str) -> None:
    sealed = VaultCipher(key).seal_payload(payload, secret_id)
    assert VaultCipher(key).open_payload(sealed, secret_id) == payload
    assert re.fullmatch("[A-Za-z0-9+/]+={0,2}", sealed)


@given(plaintext=st.binary(max_size=64), position=st.integers(min_value=0), change=st.integers(1, 255))
def test_every_altered_byte_is_noticed(plaintext: bytes, position: int, change: int) -> None:
    from base64 import b64decode, b64encode

    cipher = VaultCipher(hashlib.sha256(plaintext).digest())
    blob = bytearray(b64decode(cipher.seal(plaintext, "id")))
    blob[position % len(blob)] ^= change
    with pytest.raises(VaultDecryptionError):
        cipher.open(b64encode(bytes(blob)).decode(), "id")


def test_nonces_are_fresh() -> None:
    cipher = VaultCipher(crypto.generate_org_encryption_key())
    assert len({cipher.seal(b"same", "id") for _ in range(100)}) == 100


def test_keys_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        VaultCipher(bytes(31))
    with pytest.raises(ValueError, match="32 bytes, not 16"):
        crypto.wrap_org_key(bytes(32), bytes(16), "id")
    short = VaultCipher(bytes(32)).seal(bytes(16), "id")
    with pytest.raises(VaultDecryptionError, match="32 bytes"):
        crypto.unwrap_org_key(bytes(32), short, "id")


def test_the_cipher_shows_no_key() -> None:
    key = crypto.generate_org_encryption_key()
    assert len(key) == 32
    assert key.hex() not in repr(VaultCipher(key)).lower()
    assert repr(key) not in repr(VaultCipher(key))
