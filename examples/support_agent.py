"""A support agent at work: mail comes in, is answered in its thread, and a spammer is shut out.

python examples/support_agent.py --sandbox     a local Inkbox, with people who write by real SMTP
python examples/support_agent.py               the real service, with INKBOX_API_KEY set: write to the
                                               address it prints, and it answers you
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from inkbox_async import AgentIdentity, AsyncInkbox, MailRuleAction, MailRuleMatchType, Message

SPAM_WORDS = ("lottery", "crypto", "miracle")


class Agent:
    """Answers every unread mail once; has the domain of whoever sends spam blocked.

    It works with a key of its own, which sees nothing but its identity, and none of the mail that was kept
    out. Contact rules are the owner's affair: they are made with the owner's admin key.
    """

    def __init__(self, owner: AsyncInkbox, identity: AgentIdentity) -> None:
        self.owner = owner
        self.identity = identity

    async def work(self) -> int:
        """Handles what is unread now; returns how many messages there were."""
        handled = 0
        async for message in self.identity.iter_unread_emails(direction="inbound"):
            handled += 1
            print(f"  reads   {message.subject!r} from {message.from_address}")
            if any(word in (message.subject or "").lower() for word in SPAM_WORDS):
                await self.block(message.from_address.partition("@")[2])
            else:
                await self.answer(message)
            await self.identity.mark_emails_read([message.id])
        return handled

    async def answer(self, message: Message) -> None:
        """Answers in the thread, naming what was attached."""
        whole = await self.identity.get_message(str(message.id))
        files = [str(item["filename"]) for item in whole.attachment_metadata or ()]
        received = f" I have got {', '.join(files)} and look into it." if files else ""
        sent = await self.identity.send_email(
            to=[message.from_address],
            subject=f"Re: {message.subject}",
            body_text=f"Thank you for writing.{received}\n\nYour support agent",
            in_reply_to_message_id=message.id,
        )
        print(f"  answers {sent.subject!r} to {message.from_address}")

    async def block(self, domain: str) -> None:
        """Nothing from this domain gets in any more."""
        assert self.identity.email_address is not None
        await self.owner.mail_contact_rules.create(
            self.identity.email_address,
            action=MailRuleAction.BLOCK,
            match_type=MailRuleMatchType.DOMAIN,
            match_target=domain,
        )
        print(f"  blocks  everybody at {domain}")


async def show(identity: AgentIdentity, thread_id: object) -> None:
    """Prints a thread as a person would like to read it."""
    thread = await identity.get_thread(str(thread_id))
    print(f"\n{thread.subject}\n{'─' * len(thread.subject or '')}")
    for message in thread.messages:
        whole = await identity.get_message(str(message.id))
        arrow = "←" if message.direction == "inbound" else "→"
        print(f"{arrow} {message.from_address}, {message.created_at:%H:%M:%S}")
        for line in (whole.body_text or "").strip().splitlines():
            print(f"    {line}")
        for item in whole.attachment_metadata or ():
            print(f"    [{item['filename']}, {item['size']} bytes]")
    print()


async def main(on_sandbox: bool) -> None:
    """Runs the agent on the sandbox or, until a mail was answered, on the real service."""
    if on_sandbox:
        async with sandbox_with_people() as (owner, people), hired(owner, "support") as identity:
            print(f"The agent lives at {identity.email_address}\n")
            agent = Agent(owner, identity)

            print("Ada writes, with a log file attached:")
            await people.write(
                "Ada Lovelace <ada@example.com>", identity, "The engine stops", "It stops at step 7."
            )
            await agent.work()

            print("A spammer writes, twice:")
            await people.write(
                "Prize Office <win@spam.example>", identity, "You won the lottery", "Click here!"
            )
            await agent.work()
            await people.write("Prize Office <more@spam.example>", identity, "Second lottery", "Click again!")
            kept_out = await agent.work()
            print(f"  the second one {'gets in' if kept_out else 'stays out'}")

            first = (await identity.iter_emails(direction="inbound").collect())[-1]
            await show(identity, first.thread_id)
        return

    async with AsyncInkbox() as owner, hired(owner, f"support-{secrets.token_hex(3)}") as identity:
        print(f"Write to {identity.email_address}; the agent answers (Ctrl-C to stop)")
        agent = Agent(owner, identity)
        while True:
            if await agent.work():
                break
            await asyncio.sleep(5)
        async for message in identity.iter_emails(direction="inbound"):
            await show(identity, message.thread_id)


@asynccontextmanager
async def hired(owner: AsyncInkbox, handle: str) -> AsyncIterator[AgentIdentity]:
    """A new identity, seen with a key of its own, and deleted in the end."""
    created = await owner.create_identity(handle, display_name="Support")
    key = await owner.api_keys.create(label="support agent", scoped_identity_id=created.id)
    try:
        async with AsyncInkbox(key.api_key, base_url=owner.base_url) as inkbox:
            yield await inkbox.get_identity(handle)
    finally:
        await created.delete()


class People:
    """People outside who write mail, by real SMTP."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    async def write(self, sender: str, to: AgentIdentity, subject: str, text: str) -> None:
        """Sends one mail with a small log file attached."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to.email_address, subject
        mail.set_content(text)
        mail.add_attachment("step 6: ok\nstep 7: stopped\n", filename="engine.log")

        def deliver() -> None:
            with smtplib.SMTP(self.host, self.port) as smtp:
                smtp.send_message(mail)

        await asyncio.to_thread(deliver)


@asynccontextmanager
async def sandbox_with_people() -> AsyncIterator[tuple[AsyncInkbox, People]]:
    """A sandbox in this process, a client on it, and people who know its SMTP port."""
    from inkbox_async.sandbox import Sandbox

    async with Sandbox() as sandbox, sandbox.client() as inkbox:
        assert sandbox.smtp_host is not None
        assert sandbox.smtp_port is not None
        yield inkbox, People(sandbox.smtp_host, sandbox.smtp_port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sandbox", action="store_true", help="run on a local Inkbox instead of the real service"
    )
    options = parser.parse_args()
    asyncio.run(main(options.sandbox or not os.environ.get("INKBOX_API_KEY")))
