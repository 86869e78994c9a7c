"""What becomes of an unlock when the server answers with something flawed, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from inkbox_async import AsyncInkbox, InkboxConnectionError, InkboxResponseError, LoginPayload, retry
from inkbox_async.vault import Credentials, SecretUnreadableError, VaultKeyMismatchError
from inkbox_async.vault.crypto import (
    VaultCipher,
    compute_auth_hash,
    derive_master_key,
    derive_salt,
    wrap_org_key,
)

from ..client.servers import Answer, Seen, Server
from .conftest import KEY

ORGANIZATION = "org_2wXyZ0123456789abcdefABCDEF"
ORG_KEY = bytes(range(32))
NOW = "2026-06-01T12:00:00Z"
CIPHER = VaultCipher(ORG_KEY)


class FlawedVault:
    """A server with one vault, whose answers a test may change before they are given."""

    def __init__(self) -> None:
        self.master_key = derive_master_key(KEY, derive_salt(ORGANIZATION))
        self.auth_hash = compute_auth_hash(self.master_key)
        self.key_id = str(uuid4())
        self.secrets: list[Any] = []
        self.answers: dict[str, Answer] = {
            "info": Answer(
                body={
                    "id": str(uuid4()),
                    "organization_id": ORGANIZATION,
                    "created_at": NOW,
                    "updated_at": NOW,
                    "key_count": 1,
                    "secret_count": 1,
                    "recovery_key_count": 0,
                }
            ),
            "unlock": Answer(
                body={
                    "wrapped_org_encryption_key": wrap_org_key(self.master_key, ORG_KEY, self.key_id),
                    "encrypted_secrets": self.secrets,
                }
            ),
            "keys": Answer(body=[{"id": self.key_id, "key_type": "primary"}]),
        }

    async def answer(self, seen: Seen) -> Answer:
        return self.answers[seen.path.rpartition("/")[2]]

    def add(self, name: str, **changes: object) -> str:
        secret_id = str(uuid4())
        self.secrets.append(
            {
                "id": secret_id,
                "name": name,
                "secret_type": "login",
                "created_at": NOW,
                "updated_at": NOW,
                "encrypted_payload": CIPHER.seal_payload({"password": name}, secret_id),
                **changes,
            }
        )
        return secret_id


@pytest.fixture
def vault(quick_argon2: None) -> FlawedVault:
    return FlawedVault()


@pytest_asyncio.fixture
async def client(vault: FlawedVault, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncInkbox]:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    server = Server()
    server.handler = vault.answer
    await server.start()
    async with AsyncInkbox("ApiKey_test.hush", base_url=server.url) as client:
        yield client
    await server.stop()


async def test_a_secret_that_the_server_describes_wrongly_is_set_aside(
    vault: FlawedVault, client: AsyncInkbox, caplog: pytest.LogCaptureFixture
) -> None:
    vault.add("good")
    flaws = {
        vault.add("no payload", encrypted_payload=None): "encrypted_payload (string_type)",
        vault.add("no time", created_at=None): "created_at (datetime_type)",
        vault.add("odd", updated_at="hush"): "updated_at (datetime_from_date_parsing)",
        vault.add("no type", secret_type=None): "secret_type",
    }
    nameless: list[object] = [None, "text", 7, [], {"name": "hush"}, {"id": "hush"}, {"id": 7}]
    vault.secrets += nameless
    unlocked = await client.vault.unlock(KEY)
    assert [secret.payload for secret in unlocked.secrets] == [LoginPayload("good")]
    assert {str(report.id) for report in unlocked.unreadable} == set(flaws)
    for report in unlocked.unreadable:
        assert flaws[str(report.id)] in report.reason
        assert f"{report.id} skipped" in caplog.text
    assert caplog.text.count("no usable id") == 7
    assert "hush" not in caplog.text + repr(unlocked.unreadable)


@pytest.mark.parametrize(
    "sealed",
    ["", "!", "AAAA", "A" * 5, "AAAA" * 500, "\ud83d\ude00", "\x00", "ungültig=="],
    ids=["empty", "no base64", "short", "odd", "garbage", "emoji", "nul", "umlaut"],
)
async def test_garbage_for_ciphertext_is_set_aside(
    sealed: str, vault: FlawedVault, client: AsyncInkbox
) -> None:
    vault.add("good")
    bad = vault.add("bad", encrypted_payload=sealed)
    unlocked = await client.vault.unlock(KEY)
    assert [secret.name for secret in unlocked.secrets] == ["good"]
    assert [str(report.id) for report in unlocked.unreadable] == [bad]


@pytest.mark.parametrize(
    "plaintext",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"password": {}}', b"{}"],
    ids=["empty", "cut", "list", "text", "null", "no utf-8", "deep", "wrong type", "nothing required"],
)
async def test_a_payload_that_is_no_login_is_set_aside(
    plaintext: bytes, vault: FlawedVault, client: AsyncInkbox
) -> None:
    vault.add("good")
    bad = vault.add("bad")
    vault.secrets[-1]["encrypted_payload"] = CIPHER.seal(plaintext, bad)
    unlocked = await client.vault.unlock(KEY)
    assert [secret.name for secret in unlocked.secrets] == ["good"]
    assert [str(report.id) for report in unlocked.unreadable] == [bad]


@pytest.mark.parametrize("wrap", ["", None, "!", "AAAA", "A" * 80])
async def test_a_wrap_that_does_not_open_leaves_what_was_unlocked(
    wrap: str | None, vault: FlawedVault, client: AsyncInkbox
) -> None:
    vault.add("good")
    before = await client.vault.unlock(KEY)
    vault.answers["unlock"].body["wrapped_org_encryption_key"] = wrap
    with pytest.raises(VaultKeyMismatchError) as caught:
        await client.vault.unlock(KEY)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__context__ is None
    assert client.vault.unlocked is before


async def test_a_wrap_of_something_else_than_a_key_is_refused(
    vault: FlawedVault, client: AsyncInkbox
) -> None:
    wrap = VaultCipher(vault.master_key).seal(b"no key", vault.key_id)
    vault.answers["unlock"].body["wrapped_org_encryption_key"] = wrap
    with pytest.raises(VaultKeyMismatchError):
        await client.vault.unlock(KEY)


async def test_the_wrap_is_bound_to_the_id_as_the_server_spells_it(
    vault: FlawedVault, client: AsyncInkbox
) -> None:
    vault.key_id = vault.key_id.upper()
    vault.answers["keys"].body = [
        {"id": str(uuid4()), "key_type": "recovery"},
        {"id": str(uuid4()), "key_type": "newer"},
        {"id": vault.key_id, "key_type": "primary"},
    ]
    vault.answers["unlock"].body["wrapped_org_encryption_key"] = wrap_org_key(
        vault.master_key, ORG_KEY, vault.key_id
    )
    vault.add("good")
    assert len((await client.vault.unlock(KEY)).secrets) == 1


@pytest.mark.parametrize("step", ["info", "unlock", "keys"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(drop=True), InkboxConnectionError),
        (Answer(body=b'{"wrapped_org_encr'), InkboxResponseError),
        (Answer(body=b""), InkboxResponseError),
        (Answer(body=b"\xff\xfe\x00"), InkboxResponseError),
        (Answer(body="text"), InkboxResponseError),
        (Answer(body=7), InkboxResponseError),
    ],
    ids=["drop", "cut", "empty", "bytes", "text", "number"],
)
async def test_an_unlock_that_breaks_off_leaves_what_was_unlocked(
    step: str, answer: Answer, error: type[Exception], vault: FlawedVault, client: AsyncInkbox
) -> None:
    vault.add("good")
    before = await client.vault.unlock(KEY)
    usual, vault.answers[step] = vault.answers[step], answer
    with pytest.raises(error) as caught:
        await client.vault.unlock(KEY)
    shown = f"{caught.value!s} {caught.value!r} {vars(caught.value)} {caught.value.__cause__!r}"
    assert vault.auth_hash not in shown
    assert client.vault.unlocked is before
    vault.answers[step] = usual
    assert len((await client.vault.unlock(KEY)).secrets) == 1


async def test_null_for_no_secrets(vault: FlawedVault, client: AsyncInkbox) -> None:
    vault.answers["unlock"].body["encrypted_secrets"] = None
    assert (await client.vault.unlock(KEY)).secrets == []
    del vault.answers["unlock"].body["encrypted_secrets"]
    assert (await client.vault.unlock(KEY)).secrets == []


async def test_reading_a_secret_that_was_skipped_says_why(vault: FlawedVault, client: AsyncInkbox) -> None:
    bad = vault.add("bad", created_at=None)
    unlocked = await client.vault.unlock(KEY)
    credentials = Credentials(unlocked.secrets, unlocked.unreadable)
    assert credentials.list() == []
    with pytest.raises(SecretUnreadableError, match=f"{bad} cannot be read: .*created_at"):
        credentials.get_login(bad)
