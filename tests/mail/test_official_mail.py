"""Interoperability: the published synchronous client works on the sandbox, unchanged, over mail."""

from __future__ import annotations

import asyncio
import base64
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import inkbox
import inkbox.exceptions
import pytest

from inkbox_async.sandbox import Sandbox

T = TypeVar("T")
Client = Any  # Any: the published package has no stubs here
Run = Callable[..., Awaitable[Any]]
HELLO = {
    "filename": "quote 17.txt",
    "content_type": "text/plain",
    "content_base64": base64.b64encode(b"hello").decode(),
}


@pytest.fixture
def official(sandbox: Sandbox) -> Run:
    """Runs a function with an official client, in a thread; with another key where one is given."""

    async def run(function: Callable[[Client], T], key: str | None = None) -> T:
        def call() -> T:
            with inkbox.Inkbox(api_key=key or sandbox.api_key, base_url=sandbox.base_url) as client:
                return function(client)

        return await asyncio.to_thread(call)

    return run


def settled(client: Client, address: str, message_id: object) -> str:
    """The status of a sent message once its delivery has ended."""
    while True:
        status: str = client.messages.get(address, message_id).status
        if status not in ("queued", "sent"):
            return status
        time.sleep(0.005)


async def test_mail_between_two_agents(official: Run) -> None:
    def converse(client: Client) -> None:
        scout = client.create_identity("scout", display_name="Scout")
        other = client.create_identity("other")
        sent = scout.send_email(
            to=[other.email_address],
            cc=["lin@example.com"],
            subject="Quote 17",
            body_text="See the file.",
            body_html="<p>See the file.</p>",
            attachments=[HELLO],
        )
        assert (sent.direction, sent.is_read, sent.has_attachments) == (
            inkbox.MessageDirection.OUTBOUND,
            True,
            True,
        )
        assert settled(client, scout.email_address, sent.id) == "delivered"

        (received,) = list(other.iter_unread_emails())
        assert (received.message_id, received.from_address) == (sent.message_id, scout.email_address)
        detail = other.get_message(received.id)
        assert (detail.body_text, detail.body_html) == ("See the file.", "<p>See the file.</p>")
        assert detail.reply_all_recipients.to == [scout.email_address]
        assert detail.reply_all_recipients.cc == ["lin@example.com"]
        assert [part["filename"] for part in detail.attachment_metadata] == ["quote 17.txt"]

        answer = other.reply_all_email(received.id, body_text="Thanks.")
        assert (answer.subject, answer.cc_addresses) == ("Re: Quote 17", ["lin@example.com"])
        thread = scout.get_thread(sent.thread_id)
        assert [message.snippet for message in thread.messages] == ["See the file.", "Thanks."]
        again = scout.send_email(
            to=[other.email_address],
            subject="Re: Quote 17",
            body_text="You are welcome.",
            in_reply_to_message_id=answer.message_id,
        )
        assert again.thread_id == sent.thread_id
        by_row = scout.send_email(to=["a@example.com"], subject="x", in_reply_to_message_id=str(sent.id))
        assert by_row.thread_id == sent.thread_id
        assert len(client.threads.get(scout.email_address, sent.thread_id).messages) == 4

    await official(converse)


async def test_flags_attachments_search_and_deleting(official: Run) -> None:
    def handle(client: Client) -> None:
        scout = client.create_identity("scout")
        address = scout.email_address
        for number in range(3):
            scout.send_email(to=[address], subject=f"Report {number}", body_text="x", attachments=[HELLO])
        received = list(client.messages.list(address, direction="inbound", page_size=2))
        assert [message.subject for message in received] == ["Report 2", "Report 1", "Report 0"]

        scout.mark_emails_read([received[0].id, received[1].id])
        assert [message.id for message in scout.iter_unread_emails()] == [received[2].id]
        assert client.messages.mark_unread(address, received[0].id).is_read is False
        assert client.messages.star(address, received[0].id).is_starred is True
        assert client.messages.unstar(address, received[0].id).is_starred is False

        link = client.messages.get_attachment(address, received[0].id, "quote 17.txt")
        with urllib.request.urlopen(link["url"]) as response:
            assert response.read() == b"hello"
        assert link["filename"] == "quote 17.txt"

        found = client.mailboxes.search(address, q="report", limit=20)
        assert len(found) == 6
        client.messages.delete(address, received[0].id)
        assert len(client.mailboxes.search(address, q="report")) == 5
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            client.messages.get(address, received[0].id)
        assert caught.value.status_code == 404

    await official(handle)


async def test_forwards(official: Run, sandbox: Sandbox) -> None:
    def forward(client: Client) -> list[str]:
        scout = client.create_identity("scout")
        sent = scout.send_email(
            to=["ann@example.com"], subject="Plan", body_text="A plan", attachments=[HELLO]
        )
        inline = scout.forward_email(sent.id, to=["max@example.com"], body_text="FYI")
        wrapped = scout.forward_email(sent.id, bcc=["max@example.com"], mode=inkbox.ForwardMode.WRAPPED)
        bare = scout.forward_email(
            sent.id, to=["max@example.com"], subject="Bare", include_original_attachments=False
        )
        assert (inline.subject, bare.subject) == ("Fwd: Plan", "Bare")
        assert [message.has_attachments for message in (inline, wrapped, bare)] == [True, True, False]
        assert len({message.thread_id for message in (sent, inline, wrapped, bare)}) == 4
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            scout.forward_email(sent.id)
        assert caught.value.status_code == 422
        return [message.subject for message in (bare, wrapped, inline, sent)]

    subjects = await official(forward)
    assert [item.subject for item in await sandbox.world.outbox("mail")] == subjects


