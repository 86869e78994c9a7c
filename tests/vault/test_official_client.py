"""Bytes are interchangeable with the official client, on the same server and function by function."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import inkbox as official
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from inkbox.vault import crypto as official_crypto
from inkbox.vault import totp as official_totp
from inkbox.vault import types as official_types

from inkbox_async import (
    APIKeyPayload,
    AsyncInkbox,
    DecryptedVaultSecret,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    generate_totp,
    generate_vault_key_material,
    parse_totp_uri,
)
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.vault import UnlockedVault, crypto
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.payloads import SecretPayload, parse_payload

from .conftest import KEY, NEXT_KEY
from .test_payloads import PAYLOADS

URI = "otpauth://totp/GitHub:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=GitHub&algorithm=SHA256&digits=8"
UNICODE_KEY = "Pässwörd-Ключ-鍵-01!"

SAMPLES: list[SecretPayload] = [
    LoginPayload("pässwörd-🔑", "ada", "ada@example.com", "https://example.com", parse_totp_uri(URI)),
    LoginPayload("", notes=""),
    APIKeyPayload("ghp_xxx", "https://api.example.com", notes="n"),
    KeyPairPayload("AK", "SK", "https://s3.example.com"),
    SSHKeyPayload("-----BEGIN\n...", "ssh-ed25519 AAAA", "SHA256:abc", "pp"),
    OtherPayload("line 1\nline 2\t\u2028 \U0001f511"),
]


def as_official(payload: SecretPayload) -> Any:  # Any: the official client's payload of the same name
    arguments = {
        field.name: getattr(payload, field.name) for field in dataclasses.fields(payload) if field.init
    }
    if arguments.get("totp") is not None:
        arguments["totp"] = official.parse_totp_uri(URI)
    return getattr(official, type(payload).__name__)(**arguments)


def contents(secrets: list[Any]) -> list[dict[str, Any]]:  # Any: secrets of either client
    """What is in some secrets of either client, for comparison."""
    return [
        {
            "id": str(secret.id),
            "name": secret.name,
            "description": secret.description,
            "type": str(secret.secret_type),
            "class": type(secret.payload).__name__,
            "payload": dataclasses.asdict(secret.payload),
        }
        for secret in secrets
    ]


@pytest_asyncio.fixture
async def peer(sandbox: Sandbox) -> AsyncIterator[Any]:  # Any: the official client is not typed
    """The official client on the same organization. It blocks: call it in a thread."""
    peer = official.Inkbox(sandbox.api_key, base_url=sandbox.base_url)
    yield peer
    await asyncio.to_thread(peer.close)


@pytest.mark.parametrize("key", [KEY, UNICODE_KEY])
async def test_what_we_write_the_official_client_reads(key: str, inkbox: AsyncInkbox, peer: Any) -> None:
    codes = (await inkbox.vault.initialize(key)).recovery_codes
    unlocked = await inkbox.vault.unlock(key)
    for number, payload in enumerate(SAMPLES):
        await unlocked.create_secret(f"Näme {number}", payload, description="d" * number or None)
    for text in (key, codes[0], codes[3]):
        theirs = await asyncio.to_thread(peer.vault.unlock, text)
        assert contents(theirs.secrets) == contents(unlocked.secrets)
    first = await asyncio.to_thread(theirs.get_secret, str(unlocked.secrets[0].id))
    assert contents([first]) == contents(unlocked.secrets[:1])


@pytest.mark.parametrize("key", [KEY, UNICODE_KEY])
async def test_what_the_official_client_writes_we_read(key: str, inkbox: AsyncInkbox, peer: Any) -> None:
    result = await asyncio.to_thread(peer.vault.initialize, key)
    theirs = await asyncio.to_thread(peer.vault.unlock, key)
    for number, payload in enumerate(SAMPLES):
        await asyncio.to_thread(theirs.create_secret, f"Näme {number}", as_official(payload))
    for text in (key, result.recovery_codes[0], result.recovery_codes[3]):
        unlocked = await inkbox.vault.unlock(text)
        assert [secret.payload for secret in unlocked.secrets] == SAMPLES
        assert contents(unlocked.secrets) == contents(theirs.secrets)


async def test_keys_are_replaced_in_turns(inkbox: AsyncInkbox, peer: Any) -> None:
    codes = (await inkbox.vault.initialize(KEY)).recovery_codes
    await (await inkbox.vault.unlock(KEY)).create_secret("One", LoginPayload("p"))
    await asyncio.to_thread(peer.vault.update_key, NEXT_KEY, current_vault_key=KEY)
    assert len((await inkbox.vault.unlock(NEXT_KEY)).secrets) == 1
    await inkbox.vault.update_key(UNICODE_KEY, recovery_code=codes[0])
    assert len((await asyncio.to_thread(peer.vault.unlock, UNICODE_KEY)).secrets) == 1
    await asyncio.to_thread(peer.vault.update_key, KEY, recovery_code=codes[1])
    unlocked = await inkbox.vault.unlock(KEY)
    assert [secret.payload for secret in unlocked.secrets] == [LoginPayload("p")]
    for spent in (NEXT_KEY, UNICODE_KEY, codes[0], codes[1]):
        with pytest.raises(ValueError, match=r".+"):
            await asyncio.to_thread(peer.vault.unlock, spent)
        with pytest.raises(ValueError, match="no active key"):
            await inkbox.vault.unlock(spent)


async def test_changes_are_made_in_turns(unlocked_for_real: UnlockedVault, peer: Any) -> None:
    unlocked = unlocked_for_real
    theirs = await asyncio.to_thread(peer.vault.unlock, KEY)
    login = await unlocked.create_secret("Login", LoginPayload("p", "ada"))
    secret_id = str(login.id)
    await asyncio.to_thread(theirs.set_totp, secret_id, URI)
    assert (await unlocked.get_secret(login.id)).payload == LoginPayload("p", "ada", totp=parse_totp_uri(URI))
    await asyncio.to_thread(theirs.update_secret, secret_id, name="Renamed", description="d")
    renamed = await unlocked.update_secret(login.id, payload=LoginPayload("q", totp=parse_totp_uri(URI)))
    assert (renamed.name, renamed.description) == ("Renamed", "d")
    code = await asyncio.to_thread(theirs.get_totp_code, secret_id)
    assert len(code.code) == 8
    await unlocked.remove_totp(login.id)
    read = await asyncio.to_thread(theirs.get_secret, secret_id)
    assert (read.payload.password, read.payload.totp) == ("q", None)
    await asyncio.to_thread(theirs.delete_secret, secret_id)
    assert (await unlocked._sealed.list_secrets()) == []


async def test_credentials_of_an_identity_are_the_same(
    unlocked_for_real: UnlockedVault, inkbox: AsyncInkbox, peer: Any
) -> None:
    ours = await inkbox.create_identity("support-bot")
    for number, payload in enumerate(SAMPLES):
        if number % 2:
            await ours.create_secret(f"Granted {number}", payload)
        else:
            await unlocked_for_real.create_secret(f"Other {number}", payload)
    narrowed = await inkbox.vault.unlock(KEY, identity_id=ours.id)
    their_narrowed = await asyncio.to_thread(peer.vault.unlock, KEY, identity_id=str(ours.id))
    assert contents(narrowed.secrets) == contents(their_narrowed.secrets)
    assert [secret.name for secret in narrowed.secrets] == ["Granted 1", "Granted 3", "Granted 5"]

    theirs = await asyncio.to_thread(peer.get_identity, "support-bot")
    assert repr(theirs.credentials) == repr(ours.credentials)
    for method in ("list", "list_logins", "list_api_keys", "list_key_pairs", "list_ssh_keys"):
        assert contents(getattr(theirs.credentials, method)()) == contents(
            getattr(ours.credentials, method)()
        )

    made = await asyncio.to_thread(theirs.create_secret, "Theirs", official.LoginPayload("p"))
    rules = await inkbox.vault.list_access_rules(made.id)
    assert [rule.identity_id for rule in rules] == [ours.id]
    await asyncio.to_thread(theirs.revoke_credential_access, str(made.id))
    assert await inkbox.vault.list_access_rules(made.id) == []


async def test_a_secret_that_the_official_client_sealed_for_an_id_in_capitals_is_rescued(
    unlocked_for_real: UnlockedVault, inkbox: AsyncInkbox, peer: Any
) -> None:
    secret = await unlocked_for_real.create_secret("One", LoginPayload("p"))
    theirs = await asyncio.to_thread(peer.vault.unlock, KEY)
    await asyncio.to_thread(theirs.update_secret, str(secret.id).upper(), payload=official.LoginPayload("q"))
    unlocked = await inkbox.vault.unlock(KEY)
    assert [s.payload for s in unlocked.secrets] == [LoginPayload("q")]
    await unlocked.update_secret(secret.id, payload=LoginPayload("q"))
    mended: DecryptedVaultSecret = await asyncio.to_thread(theirs.get_secret, str(secret.id))
    assert mended.payload.password == "q"  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def unlocked_for_real(inkbox: AsyncInkbox) -> UnlockedVault:
    """A vault with the real Argon2, which the official client needs."""
    await inkbox.vault.initialize(KEY)
    return await inkbox.vault.unlock(KEY)


@given(key=st.binary(min_size=32, max_size=32), payload=PAYLOADS, secret_id=st.uuids().map(str))
def test_sealed_payloads_open_on_the_other_side(key: bytes, payload: SecretPayload, secret_id: str) -> None:
    ours = VaultCipher(key).seal_payload(payload.to_wire(), secret_id)
    theirs = official_crypto.decrypt_payload(key, ours, secret_id)
    parsed = official_types._parse_payload(payload.secret_type.value, theirs)
    assert dataclasses.asdict(parsed) == dataclasses.asdict(payload)
    back = official_crypto.encrypt_payload(key, parsed._to_dict(), secret_id)
    assert parse_payload(payload.secret_type, VaultCipher(key).open_payload(back, secret_id)) == payload


@given(
    master_key=st.binary(min_size=32, max_size=32),
    org_key=st.binary(min_size=32, max_size=32),
    key_id=st.uuids().map(str),
)
def test_wraps_open_on_the_other_side(master_key: bytes, org_key: bytes, key_id: str) -> None:
    ours = crypto.wrap_org_key(master_key, org_key, key_id)
    assert official_crypto.unwrap_org_key(master_key, ours, key_id) == org_key
    theirs = official_crypto.wrap_org_key(master_key, org_key, key_id)
    assert crypto.unwrap_org_key(master_key, theirs, key_id) == org_key
    assert crypto.compute_auth_hash(master_key) == official_crypto.compute_auth_hash(master_key)


async def test_key_material_opens_on_the_other_side() -> None:
    org_key = official.generate_org_encryption_key()
    ours = await generate_vault_key_material(UNICODE_KEY, "org_12345678", org_key)
    master_key = official_crypto.derive_master_key(UNICODE_KEY, official_crypto.derive_salt("org_12345678"))
    assert ours.auth_hash == official_crypto.compute_auth_hash(master_key)
    unwrapped = official_crypto.unwrap_org_key(master_key, ours.wrapped_org_encryption_key, str(ours.id))
    assert unwrapped == org_key
    theirs = official.generate_vault_key_material(UNICODE_KEY, "org_12345678", org_key)
    assert list(theirs.to_wire()) == list(ours.to_wire())
    assert crypto.unwrap_org_key(master_key, theirs.wrapped_org_encryption_key, str(theirs.id)) == org_key


@given(payload=PAYLOADS, at=st.integers(0, 2**40))
def test_codes_are_the_same(payload: SecretPayload, at: int) -> None:
    if not isinstance(payload, LoginPayload) or payload.totp is None:
        return
    ours = generate_totp(payload.totp, at=at)
    theirs = official_totp._generate_hotp(
        payload.totp.secret,
        at // payload.totp.period,
        official_totp.TOTPAlgorithm(payload.totp.algorithm.value),
        payload.totp.digits,
    )
    assert ours.code == theirs
