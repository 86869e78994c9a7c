"""The table of calls: every kind that the client has, and the traces they leave at the server."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.store import Tx

HANDLE = "reliable"
LONG_TEXT = "All work and no play makes a dull agent. " * 10_000
FILE = bytes(range(256)) * 3_000
PAGES = 3


@dataclass(slots=True)
class World:
    """What all calls find at the server.

    Attributes:
        sandbox: The server.
        address: The agent's mailbox.
        subjects: Subjects of the messages in `PAGES` pages, newest first.
        long_id: A message of `LONG_TEXT`.
        attachment_id: A message with the attachment `a.txt`.
        contact_id: A contact.
    """

    sandbox: Sandbox
    address: str
    subjects: list[str]
    long_id: UUID
    attachment_id: UUID
    contact_id: UUID

    @classmethod
    async def create(cls, sandbox: Sandbox) -> World:
        """Fill a fresh sandbox."""
        await sandbox.reset()
        # More than the fair use of a day, with so many tests.
        await sandbox.world.update_organization(sandbox.organization_id, limits={"mail_sends_per_day": None})
        async with sandbox.client() as admin:
            address = (await admin.create_identity(HANDLE, imessage_enabled=True)).email_address
            assert address is not None
            await sandbox.world.send_email(
                from_="ann@example.com", to=[address], subject="long", text=LONG_TEXT
            )
            attachment = {
                "filename": "a.txt",
                "content_type": "text/plain",
                "content_base64": base64.b64encode(b"hello").decode(),
            }
            await sandbox.world.send_email(
                from_="ann@example.com", to=[address], subject="attachment", attachments=[attachment]
            )
            for number in range(2 * PAGES - 3):
                await sandbox.world.send_email(from_="ann@example.com", to=[address], subject=f"no {number}")
            found = await admin.messages.list(address).collect()
            contact = await admin.contacts.create(given_name="Ada")
        by_subject = {message.subject: message.id for message in found}
        return cls(
            sandbox=sandbox,
            address=address,
            subjects=[str(message.subject) for message in found],
            long_id=by_subject["long"],
            attachment_id=by_subject["attachment"],
            contact_id=contact.id,
        )

    async def count(self, sql: str, label: str) -> int:
        """How many rows of the server's a label is on."""

        def value(tx: Tx) -> int:
            return int(tx.value(sql, label))

        return await self.sandbox.store.run(value)

    async def note(self, label: str) -> UUID:
        """A note to change."""
        async with self.sandbox.client() as admin:
            return (await admin.notes.create(title=label, body="before")).id


class Answer(Enum):
    """What the client makes of the body of an answer."""

    MODEL = "a model"
    TEXT = "the text itself"
    NOTHING = "nothing"
    HEADER = "nothing; the answer is in a header"