async def test_threads_and_folders(official: Run) -> None:
    def file(client: Client) -> None:
        scout = client.create_identity("scout")
        address = scout.email_address
        one = scout.send_email(to=["a@example.com"], subject="One").thread_id
        two = scout.send_email(to=["a@example.com"], subject="Two").thread_id
        assert [thread.subject for thread in client.threads.list(address, page_size=1)] == ["Two", "One"]
        moved = client.threads.update(address, one, folder=inkbox.ThreadFolder.ARCHIVE)
        assert moved.folder is inkbox.ThreadFolder.ARCHIVE
        assert client.threads.list_folders(address) == [
            inkbox.ThreadFolder.ARCHIVE,
            inkbox.ThreadFolder.INBOX,
        ]
        assert [thread.id for thread in client.threads.list(address, folder="archive")] == [one]
        client.threads.delete(address, two)
        assert [thread.id for thread in client.threads.list(address)] == [one]

    await official(file)


async def test_mailboxes_and_filter_modes(official: Run) -> None:
    def change(client: Client) -> None:
        address = client.create_identity("scout").email_address
        (mailbox,) = client.mailboxes.list()
        assert (mailbox.email_address, mailbox.sending_domain) == (address, "inkboxmail.com")
        client.mail_contact_rules.create(
            address, action="block", match_type="domain", match_target="spam.example"
        )
        updated = client.mailboxes.update(address, filter_mode="whitelist")
        notice = updated.filter_mode_change_notice
        assert (notice.redundant_rule_count, notice.redundant_rule_action) == (1, "block")
        assert notice.new_filter_mode is inkbox.FilterMode.WHITELIST
        assert client.mailboxes.update(address, filter_mode="whitelist").filter_mode_change_notice is None
        assert client.mailboxes.get(address).filter_mode is inkbox.FilterMode.WHITELIST

    await official(change)


async def test_contact_rules(official: Run, sandbox: Sandbox) -> None:
    def manage(client: Client) -> str:
        address: str = client.create_identity("scout").email_address
        rules = client.mail_contact_rules
        rule = rules.create(
            address,
            action=inkbox.MailRuleAction.BLOCK,
            match_type=inkbox.MailRuleMatchType.DOMAIN,
            match_target="spam.example",
        )
        with pytest.raises(inkbox.DuplicateContactRuleError) as caught:
            rules.create(address, action="allow", match_type="domain", match_target="spam.example")
        assert caught.value.existing_rule_id == rule.id
        assert rules.update(address, rule.id, status="paused").status == "paused"
        assert rules.update(address, rule.id, status="active", action="allow").action == "allow"
        assert rules.get(address, rule.id).match_target == "spam.example"
        other = rules.create(address, action="block", match_type="exact_email", match_target="a@b.example")
        assert [item.id for item in rules.list(address)] == [other.id, rule.id]
        assert [item.id for item in rules.list(address, action="allow", limit=1)] == [rule.id]
        mailbox = client.mailboxes.get(address)
        assert [item.id for item in rules.list_all(mailbox_id=str(mailbox.id))] == [other.id, rule.id]
        rules.delete(address, rule.id)
        assert [item.id for item in rules.list(address)] == [other.id]
        return address

    address = await official(manage)
    result = await sandbox.world.send_email(from_="a@b.example", to=[address], subject="Bargain")
    assert result.deliveries[0].folder == "blocked"

    def as_admin(client: Client) -> list[str]:
        return [thread.folder.value for thread in client.threads.list(address)]

    def as_agent(client: Client) -> list[str]:
        with pytest.raises(inkbox.exceptions.InkboxAPIError) as caught:
            client.mailboxes.update(address, filter_mode="whitelist")
        assert caught.value.status_code == 403
        return [message.subject for message in client.messages.list(address)]

    def agent_key(client: Client) -> str:
        identity = client.get_identity("scout")
        key: str = client.api_keys.create(label="agent", scoped_identity_id=str(identity.id)).api_key
        return key

    assert await official(as_admin) == ["blocked"]
    assert await official(as_agent, await official(agent_key)) == []


async def test_a_blocked_recipient_has_its_own_exception(official: Run, sandbox: Sandbox) -> None:
    def send(client: Client) -> None:
        scout = client.get_identity("scout")
        with pytest.raises(inkbox.RecipientBlockedError) as caught:
            scout.send_email(to=["ann@example.com"], subject="Hello")
        assert (caught.value.address, caught.value.matched_rule_id) == ("ann@example.com", None)

    def create(client: Client) -> None:
        client.create_identity("scout")

    await official(create)
    async with sandbox.client() as client:
        scout = await client.get_identity("scout")
        await scout.update(mail_outbound_filter_mode="whitelist")
    await official(send)
