"""What the clients are compared by: calls that read the same with the published client and with ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from ..vault.vectors import cases

Sdk = Any  # Any: either client, or its module
Call = Callable[[Sdk, Sdk], Any]  # Any: what the client returns; here only what it sends counts

ONE = "11111111-2222-4333-8444-555555555555"
TWO = UUID("66666666-7777-4888-9999-aaaaaaaaaaaa")
CONVERSATION = "cccccccc-2222-4333-8444-555555555555"
MAIL = "sales-agent@inkboxmail.com"
NOW = "2026-06-01T12:00:00Z"

IDENTITY = {
    "id": ONE,
    "organization_id": "org_31bundleEXAMPLE000000000001",
    "agent_handle": "sales-agent",
    "display_name": None,
    "description": None,
    "email_address": MAIL,
    "imessage_enabled": True,
    "imessage_filter_mode": "blacklist",
    "status": "active",
    "created_at": NOW,
    "updated_at": NOW,
    "mailbox": {
        "id": str(TWO),
        "email_address": MAIL,
        "sending_domain": "inkboxmail.com",
        "filter_mode": "blacklist",
        "created_at": NOW,
        "updated_at": NOW,
    },
    "phone_number": {
        "id": str(TWO),
        "number": "+15550100001",
        "type": "local",
        "status": "active",
        "sms_status": "ready",
        "filter_mode": "blacklist",
        "incoming_call_action": "auto_reject",
        "created_at": NOW,
        "updated_at": NOW,
    },
    "tunnel": None,
}

CONTACTS: dict[str, Call] = {
    "list": lambda c, _: c.contacts.list(),
    "list filtered": lambda c, _: c.contacts.list(q="Ada & co", order="recent", limit=5, offset=0),
    "lookup email": lambda c, _: c.contacts.lookup(email="ada+x@example.com"),
    "lookup email_contains": lambda c, _: c.contacts.lookup(email_contains="ada"),
    "lookup email_domain": lambda c, _: c.contacts.lookup(email_domain="example.com"),
    "lookup phone": lambda c, _: c.contacts.lookup(phone="+15551234567"),
    "lookup phone_contains": lambda c, _: c.contacts.lookup(phone_contains="555"),
    "get": lambda c, _: c.contacts.get(ONE),
    "get by UUID": lambda c, _: c.contacts.get(TWO),
    "create": lambda c, _: c.contacts.create(given_name="Ada"),
    "create in full": lambda c, sdk: c.contacts.create(
        preferred_name="Ada",
        name_prefix="Lady",
        given_name="Ada",
        middle_name="K",
        family_name="Lovelace",
        name_suffix="I",
        company_name="Engines",
        job_title="Analyst",
        birthday=date(1815, 12, 10),
        notes="Zoë",
        emails=[
            sdk.ContactEmail(label="work", value="ada@example.com", is_primary=True),
            sdk.ContactEmail(label=None, value="a@example.com"),
        ],
        phones=[sdk.ContactPhone(label="mobile", value="+15551234567")],
        websites=[sdk.ContactWebsite(label=None, value="https://example.com")],
        dates=[sdk.ContactDate(label="anniversary", value=date(2019, 6, 1))],
        addresses=[
            sdk.ContactAddress(
                label="office", street="1 Way", city="London", region=None, postal_code="W1", country="GB"
            )
        ],
        custom_fields=[sdk.ContactCustomField(label="tier", value="gold")],
        access_identity_ids=[ONE, TWO],
    ),
    "create for admins": lambda c, _: c.contacts.create(given_name="Ada", access_identity_ids=[]),
    "create with null access": lambda c, _: c.contacts.create(given_name="Ada", access_identity_ids=None),
    "create with empty lists": lambda c, _: c.contacts.create(given_name="Ada", emails=[], phones=[]),
    "create with a birthday as text": lambda c, _: c.contacts.create(given_name="A", birthday="1815-12-10"),
    "update nothing": lambda c, _: c.contacts.update(ONE),
    "update": lambda c, _: c.contacts.update(ONE, job_title="Analyst"),
    "update clears": lambda c, _: c.contacts.update(TWO, birthday=None, emails=None, notes=None),
    "update lists": lambda c, sdk: c.contacts.update(
        ONE, phones=[sdk.ContactPhone(label=None, value="+15551234567", is_primary=True)], websites=[]
    ),
    "delete": lambda c, _: c.contacts.delete(ONE),
    "access.list": lambda c, _: c.contacts.access.list(ONE),
    "access.grant": lambda c, _: c.contacts.access.grant(ONE, identity_id=TWO),
    "access.grant wildcard": lambda c, _: c.contacts.access.grant(ONE, wildcard=True),
    "access.revoke": lambda c, _: c.contacts.access.revoke(ONE, str(TWO)),
    "vcards.import text": lambda c, _: c.contacts.vcards.import_vcards("BEGIN:VCARD\nFN:Zoë\nEND:VCARD\n"),
    "vcards.import bytes": lambda c, _: c.contacts.vcards.import_vcards(
        b"BEGIN:VCARD\r\nEND:VCARD\r\n", content_type="text/x-vcard"
    ),
    "vcards.export": lambda c, _: c.contacts.vcards.export_vcard(ONE),
}

NOTES: dict[str, Call] = {
    "list": lambda c, _: c.notes.list(),
    "list filtered": lambda c, _: c.notes.list(q="é", identity_id=TWO, order="recent", limit=50, offset=3),
    "get": lambda c, _: c.notes.get(ONE),
    "create": lambda c, _: c.notes.create(body="text"),
    "create with title": lambda c, _: c.notes.create(body="text\n", title=""),
    "update nothing": lambda c, _: c.notes.update(ONE),
    "update body": lambda c, _: c.notes.update(ONE, body="new"),
    "update clears the title": lambda c, _: c.notes.update(TWO, title=None),
    "delete": lambda c, _: c.notes.delete(ONE),
    "access.list": lambda c, _: c.notes.access.list(ONE),
    "access.grant": lambda c, _: c.notes.access.grant(ONE, identity_id=TWO),
    "access.revoke": lambda c, _: c.notes.access.revoke(TWO, ONE),
}

IMESSAGE: dict[str, Call] = {
    "triage number": lambda c, _: c.imessages.get_triage_number(),
    "list": lambda c, _: c.imessages.list(),
    "list filtered": lambda c, _: c.imessages.list(
        agent_identity_id=TWO, conversation_id=ONE, limit=7, offset=9, is_read=False, is_blocked=True
    ),
    "send to": lambda c, _: c.imessages.send(to="+15551234567", text="hi", agent_identity_id=ONE),
    "send in a conversation": lambda c, sdk: c.imessages.send(
        conversation_id=TWO,
        media_urls=["https://example.com/a.png"],
        send_style=sdk.IMessageSendStyle.SLAM,
    ),
    "send in style": lambda c, _: c.imessages.send(to="+15551234567", text="hi", send_style="confetti"),
    "list_assignments": lambda c, _: c.imessages.list_assignments(),
    "list_assignments of": lambda c, _: c.imessages.list_assignments(agent_identity_id=ONE, limit=1),
    "list_conversations": lambda c, _: c.imessages.list_conversations(),
    "list_conversations of": lambda c, _: c.imessages.list_conversations(
        agent_identity_id=TWO, is_blocked=False
    ),
    "get_conversation": lambda c, _: c.imessages.get_conversation(ONE),
    "get_conversation of": lambda c, _: c.imessages.get_conversation(ONE, agent_identity_id=TWO),
    "send_reaction": lambda c, _: c.imessages.send_reaction(message_id=ONE, reaction="like"),
    "send_reaction to a part": lambda c, sdk: c.imessages.send_reaction(
        message_id=TWO, reaction=sdk.IMessageReactionType.LOVE, part_index=2
    ),
    "mark_conversation_read": lambda c, _: c.imessages.mark_conversation_read(ONE),
    "send_typing": lambda c, _: c.imessages.send_typing(ONE),
    "upload_media": lambda c, _: c.imessages.upload_media(content=b"bytes", filename="a b.png"),
    "upload_media typed": lambda c, _: c.imessages.upload_media(
        content=b"bytes", filename='q"uote-é.png', content_type="image/png"
    ),
    "rules.list": lambda c, _: c.imessage_contact_rules.list("sales-agent"),
    "rules.list filtered": lambda c, sdk: c.imessage_contact_rules.list(
        "sales-agent", action=sdk.IMessageRuleAction.BLOCK, match_type="exact_number", limit=1, offset=0
    ),
    "rules.get": lambda c, _: c.imessage_contact_rules.get("sales-agent", ONE),
    "rules.create": lambda c, sdk: c.imessage_contact_rules.create(
        "sales-agent", action=sdk.IMessageRuleAction.BLOCK, match_target="+15559999999"
    ),
    "rules.update": lambda c, _: c.imessage_contact_rules.update("sales-agent", ONE, status="paused"),
    "rules.update action": lambda c, _: c.imessage_contact_rules.update("sales-agent", TWO, action="allow"),
    "rules.delete": lambda c, _: c.imessage_contact_rules.delete("sales-agent", ONE),
    "rules.list_all": lambda c, _: c.imessage_contact_rules.list_all(),
    "rules.list_all filtered": lambda c, _: c.imessage_contact_rules.list_all(
        agent_identity_id=ONE, action="allow", match_type="exact_number", limit=2, offset=4
    ),
}

WEBHOOKS: dict[str, Call] = {
    "list": lambda c, _: c.webhooks.subscriptions.list(),
    "list filtered": lambda c, _: c.webhooks.subscriptions.list(
        mailbox_id=ONE, url="https://example.com/a?b=c", event_type="message.received"
    ),
    "list of a number": lambda c, _: c.webhooks.subscriptions.list(phone_number_id=TWO),
    "list of an identity": lambda c, _: c.webhooks.subscriptions.list(agent_identity_id=TWO),
    "get": lambda c, _: c.webhooks.subscriptions.get(TWO),
    "create for mail": lambda c, _: c.webhooks.subscriptions.create(
        mailbox_id=TWO, url="https://example.com/", event_types=["message.received", "message.sent"]
    ),
    "create for texts": lambda c, _: c.webhooks.subscriptions.create(
        phone_number_id=ONE, url="https://example.com/é", event_types=["text.received"]
    ),
    "create for iMessage": lambda c, _: c.webhooks.subscriptions.create(
        agent_identity_id=ONE, url="https://example.com/", event_types=["imessage.received"]
    ),
    "update nothing": lambda c, _: c.webhooks.subscriptions.update(ONE),
    "update": lambda c, _: c.webhooks.subscriptions.update(
        ONE, url="https://example.com/2", event_types=["text.sent"]
    ),
    "delete": lambda c, _: c.webhooks.subscriptions.delete(ONE),
    "create_signing_key": lambda c, _: c.create_signing_key(),
}

VAULT: dict[str, Call] = {
    "info": lambda c, _: c.vault.info(),
    "list_keys": lambda c, _: c.vault.list_keys(),
    "list_keys typed": lambda c, _: c.vault.list_keys(key_type="recovery"),
    "list_secrets": lambda c, _: c.vault.list_secrets(),
    "list_secrets typed": lambda c, _: c.vault.list_secrets(secret_type="login"),
    "delete_secret": lambda c, _: c.vault.delete_secret(ONE),
    "list_access_rules": lambda c, _: c.vault.list_access_rules(TWO),
    "grant_access": lambda c, _: c.vault.grant_access(ONE, TWO),
    "revoke_access": lambda c, _: c.vault.revoke_access(ONE, TWO),
    "delete_key": lambda c, _: c.vault.delete_key("ab" * 32),
    "initialize": lambda c, _: c.vault.initialize("my-Vault-key-01!"),
}

IDENTITIES: dict[str, Call] = {
    "whoami": lambda c, _: c.whoami(),
    "list": lambda c, _: c.list_identities(),
    "get": lambda c, _: c.get_identity("other-agent"),
    "create": lambda c, _: c.create_identity("my-agent"),
    "create in full": lambda c, sdk: c.create_identity(
        "my-agent",
        display_name="My agent",
        description="does things",
        imessage_enabled=True,
        email_local_part="mine",
        sending_domain="mail.acme.com",
        tunnel=sdk.IdentityTunnelCreateOptions(tls_mode="passthrough"),
        phone_number=sdk.IdentityPhoneNumberCreateOptions(type="local", state="NY"),
        vault_secret_ids=[ONE, TWO],
    ),
    "create on the platform's domain": lambda c, _: c.create_identity(
        "my-agent", sending_domain=None, description=None, vault_secret_ids="*"
    ),
    "create with one secret": lambda c, _: c.create_identity("my-agent", vault_secret_ids=TWO),
    "api_keys.create": lambda c, _: c.api_keys.create(label="ci"),
    "api_keys.create scoped": lambda c, _: c.api_keys.create(
        label="ci", description="for CI", scoped_identity_id=TWO
    ),
    "domains.list": lambda c, _: c.domains.list(),
    "domains.list verified": lambda c, sdk: c.domains.list(status=sdk.SendingDomainStatus.VERIFIED),
    "domains.set_default": lambda c, _: c.domains.set_default("mail.acme.com"),
    "tunnels.list": lambda c, _: c.tunnels.list(),
    "tunnels.get": lambda c, _: c.tunnels.get(ONE),
    "tunnels.update": lambda c, _: c.tunnels.update(ONE, metadata={"team": "gtm"}),
}

MAIL_RESOURCES: dict[str, Call] = {
    "mailboxes.list": lambda c, _: c.mailboxes.list(),
    "mailboxes.get": lambda c, _: c.mailboxes.get(MAIL),
    "mailboxes.update": lambda c, _: c.mailboxes.update(MAIL, filter_mode="whitelist"),
    "mailboxes.search": lambda c, _: c.mailboxes.search(MAIL, q="invoice", limit=20),
    "messages.list": lambda c, _: c.messages.list(MAIL),
    "messages.list outbound": lambda c, _: c.messages.list(MAIL, page_size=3, direction="outbound"),
    "messages.get": lambda c, _: c.messages.get(MAIL, ONE),
    "messages.send": lambda c, _: c.messages.send(MAIL, to=["a@example.com"], subject="Hi", body_text="x"),
    "messages.mark_read": lambda c, _: c.messages.mark_read(MAIL, ONE),
    "messages.mark_unread": lambda c, _: c.messages.mark_unread(MAIL, ONE),
    "messages.star": lambda c, _: c.messages.star(MAIL, ONE),
    "messages.unstar": lambda c, _: c.messages.unstar(MAIL, ONE),
    "messages.delete": lambda c, _: c.messages.delete(MAIL, ONE),
    "messages.get_attachment": lambda c, _: c.messages.get_attachment(MAIL, ONE, "a b.pdf"),
    "threads.list": lambda c, _: c.threads.list(MAIL),
    "threads.list archived": lambda c, sdk: c.threads.list(MAIL, folder=sdk.ThreadFolder.ARCHIVE),
    "threads.list_folders": lambda c, _: c.threads.list_folders(MAIL),
    "threads.get": lambda c, _: c.threads.get(MAIL, ONE),
    "threads.update": lambda c, _: c.threads.update(MAIL, ONE, folder="spam"),
    "threads.delete": lambda c, _: c.threads.delete(MAIL, ONE),
    "rules.create": lambda c, sdk: c.mail_contact_rules.create(
        MAIL,
        action=sdk.MailRuleAction.ALLOW,
        match_type=sdk.MailRuleMatchType.DOMAIN,
        match_target="example.com",
    ),
    "rules.list": lambda c, _: c.mail_contact_rules.list(MAIL),
    "rules.list filtered": lambda c, _: c.mail_contact_rules.list(
        MAIL, action="allow", match_type="domain", limit=1, offset=1
    ),
    "rules.get": lambda c, _: c.mail_contact_rules.get(MAIL, ONE),
    "rules.update": lambda c, _: c.mail_contact_rules.update(MAIL, ONE, status="paused"),
    "rules.delete": lambda c, _: c.mail_contact_rules.delete(MAIL, ONE),
    "rules.list_all": lambda c, _: c.mail_contact_rules.list_all(mailbox_id=str(TWO)),
}

HELPERS: dict[str, Call] = {
    "update": lambda i, _: i.update(new_handle="new-name"),
    "update status": lambda i, _: i.update(status="paused"),
    "update switches": lambda i, _: i.update(imessage_enabled=False, imessage_filter_mode="whitelist"),
    "update clears": lambda i, _: i.update(display_name=None, description=None),
    "refresh": lambda i, _: i.refresh(),
    "delete": lambda i, _: i.delete(),
    "list_access": lambda i, _: i.list_access(),
    "grant_access": lambda i, _: i.grant_access(TWO),
    "grant_access to all": lambda i, _: i.grant_access(None),
    "revoke_access": lambda i, _: i.revoke_access(TWO),
    "send_email": lambda i, _: i.send_email(to=["a@example.com"], subject="Hi"),
    "send_email in full": lambda i, _: i.send_email(
        to=["a@example.com"],
        subject="Hi",
        body_text="text",
        body_html="<p>html</p>",
        cc=["b@example.com"],
        bcc=["c@example.com"],
        in_reply_to_message_id="<first@example.com>",
        attachments=[{"filename": "a.txt", "content_type": "text/plain", "content_base64": "eA=="}],
    ),
    "forward_email": lambda i, _: i.forward_email(ONE, to=["a@example.com"]),
    "forward_email in full": lambda i, sdk: i.forward_email(
        ONE,
        to=["a@example.com"],
        cc=["b@example.com"],
        mode=sdk.ForwardMode.WRAPPED,
        subject="Fwd",
        body_text="see",
        include_original_attachments=False,
        reply_to="r@example.com",
    ),
    "reply_all_email": lambda i, _: i.reply_all_email(ONE, body_text="yes"),
    "iter_emails": lambda i, _: i.iter_emails(),
    "iter_emails inbound": lambda i, _: i.iter_emails(direction="inbound", page_size=10),
    "iter_unread_emails": lambda i, _: i.iter_unread_emails(),
    "mark_emails_read": lambda i, _: i.mark_emails_read([ONE]),
    "get_message": lambda i, _: i.get_message(ONE),
    "get_thread": lambda i, _: i.get_thread(ONE),
    "send_imessage": lambda i, _: i.send_imessage(to="+15551234567", text="hi"),
    "send_imessage in a conversation": lambda i, _: i.send_imessage(
        conversation_id=CONVERSATION, text="hi", send_style="slam"
    ),
    "list_imessages": lambda i, _: i.list_imessages(limit=20, is_read=False),
    "list_imessages of": lambda i, _: i.list_imessages(conversation_id=CONVERSATION, is_blocked=False),
    "list_imessage_conversations": lambda i, _: i.list_imessage_conversations(limit=20),
    "get_imessage_conversation": lambda i, _: i.get_imessage_conversation(CONVERSATION),
    "list_imessage_assignments": lambda i, _: i.list_imessage_assignments(limit=20),
    "send_imessage_reaction": lambda i, _: i.send_imessage_reaction(message_id=ONE, reaction="like"),
    "mark_imessage_conversation_read": lambda i, _: i.mark_imessage_conversation_read(CONVERSATION),
    "send_imessage_typing": lambda i, _: i.send_imessage_typing(CONVERSATION),
    "upload_imessage_media": lambda i, _: i.upload_imessage_media(
        content=b"x", filename="photo.jpg", content_type="image/jpeg"
    ),
    "revoke_credential_access": lambda i, _: i.revoke_credential_access(ONE),
}


CLIENT_AREAS = {
    "contacts": CONTACTS,
    "notes": NOTES,
    "imessage": IMESSAGE,
    "webhooks": WEBHOOKS,
    "identities": IDENTITIES,
    "mail": MAIL_RESOURCES,
}

(BUNDLE,) = cases("unlock_bundle")
VAULT_KEY = BUNDLE["vault_key"]
LOGIN = next(item["id"] for item in BUNDLE["encrypted_secrets"] if item["secret_type"] == "login")
OTPAUTH = "otpauth://totp/GitHub:ada?secret=JBSWY3DPEHPK3PXP&issuer=GitHub"

UNLOCKED: dict[str, Call] = {
    "create_secret": lambda v, sdk: v.create_secret("PAT", sdk.APIKeyPayload(api_key="ghp_xxx")),
    "create_secret described": lambda v, sdk: v.create_secret(
        "AWS", sdk.LoginPayload(password="s", username="é", url="https://x"), description="Production"
    ),
    "get_secret": lambda v, _: v.get_secret(LOGIN),
    "update_secret name": lambda v, _: v.update_secret(LOGIN, name="New"),
    "update_secret clears": lambda v, _: v.update_secret(UUID(LOGIN), description=None),
    "update_secret payload": lambda v, sdk: v.update_secret(LOGIN, payload=sdk.LoginPayload(password="new")),
    "delete_secret": lambda v, _: v.delete_secret(LOGIN),
    "set_totp": lambda v, _: v.set_totp(LOGIN, OTPAUTH),
    "remove_totp": lambda v, _: v.remove_totp(LOGIN),
    "get_totp_code": lambda v, _: v.get_totp_code(LOGIN),
}
