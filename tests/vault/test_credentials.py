"""The typed view of unlocked secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from inkbox_async import (
    APIKeyPayload,
    Credentials,
    DecryptedVaultSecret,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    TOTPConfig,
)
from inkbox_async.vault import SecretPayload, UnreadableSecret
from inkbox_async.vault.exceptions import SecretNotFoundError, SecretUnreadableError

from .vectors import Case, cases, value

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAYLOADS: dict[str, SecretPayload] = {
    "login": LoginPayload("p"),
    "api_key": APIKeyPayload("k"),
    "key_pair": KeyPairPayload("a", "s"),
    "ssh_key": SSHKeyPayload("k"),
    "other": OtherPayload("o"),
}


def secret(payload: SecretPayload, secret_id: UUID | None = None) -> DecryptedVaultSecret:
    return DecryptedVaultSecret(secret_id or uuid4(), "name", payload.secret_type.value, NOW, NOW, payload)


SECRETS = {name: secret(payload) for name, payload in PAYLOADS.items()}
CREDENTIALS = Credentials(list(SECRETS.values()))


@pytest.mark.parametrize("case", cases("credentials"), ids=lambda case: f"{case['method']}-{case['target']}")
def test_accessors(case: Case) -> None:
    if case["target"] == "missing":
        target: object = uuid4()
    elif case["target"] == "login_id_uppercase":
        # The official client does not find it; ids are the same in either case here.
        target = str(SECRETS["login"].id).upper()
        same = {"method": case["method"], "target": "login"}
        (case,) = [other for other in cases("credentials") if same.items() <= other.items()]
    else:
        target = SECRETS[case["target"]].id
    method: Any = getattr(CREDENTIALS, case["method"])  # Any: accessors of different types
    if "returns" in case:
        assert type(method(target)).__name__ == case["returns"]
        return
    error = {"KeyError": KeyError, "TypeError": TypeError, "ValueError": ValueError}[case["raises"]]
    with pytest.raises(error):
        method(target)


def test_lists() -> None:
    for method, types in value("credentials_lists").items():
        listed = getattr(CREDENTIALS, method)()
        assert [item.secret_type for item in listed] == types
    expected = value("credentials_misc")
    assert len(CREDENTIALS) == expected["len"]
    assert repr(CREDENTIALS) == expected["repr"]
    CREDENTIALS.list().clear()
    assert len(CREDENTIALS.list()) == 5


def test_messages_say_what_to_do() -> None:
    missing = uuid4()
    with pytest.raises(SecretNotFoundError, match="unlock the vault again") as not_found:
        CREDENTIALS.get(missing)
    assert str(missing) in str(not_found.value)
    with pytest.raises(SecretNotFoundError, match="'no-uuid'"):
        CREDENTIALS.get("no-uuid")
    with pytest.raises(TypeError, match=r"is of type 'api_key', not 'login'; get\(\)"):
        CREDENTIALS.get_login(SECRETS["api_key"].id)


def test_codes_are_computed_from_what_is_unlocked() -> None:
    login = secret(LoginPayload("p", totp=TOTPConfig("JBSWY3DPEHPK3PXP", digits=8)))
    assert len(Credentials([login]).get_totp_code(str(login.id)).code) == 8


def test_an_unreadable_secret_is_not_listed_and_says_why() -> None:
    report = UnreadableSecret(uuid4(), "Broken", "login", "altered")
    credentials = Credentials([], [report])
    assert credentials.list() == []
    for read in (credentials.get, credentials.get_login, credentials.get_totp_code):
        with pytest.raises(SecretUnreadableError, match=f"{report.id} cannot be read: altered"):
            read(report.id)


def test_the_empty_view() -> None:
    assert Credentials([]).list_logins() == []
    assert len(Credentials([])) == 0
