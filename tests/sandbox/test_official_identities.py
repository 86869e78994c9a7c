"""Interoperability: the published synchronous client works on the sandbox, unchanged, over identities."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import inkbox
import inkbox.exceptions
import inkbox.identities.exceptions
import pytest

from inkbox_async.sandbox import Sandbox

T = TypeVar("T")
Client = Any  # Any: the published package has no stubs here
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def official(sandbox: Sandbox) -> Run:
    """Runs a function with an official client, in a thread; with another key where one is given."""

    async def run(function: Callable[[Client], T], key: str | None = None) -> T:
        def call() -> T:
            with inkbox.Inkbox(api_key=key or sandbox.api_key, base_url=sandbox.base_url) as client:
                return function(client)

        return await asyncio.to_thread(call)

    return run


async def test_the_life_of_an_identity(official: Run, sandbox: Sandbox) -> None:
    def live(client: Client) -> None:
        identity = client.create_identity(
            "sales-agent",
            display_name="Sales",
            description="",
            imessage_enabled=True,
            tunnel=inkbox.IdentityTunnelCreateOptions(tls_mode=inkbox.TLSMode.PASSTHROUGH),
            phone_number=inkbox.IdentityPhoneNumberCreateOptions(state="NY"),
        )
        assert identity.agent_handle == "sales-agent"
        assert (identity.display_name, identity.description) == ("Sales", "")
        assert identity.email_address == identity.mailbox.email_address == "sales-agent@inkboxmail.com"
        assert identity.phone_number.state == "NY"
        assert identity.phone_number.sms_status is inkbox.SmsStatus.PENDING
        assert identity.tunnel.tls_mode is inkbox.TLSMode.PASSTHROUGH
        assert identity.tunnel.status is inkbox.TunnelStatus.AWAITING_CERT
        assert identity.tunnel.public_host == f"sales-agent.{identity.tunnel.zone}"

        identity.update(new_handle="new-name", display_name=None, status="paused")
        assert (identity.agent_handle, identity.display_name) == ("new-name", None)
        assert identity.tunnel.tunnel_name == "new-name"
        identity.update(status="active", imessage_filter_mode="whitelist", description=None)
        assert identity.imessage_filter_mode is inkbox.FilterMode.WHITELIST
        assert identity.description is None
        assert identity.refresh().id == identity.id

        identity.release_phone_number()
        assert identity.phone_number is None
        assert identity.refresh().phone_number is None

        (summary,) = client.list_identities()
        assert summary.id == identity.id
        assert client.get_identity("new-name").mailbox.id == identity.mailbox.id
        identity.delete()
        assert client.list_identities() == []
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            client.get_identity("new-name")
        assert caught.value.status_code == 404

    await official(live)


async def test_a_taken_handle(official: Run) -> None:
    def clash(client: Client) -> None:
        client.create_identity("sales-agent")
        with pytest.raises(inkbox.identities.exceptions.HandleUnavailableError) as caught:
            client.create_identity("sales-agent")
        assert caught.value.blocking_namespace == "identities"
        other = client.create_identity("other-agent")
        with pytest.raises(inkbox.identities.exceptions.HandleUnavailableError):
            other.update(new_handle="sales-agent")

    await official(clash)


async def test_visibility(official: Run) -> None:
    def look(client: Client) -> None:
        target, viewer = client.create_identity("target"), client.create_identity("viewer")
        assert target.list_access() == []
        assert target.grant_access(viewer.id).viewer_identity_id == viewer.id
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            target.grant_access(viewer.id)
        assert caught.value.status_code == 409
        assert target.grant_access(None).viewer_identity_id is None
        with pytest.raises(inkbox.RedundantContactAccessGrantError) as redundant:
            target.grant_access(viewer.id)
        assert redundant.value.error == "redundant_grant"
        assert redundant.value.detail_message
        target.revoke_access(viewer.id)
        assert target.list_access() == []
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            target.revoke_access(viewer.id)
        assert caught.value.status_code == 404

    await official(look)


async def test_keys_and_whoami(official: Run, sandbox: Sandbox) -> None:
    def make(client: Client) -> Any:
        me = client.whoami()
        assert me.auth_subtype == inkbox.AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED
        assert me.organization_id == sandbox.organization_id
        identity = client.create_identity("worker")
        created = client.api_keys.create(label="worker", scoped_identity_id=identity.id)
        assert created.record.status is inkbox.ApiKeyStatus.ACTIVE
        assert created.record.scoped_identity_id == identity.id
        return created.api_key

    def use(client: Client) -> None:
        me = client.whoami()
        assert me.auth_subtype == inkbox.AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED
        assert [row.agent_handle for row in client.list_identities()] == ["worker"]
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            client.create_identity("another")
        assert caught.value.status_code == 403

    def delete(client: Client) -> None:
        client.get_identity("worker").delete()

    def dead(client: Client) -> None:
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            client.whoami()
        assert caught.value.status_code == 401

    key = await official(make)
    await official(use, key)
    await official(delete)
    await official(dead, key)


async def test_sign_up_and_claim(sandbox: Sandbox) -> None:
    def sign_up() -> Any:
        answer = inkbox.Inkbox.signup(
            "owner@example.com",
            note_to_human="I answer mail",
            agent_handle="demo-agent",
            harness="pytest",
            base_url=sandbox.base_url,
        )
        assert answer.email_address == "demo-agent@inkboxmail.com"
        status = inkbox.Inkbox.get_signup_status(answer.api_key, base_url=sandbox.base_url)
        assert status.claim_status == "agent_unclaimed"
        assert status.restrictions.allowed_recipients == ["owner@example.com"]
        return answer

    answer = await asyncio.to_thread(sign_up)
    first = await sandbox.world.signup_code("owner@example.com")
    sandbox.clock.advance(301)

    def claim(code: str) -> Any:
        return inkbox.Inkbox.verify_signup(answer.api_key, code, base_url=sandbox.base_url)

    def resend() -> Any:
        return inkbox.Inkbox.resend_signup_verification(answer.api_key, base_url=sandbox.base_url)

    assert (await asyncio.to_thread(resend)).claim_status == "agent_unclaimed"
    second = await sandbox.world.signup_code("owner@example.com")
    if second != first:
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            await asyncio.to_thread(claim, first)
        assert caught.value.status_code == 401
    assert (await asyncio.to_thread(claim, second)).claim_status == "agent_claimed"


async def test_signing_keys_and_domains(official: Run, sandbox: Sandbox) -> None:
    await sandbox.world.add_domain("mail.example.com")
    await sandbox.world.add_domain("late.example", "pending")

    def use(client: Client) -> None:
        assert client.create_signing_key().signing_key != client.create_signing_key().signing_key
        (verified,) = client.domains.list(status=inkbox.SendingDomainStatus.VERIFIED)
        assert verified.domain == "mail.example.com"
        assert client.domains.set_default("mail.example.com") == "mail.example.com"
        assert client.create_identity("one-agent").email_address == "one-agent@mail.example.com"
        assert client.create_identity("two-agent", sending_domain=None).email_address.endswith(
            "@inkboxmail.com"
        )
        three = client.create_identity(
            "three-agent", sending_domain="mail.example.com", email_local_part="hi"
        )
        assert three.email_address == "hi@mail.example.com"
        with pytest.raises(inkbox.exceptions.InkboxAPIError):
            client.domains.set_default("late.example")
        assert client.domains.set_default("inkboxmail.com") is None

    await official(use)
