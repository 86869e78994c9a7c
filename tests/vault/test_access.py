"""Who sees which secret: admin and agent keys, grants, identities, and `unlock(identity_id=...)`."""

from __future__ import annotations

from uuid import uuid4

import pytest

from inkbox_async import (
    AgentIdentity,
    APIKeyPayload,
    AsyncInkbox,
    InkboxAPIError,
    InkboxError,
    LoginPayload,
    OtherPayload,
    parse_totp_uri,
)
from inkbox_async.sandbox.app import Sandbox
from inkbox_async.vault import UnlockedVault, VaultLockedError

from .conftest import KEY, NEXT_KEY, calls, forget

SECRETS = "/api/v1/vault/secrets"
URI = "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP"


async def status_of(awaitable: object) -> int:
    with pytest.raises(InkboxAPIError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value.status_code


async def test_grants(unlocked: UnlockedVault, inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    assert await inkbox.vault.list_access_rules(secret.id) == []
    rule = await inkbox.vault.grant_access(secret.id, identity.id)
    assert (rule.vault_secret_id, rule.identity_id) == (secret.id, identity.id)
    assert await inkbox.vault.list_access_rules(str(secret.id)) == [rule]
    assert (await inkbox.vault.list_secrets())[0].access == [rule]
    assert await status_of(inkbox.vault.grant_access(secret.id, identity.id)) == 409
    assert await status_of(inkbox.vault.grant_access(secret.id, uuid4())) == 404
    assert await status_of(inkbox.vault.grant_access(uuid4(), identity.id)) == 404
    await inkbox.vault.revoke_access(secret.id, identity.id)
    assert await inkbox.vault.list_access_rules(secret.id) == []
    assert await status_of(inkbox.vault.revoke_access(secret.id, identity.id)) == 404


async def test_an_agent_key_sees_what_its_identity_was_granted(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, agent: AsyncInkbox, identity: AgentIdentity
) -> None:
    granted = await unlocked.create_secret("Granted", LoginPayload("p"))
    other = await unlocked.create_secret("Other", LoginPayload("q"))
    await inkbox.vault.grant_access(granted.id, identity.id)

    theirs = await agent.vault.unlock(KEY)
    assert [secret.id for secret in theirs.secrets] == [granted.id]
    assert [secret.id for secret in await agent.vault.list_secrets()] == [granted.id]
    assert (await theirs.get_secret(granted.id)).payload == LoginPayload("p")
    assert await status_of(theirs.get_secret(other.id)) == 403
    assert await status_of(theirs.update_secret(other.id, name="Mine")) == 403
    assert await status_of(theirs.delete_secret(other.id)) == 403
    assert await status_of(agent.vault.grant_access(other.id, identity.id)) == 403
    assert await agent.vault.info() == await inkbox.vault.info()
    assert len(await agent.vault.list_keys()) == 5

    await inkbox.vault.revoke_access(granted.id, identity.id)
    assert await status_of(theirs.get_secret(granted.id)) == 403
    assert (await agent.vault.unlock(KEY)).secrets == []
    assert await status_of(agent.vault.grant_access(granted.id, identity.id)) == 403


async def test_what_an_agent_key_may_not_do(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, agent: AsyncInkbox, identity: AgentIdentity
) -> None:
    other = await inkbox.create_identity("other-bot")
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    await inkbox.vault.grant_access(secret.id, other.id)
    assert await status_of(agent.vault.initialize(KEY)) == 403
    assert await status_of(agent.vault.update_key(NEXT_KEY, current_vault_key=KEY)) == 403
    assert await status_of(agent.vault.delete_key("0" * 64)) == 403
    assert await status_of(agent.vault.grant_access(secret.id, other.id)) == 403
    assert await status_of(agent.vault.revoke_access(secret.id, other.id)) == 403


async def test_an_agent_keeps_secrets_of_its_own(
    unlocked: UnlockedVault, inkbox: AsyncInkbox, agent: AsyncInkbox
) -> None:
    await agent.vault.unlock(KEY)
    me = await agent.get_identity("support-bot")
    secret = await me.create_secret("Mine", APIKeyPayload("k"))
    assert [s.id for s in (await agent.vault.unlock(KEY)).secrets] == [secret.id]
    await me.revoke_credential_access(secret.id)
    assert await status_of(agent.vault.grant_access(secret.id, me.id)) == 403
    assert [s.name for s in await inkbox.vault.list_secrets()] == ["Mine"]


async def test_another_organization_sees_nothing(
    unlocked: UnlockedVault, sandbox: Sandbox, identity: AgentIdentity
) -> None:
    secret = await unlocked.create_secret("One", LoginPayload("p"))
    stranger = await sandbox.world.create_organization()
    async with sandbox.client(stranger.api_key) as inkbox:
        assert await inkbox.vault.info() is None
        await inkbox.vault.initialize(KEY)
        theirs = await inkbox.vault.unlock(KEY)
        assert theirs.secrets == []
        assert await status_of(theirs.get_secret(secret.id)) == 404
        assert await status_of(inkbox.vault.delete_secret(secret.id)) == 404
        assert await status_of(inkbox.vault.grant_access(secret.id, identity.id)) == 404
        own = await theirs.create_secret("Own", LoginPayload("q"))
        assert await status_of(inkbox.vault.grant_access(own.id, identity.id)) == 404


async def test_unlocking_for_one_identity(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity
) -> None:
    mine = await identity.create_secret("Mine", LoginPayload("p"))
    await unlocked.create_secret("Other", LoginPayload("q"))
    forget(sandbox)
    for spelling in (identity.id, str(identity.id), str(identity.id).upper()):
        narrowed = await inkbox.vault.unlock(KEY, identity_id=spelling)
        assert [secret.id for secret in narrowed.secrets] == [mine.id]
        assert inkbox.vault.unlocked is not None
        assert inkbox.vault.unlocked is not narrowed
        assert [secret.name for secret in inkbox.vault.unlocked.secrets] == ["Mine", "Other"]
    assert (await inkbox.vault.unlock(KEY, identity_id=uuid4())).secrets == []
    assert [path for _, path in calls(sandbox) if path.endswith("/access")] == [], "all rules came along"


async def test_unlocking_for_one_identity_on_a_server_that_sends_no_rules_along(
    unlocked: UnlockedVault,
    sandbox: Sandbox,
    inkbox: AsyncInkbox,
    identity: AgentIdentity,
) -> None:
    mine = [await identity.create_secret(f"Mine {n}", LoginPayload("p")) for n in range(12)]
    await unlocked.create_secret("Other", LoginPayload("q"))
    settings = await sandbox.world.update_organization(vault_access_inlined=False)
    assert settings.vault_access_inlined is False
    assert {tuple(secret.access) for secret in await inkbox.vault.list_secrets()} == {()}
    assert (await inkbox.vault._sealed.fetch(str(mine[0].id))).access == []
    forget(sandbox)
    narrowed = await inkbox.vault.unlock(KEY, identity_id=identity.id)
    assert [secret.id for secret in narrowed.secrets] == [secret.id for secret in mine]
    asked = {path for _, path in calls(sandbox) if path.endswith("/access")}
    assert len(asked) == 13
    sandbox.faults.add(path=f"{SECRETS}/{mine[3].id}/access", status=404, body={"detail": "no"})
    assert await status_of(inkbox.vault.unlock(KEY, identity_id=identity.id)) == 404


async def test_a_locked_vault_is_reported_before_anything_is_sent(
    sandbox: Sandbox, identity: AgentIdentity
) -> None:
    forget(sandbox)
    with pytest.raises(VaultLockedError, match=r"await inkbox\.vault\.unlock") as caught:
        _ = identity.credentials
    assert isinstance(caught.value, InkboxError)
    for attempt in (
        identity.create_secret("n", LoginPayload("p")),
        identity.get_secret(uuid4()),
        identity.set_totp(uuid4(), URI),
        identity.remove_totp(uuid4()),
        identity.get_totp_code(uuid4()),
        identity.delete_secret(uuid4()),
    ):
        with pytest.raises(VaultLockedError):
            await attempt
    assert calls(sandbox) == []


async def test_the_secrets_of_an_identity(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity
) -> None:
    forget(sandbox)
    secret = await identity.create_secret(
        name="GitHub",
        payload=LoginPayload(username="ada", password="s3cret", totp=parse_totp_uri(URI)),
        description="bot account",
    )
    assert calls(sandbox) == [("POST", SECRETS), ("POST", f"{SECRETS}/{secret.id}/access")]
    assert [rule.identity_id for rule in await inkbox.vault.list_access_rules(secret.id)] == [identity.id]
    assert (await identity.get_secret(secret.id)).description == "bot account"
    assert len((await identity.get_totp_code(str(secret.id))).code) == 6
    await identity.remove_totp(secret.id)
    await identity.set_totp(secret.id, URI)
    assert identity.credentials.get_login(secret.id).totp == parse_totp_uri(URI)
    await identity.revoke_credential_access(secret.id)
    assert await inkbox.vault.list_access_rules(secret.id) == []
    assert len(identity.credentials) == 1, "what is open stays open until the next unlock"
    await identity.delete_secret(secret.id)
    assert len(identity.credentials) == 0


async def test_credentials_follow_the_unlocked_vault(
    unlocked: UnlockedVault, sandbox: Sandbox, inkbox: AsyncInkbox, identity: AgentIdentity
) -> None:
    first = await unlocked.create_secret("One", LoginPayload("p"))
    forget(sandbox)
    credentials = identity.credentials
    assert identity.credentials is credentials
    assert credentials.get_login(first.id) == LoginPayload("p")
    assert calls(sandbox) == [], "credentials must not ask the server"

    await unlocked.update_secret(first.id, payload=LoginPayload("q"))
    assert identity.credentials.get_login(first.id) == LoginPayload("q")
    second = await unlocked.create_secret("Two", OtherPayload("o"))
    assert [secret.id for secret in identity.credentials.list()] == [first.id, second.id]
    await inkbox.vault.delete_secret(first.id)
    assert [secret.id for secret in identity.credentials.list()] == [second.id]
    await inkbox.vault.unlock(KEY)
    assert [secret.id for secret in identity.credentials.list()] == [second.id]
    assert credentials.get_login(first.id) == LoginPayload("p"), "an older view keeps what it had"


async def test_a_secret_without_its_grant_is_named_by_the_error(
    unlocked: UnlockedVault, sandbox: Sandbox, identity: AgentIdentity
) -> None:
    sandbox.faults.add(method="POST", path=f"{SECRETS}/*/access", status=403, body={"detail": "no"})
    with pytest.raises(InkboxAPIError) as caught:
        await identity.create_secret("One", LoginPayload("p"))
    (created,) = unlocked.secrets
    assert str(created.id) in "".join(caught.value.__notes__)

    sandbox.faults.add(method="POST", path=f"{SECRETS}/*/access", status=409, body={"detail": "has"})
    assert (await identity.create_secret("Two", LoginPayload("p"))).name == "Two"


@pytest.mark.parametrize("every", ["*", "all"])
async def test_an_identity_is_created_with_secrets(
    every: str, unlocked: UnlockedVault, inkbox: AsyncInkbox
) -> None:
    first, second = [await unlocked.create_secret(name, LoginPayload("p")) for name in ("One", "Two")]
    one = await inkbox.create_identity("one-bot", vault_secret_ids=first.id)
    both = await inkbox.create_identity("both-bot", vault_secret_ids=[first.id, str(second.id)])
    everything = await inkbox.create_identity("every-bot", vault_secret_ids=every)
    listed = await inkbox.vault.list_secrets()
    allowed = {secret.id: [rule.identity_id for rule in secret.access] for secret in listed}
    assert allowed == {first.id: [one.id, both.id, everything.id], second.id: [both.id, everything.id]}
    assert await status_of(inkbox.create_identity("no-bot", vault_secret_ids=uuid4())) == 404
    assert await status_of(inkbox.get_identity("no-bot")) == 404

    await both.delete()
    assert await inkbox.vault.list_access_rules(second.id) != []
    assert both.id not in [rule.identity_id for rule in await inkbox.vault.list_access_rules(first.id)]
