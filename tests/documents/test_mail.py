"""The documents, line by line: mail, mailboxes, domains, contact rules, and the page on filtering."""

from __future__ import annotations

import base64

import pytest

from inkbox_async import (
    AgentIdentity,
    AsyncInkbox,
    DuplicateContactRuleError,
    InkboxAPIError,
    MailRuleAction,
    MailRuleMatchType,
    SendingDomainStatus,
    ThreadFolder,
)
from inkbox_async.sandbox import Sandbox


@pytest.fixture
async def identity(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("sales-agent")


def address(identity: AgentIdentity) -> str:
    assert identity.email_address is not None
    return identity.email_address


async def write(sandbox: Sandbox, identity: AgentIdentity, sender: str, subject: str = "Hi") -> str:
    result = await sandbox.world.send_email(
        from_=sender, to=[address(identity)], subject=subject, text="Hello"
    )
    return str(result.deliveries[0].folder)


async def test_send_and_answer_in_the_thread(identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    sent = await identity.send_email(
        to=["ada@example.com"],
        subject="Hello",
        body_text="Hi there!",
        body_html="<p>Hi there!</p>",
        cc=["lin@example.com"],
        bcc=["max@example.com"],
        attachments=[
            {
                "filename": "report.pdf",
                "content_type": "application/pdf",
                "content_base64": base64.b64encode(b"%PDF-1.7").decode(),
            }
        ],
    )
    assert sent.has_attachments
    # The documents pass the id of the message sent; its Message-ID and the message itself work as well.
    for answered in (sent.id, str(sent.id), sent.message_id, sent):
        reply = await identity.send_email(
            to=["ada@example.com"], subject="Re: Hello", body_text="…", in_reply_to_message_id=answered
        )
        assert reply.thread_id == sent.thread_id
        assert (await identity.get_message(str(reply.id))).in_reply_to == sent.message_id
    assert len(await inkbox_sandbox.world.outbox("mail")) >= 5


async def test_iterate_and_mark_as_read(identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    for number in range(7):
        await write(inkbox_sandbox, identity, f"p{number}@example.com", f"Mail {number}")
    await identity.send_email(to=["ada@example.com"], subject="Out", body_text="…")

    subjects = [msg.subject async for msg in identity.iter_emails(page_size=2)]
    assert subjects == ["Out", *(f"Mail {number}" for number in reversed(range(7)))]
    inbound = [msg.subject async for msg in identity.iter_emails(direction="inbound")]
    assert "Out" not in inbound
    assert len(inbound) == 7

    ids = [msg.id async for msg in identity.iter_unread_emails()]
    assert len(ids) == 7
    await identity.mark_emails_read(ids)
    assert [msg async for msg in identity.iter_unread_emails()] == []

    page = await identity.iter_emails(page_size=3)
    assert [message.subject for message in page] == ["Out", "Mail 6", "Mail 5"]
    thread = await identity.get_thread(str(page[1].thread_id))
    assert [message.subject for message in thread.messages] == ["Mail 6"]
    assert thread.folder is ThreadFolder.INBOX


async def test_thread_folders(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    await write(inkbox_sandbox, identity, "ada@example.com")
    email = address(identity)
    [thread] = await inkbox.threads.list(email, folder=ThreadFolder.INBOX).collect()
    moved = await inkbox.threads.update(email, thread.id, folder="archive")
    assert moved.folder == "archive"
    assert await inkbox.threads.list_folders(email) == [ThreadFolder.ARCHIVE]
    asked = len(inkbox_sandbox.requests())
    with pytest.raises(ValueError, match="blocked"):
        await inkbox.threads.update(email, thread.id, folder="blocked")
    assert len(inkbox_sandbox.requests()) == asked, "nothing was sent"


async def test_mailboxes_and_the_change_notice(inkbox: AsyncInkbox, identity: AgentIdentity) -> None:
    [mailbox] = await inkbox.mailboxes.list()
    assert (await inkbox.mailboxes.get(address(identity))).id == mailbox.id
    assert mailbox.agent_identity_id == identity.id
    assert mailbox.sending_domain == "inkboxmail.com"
    for target in ("a.example", "b.example"):
        await inkbox.mail_contact_rules.create(
            mailbox.email_address, action="block", match_type="domain", match_target=target
        )
    updated = await inkbox.mailboxes.update(mailbox.email_address, filter_mode="whitelist")
    notice = updated.filter_mode_change_notice
    assert notice is not None
    assert (notice.redundant_rule_count, notice.redundant_rule_action, notice.new_filter_mode) == (
        2,
        "block",
        "whitelist",
    )
    same = await inkbox.mailboxes.update(mailbox.email_address, filter_mode="whitelist")
    assert same.filter_mode_change_notice is None
    await identity.send_email(to=["ada@example.com"], subject="The invoice", body_text="…")
    results = await inkbox.mailboxes.search(mailbox.email_address, q="invoice", limit=20)
    assert [message.subject for message in results] == ["The invoice"]


async def test_custom_domains(inkbox: AsyncInkbox, inkbox_sandbox: Sandbox) -> None:
    await inkbox_sandbox.world.add_domain("mail.acme.com", "verified")
    await inkbox_sandbox.world.add_domain("late.acme.com", "pending")
    verified = await inkbox.domains.list(status=SendingDomainStatus.VERIFIED)
    assert [domain.domain for domain in verified] == ["mail.acme.com"]
    assert await inkbox.domains.set_default("mail.acme.com") == "mail.acme.com"
    bot = await inkbox.create_identity("sales-bot", sending_domain="mail.acme.com")
    forced = await inkbox.create_identity("sales-bot-2", sending_domain=None)
    inherited = await inkbox.create_identity("sales-bot-3")
    assert [address(each) for each in (bot, forced, inherited)] == [
        "sales-bot@mail.acme.com",
        "sales-bot-2@inkboxmail.com",
        "sales-bot-3@mail.acme.com",
    ]
    assert await inkbox.domains.set_default("inkboxmail.com") is None


async def test_contact_rules(inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox) -> None:
    email = address(identity)
    rule = await inkbox.mail_contact_rules.create(
        email,
        action=MailRuleAction.ALLOW,
        match_type=MailRuleMatchType.DOMAIN,
        match_target="example.com",
    )
    assert rule.status == "active"
    assert [row.id for row in await inkbox.mail_contact_rules.list(email)] == [rule.id]
    assert (await inkbox.mail_contact_rules.get(email, rule.id)).match_target == "example.com"
    paused = await inkbox.mail_contact_rules.update(email, rule.id, status="paused")
    assert paused.status == "paused"
    with pytest.raises(DuplicateContactRuleError) as taken:
        await inkbox.mail_contact_rules.create(
            email, action="allow", match_type="domain", match_target="example.com"
        )
    assert taken.value.existing_rule_id == rule.id, "a paused rule holds its slot"
    mailbox_id = str(identity.mailbox.id) if identity.mailbox else None
    [row] = await inkbox.mail_contact_rules.list_all(mailbox_id=mailbox_id)
    assert row.id == rule.id
    await inkbox.mail_contact_rules.delete(email, rule.id)
    assert await inkbox.mail_contact_rules.list(email) == []

    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    async with inkbox_sandbox.client(created.api_key) as agent:
        with pytest.raises(InkboxAPIError) as refused:
            await agent.mailboxes.update(email, filter_mode="whitelist")
        assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("mode", "rules", "sender", "folder"),
    [
        ("blacklist", [], "jane@acme.example", "inbox"),
        ("blacklist", [("block", "exact_email", "jane@acme.example")], "jane@acme.example", "blocked"),
        ("blacklist", [("block", "exact_email", "jane@acme.example")], "joe@acme.example", "inbox"),
        ("blacklist", [("block", "domain", "acme.example")], "joe@acme.example", "blocked"),
        ("blacklist", [("block", "domain", "acme.example")], "joe@sub.acme.example", "inbox"),
        (
            "blacklist",
            [("block", "domain", "acme.example"), ("allow", "exact_email", "jane@acme.example")],
            "Jane <JANE@Acme.example>",
            "inbox",
        ),
        ("whitelist", [], "jane@acme.example", "blocked"),
        ("whitelist", [("allow", "exact_email", "jane@acme.example")], "jane@acme.example", "inbox"),
        ("whitelist", [("allow", "domain", "acme.example")], "joe@acme.example", "inbox"),
        ("whitelist", [("block", "domain", "acme.example")], "joe@acme.example", "blocked"),
        (
            "whitelist",
            [("allow", "domain", "acme.example"), ("block", "exact_email", "jane@acme.example")],
            "jane@acme.example",
            "blocked",
        ),
    ],
)
async def test_filtering(
    inkbox: AsyncInkbox,
    identity: AgentIdentity,
    inkbox_sandbox: Sandbox,
    mode: str,
    rules: list[tuple[str, str, str]],
    sender: str,
    folder: str,
) -> None:
    email = address(identity)
    await inkbox.mailboxes.update(email, filter_mode=mode)
    for action, match_type, target in rules:
        await inkbox.mail_contact_rules.create(
            email, action=action, match_type=match_type, match_target=target
        )
    assert await write(inkbox_sandbox, identity, sender) == folder

    created = await inkbox.api_keys.create(scoped_identity_id=identity.id)
    async with inkbox_sandbox.client(created.api_key) as agent:
        seen = await (await agent.get_identity("sales-agent")).iter_emails().collect()
        folders = await agent.threads.list_folders(email)
    assert len(seen) == (folder != "blocked"), "agent keys do not see blocked mail"
    assert folders == ([] if folder == "blocked" else ["inbox"])
    assert len(await identity.iter_emails().collect()) == 1, "admin keys do"
    assert await inkbox.threads.list_folders(email) == [folder]


async def test_a_paused_rule_filters_nothing_and_works_again_when_active(
    inkbox: AsyncInkbox, identity: AgentIdentity, inkbox_sandbox: Sandbox
) -> None:
    email = address(identity)
    rule = await inkbox.mail_contact_rules.create(
        email, action="block", match_type="domain", match_target="spam.example"
    )
    assert await write(inkbox_sandbox, identity, "a@spam.example", "1") == "blocked"
    await inkbox.mail_contact_rules.update(email, rule.id, status="paused")
    assert await write(inkbox_sandbox, identity, "b@spam.example", "2") == "inbox"
    await inkbox.mail_contact_rules.update(email, rule.id, status="active")
    assert await write(inkbox_sandbox, identity, "c@spam.example", "3") == "blocked"
    await inkbox.mail_contact_rules.delete(email, rule.id)
    assert await write(inkbox_sandbox, identity, "d@spam.example", "4") == "inbox"
