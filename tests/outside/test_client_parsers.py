"""What the client reads: headers, error bodies, settings, vault blobs, handles, otpauth addresses."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from unittest import mock

import aiohttp
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from inkbox_async import InkboxAPIError, InkboxError, TunnelNameInvalid, parse_totp_uri
from inkbox_async.call import Call, RawResponse
from inkbox_async.error_mapping import LONGEST_TEXT, api_error
from inkbox_async.errors import DuplicateContactRuleError
from inkbox_async.generated.models.vault import VaultSecretDetail
from inkbox_async.handles import validate_agent_handle
from inkbox_async.observe import response_notices
from inkbox_async.pool import _CookieJar, environment_proxy
from inkbox_async.resource import segment
from inkbox_async.secrecy import public_url, shown, shown_detail, without_recognisable
from inkbox_async.settings import Settings
from inkbox_async.transport import _redirect_target
from inkbox_async.vault.crypto import VaultCipher, derive_master_key, derive_salt, unwrap_org_key
from inkbox_async.vault.decrypted import open_secrets
from inkbox_async.vault.exceptions import VaultDecryptionError
from inkbox_async.vault.keys import canonical_recovery_code, validate_vault_key
from inkbox_async.vault.payloads import PAYLOAD_TYPES, SecretPayload, parse_payload
from inkbox_async.vault.totp import TOTPConfig, generate_totp

from .damage import JSON, damaged, damaged_text

TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
DATES = ("Fri, 31 Dec 1999 23:59:59 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "120")
ERRORS = [
    json.dumps(body).encode()
    for body in (
        {"detail": "No."},
        {"detail": [{"loc": ["body", "name"], "msg": "Too long", "type": "value_error", "input": {"a": 1}}]},
        {"detail": {"existing_rule_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}},
        {"detail": {"error": "storage_limit_exceeded", "limit_bytes": 5, "upgrade_url": "https://a.example"}},
        {"detail": {"error": "recipient_blocked", "matched_rule_id": "x", "address": "a@b.example"}},
        {"detail": {"error": "dedicated_imessage_number_quota_exceeded", "limit": 1, "current": 2}},
        {"detail": "No.", "agent_support": "Ask."},
    )
]


@given(
    status=st.integers(400, 599),
    body=st.binary(max_size=200) | damaged(ERRORS) | JSON.map(lambda value: json.dumps(value).encode()),
    retry_after=TEXT | damaged_text(DATES) | st.sampled_from(DATES),
    date=TEXT | damaged_text(DATES) | st.sampled_from(DATES),
)
@example(status=409, body=b'{"detail": {"existing_rule_id": []}}', retry_after="", date="")
@example(
    status=429, body=b"", retry_after="Fri, 31 Dec 9999 23:59:59 -2359", date="Mon, 1 Jan 0001 00:00:00 +2359"
)
def test_every_error_answer_is_an_api_error(status: int, body: bytes, retry_after: str, date: str) -> None:
    headers = CIMultiDict({"Retry-After": retry_after, "Date": date, "X-Request-ID": "1"})
    error = api_error(status, headers, body, method="GET", path="/api/v1/x")
    assert isinstance(error, InkboxAPIError)
    assert error.status_code == status
    assert len(str(error)) < 10 * LONGEST_TEXT or isinstance(error.detail, (dict, list))
    repr(error)
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds < 10**9
    assert error.retry_at is None or isinstance(error.retry_at, datetime)
    if isinstance(error, DuplicateContactRuleError):
        assert error.existing_rule_id


@given(
    header=st.none() | TEXT | JSON.map(json.dumps),
    body=st.binary(max_size=100) | JSON.map(lambda v: json.dumps(v).encode()),
)
def test_notices_are_found_or_there_are_none(header: str | None, body: bytes) -> None:
    headers = {} if header is None else {"Inkbox-Notices": header}
    for notice in response_notices("GET", "/api/v1/identities", 200, headers, body) or []:
        assert isinstance(notice.code, str)


LOCATIONS = (
    "/api/v1/x",
    "https://inkbox.ai/api?x=1#y",
    "//other.example/",
    "http://[::1]:80/",
    "?q",
    "https://",
)


@given(location=TEXT | damaged_text(LOCATIONS), status=st.sampled_from([301, 302, 303, 304, 307, 308, 300]))
def test_a_location_is_followed_within_the_origin_or_an_error(location: str, status: int) -> None:
    url = URL("https://inkbox.ai/api/v1/a")
    call = Call("GET", "/api/v1/a", "/api/v1/a", CIMultiDict(), None, aiohttp.ClientTimeout(), True, 0)
    answer = RawResponse(status, CIMultiDictProxy(CIMultiDict({"Location": location})), b"")
    with suppress(InkboxAPIError):
        target = _redirect_target(call, url, answer, last=False)
        assert target.origin() == url.origin()


@given(
    header=TEXT.filter(lambda text: not {*"\r\n\0"} & {*text})
    | damaged_text(("a=b; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9", "a", "=", 'a="b\\'))
)
@example(header="a=b; Expires=Mon, 32 Foo 99999 99:99:99 GMT")
@example(header="a=b; Max-Age=" + "9" * 5000)
@example(header="a=b; Domain=[::")
def test_every_cookie_is_kept_or_dropped(header: str) -> None:
    async def keep() -> None:
        jar = _CookieJar(unsafe=True, quote_cookie=False)
        jar.update_cookies_from_headers([header], URL("https://inkbox.ai/api"))
        for name, cookie in jar.filter_cookies(URL("https://inkbox.ai/api")).items():
            assert name == cookie.key

    asyncio.run(keep())


@given(
    content=st.binary(max_size=200)
    | damaged([b"api_key = \"x\"\nbase_url=https://a.example\n# c\nvault_key='y'"])
)
def test_every_configuration_file_gives_settings_or_a_value_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / ".inkbox").mkdir()
        (Path(home) / ".inkbox" / "config").write_bytes(content)
        with mock.patch.dict(os.environ, {"HOME": home, "USERPROFILE": home}), suppress(ValueError):
            settings = Settings.resolve()
            assert settings.api_key
            assert settings.base_url.startswith("http")


ADDRESSES = (
    "https://inkbox.ai",
    "http://localhost:80/x",
    "http://[::1]",
    "https://a.example/b/",
    "http://127.0.0.1",
)
ENVIRONMENT = TEXT.filter(
    lambda text: (
        "\0" not in text and not any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) <= 0xDFFF for c in text)
    )
)


@given(
    key=ENVIRONMENT,
    address=ENVIRONMENT | damaged_text(ADDRESSES).filter(lambda t: "\0" not in t),
    vault=ENVIRONMENT,
)
@example(key="ApiKey_x", address="https://[", vault="")
@example(key="ApiKey_x", address="https://a.example:99999999999999999999", vault="")
def test_every_environment_gives_settings_or_a_value_error(key: str, address: str, vault: str) -> None:
    values = {
        "INKBOX_API_KEY": key,
        "INKBOX_BASE_URL": address,
        "INKBOX_VAULT_KEY": vault,
        "HOME": "/nonexistent",
    }
    with mock.patch.dict(os.environ, values), suppress(ValueError):
        settings = Settings.resolve()
        assert settings.base_url.startswith(("https://", "http://"))
        URL(settings.base_url)


@given(
    proxy=ENVIRONMENT
    | damaged_text(("http://user:pw@proxy.example:3128", "socks5://a", "proxy:80")).filter(
        lambda t: "\0" not in t
    )
)
@example(proxy="http://[")
@example(proxy="http://a:99999")
def test_every_proxy_of_the_environment_is_used_or_an_inkbox_error(proxy: str) -> None:
    with mock.patch.dict(os.environ, {"HTTPS_PROXY": proxy, "NO_PROXY": ""}), suppress(InkboxError):
        found = environment_proxy(URL("https://inkbox.ai"))
        assert found is None or found.scheme in ("http", "https")


@given(text=TEXT | damaged_text(("https://u:p@a.example/x?k=v&w#f", "sip:a:b@c;d=e", "data:a;base64,QQ==")))
def test_every_address_can_be_shown(text: str) -> None:
    public_url(text)
    without_recognisable(text)
    assert "k3y" not in public_url(f"https://a.example/?x=k3y&{text.replace('k3y', '')}=k3y")


@given(value=JSON)
def test_every_json_value_can_be_shown(value: object) -> None:
    shown("anything", value)
    shown_detail(value)


@given(text=TEXT | damaged_text(("sales-agent", "@Sales-Agent", "a1")))
def test_every_text_is_a_handle_or_not(text: str) -> None:
    with suppress(TunnelNameInvalid):
        handle = validate_agent_handle(text)
        assert handle.isascii()
        assert validate_agent_handle(handle) == handle


@given(text=TEXT)
def test_every_text_is_a_segment_of_a_path_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert "/" not in segment(text)


URIS = (
    "otpauth://totp/Issuer:ann@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Issuer&algorithm=SHA256&digits=8&period=60",
    "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP",
    "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1",
)


@given(uri=damaged_text(URIS))
def test_every_damaged_otpauth_address_is_a_configuration_or_a_value_error(uri: str) -> None:
    with suppress(ValueError):
        config = parse_totp_uri(uri)
        code = generate_totp(config, at=0)
        assert len(code.code) == config.digits
        assert TOTPConfig.from_wire(config.to_wire()) == config


KEY = bytes(range(32))
CIPHER = VaultCipher(KEY)
SEALED = [CIPHER.seal(b'{"password": "x"}', "id").encode(), CIPHER.seal(KEY, "id").encode(), b"", b"QUJD"]


@given(
    blob=(st.binary(max_size=80) | damaged(SEALED)).map(lambda data: data.decode("utf-8", "surrogateescape"))
)
@example(blob="é" * 50)
def test_every_blob_opens_as_it_was_sealed_or_not_at_all(blob: str) -> None:
    with suppress(VaultDecryptionError):
        assert CIPHER.open(blob, "id") in (b'{"password": "x"}', KEY)
    with suppress(VaultDecryptionError):
        assert CIPHER.open_payload(blob, "id") == {"password": "x"}
    with suppress(VaultDecryptionError):
        assert unwrap_org_key(KEY, blob, "id") == KEY


@given(
    plaintext=st.binary(max_size=60)
    | damaged([b'{"password": "x", "totp": {"secret": "ABCDEFGH", "digits": 6}}'])
)
@example(plaintext=b"[" * 100_000)
@example(plaintext=b"9" * 5000)
def test_every_plaintext_is_an_object_or_a_decryption_error(plaintext: bytes) -> None:
    with suppress(VaultDecryptionError):
        assert isinstance(CIPHER.open_payload(CIPHER.seal(plaintext, "id"), "id"), dict)


PAYLOADS = st.dictionaries(
    st.sampled_from(["password", "username", "totp", "notes", "data", "private_key", "api_key", "newer"])
    | st.text(max_size=4),
    JSON
    | st.fixed_dictionaries(
        {"secret": st.just("JBSWY3DPEHPK3PXP") | JSON},
        optional={"algorithm": JSON | st.just("sha1"), "digits": JSON, "period": JSON, "issuer": JSON},
    ),
    max_size=5,
)


@given(kind=st.sampled_from([*PAYLOAD_TYPES, "newer"]), wire=PAYLOADS)
@example(kind="login", wire={"password": "x", "totp": {"secret": "ABCDEFGH", "algorithm": []}})
@example(kind="login", wire={"password": "x", "totp": {"secret": "ABCDEFGH", "digits": 1e400}})
def test_every_object_is_a_payload_or_a_decryption_error(kind: str, wire: dict[str, object]) -> None:
    with suppress(VaultDecryptionError):
        payload = parse_payload(kind, wire)
        if isinstance(payload, SecretPayload):
            assert parse_payload(kind, payload.to_wire()) == payload
            repr(payload)


@given(
    items=st.lists(
        JSON | st.dictionaries(st.sampled_from([*VaultSecretDetail.model_fields]), JSON), max_size=4
    )
)
def test_every_bundle_of_secrets_is_sorted_into_readable_and_unreadable(items: list[object]) -> None:
    found = open_secrets(CIPHER, items)
    assert len(found.readable) + len(found.unreadable) <= len(items)


@given(text=TEXT)
def test_every_text_is_a_vault_key_and_a_recovery_code_or_not(text: str) -> None:
    code = canonical_recovery_code(text)
    assert code is None or canonical_recovery_code(code) == code
    with suppress(InkboxError):
        validate_vault_key(text)
    with mock.patch("inkbox_async.vault.crypto.ARGON2_MEMORY_COST", 8), suppress(InkboxError):
        assert len(derive_master_key(text, derive_salt("organization"))) == 32
