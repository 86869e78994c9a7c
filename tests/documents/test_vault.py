"""The documents, line by line: vault, credentials, one-time codes."""

from __future__ import annotations

import pytest

from inkbox_async import (
    AgentIdentity,
    APIKeyPayload,
    AsyncInkbox,
    Credentials,
    InkboxError,
    KeyPairPayload,
    OtherPayload,
    SSHKeyPayload,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.vault.totp import parse_totp_uri
from inkbox_async.vault.types import LoginPayload

KEY = "my-Vault-key-01!"
URI = "otpauth://totp/GitHub:me@example.com?secret=JBSWY3DPEHPK3PXP&issuer=GitHub"


@pytest.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    result = await inkbox.vault.initialize(KEY)
    assert result.vault_id
    assert result.vault_key_id
    assert result.recovery_codes
    return await inkbox.create_identity("support-bot")


async def test_unlock_and_manage_secrets(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    unlocked = await inkbox.vault.unlock(KEY)
    login = await unlocked.create_secret(
        "AWS Production",
        LoginPayload(password="s3cret", username="admin", url="https://aws.amazon.com"),
        description="Production IAM user",
    )
    await unlocked.create_secret("GitHub PAT", APIKeyPayload(api_key="ghp_xxx"))
    await unlocked.create_secret(
        "Deploy Key", SSHKeyPayload(private_key="-----BEGIN OPENSSH PRIVATE KEY-----...")
    )
    await unlocked.create_secret("Pair", KeyPairPayload(access_key="AK", secret_key="SK"))
    await unlocked.create_secret("Misc", OtherPayload(data="any freeform content"))

    again = await inkbox.vault.unlock(KEY)
    assert {(secret.name, str(secret.secret_type)) for secret in again.secrets} == {
        ("AWS Production", "login"),
        ("GitHub PAT", "api_key"),
        ("Deploy Key", "ssh_key"),
        ("Pair", "key_pair"),
        ("Misc", "other"),
    }
    secret = await again.get_secret(str(login.id))
    assert isinstance(secret.payload, LoginPayload)
    assert (secret.payload.username, secret.payload.password) == ("admin", "s3cret")
    assert "s3cret" not in repr(secret), "payloads do not show in reprs"

    await again.update_secret(str(login.id), name="New Name")
    await again.update_secret(str(login.id), payload=LoginPayload(password="new", username="new"))
    changed = await again.get_secret(str(login.id))
    assert changed.name == "New Name"
    await again.delete_secret(str(login.id))

    info = await inkbox.vault.info()
    assert info is not None
    assert len(await inkbox.vault.list_keys(key_type="recovery")) == 4
    assert len(await inkbox.vault.list_keys()) == 5
    assert [row.name for row in await inkbox.vault.list_secrets(secret_type="other")] == ["Misc"]


async def test_credentials_of_an_agent(
    inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox
) -> None:
    with pytest.raises(InkboxError, match="unlock"):
        identity.credentials.list()
    await inkbox.vault.unlock(KEY)
    secret = await identity.create_secret(
        name="GitHub",
        payload=LoginPayload(username="me@example.com", password="s3cret", totp=parse_totp_uri(URI)),
    )
    key = await identity.create_secret("PAT", APIKeyPayload(api_key="ghp_xxx"))

    code = await identity.get_totp_code(str(secret.id))
    assert len(code.code) == 6
    assert code.code.isdigit()
    assert 0 < code.seconds_remaining <= 30
    assert code.period_end - code.period_start == 30

    await identity.remove_totp(secret.id)
    await identity.set_totp(secret.id, URI)

    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    async with AsyncInkbox(created.api_key, base_url=inkbox_sandbox.base_url, vault_key=KEY) as agent:
        me = await agent.get_identity("support-bot")
        assert isinstance(me.credentials, Credentials)
        assert {row.name for row in me.credentials.list()} == {"GitHub", "PAT"}
        assert [row.name for row in me.credentials.list_logins()] == ["GitHub"]
        assert [row.name for row in me.credentials.list_api_keys()] == ["PAT"]
        assert me.credentials.list_ssh_keys() == []
        assert me.credentials.list_key_pairs() == []
        assert me.credentials.get_login(str(secret.id)).password == "s3cret"
        assert me.credentials.get_api_key(str(key.id)).api_key == "ghp_xxx"
        assert me.credentials.get(str(key.id)).name == "PAT"
        with pytest.raises(TypeError, match="api_key"):
            me.credentials.get_login(str(key.id))
        with pytest.raises(KeyError):
            me.credentials.get_login("00000000-0000-4000-8000-000000000000")


async def test_unlocking_for_one_identity_narrows_the_secrets(
    inkbox: AsyncInkbox, identity: AgentIdentity
) -> None:
    unlocked = await inkbox.vault.unlock(KEY)
    await unlocked.create_secret("Ours", OtherPayload(data="1"))
    await identity.create_secret("Theirs", OtherPayload(data="2"))
    narrowed = await inkbox.vault.unlock(KEY, identity_id=str(identity.id))
    assert [secret.name for secret in narrowed.secrets] == ["Theirs"]