Run = Callable[[AsyncInkbox, World, str, Any, str | None], Coroutine[Any, Any, None]]  # Any: for the call


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call.

    Attributes:
        name: What it is, in words.
        method: HTTP method of the request that is hit.
        run: Makes the call, whose trace at the server is to carry a label. `key` is an idempotency key, for
            calls that take one. Checks the answer, and raises AssertionError when it is not the call's own.
        repeatable: Whether the client may send the request again when nobody knows what became of it.
        keyed: It is repeatable because it carries an idempotency key.
        requests: How many requests it takes when nothing is wrong.
        before: How many requests come before the one that is hit,
        skip: and how many of them have the same method.
        answer: What becomes of the body.
        trace: SQL that counts, by label, how often it was carried out; None for calls that change nothing.
        prepare: Something to do before, which the call gets as `label_id`.
    """

    name: str
    method: str
    run: Callable[
        [AsyncInkbox, World, str, Any, str | None], Coroutine[Any, Any, None]
    ]  # Any: what `prepare` made
    repeatable: bool = False
    keyed: bool = False
    requests: int = 1
    before: int = 0
    skip: int = 0
    answer: Answer = Answer.MODEL
    trace: str | None = None
    prepare: Callable[[World, str], Awaitable[Any]] | None = None  # Any: for `run`

    def __str__(self) -> str:
        return self.name

    async def traces(self, world: World, label: str) -> int:
        """How often the server carried the call out."""
        return 0 if self.trace is None else await world.count(self.trace, label)


async def read(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert (await inkbox.get_identity(HANDLE)).agent_handle == HANDLE


async def pages(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    listed = inkbox.messages.list(world.address, page_size=2, direction="inbound")
    assert [message.subject async for message in listed] == world.subjects


async def download(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert (await inkbox.messages.get(world.address, world.long_id)).body_text == LONG_TEXT


async def text(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert "Ada" in await inkbox.contacts.vcards.export_vcard(world.contact_id)


async def link(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    found = await inkbox.messages.get_attachment(world.address, world.attachment_id, "a.txt", redirect=True)
    assert found.url.startswith(world.sandbox.base_url)


async def send(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    sent = await inkbox.messages.send(
        world.address, to=["bob@example.com"], subject=label, body_text="Hello", idempotency_key=key
    )
    assert sent.subject == label


async def answer(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    sent = await inkbox.messages.send(
        world.address,
        to=["ann@example.com"],
        subject=label,
        body_text="Hello",
        in_reply_to_message_id=world.attachment_id,
        idempotency_key=key,
    )
    assert sent.subject == label


async def create(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert (await inkbox.notes.create(title=label, body="new")).title == label


async def update(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert (await inkbox.notes.update(about, body="after")).title == label


async def delete(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    await inkbox.notes.delete(about)


async def import_file(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    result = await inkbox.contacts.vcards.import_vcards(
        f"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{label}\r\nEND:VCARD\r\n"
    )
    assert len(result.created_ids) == 1


async def upload(inkbox: AsyncInkbox, world: World, label: str, about: Any, key: str | None) -> None:
    assert (await inkbox.imessages.upload_media(content=FILE, filename=label)).media_url


_SENT = "SELECT count(*) FROM mail_messages WHERE direction = 'outbound' AND subject = ?"

READ = Call("read", "GET", read, repeatable=True)
SEND = Call("send", "POST", send, repeatable=True, keyed=True, trace=_SENT)
CREATE = Call("create", "POST", create, trace="SELECT count(*) FROM notes WHERE title = ?")
UPLOAD = Call("upload", "POST", upload, trace="SELECT count(*) FROM imessage_media WHERE filename = ?")
PAGED = Call("pages", "GET", pages, repeatable=True, requests=PAGES, before=1, skip=1)
DOWNLOAD = Call("download", "GET", download, repeatable=True)

DELETE = Call(
    "delete",
    "DELETE",
    delete,
    answer=Answer.NOTHING,
    trace="SELECT count(*) FROM notes WHERE title = ? AND status = 'deleted'",
    prepare=World.note,
)

CALLS = (
    READ,
    PAGED,
    DOWNLOAD,
    Call("text", "GET", text, repeatable=True, answer=Answer.TEXT),
    Call("link", "GET", link, repeatable=True, answer=Answer.HEADER),
    SEND,
    Call("answer", "POST", answer, repeatable=True, keyed=True, requests=2, before=1, trace=_SENT),
    CREATE,
    Call(
        "update",
        "PATCH",
        update,
        trace="SELECT count(*) FROM notes WHERE title = ? AND body = 'after'",
        prepare=World.note,
    ),
    DELETE,
    Call(
        "import",
        "POST",
        import_file,
        trace="SELECT count(*) FROM contacts WHERE preferred_name = ?",
    ),
    UPLOAD,
)

WAITING_CALLS = (READ, PAGED, DOWNLOAD, SEND, CREATE, DELETE, UPLOAD)
"""Those that are tried where the client waits in vain, which takes time: the others are like one of these."""
