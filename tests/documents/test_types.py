"""What type checkers infer for the documents' lines: `make check` fails here when an answer loses its type.

Each line also runs against the sandbox, so that what is inferred is what comes back.
"""

from __future__ import annotations

import json
from typing import assert_type, cast
from uuid import UUID

import pytest

from inkbox_async import (
    AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED,
    AgentIdentity,
    AgentIdentitySummary,
    APIKeyPayload,
    AsyncInkbox,
    AsyncPages,
    Contact,
    ContactEmail,
    Credentials,
    DecryptedVaultSecret,
    DuplicateContactRuleError,
    FilterModeChangeNotice,
    IdentityAccess,
    IdentityPhoneNumber,
    IMessage,
    InkboxAPIError,
    LoginPayload,
    Mailbox,
    MailContactRule,
    Message,
    Note,
    Page,
    PhoneCall,
    PhoneTranscript,
    RedundantContactAccessGrantError,
    SmsDeliveryStatus,
    SmsOptIn,
    TextMessage,
    TextWebhookPayload,
    ThreadDetail,
    ThreadFolder,
    Tunnel,
    TunnelSummary,
    UnlockedVault,
    VaultInfo,
    WebhookSubscription,
    WhoamiApiKeyResponse,
    WhoamiJwtResponse,
)
from inkbox_async.sandbox import Sandbox
from inkbox_async.vault.totp import TOTPCode, TOTPConfig, parse_totp_uri

ANN = "+15551234567"
KEY = "my-Vault-key-01!"
URI = "otpauth://totp/GitHub:me@example.com?secret=JBSWY3DPEHPK3PXP&issuer=GitHub"


@pytest.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("sales-agent", imessage_enabled=True)


async def test_identities(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    assert_type(await inkbox.get_identity("sales-agent"), AgentIdentity)
    assert_type(await inkbox.list_identities(), list[AgentIdentitySummary])
    assert_type(await identity.list_access(), list[IdentityAccess])
    assert_type(identity.email_address, str | None)
    assert_type(identity.tunnel, TunnelSummary | None)
    assert_type(await inkbox.tunnels.list(), list[Tunnel])
    info = await inkbox.whoami()
    assert_type(info, WhoamiApiKeyResponse | WhoamiJwtResponse)
    assert info.auth_type == "api_key"
    assert info.auth_subtype == AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED
    with pytest.raises(InkboxAPIError) as missing:
        await inkbox.get_identity("unknown")
    assert_type(missing.value.status_code, int)


async def test_mail(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    sent = await identity.send_email(to=["ada@example.com"], subject="Hello", body_text="Hi there!")
    assert_type(sent, Message)
    assert_type(identity.iter_emails(direction="outbound"), AsyncPages[Message])
    assert_type(await identity.iter_emails(), Page[Message])
    async for msg in identity.iter_unread_emails():
        assert_type(msg, Message)
    ids = [msg.id async for msg in identity.iter_emails()]
    assert_type(ids, list[UUID])
    assert sent.thread_id is not None
    thread = await identity.get_thread(sent.thread_id)
    assert_type(thread, ThreadDetail)
    assert_type(thread.folder, ThreadFolder)
    [mailbox] = await inkbox.mailboxes.list()
    assert_type(mailbox, Mailbox)
    updated = await inkbox.mailboxes.update(mailbox.email_address, filter_mode="whitelist")
    assert_type(updated.filter_mode_change_notice, FilterModeChangeNotice | None)
    rule = await inkbox.mail_contact_rules.create(
        mailbox.email_address, action="allow", match_type="domain", match_target="example.com"
    )
    assert_type(rule, MailContactRule)
    with pytest.raises(DuplicateContactRuleError) as duplicate:
        await inkbox.mail_contact_rules.create(
            mailbox.email_address, action="allow", match_type="domain", match_target="example.com"
        )
    assert_type(duplicate.value.existing_rule_id, UUID)
    assert duplicate.value.existing_rule_id == rule.id
    assert_type(await inkbox.domains.set_default("inkboxmail.com"), str | None)


async def test_phone(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    phone = await identity.provision_phone_number(type="local", state="NY")
    assert_type(phone, IdentityPhoneNumber)
    inkbox_sandbox.clock.advance(900)
    await inkbox_sandbox.world.send_text(from_=ANN, to=phone.number, text="START")
    sent = await identity.send_text(to=ANN, text="Hello from Inkbox")
    assert_type(sent, TextMessage)
    assert_type(sent.delivery_status, SmsDeliveryStatus | None)
    assert_type(await identity.list_texts(is_read=False), list[TextMessage])
    call = await identity.place_call(to_number=ANN, client_websocket_url="wss://your-agent.example.com/ws")
    assert call.rate_limit is not None
    assert_type(call.rate_limit.calls_remaining, int)
    assert_type(await identity.list_calls(limit=10, offset=0), list[PhoneCall])
    assert_type(await identity.list_transcripts(call.id), list[PhoneTranscript])
    assert_type(await inkbox.sms_opt_ins.list(), list[SmsOptIn])
    assert_type(await identity.list_imessages(limit=20), list[IMessage])


async def test_contacts_and_notes(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    contact = await inkbox.contacts.create(
        given_name="Ada", emails=[ContactEmail(label="work", value="ada@example.com")]
    )
    assert_type(contact, Contact)
    assert_type(await inkbox.contacts.lookup(email_domain="example.com"), list[Contact])
    with pytest.raises(RedundantContactAccessGrantError) as redundant:
        await inkbox.contacts.access.grant(str(contact.id), identity_id=identity.id)
    assert_type(redundant.value.error, str)
    vcard = await inkbox.contacts.vcards.export_vcard(str(contact.id))
    assert_type(vcard, str)
    imported = await inkbox.contacts.vcards.import_vcards(vcard.replace("ada@", "lin@"))
    assert_type(imported.created_ids, list[UUID])
    note = await inkbox.notes.create(body="Customer prefers email follow-up.", title="Ada")
    assert_type(await inkbox.notes.update(str(note.id), title=None), Note)


async def test_vault(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    result = await inkbox.vault.initialize(KEY)
    assert_type(result.recovery_codes, list[str])
    assert_type(await inkbox.vault.info(), VaultInfo | None)
    unlocked = await inkbox.vault.unlock(KEY)
    assert_type(unlocked, UnlockedVault)
    secret = await identity.create_secret(
        name="GitHub", payload=LoginPayload(username="ada", password="s3cret", totp=parse_totp_uri(URI))
    )
    assert_type(await identity.get_totp_code(str(secret.id)), TOTPCode)
    await identity.refresh()
    assert_type(identity.credentials, Credentials)
    assert_type(identity.credentials.list_logins(), list[DecryptedVaultSecret])
    login = identity.credentials.get_login(str(secret.id))
    assert_type(login, LoginPayload)
    assert_type(login.totp, TOTPConfig | None)
    with pytest.raises(TypeError):
        assert_type(identity.credentials.get_api_key(str(secret.id)), APIKeyPayload)


async def test_webhooks(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    assert identity.mailbox is not None
    subscription = await inkbox.webhooks.subscriptions.create(
        mailbox_id=identity.mailbox.id, url="https://example.com/hook", event_types=["message.received"]
    )
    assert_type(subscription, WebhookSubscription)
    raw_body = b'{"event_type": "text.sent", "data": {"text_message": {"error_code": null}}}'
    payload = cast(TextWebhookPayload, json.loads(raw_body))
    assert payload["event_type"] == "text.sent"
    assert_type(payload["data"]["text_message"]["error_code"], str | None)
