"""Storing and deleting messages: conversations, attachments, the search index and the storage they take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.mail.mime import Attachment
from inkbox_async.sandbox.mail.references import ancestors
from inkbox_async.sandbox.mail.rows import BLOCKED
from inkbox_async.sandbox.mail.snippet import snippet
from inkbox_async.sandbox.store import Tx

INBOX = "inbox"
_MAX_INDEXED = 1_000_000


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to store. Addresses are bare; `raw` is what went over the wire."""

    message_id: str
    from_address: str
    from_display_name: str | None
    to: Sequence[str]
    cc: Sequence[str]
    subject: str | None
    body_text: str | None
    body_html: str | None
    direction: str
    status: str
    raw: bytes = field(repr=False)
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()
    is_read: bool = False
    is_forward: bool = False
    is_blocked: bool = False
    tracking_token: str | None = None
    snippet: str | None = None


def store(tx: Tx, now: datetime, mailbox_id: str, message: NewMessage) -> Row:
    """Put a message into a mailbox and the conversation it belongs to; returns its row with its `folder`."""
    thread_id = _thread_for(tx, now, mailbox_id, message)
    row_id = str(uuid4())
    tx.insert(
        "mail_messages",
        id=row_id,
        mailbox_id=mailbox_id,
        thread_id=thread_id,
        message_id=message.message_id,
        from_address=message.from_address,
        from_display_name=message.from_display_name,
        reply_to=list(message.reply_to),
        to_addresses=list(message.to),
        cc_addresses=list(message.cc),
        bcc_addresses=list(message.bcc),
        subject=message.subject,
        snippet=message.snippet or snippet(message.body_text, message.body_html),
        body_text=message.body_text,
        body_html=message.body_html,
        in_reply_to=message.in_reply_to,
        reference_ids=list(message.references),
        direction=message.direction,
        status=message.status,
        is_read=message.is_read,
        has_attachments=any(not part.is_inline for part in message.attachments),
        is_forward=message.is_forward,
        transport_id=uuid4().hex,
        tracking_token=message.tracking_token,
        size_bytes=len(message.raw),
        created_at=now,
        updated_at=now,
    )
    tx.insert("mail_sources", message_id=row_id, raw=message.raw)
    for index, part in enumerate(message.attachments):
        tx.insert(
            "mail_attachments",
            id=uuid4(),
            message_id=row_id,
            part_index=index,
            filename=part.filename,
            content_type=part.content_type,
            content_id=part.content_id,
            is_inline=part.is_inline,
            size=len(part.content),
            content=part.content,
        )
    row = with_folder(tx, row_id)
    _index(tx, row)
    tx.execute(
        "UPDATE mail_threads SET message_count = message_count + 1, "
        "last_message_at = max(last_message_at, ?) WHERE id = ?",
        row["created_at"],
        thread_id,
    )
    _add_storage(tx, mailbox_id, len(message.raw))
    return row


def with_folder(tx: Tx, row_id: str) -> Row:
    """The row of a message that exists, with the `folder` of its thread."""
    row = tx.one(
        "SELECT m.*, t.folder FROM mail_messages AS m JOIN mail_threads AS t ON t.id = m.thread_id "
        "WHERE m.id = ?",
        row_id,
    )
    if row is None:
        raise LookupError(f"There is no message {row_id}.")
    return row


def delete_message(tx: Tx, row: Row) -> None:
    """Delete a message and free its storage; an emptied thread goes with it."""
    tx.execute("DELETE FROM mail_search WHERE rowid = ?", row["seq"])
    tx.execute("DELETE FROM mail_messages WHERE id = ?", row["id"])
    _add_storage(tx, row["mailbox_id"], -row["size_bytes"])
    newest = tx.one(
        "SELECT count(*) AS number, max(created_at) AS at FROM mail_messages WHERE thread_id = ?",
        row["thread_id"],
    )
    if newest is None or not newest["number"]:
        tx.execute("DELETE FROM mail_threads WHERE id = ?", row["thread_id"])
    else:
        tx.update(
            "mail_threads", row["thread_id"], message_count=newest["number"], last_message_at=newest["at"]
        )


