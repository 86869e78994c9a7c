"""A fresh process that walks through the whole SDK and prints the longest stall of its loop in every step.

    python -m benchmarks.stall_scenario [--explain]

What it needs to know of the servers comes as a line of JSON on standard input; see `stalls`. A task that
wants to run every millisecond watches the loop; how late it is is a stall. With `--explain`, a thread shows
the stack of the loop's thread whenever it stands still for long, which costs some accuracy.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from inkbox_async import AsyncInkbox  # like every program, which has no loop yet at that time

from .clients import mailbox

if TYPE_CHECKING:
    from inkbox_async import AgentIdentity

PULSE = 0.001
EXPLAINED = 0.015
STACK = 12
VAULT_KEY = "my-Vault-key-01!"
ADA = "+14155550123"
LARGE = 5_000_000
PATIENCE = 30.0
"""Seconds after which a step counts as broken."""
PAGES = 100
ENCODED = base64.b64encode(bytes(LARGE)).decode()
VCARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nEMAIL:ada@example.com\r\nEND:VCARD\r\n"
SIGNING_KEY = "whsec_" + "6b" * 32


class Watch:
    """Notes the longest stall of the loop in every step."""

    def __init__(self, *, explain: bool) -> None:
        self.stalls: dict[str, tuple[float, float]] = {}
        """Of each step the seconds of its longest stall, and the processor time of the process meanwhile."""
        self._step = "start"
        self._seen = time.perf_counter()
        self._explain = explain
        self._loop_thread = threading.get_ident()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Everything that stalls in this block counts for `name`."""
        self._step = name
        self.stalls[name] = (0.0, 0.0)
        yield

    async def settle(self) -> None:
        """Lets the watch see the stall of what has just been done, if any."""
        await asyncio.sleep(3 * PULSE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watches while the block runs."""
        task = asyncio.create_task(self._watch())
        if self._explain:
            threading.Thread(target=self._explain_stalls, daemon=True).start()
        await self.settle()
        self.stalls.clear()
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            self._seen, processor = time.perf_counter(), time.process_time()
            await asyncio.sleep(PULSE)
            late = time.perf_counter() - self._seen - PULSE
            stall = (late, time.process_time() - processor)
            self.stalls[self._step] = max(stall, self.stalls.get(self._step, stall))

    def _explain_stalls(self) -> None:
        told = 0.0
        here = threading.get_ident()
        while True:
            time.sleep(PULSE)
            seen = self._seen
            if seen != told and time.perf_counter() - seen > EXPLAINED:
                told = seen
                # Who stands still in `select` waits for another thread to let go of the interpreter.
                for thread, frame in sys._current_frames().items():
                    if thread != here:
                        who = "the loop's thread" if thread == self._loop_thread else "another thread"
                        stack = "".join(traceback.format_stack(frame)[-STACK:])
                        print(f"--- {self._step}, {who}\n{stack}", file=sys.stderr)


Step = Callable[[], Awaitable[object]]


class Walk:
    """The steps, in the order of a program's life."""

    def __init__(self, about: dict[str, Any], watch: Watch) -> None:  # Any: JSON
        self._about = about
        self._watch = watch

    async def _do(self, name: str, step: Step) -> Any:  # Any: what the step returns
        with self._watch.step(name):
            try:
                async with asyncio.timeout(PATIENCE):
                    result = await step()
            except TimeoutError as error:
                raise TimeoutError(f"the step {name!r} does not end") from error
            await self._watch.settle()
        return result

    async def run(self) -> None:
        """Everything."""
        client = await self._do("make and enter the client", self._enter)
        try:
            await self._first_uses(client)
            identity = await self._do(
                "create_identity", lambda: client.create_identity(f"walker-{uuid4().hex[:8]}")
            )
            await self._mail(client, identity)
            await self._channels(client)
            await self._contacts_and_notes(client)
            await self._vault(client, identity)
            await self._webhooks(client, identity)
            await self._tunnel(client, identity)
            await self._large(client, identity)
            await self._pages()
        finally:
            await self._do("close", client.aclose)

    async def _enter(self) -> AsyncInkbox:
        client = AsyncInkbox(self._about["api_key"], base_url=self._about["base_url"])
        return await client.__aenter__()

    async def _first_uses(self, client: AsyncInkbox) -> None:
        async def touch(name: str) -> object:
            return attrgetter(name)(client)

        await self._do("whoami", client.whoami)
        for name in RESOURCES:
            await self._do(f"client.{name}", partial(touch, name))
        await self._do("mailboxes.list", client.mailboxes.list)
        await self._do("identities.list", client.list_identities)
        await self._do("domains.list", client.domains.list)
        await self._do("tunnels.list", client.tunnels.list)
        await self._do("phone_numbers.list", client.phone_numbers.list)

    async def _mail(self, client: AsyncInkbox, identity: AgentIdentity) -> None:
        address = identity.email_address
        assert address is not None
        await self._do("api_keys.create", lambda: client.api_keys.create(scoped_identity_id=identity.id))
        sent = await self._do(
            "send_email",
            lambda: identity.send_email(to=["ada@example.com"], subject="Hello", body_text="Ada!"),
        )
        await self._do("iter_emails", identity.iter_emails().collect)
        await self._do("get_message", lambda: identity.get_message(sent.id))
        await self._do("threads.list", client.threads.list(address).collect)
        await self._do("get_thread", lambda: identity.get_thread(sent.thread_id))
        await self._do("mailboxes.search", lambda: client.mailboxes.search(address, q="Hello"))
        await self._do("mail_contact_rules.list", lambda: client.mail_contact_rules.list(address))

    async def _channels(self, client: AsyncInkbox) -> None:
        """On an identity that people have texted and called before."""
        phone = await self._do("get_identity", lambda: client.get_identity(self._about["handle"]))
        await self._do("list_texts", phone.list_texts)
        await self._do("list_text_conversations", phone.list_text_conversations)
        await self._do("send_text", lambda: phone.send_text(to=ADA, text="Hello"))
        await self._do("list_calls", phone.list_calls)
        await self._do("sms_opt_ins.list", client.sms_opt_ins.list)
        await self._do("list_imessages", phone.list_imessages)
        [conversation] = await self._do("list_imessage_conversations", phone.list_imessage_conversations)
        await self._do(
            "send_imessage", lambda: phone.send_imessage(conversation_id=conversation.id, text="Hello")
        )
        await self._do(
            "upload_imessage_media, 5 MB",
            lambda: phone.upload_imessage_media(
                content=bytes(LARGE), filename="a.png", content_type="image/png"
            ),
        )

    async def _contacts_and_notes(self, client: AsyncInkbox) -> None:
        contact = await self._do("contacts.create", lambda: client.contacts.create(preferred_name="Ada"))
        await self._do("contacts.list", client.contacts.list)
        await self._do("contacts.lookup", lambda: client.contacts.lookup(email="ada@example.com"))
        await self._do("import_vcards", lambda: client.contacts.vcards.import_vcards(VCARD))
        await self._do("export_vcard", lambda: client.contacts.vcards.export_vcard(contact.id))
        note = await self._do("notes.create", lambda: client.notes.create(body="Call Ada"))
        await self._do("notes.list", client.notes.list)
        await self._do("notes.get", lambda: client.notes.get(note.id))

    async def _vault(self, client: AsyncInkbox, identity: AgentIdentity) -> None:
        if await self._do("vault.info", client.vault.info) is None:
            await self._do("vault.initialize", lambda: client.vault.initialize(VAULT_KEY))
        unlocked = await self._do("vault.unlock", lambda: client.vault.unlock(VAULT_KEY))

        async def create() -> object:
            from inkbox_async import LoginPayload, parse_totp_uri

            totp = parse_totp_uri("otpauth://totp/Shop:ada?secret=JBSWY3DPEHPK3PXP&issuer=Shop")
            return await unlocked.create_secret("Shop", LoginPayload("s3cret", "ada", totp=totp))

        secret = await self._do("create_secret", create)
        await self._do("get_secret", lambda: unlocked.get_secret(secret.id))
        await self._do("get_totp_code", lambda: unlocked.get_totp_code(secret.id))
        await self._do("vault.list_secrets", client.vault.list_secrets)
        await self._do("grant_access", lambda: client.vault.grant_access(secret.id, identity.id))
        await self._do("refresh", identity.refresh)

        async def credentials() -> object:
            return identity.credentials.list_logins()

        await self._do("identity.credentials", credentials)
        await self._do("delete_secret", lambda: unlocked.delete_secret(secret.id))

    async def _webhooks(self, client: AsyncInkbox, identity: AgentIdentity) -> None:
        assert identity.mailbox is not None
        box = identity.mailbox.id
        await self._do("create_signing_key", identity.create_signing_key)
        await self._do(
            "subscriptions.create",
            lambda: client.webhooks.subscriptions.create(
                mailbox_id=box, url="https://example.com/hook", event_types=["message.received"]
            ),
        )
        await self._do("subscriptions.list", client.webhooks.subscriptions.list)

        async def verify() -> None:
            from inkbox_async import verify_webhook

            headers = {
                "X-Inkbox-Signature": "sha256=00",
                "X-Inkbox-Timestamp": "1",
                "X-Inkbox-Request-ID": "1",
            }
            verify_webhook(payload=b"{}", headers=headers, secret=SIGNING_KEY)

        async def load() -> None:
            # Programs import this at their beginning; here, a thread keeps the other steps as they are.
            await asyncio.to_thread(import_module, "inkbox_async.webhooks.events")

        async def parse() -> None:
            from inkbox_async import parse_webhook

            for event in self._about["events"]:
                parse_webhook(json.dumps(event))

        await self._do("verify_webhook", verify)
        await self._do("import of parse_webhook in a thread", load)
        await self._do("parse_webhook", parse)

    async def _tunnel(self, client: AsyncInkbox, identity: AgentIdentity) -> None:
        handle = identity.agent_handle
        port = int(self._about["base_url"].rpartition(":")[2])
        with tempfile.TemporaryDirectory() as state:

            async def start() -> Any:  # Any: a listener
                listener = client.tunnels.connect(
                    name=handle, forward_to=hello, ca=self._about["ca_cert_path"], state_dir=state
                )
                return await listener.__aenter__()

            async def visit() -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    f"GET / HTTP/1.1\r\nHost: {handle}.localhost\r\nConnection: close\r\n\r\n".encode()
                )
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
                writer.close()

            listener = await self._do("tunnel: start", start)
            await self._do("tunnel: first request", visit)
            await self._do("tunnel: second request", visit)
            await self._do("tunnel: stop", listener.aclose)

    async def _large(self, client: AsyncInkbox, identity: AgentIdentity) -> None:
        address = identity.email_address
        assert address is not None
        attachment = {
            "filename": "a.bin",
            "content_type": "application/octet-stream",
            "content_base64": ENCODED,
        }
        sent = await self._do(
            "send an attachment of 5 MB",
            lambda: identity.send_email(
                to=["ada@example.com"], subject="Large", body_text="See there", attachments=[attachment]
            ),
        )
        await self._do("get_attachment", lambda: client.messages.get_attachment(address, sent.id, "a.bin"))
        sent = await self._do(
            "send a text of 5 MB",
            lambda: identity.send_email(
                to=["ada@example.com"], subject="Long", body_text="word " * (LARGE // 5)
            ),
        )
        await self._do("get a message of 5 MB", lambda: identity.get_message(sent.id))

    async def _pages(self) -> None:
        async with AsyncInkbox(self._about["api_key"], base_url=self._about["stub_url"]) as client:

            async def iterate() -> None:
                async for _ in client.messages.list(mailbox(PAGES)):
                    pass

            await self._do(f"iterate over {PAGES} pages", iterate)


RESOURCES = (
    "identities", "api_keys", "signing_keys", "domains", "mailboxes", "messages", "threads",
    "mail_contact_rules", "phone_numbers", "calls", "transcripts", "texts", "sms_opt_ins",
    "phone_contact_rules", "contacts", "contacts.access", "contacts.vcards", "notes", "notes.access",
    "imessages", "imessage_contact_rules", "vault", "webhooks", "webhooks.subscriptions", "tunnels",
)  # fmt: skip


async def hello(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI
    """An application that says hello."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def main(about: dict[str, Any], *, explain: bool) -> None:  # Any: JSON
    """Prints the longest stall of every step, in seconds."""
    watch = Watch(explain=explain)
    async with watch.running():
        await Walk(about, watch).run()
    print(json.dumps(watch.stalls))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline()), explain="--explain" in sys.argv))
