"""The payload classes: their wire form, their checks, and that they show nothing."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.vault import VaultSecretType
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.exceptions import VaultDecryptionError
from inkbox_async.vault.payloads import PAYLOAD_TYPES, SecretPayload, UnknownPayload, parse_payload
from inkbox_async.vault.types import (
    APIKeyPayload,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    TOTPConfig,
)

from .vectors import Case, case_id, cases

TEXT = st.text()
OPTIONAL = st.none() | TEXT
TOTP = st.none() | st.builds(
    TOTPConfig,
    st.sampled_from(["JBSWY3DPEHPK3PXP", "gezdgnbvgy3tqojq"]),
    digits=st.sampled_from([6, 8]),
    issuer=OPTIONAL,
    account_name=OPTIONAL,
)
PAYLOADS: st.SearchStrategy[SecretPayload] = st.one_of(
    st.builds(LoginPayload, TEXT, OPTIONAL, OPTIONAL, OPTIONAL, TOTP, notes=OPTIONAL),
    st.builds(APIKeyPayload, TEXT, OPTIONAL, notes=OPTIONAL),
    st.builds(KeyPairPayload, TEXT, TEXT, OPTIONAL, notes=OPTIONAL),
    st.builds(SSHKeyPayload, TEXT, OPTIONAL, OPTIONAL, OPTIONAL, notes=OPTIONAL),
    st.builds(OtherPayload, TEXT, notes=OPTIONAL),
)

KEEPS_UNKNOWN_KEYS = "unknown_keys_are_ignored"


@pytest.mark.parametrize("case", cases("secret_payload_decrypt"), ids=case_id)
def test_reading_foreign_plaintexts(case: Case) -> None:
    cipher = VaultCipher(bytes.fromhex(case["org_encryption_key_hex"]))

    def read() -> SecretPayload | UnknownPayload:
        return parse_payload(
            case["secret_type"], cipher.open_payload(case["encrypted_payload"], case["secret_id"])
        )

    if case["secret_type"] not in PAYLOAD_TYPES:
        assert read() == UnknownPayload("card", {"number": "4242"})
        return
    if "exception" in case:
        with pytest.raises(VaultDecryptionError):
            read()
        return
    payload = read()
    assert isinstance(payload, SecretPayload)
    assert type(payload).__name__ == case["result_class"]
    assert dataclasses.asdict(payload) == case["result"]
    rewritten = payload.to_wire()
    if case["name"] == KEEPS_UNKNOWN_KEYS:
        assert rewritten.pop("future_field") == 1, "fields of newer clients survive a read and a write"
    assert rewritten == json.loads(case["re_serialised"])


@given(payload=PAYLOADS)
def test_payloads_survive_the_wire(payload: SecretPayload) -> None:
    wire = payload.to_wire()
    assert None not in wire.values()
    assert parse_payload(payload.secret_type, wire) == payload


def test_arguments_as_documented() -> None:
    totp = TOTPConfig("JBSWY3DPEHPK3PXP")
    assert LoginPayload("p", "u", "e", "w", totp, notes="n") == LoginPayload(
        password="p", username="u", email="e", url="w", totp=totp, notes="n"
    )
    assert APIKeyPayload("k", "e") == APIKeyPayload(api_key="k", endpoint="e")
    assert KeyPairPayload("a", "s", "e") == KeyPairPayload(access_key="a", secret_key="s", endpoint="e")
    assert SSHKeyPayload("k", "p", "f", "x") == SSHKeyPayload(
        private_key="k", public_key="p", fingerprint="f", passphrase="x"
    )
    assert OtherPayload("d", notes="n") == OtherPayload(data="d", notes="n")
    for payload_type in PAYLOAD_TYPES.values():
        assert isinstance(payload_type.secret_type, VaultSecretType)


@pytest.mark.parametrize(
    ("payload_type", "arguments"),
    [
        (LoginPayload, {"password": None}),
        (LoginPayload, {"password": 12345678}),
        (LoginPayload, {"password": "p", "totp": "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP"}),
        (LoginPayload, {"password": "p", "notes": b"n"}),
        (APIKeyPayload, {"api_key": b"12345678"}),
        (KeyPairPayload, {"access_key": "a", "secret_key": None}),
        (SSHKeyPayload, {"private_key": "k", "passphrase": 12345678}),
        (OtherPayload, {"data": {"a": "12345678"}}),
    ],
)
def test_values_of_the_wrong_type_are_refused_unseen(
    payload_type: Any,
    arguments: dict[str, object],  # Any: wrong arguments on purpose
) -> None:
    with pytest.raises(TypeError, match="must be") as caught:
        payload_type(**arguments)
    assert "12345678" not in str(caught.value)
    assert "JBSWY" not in str(caught.value)


def test_values_are_checked_again_before_they_are_written() -> None:
    payload = LoginPayload("p")
    payload.password = 5  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"LoginPayload\.password must be text, not int"):
        payload.to_wire()


@pytest.mark.parametrize(
    "payload",
    [
        LoginPayload("hush-1", "hush-2", "hush-3", "hush-4", TOTPConfig("HUSHHUSH"), notes="hush-5"),
        APIKeyPayload("hush-1", "hush-2", notes="hush-3"),
        KeyPairPayload("hush-1", "hush-2", "hush-3", notes="hush-4"),
        SSHKeyPayload("hush-1", "hush-2", "hush-3", "hush-4", notes="hush-5"),
        OtherPayload("hush-1", notes="hush-2"),
        UnknownPayload("card", {"hush-1": "hush-2"}),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_payloads_show_no_value(payload: object) -> None:
    for shown in (repr(payload), str(payload), f"{payload}", f"{[payload]}"):
        assert "hush" not in shown.lower()
    assert type(payload).__name__ in repr(payload)


def test_a_repr_tells_what_is_set() -> None:
    assert repr(LoginPayload("p", url="https://example.com")) == "LoginPayload(password=***, url=***)"


def test_malformed_payloads_are_refused_unseen() -> None:
    for wire in (
        {"username": "hush"},
        {"password": ["hush"]},
        {"password": "p", "totp": {"secret": "hush!"}},
    ):
        with pytest.raises(VaultDecryptionError, match="login payload is malformed") as caught:
            LoginPayload.from_wire(dict(wire))
        assert "hush" not in str(caught.value)
        assert caught.value.__context__ is None


def test_copies_keep_what_newer_clients_added() -> None:
    payload = LoginPayload.from_wire({"password": "p", "passkey": {"id": "x"}})
    for twin in (copy.copy(payload), copy.deepcopy(payload), pickle.loads(pickle.dumps(payload))):
        assert twin == payload
        assert twin.to_wire()["passkey"] == {"id": "x"}
