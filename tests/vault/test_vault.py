"""The life of a vault: initialize, unlock, recovery codes, replacing and deleting keys."""

from __future__ import annotations

import pytest

from inkbox_async import AsyncInkbox, InkboxAPIError, InkboxError, InkboxVaultKeyError, LoginPayload
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.sandbox.store import Tx
from inkbox_async.vault import UnlockedVault, VaultKeyMismatchError, VaultNotInitializedError
from inkbox_async.vault.crypto import compute_auth_hash, derive_master_key, derive_salt

from .conftest import KEY, NEXT_KEY, calls, forget
from .vectors import Case, cases

INFO = ("GET", "/api/v1/vault/info")
UNLOCK = ("GET", "/api/v1/vault/unlock")
KEYS = ("GET", "/api/v1/vault/keys")


def auth_hash(text: str, sandbox: Sandbox) -> str:
    return compute_auth_hash(derive_master_key(text, derive_salt(sandbox.organization_id)))


async def test_without_a_vault(sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    assert await inkbox.vault.info() is None
    assert inkbox.vault.unlocked is None
    forget(sandbox)
    with pytest.raises(VaultNotInitializedError, match="initialize") as caught:
        await inkbox.vault.unlock(KEY)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, InkboxError)
    assert calls(sandbox) == [INFO]
    with pytest.raises(VaultNotInitializedError):
        await inkbox.vault.update_key(NEXT_KEY, current_vault_key=KEY)


