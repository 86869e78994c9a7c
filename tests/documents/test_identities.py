"""The documents, line by line: identities, visibility, keys, signup, whoami."""

from __future__ import annotations

import pytest

from inkbox_async import (
    AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED,
    AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED,
    AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED,
    AgentIdentitySummary,
    AsyncInkbox,
    HandleUnavailableError,
    IdentityTunnelCreateOptions,
    InkboxAPIError,
    InkboxError,
    RedundantContactAccessGrantError,
    WhoamiApiKeyResponse,
)
from inkbox_async.sandbox import Sandbox


async def test_create_get_list_update_refresh_delete(inkbox: AsyncInkbox) -> None:
    identity = await inkbox.create_identity("sales-agent")
    assert identity.email_address == "sales-agent@inkboxmail.com"
    tunnel = identity.tunnel
    assert tunnel is not None
    assert tunnel.public_host.startswith("sales-agent.")
    assert identity.phone_number is None
    assert identity.display_name == "sales-agent"

    assert (await inkbox.get_identity("sales-agent")).id == identity.id
    identities = await inkbox.list_identities()
    assert [type(row) for row in identities] == [AgentIdentitySummary]

    await identity.update(new_handle="new-name")
    assert identity.agent_handle == "new-name"
    renamed = identity.tunnel
    assert renamed is not None
    assert renamed.tunnel_name == "new-name"
    refreshed = (await identity.refresh()).tunnel
    assert refreshed is not None
    assert refreshed.public_host == renamed.public_host

    await identity.update(status="paused")
    assert identity.status == "paused"
    await identity.update(status="active")
    assert (await identity.refresh()) is identity

    await identity.delete()
    with pytest.raises(InkboxAPIError) as gone:
        await inkbox.get_identity("new-name")
    assert gone.value.status_code == 404
    assert await inkbox.mailboxes.list() == []


async def test_description_and_display_name_have_three_states(inkbox: AsyncInkbox) -> None:
    identity = await inkbox.create_identity("scout", display_name="Scout", description="finds things")
    await identity.update(description="")
    assert (identity.display_name, identity.description) == ("Scout", ""), "what is left out stays"
    await identity.update(description=None, display_name=None)
    assert (identity.display_name, identity.description) == (None, None)


async def test_the_documents_tunnel_option_works_as_a_dictionary_and_as_a_model(inkbox: AsyncInkbox) -> None:
    by_dict = await inkbox.create_identity("my-app", tunnel={"tls_mode": "passthrough"})
    by_model = await inkbox.create_identity(
        "my-app-2", tunnel=IdentityTunnelCreateOptions(tls_mode="passthrough")
    )
    default = await inkbox.create_identity("my-app-3")
    modes = [identity.tunnel and identity.tunnel.tls_mode for identity in (by_dict, by_model, default)]
    assert modes == ["passthrough", "passthrough", "edge"]


async def test_a_taken_handle_names_the_namespace(inkbox: AsyncInkbox) -> None:
    await inkbox.create_identity("taken")
    with pytest.raises(HandleUnavailableError) as taken:
        await inkbox.create_identity("@taken")
    assert taken.value.status_code == 409
    assert taken.value.blocking_namespace == "identities"


async def test_visibility_between_agents(inkbox: AsyncInkbox) -> None:
    identity = await inkbox.create_identity("seen")
    viewer = await inkbox.create_identity("viewer")
    assert await identity.list_access() == []

    row = await identity.grant_access(viewer.id)
    assert (row.target_identity_id, row.viewer_identity_id) == (identity.id, viewer.id)
    await identity.revoke_access(viewer.id)
    with pytest.raises(InkboxAPIError) as missing:
        await identity.revoke_access(viewer.id)
    assert missing.value.status_code == 404

    wildcard = await identity.grant_access(None)
    assert wildcard.viewer_identity_id is None
    assert [rule.viewer_identity_id for rule in await identity.list_access()] == [None]
    with pytest.raises(RedundantContactAccessGrantError) as redundant:
        await identity.grant_access(viewer.id)
    assert redundant.value.error == "redundant_grant"
    assert redundant.value.detail_message


async def test_a_channel_that_is_not_there_raises_before_any_request(inkbox: AsyncInkbox) -> None:
    identity = await inkbox.create_identity("no-phone")
    with pytest.raises(InkboxError, match="provision_phone_number"):
        await identity.release_phone_number()


async def test_whoami_tells_keys_apart(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    info = await inkbox.whoami()
    assert info.auth_type == "api_key"
    assert info.organization_id == inkbox_sandbox.organization_id
    assert isinstance(info, WhoamiApiKeyResponse)
    assert info.auth_subtype == AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED

    identity = await inkbox.create_identity("agent")
    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    assert created.record.scoped_identity_id == identity.id
    async with inkbox_sandbox.client(created.api_key) as agent:
        info = await agent.whoami()
        assert info.auth_subtype == AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED
        with pytest.raises(InkboxAPIError) as refused:
            await agent.create_identity("other")
        assert refused.value.status_code == 403
    await identity.delete()
    async with inkbox_sandbox.client(created.api_key) as agent:
        with pytest.raises(InkboxAPIError) as revoked:
            await agent.whoami()
        assert revoked.value.status_code == 401


async def test_an_agent_signs_itself_up(inkbox_sandbox: Sandbox) -> None:
    url = inkbox_sandbox.base_url
    signup = await AsyncInkbox.signup(
        "owner@example.com", note_to_human="I will answer your mail", agent_handle="demo-agent", base_url=url
    )
    assert signup.email_address == "demo-agent@inkboxmail.com"
    assert signup.claim_status == "agent_unclaimed"

    status = await AsyncInkbox.get_signup_status(signup.api_key, base_url=url)
    assert status.restrictions.allowed_recipients == ["owner@example.com"]
    assert status.restrictions.can_receive is True
    async with inkbox_sandbox.client(signup.api_key) as agent:
        info = await agent.whoami()
        assert info.auth_subtype == AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED
        identity = await agent.get_identity("demo-agent")
        with pytest.raises(InkboxAPIError) as refused:
            await identity.send_email(to=["stranger@example.com"], subject="Hi", body_text="Hi")
        assert refused.value.status_code == 403

    with pytest.raises(InkboxAPIError) as wrong:
        await AsyncInkbox.verify_signup(signup.api_key, "000000x", base_url=url)
    assert wrong.value.status_code == 401
    await inkbox_sandbox.clock.advance(301)
    again = await AsyncInkbox.resend_signup_verification(signup.api_key, base_url=url)
    assert again.claim_status == "agent_unclaimed"

    code = await inkbox_sandbox.world.signup_code("owner@example.com")
    verified = await AsyncInkbox.verify_signup(signup.api_key, code, base_url=url)
    assert verified.claim_status == "agent_claimed"
    assert (
        await AsyncInkbox.get_signup_status(signup.api_key, base_url=url)
    ).restrictions.allowed_recipients == []


async def test_the_signing_key_is_shown_once(inkbox: AsyncInkbox) -> None:
    first = await inkbox.create_signing_key()
    second = await inkbox.create_signing_key()
    assert first.signing_key != second.signing_key
    identity = await inkbox.create_identity("signer")
    assert (await identity.get_signing_key_status()).configured is False
    await identity.create_signing_key()
    assert (await identity.get_signing_key_status()).configured is True
    assert (await inkbox.signing_keys.get_status("signer")).configured is True
