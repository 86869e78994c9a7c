"""Secrets of an unlocked vault: written sealed, read back typed, changed, deleted; one-time codes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from inkbox_async import (
    APIKeyPayload,
    AsyncInkbox,
    InkboxAPIError,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    TOTPConfig,
    parse_totp_uri,
)
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.sandbox.store import Tx
from inkbox_async.vault import (
    SecretPayload,
    SecretTypeError,
    SecretUnreadableError,
    TOTPNotConfiguredError,
    UnlockedVault,
)
from inkbox_async.vault.payloads import UnknownPayload

from ..contract import Contract
from .conftest import KEY, calls, forget

SECRETS = "/api/v1/vault/secrets"
URI = "otpauth://totp/GitHub:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=GitHub"

PAYLOADS: list[SecretPayload] = [
    LoginPayload("pässwörd-🔑", "ada", "ada@example.com", "https://example.com", notes="line 1\nline 2"),
    LoginPayload("p", totp=parse_totp_uri(URI)),
    APIKeyPayload("ghp_xxx", "https://api.example.com"),
    KeyPairPayload("AK", "SK"),
    SSHKeyPayload("-----BEGIN OPENSSH PRIVATE KEY-----...", passphrase=""),
    OtherPayload("any freeform content " * 1000),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
async def test_every_type_comes_back_as_it_was(
    payload: SecretPayload, unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox
) -> None:
    forget(sandbox)
    created = await unlocked.create_secret("Näme", payload, description="what for")
    assert calls(sandbox) == [("POST", SECRETS)]
    assert (created.name, created.description, created.secret_type) == (
        "Näme",
        "what for",
        payload.secret_type,
    )
    fetched = await unlocked.get_secret(created.id)
    assert fetched.payload == payload
    assert type(fetched.payload) is type(payload)
    assert unlocked.secrets == [fetched], "the cache holds what the server holds"
    assert (await inkbox.vault.unlock(KEY)).secrets == [fetched]


async def test_the_cache_does_not_share_objects_with_the_caller(unlocked: UnlockedVault) -> None:
    payload = LoginPayload("before")
    await unlocked.create_secret("One", payload)
    payload.password = "after"
    assert unlocked.secrets[0].payload == LoginPayload("before")


async def test_listing_needs_no_unlock(unlocked: UnlockedVault, sandbox: Sandbox) -> None:
    for name, payload in ("One", LoginPayload("p")), ("Two", APIKeyPayload("k")):
        await unlocked.create_secret(name, payload)
    async with sandbox.client() as locked:
        assert [secret.name for secret in await locked.vault.list_secrets()] == ["One", "Two"]
        assert [s.name for s in await locked.vault.list_secrets(secret_type="api_key")] == ["Two"]
        with pytest.raises(InkboxAPIError) as caught:
            await locked.vault.list_secrets(secret_type="card")
        assert caught.value.status_code == 422


@pytest.mark.parametrize(
    ("name", "payload", "error", "message"),
    [
        ("", LoginPayload("p"), ValueError, "1 to 255 characters"),
        ("n" * 256, LoginPayload("p"), ValueError, "not 256"),
        (None, LoginPayload("p"), TypeError, "is text"),
        ("n", {"password": "hush"}, TypeError, "must be a LoginPayload"),
        ("n", SecretPayload(notes="hush"), TypeError, "must be a LoginPayload"),
        ("n", UnknownPayload("card", {"number": "hush"}), TypeError, "must be a LoginPayload"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    name: str,
    payload: SecretPayload,
    error: type[Exception],
    message: str,
    unlocked: UnlockedVault,
    sandbox: Sandbox,
) -> None:
    forget(sandbox)
    with pytest.raises(error, match=message) as caught:
        await unlocked.create_secret(name, payload)
    assert "hush" not in str(caught.value)
    assert calls(sandbox) == []


async def test_a_name_of_255_characters_is_fine(unlocked: UnlockedVault) -> None:
    assert (await unlocked.create_secret("ñ" * 255, OtherPayload(""))).name == "ñ" * 255


async def test_update(unlocked: UnlockedVault, sandbox: Sandbox) -> None:
    secret = await unlocked.create_secret("Old", LoginPayload("old", "ada"), description="d")
    path = f"{SECRETS}/{secret.id}"
    forget(sandbox)

    assert (await unlocked.update_secret(secret.id, name="New")).name == "New"
    assert (await unlocked.update_secret(str(secret.id), description=None)).description is None
    assert (await unlocked.update_secret(secret.id)).name == "New"
    assert (await unlocked.update_secret(secret.id, payload=None)).name == "New"
    await unlocked.update_secret(secret.id, payload=LoginPayload("new"), description="again")
    assert calls(sandbox) == [("PATCH", path)] * 5
    bodies = [entry.body for entry in reversed(sandbox.journal.entries())]
    assert bodies == [
        {"name": "New"},
        {"description": None},
        {},
        {},
        {"description": "again", "encrypted_payload": "[redacted]"},
    ]
    fetched = await unlocked.get_secret(secret.id)
    assert fetched.payload == LoginPayload("new"), "a payload is replaced as a whole"
    assert unlocked.secrets == [fetched]
    with pytest.raises(ValueError, match="1 to 255"):
        await unlocked.update_secret(secret.id, name="")


async def test_the_type_cannot_change(unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    elsewhere = await inkbox.vault.unlock(KEY)
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    for vault in (unlocked, elsewhere):
        with pytest.raises(SecretTypeError, match="cannot take a OtherPayload") as caught:
            await vault.update_secret(secret.id, payload=OtherPayload("hush"))
        assert isinstance(caught.value, TypeError)
        assert "hush" not in str(caught.value)
    assert (await unlocked.get_secret(secret.id)).payload == LoginPayload("p")


async def test_a_secret_that_is_not_cached_is_updated_too(
    unlocked: UnlockedVault, inkbox: AsyncInkbox
) -> None:
    elsewhere = await inkbox.vault.unlock(KEY)
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    await elsewhere.update_secret(secret.id, payload=LoginPayload("q"))
    assert elsewhere.secrets == []
    assert (await unlocked.get_secret(secret.id)).payload == LoginPayload("q")


async def test_ids_in_capitals_are_the_same_ids(unlocked: UnlockedVault, inkbox: AsyncInkbox) -> None:
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    shouted = str(secret.id).upper()
    await unlocked.update_secret(shouted, payload=LoginPayload("q"))
    await unlocked.set_totp(shouted, URI)
    fetched = await (await inkbox.vault.unlock(KEY)).get_secret(shouted)
    assert fetched.payload == LoginPayload("q", totp=parse_totp_uri(URI))
    await unlocked.delete_secret(shouted)
    assert unlocked.secrets == []


async def test_delete(unlocked: UnlockedVault, inkbox: AsyncInkbox) -> None:
    first, second = [await unlocked.create_secret(name, LoginPayload("p")) for name in ("One", "Two")]
    await unlocked.delete_secret(first.id)
    await inkbox.vault.delete_secret(second.id)
    assert unlocked.secrets == []
    for delete in (unlocked.delete_secret, inkbox.vault.delete_secret, unlocked.get_secret):
        with pytest.raises(InkboxAPIError) as caught:
            await delete(first.id)
        assert caught.value.status_code == 404


async def test_unknown_ids(unlocked: UnlockedVault) -> None:
    for attempt in (
        unlocked.get_secret(uuid4()),
        unlocked.update_secret(uuid4(), name="n"),
        unlocked.update_secret(uuid4(), payload=LoginPayload("p")),
        unlocked.set_totp(uuid4(), URI),
    ):
        with pytest.raises(InkboxAPIError) as caught:
            await attempt
        assert caught.value.status_code == 404


async def test_one_time_codes(unlocked: UnlockedVault, sandbox: Sandbox) -> None:
    secret = await unlocked.create_secret("GitHub", LoginPayload("p", "ada"))
    path = f"{SECRETS}/{secret.id}"
    with pytest.raises(TOTPNotConfiguredError, match="set_totp") as caught:
        await unlocked.get_totp_code(secret.id)
    assert isinstance(caught.value, ValueError)
    forget(sandbox)
    await unlocked.set_totp(secret.id, URI)
    assert calls(sandbox) == [("GET", path), ("PATCH", path)]
    code = await unlocked.get_totp_code(secret.id)
    assert len(code.code) == 6
    assert 1 <= code.seconds_remaining <= 30
    await unlocked.set_totp(secret.id, TOTPConfig("JBSWY3DPEHPK3PXP", digits=8))
    assert len((await unlocked.get_totp_code(secret.id)).code) == 8
    for _ in range(2):
        await unlocked.remove_totp(secret.id)
    assert (await unlocked.get_secret(secret.id)).payload == LoginPayload("p", "ada")
    assert unlocked.secrets[0].payload == LoginPayload("p", "ada")


async def test_a_bad_uri_is_refused_before_anything_is_sent(
    unlocked: UnlockedVault, sandbox: Sandbox
) -> None:
    secret = await unlocked.create_secret("GitHub", LoginPayload("p"))
    forget(sandbox)
    with pytest.raises(ValueError, match="hotp"):
        await unlocked.set_totp(secret.id, "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP")
    with pytest.raises(TypeError, match="text, not NoneType"):
        await unlocked.set_totp(secret.id, None)  # type: ignore[arg-type]
    assert calls(sandbox) == []


async def test_only_logins_have_one_time_codes(unlocked: UnlockedVault, sandbox: Sandbox) -> None:
    secret = await unlocked.create_secret("Key", APIKeyPayload("k"))
    forget(sandbox)
    for attempt in (
        unlocked.set_totp(secret.id, URI),
        unlocked.remove_totp(secret.id),
        unlocked.get_totp_code(secret.id),
    ):
        with pytest.raises(SecretTypeError, match="only logins") as caught:
            await attempt
        assert isinstance(caught.value, TypeError)
    assert {method for method, _ in calls(sandbox)} == {"GET"}


async def test_what_newer_clients_added_survives_a_change(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox
) -> None:
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    cipher = unlocked._cipher
    sealed = cipher.seal_payload({"password": "p", "passkey": {"id": "x"}}, str(secret.id))
    await sandbox.store.run(lambda tx: tx.update("vault_secrets", secret.id, encrypted_payload=sealed))
    await unlocked.set_totp(secret.id, URI)
    stored = await sandbox.store.run(_payload_column)
    assert cipher.open_payload(stored, str(secret.id))["passkey"] == {"id": "x"}


async def test_a_secret_that_does_not_open_is_set_aside(
    unlocked: UnlockedVault,
    sandbox: Sandbox,
    inkbox: AsyncInkbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = await unlocked.create_secret("Good", LoginPayload("p"))
    bad = await unlocked.create_secret("Bad", LoginPayload("hush"))
    await sandbox.store.run(lambda tx: tx.update("vault_secrets", bad.id, encrypted_payload="AAAA" * 20))
    again = await inkbox.vault.unlock(KEY)
    assert [secret.id for secret in again.secrets] == [good.id]
    (report,) = again.unreadable
    assert (report.id, report.name, report.secret_type, report.payload) == (bad.id, "Bad", "login", None)
    assert "does not open" in report.reason
    assert f"{bad.id} skipped" in caplog.text
    assert "hush" not in caplog.text
    with pytest.raises(SecretUnreadableError, match=f"{bad.id} cannot be read") as caught:
        await again.get_secret(bad.id)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(SecretUnreadableError):
        await again.set_totp(bad.id, URI)

    await again.update_secret(bad.id, name="Still bad")
    assert [report.name for report in again.unreadable] == ["Still bad"]
    assert [secret.id for secret in again.secrets] == [good.id]
    await again.update_secret(bad.id, payload=LoginPayload("mended"))
    assert again.unreadable == []
    assert (await again.get_secret(bad.id)).payload == LoginPayload("mended")


async def test_a_secret_of_an_unknown_type_is_set_aside_with_its_data(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox, contract: Contract
) -> None:
    secret = await unlocked.create_secret("Card", OtherPayload("4242"))
    await sandbox.store.run(lambda tx: tx.update("vault_secrets", secret.id, secret_type="card"))
    again = await inkbox.vault.unlock(KEY)
    assert again.secrets == []
    (report,) = again.unreadable
    assert report.payload == UnknownPayload("card", {"data": "4242"})
    assert "4242" not in repr(report)
    with pytest.raises(SecretUnreadableError, match="does not know secrets of type 'card'"):
        await again.get_secret(secret.id)
    assert [str(listed.secret_type) for listed in await inkbox.vault.list_secrets()] == ["card"]
    await again.delete_secret(secret.id)
    assert again.unreadable == []
    contract.broken.clear()  # the unknown type is what a newer server would say


def _payload_column(tx: Tx) -> str:
    payload: str = tx.value("SELECT encrypted_payload FROM vault_secrets")
    return payload