def delete_thread(tx: Tx, thread: Row) -> None:
    """Delete a thread with all its messages, and free their storage."""
    freed = tx.value("SELECT sum(size_bytes) FROM mail_messages WHERE thread_id = ?", thread["id"]) or 0
    tx.execute(
        "DELETE FROM mail_search WHERE rowid IN (SELECT seq FROM mail_messages WHERE thread_id = ?)",
        thread["id"],
    )
    tx.execute("DELETE FROM mail_messages WHERE thread_id = ?", thread["id"])
    tx.execute("DELETE FROM mail_threads WHERE id = ?", thread["id"])
    _add_storage(tx, thread["mailbox_id"], -freed)


def _thread_for(tx: Tx, now: datetime, mailbox_id: str, message: NewMessage) -> str:
    """The thread a message belongs to, a new one where it belongs to none."""
    thread_id = None if message.is_forward else _known_thread(tx, mailbox_id, message)
    if thread_id is None:
        thread_id = _new_thread(tx, now, mailbox_id, message)
    tx.execute(
        "INSERT OR IGNORE INTO mail_thread_references (mailbox_id, message_id, thread_id) "
        "SELECT ?, value, ? FROM json_each(?)",
        mailbox_id,
        thread_id,
        json.dumps(ancestors(message.in_reply_to, message.references)),
    )
    return thread_id


_BY_MESSAGE = (
    "SELECT t.id FROM mail_messages AS m JOIN mail_threads AS t ON t.id = m.thread_id "
    "WHERE m.mailbox_id = ? AND m.message_id = ? AND (t.folder = ?) = ? ORDER BY m.seq DESC LIMIT 1"
)
_BY_REFERENCE = (
    "SELECT t.id FROM mail_thread_references AS r JOIN mail_threads AS t ON t.id = r.thread_id "
    "WHERE r.mailbox_id = ? AND r.message_id = ? AND (t.folder = ?) = ? "
    "ORDER BY t.last_message_at DESC LIMIT 1"
)


def _known_thread(tx: Tx, mailbox_id: str, message: NewMessage) -> str | None:
    """The thread of the nearest ancestor that is here, else one that refers to the same message.

    So answers to a message that never came find each other, and one that comes late finds its answers.
    Blocked mail and other mail never share a thread: who may not see the one would see the other.
    """
    related = [*ancestors(message.in_reply_to, message.references), message.message_id]
    for query in (_BY_MESSAGE, _BY_REFERENCE):
        for message_id in related:
            thread_id: str | None = tx.value(query, mailbox_id, message_id, BLOCKED, message.is_blocked)
            if thread_id is not None:
                return thread_id
    return None


def _new_thread(tx: Tx, now: datetime, mailbox_id: str, message: NewMessage) -> str:
    thread_id = str(uuid4())
    tx.insert(
        "mail_threads",
        id=thread_id,
        mailbox_id=mailbox_id,
        subject=message.subject,
        folder=BLOCKED if message.is_blocked else INBOX,
        last_message_at=now,
        created_at=now,
    )
    return thread_id


def _index(tx: Tx, row: Row) -> None:
    names = ("from_display_name", "from_address", "to_addresses", "cc_addresses", "bcc_addresses")
    body = row["body_text"] or html_to_text((row["body_html"] or "")[:_MAX_INDEXED])
    tx.execute(
        "INSERT INTO mail_search (rowid, subject, addresses, body) VALUES (?, ?, ?, ?)",
        row["seq"],
        row["subject"] or "",
        " ".join(row[name] or "" for name in names),
        body[:_MAX_INDEXED],
    )


def _add_storage(tx: Tx, mailbox_id: str, number: int) -> None:
    tx.execute(
        "UPDATE mailboxes SET storage_used_bytes = max(0, storage_used_bytes + ?) WHERE id = ?",
        number,
        mailbox_id,
    )
