"""Signatures against the documented vectors, and verification of everything a stranger may send."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.webhooks import verify_webhook
from inkbox_async.webhooks.signature import sign_webhook, signed_headers

SECRET = "whsec_0123456789abcdef0123456789abcdef"
REQUEST_ID = "3f9c2b1a-6d4e-4f7a-8b21-0c5d9e7f1a23"
TIMESTAMP = "1775845457"
BODY_A = (
    '{"id":"evt_7b0f2c7e-3a51-4d0e-9a5b-2f6c1d8e4a90","event_type":"text.received",'
    '"timestamp":"2026-04-10T18:24:17.038Z","data":{"note":"café"}}'
).encode()
SIGNATURE_A = "sha256=7653524021bcd9b4b1e75f95bfc3189570a2bf0062dc51ee90da405a7c0137ad"
SIGNATURE_EMPTY = "sha256=2f74626083817b5de862c48a7bd036e3661d516609cd0186a7a5b48710c81c6e"
CALL_CONTEXT = (
    b'{"call_id":"c0a8f3d2-1b4e-4c6a-9d7f-5e2b8a1c3f40","phone_number":"+15555550100","direction":"inbound"}'
)
SIGNATURE_CALL = "sha256=26827c221ddd465767c021858eb459dd8fea474b3085f89886742b8258551944"
HEADERS = {
    "X-Inkbox-Request-ID": REQUEST_ID,
    "X-Inkbox-Timestamp": TIMESTAMP,
    "X-Inkbox-Signature": SIGNATURE_A,
}


@pytest.mark.parametrize(
    ("payload", "signature"),
    [(BODY_A, SIGNATURE_A), (b"", SIGNATURE_EMPTY), (CALL_CONTEXT, SIGNATURE_CALL)],
    ids=["body", "empty body", "call context"],
)
def test_documented_vectors(payload: bytes, signature: str) -> None:
    """Signing gives the documented signature and verification accepts it."""
    made = sign_webhook(payload=payload, request_id=REQUEST_ID, timestamp=TIMESTAMP, secret=SECRET)
    assert made == signature
    headers = HEADERS | {"X-Inkbox-Signature": signature}
    assert verify_webhook(payload=payload, headers=headers, secret=SECRET)


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_header_names_in_any_case(spell: Callable[[str], str]) -> None:
    """Frameworks spell header names differently."""
    headers = {spell(name): value for name, value in HEADERS.items()}
    assert verify_webhook(payload=BODY_A, headers=headers, secret=SECRET)


def test_secret_without_its_prefix() -> None:
    """The prefix of the key is no part of it."""
    assert verify_webhook(payload=BODY_A, headers=HEADERS, secret=SECRET.removeprefix("whsec_"))


@pytest.mark.parametrize("form", [bytearray, memoryview])
def test_other_forms_of_bytes(form: Callable[[bytes], bytes]) -> None:
    """Servers hand bodies over as bytes-like objects of several types."""
    assert verify_webhook(payload=form(BODY_A), headers=HEADERS, secret=SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS | {"X-Inkbox-Timestamp": "1"},
        HEADERS | {"X-Inkbox-Request-ID": "other"},
        HEADERS | {"X-Inkbox-Signature": "sha256=" + SIGNATURE_A[7:].upper()},
        HEADERS | {"X-Inkbox-Signature": "SHA256=" + SIGNATURE_A[7:]},
        HEADERS | {"X-Inkbox-Signature": SIGNATURE_A[7:]},
        HEADERS | {"X-Inkbox-Signature": SIGNATURE_A[:17]},
        HEADERS | {"X-Inkbox-Signature": SIGNATURE_A + " "},
        HEADERS | {"X-Inkbox-Signature": "sha256=" + SIGNATURE_A},
        HEADERS | {"X-Inkbox-Signature": "sha256=é\udcff"},
        HEADERS | {"X-Inkbox-Request-ID": "\ud800"},
        HEADERS | {"X-Inkbox-Signature": ""},
        {name: value for name, value in HEADERS.items() if name != "X-Inkbox-Signature"},
        {name: value for name, value in HEADERS.items() if name != "X-Inkbox-Request-ID"},
        {},
    ],
)
def test_wrong_headers(headers: dict[str, str]) -> None:
    """Anything but the exact signature of exactly these values is refused without an exception."""
    assert verify_webhook(payload=BODY_A, headers=headers, secret=SECRET) is False


@pytest.mark.parametrize("secret", ["WHSEC_" + SECRET[6:], SECRET + "\n", "whsec_" + SECRET, "", SECRET[:-1]])
def test_wrong_secrets(secret: str) -> None:
    """A secret is taken as it is, but for one leading `whsec_`."""
    assert not verify_webhook(payload=BODY_A, headers=HEADERS, secret=secret)


def test_changed_body() -> None:
    """One more byte is another body."""
    assert not verify_webhook(payload=BODY_A + b"\n", headers=HEADERS, secret=SECRET)


def test_text_is_refused_with_the_reason() -> None:
    """A decoded body cannot be checked; saying so beats an answer that is always False."""
    with pytest.raises(TypeError, match="raw body"):
        verify_webhook(payload="{}", headers=HEADERS, secret=SECRET)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="signing key"):
        verify_webhook(payload=b"{}", headers=HEADERS, secret=SECRET.encode())  # type: ignore[arg-type]


@given(st.binary(), st.text(), st.integers(0, 2**40))
def test_what_is_signed_verifies_and_nothing_else(payload: bytes, secret: str, timestamp: int) -> None:
    """Round trip for every body and secret; another body never fits."""
    headers = signed_headers(payload=payload, request_id=REQUEST_ID, timestamp=timestamp, secret=secret)
    assert verify_webhook(payload=payload, headers=headers, secret=secret)
    assert not verify_webhook(payload=payload + b"x", headers=headers, secret=secret)


@given(st.dictionaries(st.text(), st.text()) | st.fixed_dictionaries({name: st.text() for name in HEADERS}))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    """Strangers choose the headers; verification answers False."""
    assert verify_webhook(payload=BODY_A, headers=headers, secret=SECRET) is False


def test_without_a_key_nothing_is_signed() -> None:
    """Request id and timestamp travel all the same."""
    headers = signed_headers(payload=b"{}", request_id="r", timestamp=1, secret=None)
    assert headers == {"X-Inkbox-Request-ID": "r", "X-Inkbox-Timestamp": "1"}


def test_the_official_client_agrees() -> None:
    """The published package verifies what is signed here."""
    inkbox = pytest.importorskip("inkbox")
    headers = signed_headers(payload=BODY_A, request_id="any id", timestamp=1775845457, secret=SECRET)
    assert inkbox.verify_webhook(payload=BODY_A, headers=headers, secret=SECRET)
    assert not inkbox.verify_webhook(payload=BODY_A + b" ", headers=headers, secret=SECRET)