async def test_initialize(quick_argon2: None, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    forget(sandbox)
    result = await inkbox.vault.initialize(KEY)
    assert calls(sandbox) == [("GET", "/api/whoami"), ("POST", "/api/v1/vault/initialize")]
    assert result.recovery_key_count == len(set(result.recovery_codes)) == 4
    assert result.recovery_codes[0] not in repr(result)
    assert inkbox.vault.unlocked is None, "initialize must leave the vault locked"
    info = await inkbox.vault.info()
    assert info is not None
    assert (info.id, info.organization_id) == (result.vault_id, sandbox.organization_id)
    assert (info.key_count, info.recovery_key_count, info.secret_count) == (1, 4, 0)
    keys = await inkbox.vault.list_keys()
    assert [key.id for key in keys if key.key_type == "primary"] == [result.vault_key_id]
    with pytest.raises(InkboxAPIError) as caught:
        await inkbox.vault.initialize(KEY)
    assert caught.value.status_code == 409


async def test_a_weak_key_is_refused_before_anything_is_sent(sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    forget(sandbox)
    for attempt in (
        inkbox.vault.initialize("weak-Key-1"),
        inkbox.vault.update_key("weak-Key-1", current_vault_key=KEY),
    ):
        with pytest.raises(InkboxVaultKeyError, match="16 characters") as caught:
            await attempt
        assert "weak-Key-1" not in str(caught.value)
    assert calls(sandbox) == []


async def test_unlock(unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    await unlocked.create_secret("One", LoginPayload("p"))
    forget(sandbox)
    again = await inkbox.vault.unlock(KEY)
    assert calls(sandbox) == [INFO, UNLOCK, KEYS]
    assert again is inkbox.vault.unlocked
    assert [secret.name for secret in again.secrets] == ["One"]
    assert repr(again) == "UnlockedVault(1 secrets)"
    again.secrets.clear()
    assert len(again.secrets) == 1, "the list is a copy"


@pytest.mark.parametrize("wrong", ["", "my-Vault-key-01", "my-Vault-key-01! ", "MY-VAULT-KEY-01!", "ключ"])
async def test_a_wrong_key(
    wrong: str, unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox
) -> None:
    forget(sandbox)
    with pytest.raises(VaultKeyMismatchError, match="no active key of this vault matches") as caught:
        await inkbox.vault.unlock(wrong)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, InkboxVaultKeyError)
    assert not wrong or wrong not in str(caught.value)
    assert calls(sandbox) == [INFO, UNLOCK]
    assert inkbox.vault.unlocked is unlocked, "a failed unlock must not lock what was open"


async def test_a_vault_key_is_text(unlocked: UnlockedVault, inkbox: AsyncInkbox) -> None:
    with pytest.raises(TypeError, match="vault key is text, not bytes"):
        await inkbox.vault.unlock(KEY.encode())  # type: ignore[arg-type]


async def test_recovery_codes_unlock_in_any_spelling_and_are_not_used_up(
    quick_argon2: None, inkbox: AsyncInkbox
) -> None:
    codes = (await inkbox.vault.initialize(KEY)).recovery_codes
    await (await inkbox.vault.unlock(KEY)).create_secret("One", LoginPayload("p"))
    for code in codes:
        assert [secret.name for secret in (await inkbox.vault.unlock(code)).secrets] == ["One"]
    for typed in (codes[0], codes[0].lower(), codes[0].replace("-", ""), f" {codes[0].replace('-', ' ')}\n"):
        assert len((await inkbox.vault.unlock(typed)).secrets) == 1
    info = await inkbox.vault.info()
    assert info is not None
    assert info.recovery_key_count == 4


async def test_replacing_the_key(unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    forget(sandbox)
    key = await inkbox.vault.update_key(NEXT_KEY, current_vault_key=KEY)
    assert calls(sandbox) == [INFO, UNLOCK, KEYS, ("PUT", "/api/v1/vault/keys/primary")]
    assert [k.id for k in await inkbox.vault.list_keys(key_type="primary")] == [key.id]
    with pytest.raises(VaultKeyMismatchError):
        await inkbox.vault.unlock(KEY)
    assert (await unlocked.get_secret(secret.id)).payload == LoginPayload("p"), "what is open stays open"
    assert len((await inkbox.vault.unlock(NEXT_KEY)).secrets) == 1


async def test_replacing_the_key_with_a_recovery_code_uses_the_code_up(
    quick_argon2: None, inkbox: AsyncInkbox
) -> None:
    codes = (await inkbox.vault.initialize(KEY)).recovery_codes
    await inkbox.vault.update_key(NEXT_KEY, recovery_code=codes[1].lower())
    for spent in (KEY, codes[1]):
        with pytest.raises(VaultKeyMismatchError):
            await inkbox.vault.unlock(spent)
    for good in (NEXT_KEY, codes[0], codes[2], codes[3]):
        await inkbox.vault.unlock(good)
    info = await inkbox.vault.info()
    assert info is not None
    assert (info.key_count, info.recovery_key_count) == (1, 3)


async def test_the_proof_must_be_one_and_of_its_kind(
    quick_argon2: None, sandbox: Sandbox, inkbox: AsyncInkbox
) -> None:
    codes = (await inkbox.vault.initialize(KEY)).recovery_codes
    forget(sandbox)
    for proofs in ({}, {"current_vault_key": KEY, "recovery_code": codes[0]}):
        with pytest.raises(ValueError, match="exactly one"):
            await inkbox.vault.update_key(NEXT_KEY, **proofs)
    assert calls(sandbox) == []
    for wrong_kind, status in ({"current_vault_key": codes[0]}, 403), ({"recovery_code": KEY}, 404):
        with pytest.raises(InkboxAPIError) as caught:
            await inkbox.vault.update_key(NEXT_KEY, **wrong_kind)
        assert caught.value.status_code == status
    assert (await inkbox.vault.unlock(KEY)) is not None


async def test_deleting_keys(quick_argon2: None, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    codes = (await inkbox.vault.initialize(KEY)).recovery_codes
    code_hash = auth_hash(codes[0], sandbox)
    await inkbox.vault.delete_key(code_hash.upper())
    with pytest.raises(VaultKeyMismatchError):
        await inkbox.vault.unlock(codes[0])
    assert len(await inkbox.vault.list_keys(key_type="recovery")) == 3

    for digest, status in (code_hash, 404), (auth_hash(KEY, sandbox), 409):
        with pytest.raises(InkboxAPIError) as caught:
            await inkbox.vault.delete_key(digest)
        assert caught.value.status_code == status
        assert digest not in str(caught.value), "the verifier must not show in errors"
        assert digest not in str(vars(caught.value))

    forget(sandbox)
    with pytest.raises(ValueError, match="not the key itself") as refused:
        await inkbox.vault.delete_key(KEY)
    assert KEY not in str(refused.value)
    assert calls(sandbox) == []


async def test_a_key_whose_wrap_was_swapped_is_reported(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox
) -> None:
    def swap(tx: Tx) -> None:
        other = tx.value("SELECT wrapped_org_encryption_key FROM vault_keys WHERE key_type = 'recovery'")
        tx.execute("UPDATE vault_keys SET wrapped_org_encryption_key = ? WHERE key_type = 'primary'", other)

    await sandbox.store.run(swap)
    with pytest.raises(VaultKeyMismatchError, match="does not unwrap") as caught:
        await inkbox.vault.unlock(KEY)
    assert isinstance(caught.value, ValueError)


async def test_a_client_that_is_given_the_key_unlocks_when_entered(
    unlocked: UnlockedVault, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await unlocked.create_secret("One", LoginPayload("p"))
    async with sandbox.client(vault_key=KEY) as inkbox:
        assert inkbox.vault.unlocked is not None
        assert len(inkbox.vault.unlocked.secrets) == 1
    monkeypatch.setenv("INKBOX_VAULT_KEY", KEY)
    async with sandbox.client() as inkbox:
        assert inkbox.vault.unlocked is not None
    with pytest.raises(VaultKeyMismatchError):
        async with sandbox.client(vault_key=NEXT_KEY):
            pytest.fail("entered with a wrong key")


async def test_a_scoped_client_shares_the_unlocked_vault(
    unlocked: UnlockedVault, inkbox: AsyncInkbox
) -> None:
    async def again(scope: AsyncInkbox) -> UnlockedVault:
        assert scope.vault.unlocked is unlocked
        return await scope.vault.unlock(KEY)

    response = await inkbox.with_response_metadata(again)
    assert inkbox.vault.unlocked is response.data


async def test_a_scoped_client_that_does_not_use_the_vault_does_not_load_it(inkbox: AsyncInkbox) -> None:
    async def look(scope: AsyncInkbox) -> bool:
        await scope.whoami()
        return "vault" in vars(scope) or "vault" in vars(inkbox)

    assert not (await inkbox.with_response_metadata(look)).data
    assert inkbox.vault.unlocked is None


@pytest.mark.parametrize("opens_with", ["vault_key", "recovery_code"])
async def test_the_bundle_of_the_vectors(opens_with: str, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
    (bundle,) = cases("unlock_bundle")
    await sandbox.store.run(lambda tx: _load(tx, bundle, sandbox.organization_id))
    sandbox.faults.add(method="GET", path="/api/v1/vault/info", status=200, body=bundle["info_response"])
    unlocked = await inkbox.vault.unlock(bundle[opens_with])
    assert unlocked.unreadable == []
    for secret, expected in zip(unlocked.secrets, bundle["decrypted"], strict=True):
        assert str(secret.id) == expected["id"]
        assert (secret.name, secret.description, secret.secret_type) == (
            expected["name"],
            expected["description"],
            expected["secret_type"],
        )
        assert type(secret.payload).__name__ == expected["payload_class"]
        assert secret.payload.to_wire() == expected["payload"]


def _load(tx: Tx, bundle: Case, organization_id: str) -> None:
    now = bundle["info_response"]["created_at"]
    vault_id = bundle["info_response"]["id"]
    tx.insert("vaults", id=vault_id, organization_id=organization_id, created_at=now, updated_at=now)
    for key in bundle["keys_response"]:
        material = bundle[key["key_type"]]
        tx.insert(
            "vault_keys",
            **key,
            vault_id=vault_id,
            auth_hash=material["auth_hash"],
            wrapped_org_encryption_key=material["wrapped_org_encryption_key"],
        )
    for secret in bundle["encrypted_secrets"]:
        tx.insert("vault_secrets", **secret, vault_id=vault_id)
