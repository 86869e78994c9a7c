"""From rows to the models of the wire, and which mailboxes, messages and threads a caller gets to see."""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from inkbox_async.generated.models.common import FilterModeChangeNotice
from inkbox_async.generated.models.mail import Mailbox, MailContactRule, Message, MessageDetail, Thread
from inkbox_async.sandbox.handling import Call, not_found
from inkbox_async.sandbox.mail.compose import reply_all_recipients
from inkbox_async.sandbox.store import Tx

LISTED = ", ".join(
    f"m.{name}"
    for name in (
        *("seq", "id", "mailbox_id", "thread_id", "message_id", "from_address", "from_display_name"),
        *(
            "to_addresses",
            "cc_addresses",
            "subject",
            "snippet",
            "direction",
            "status",
            "is_read",
            "is_starred",
        ),
        *("has_attachments", "created_at", "first_opened_at", "open_count", "import_job_id"),
    )
)
"""What lists select of `mail_messages AS m`: no bodies, which may be megabytes."""
BLOCKED = "blocked"
"""The folder of mail that contact rules keep out. Agents do not see it."""


def active_mailbox(tx: Tx, email_address: str) -> Row | None:
    """The living mailbox of an address in whatever organization, None when there is none."""
    return tx.one(
        "SELECT * FROM mailboxes WHERE email_address = ? AND status <> 'deleted'",
        email_address.strip().lower(),
    )


def mailbox_of(call: Call) -> Row:
    """The mailbox that the path names, by its address or the part before the `@`.

    Raises:
        ApiError: 404 when it does not exist, or is not the caller's to see.
    """
    name = call.path["email_address"].strip().lower()
    row = call.tx.one(
        "SELECT * FROM mailboxes WHERE organization_id = ? AND status <> 'deleted' "
        "AND (email_address = ? OR local_part = ?) ORDER BY email_address = ? DESC, created_at LIMIT 1",
        call.caller.organization_id,
        name,
        name,
        name,
    )
    if row is None or not call.caller.may_touch(row["identity_id"]):
        raise not_found("Mailbox")
    return row


def visible_folders(call: Call) -> str:
    """An SQL condition on a thread's `folder`: agents do not see blocked mail."""
    return "1" if call.caller.is_admin else f"folder <> '{BLOCKED}'"


def message_of(call: Call, mailbox: Row, message_id: str) -> Row:
    """A message of the mailbox by its id.

    Raises:
        ApiError: 404 when there is none that the caller may see.
    """
    row = call.tx.one(
        "SELECT m.*, t.folder FROM mail_messages AS m JOIN mail_threads AS t ON t.id = m.thread_id "
        f"WHERE m.id = ? AND m.mailbox_id = ? AND {visible_folders(call)}",
        message_id,
        mailbox["id"],
    )
    if row is None:
        raise not_found("Message")
    return row


def thread_of(call: Call, mailbox: Row) -> Row:
    """The thread of the mailbox that the path names.

    Raises:
        ApiError: 404 when there is none that the caller may see.
    """
    row = call.tx.one(
        f"SELECT * FROM mail_threads WHERE id = ? AND mailbox_id = ? AND {visible_folders(call)}",
        call.path["thread_id"],
        mailbox["id"],
    )
    if row is None:
        raise not_found("Thread")
    return row


def show_mailbox(
    row: Row, storage_limit_bytes: int | None, notice: FilterModeChangeNotice | None = None
) -> Mailbox:
    """A mailbox on the wire."""
    return Mailbox(
        id=row["id"],
        email_address=row["email_address"],
        sending_domain=row["domain"],
        filter_mode=row["filter_mode_inbound"],
        inbound_filter_mode=row["filter_mode_inbound"],
        outbound_filter_mode=row["filter_mode_outbound"],
        agent_identity_id=row["identity_id"],
        filter_mode_change_notice=notice,
        storage_used_bytes=row["storage_used_bytes"],
        storage_limit_bytes=storage_limit_bytes,
        signature_html=row["signature_html"],
        signature_text=row["signature_text"],
        signature_enabled=bool(row["signature_enabled"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def show_message(row: Row) -> Message:
    """A message on the wire, as lists show it."""
    return Message(**_message_fields(row))


def show_message_detail(tx: Tx, row: Row, mailbox: Row) -> MessageDetail:
    """A message on the wire with its body, headers and attachments."""
    to, cc = reply_all_recipients_of(row, mailbox)
    return MessageDetail(
        **_message_fields(row),
        body_text=row["body_text"],
        body_html=row["body_html"],
        bcc_addresses=json.loads(row["bcc_addresses"]) or None,
        in_reply_to=row["in_reply_to"],
        references=json.loads(row["reference_ids"]) or None,
        attachment_metadata=[
            {
                "filename": part["filename"],
                "content_type": part["content_type"],
                "size": part["size"],
                "content_id": part["content_id"],
                "is_inline": bool(part["is_inline"]),
            }
            for part in tx.all(
                "SELECT filename, content_type, size, content_id, is_inline FROM mail_attachments "
                "WHERE message_id = ? ORDER BY part_index",
                row["id"],
            )
        ],
        ses_message_id=row["transport_id"],
        updated_at=row["updated_at"],
        reply_all_recipients={"to": to, "cc": cc},
    )


def reply_all_recipients_of(message: Row, mailbox: Row) -> tuple[list[str], list[str]]:
    """(To, Cc) of a reply to everybody in a message of that mailbox."""
    return reply_all_recipients(
        [mailbox["email_address"]],
        message["from_address"],
        json.loads(message["reply_to"]),
        json.loads(message["to_addresses"]),
        json.loads(message["cc_addresses"]),
    )


def show_thread(row: Row) -> Thread:
    """A thread on the wire, without its messages."""
    return Thread(**thread_fields(row))


def thread_fields(row: Row) -> dict[str, Any]:  # Any: arguments of a model
    """What `Thread` and `ThreadDetail` have in common."""
    names = ("id", "mailbox_id", "subject", "folder", "message_count", "last_message_at", "created_at")
    return {name: row[name] for name in names}


def show_rule(row: Row) -> MailContactRule:
    """A contact rule on the wire, with the ids of both its mailbox and the identity behind it."""
    names = ("id", "mailbox_id", "action", "match_type", "match_target", "status", "direction")
    return MailContactRule(
        **{name: row[name] for name in names},
        agent_identity_id=row["identity_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _message_fields(row: Row) -> dict[str, Any]:  # Any: arguments of a model
    return {
        "id": row["id"],
        "mailbox_id": row["mailbox_id"],
        "thread_id": row["thread_id"],
        "message_id": row["message_id"],
        "from_address": row["from_address"],
        "from_display_name": row["from_display_name"],
        "to_addresses": json.loads(row["to_addresses"]),
        "cc_addresses": json.loads(row["cc_addresses"]) or None,
        "subject": row["subject"],
        "snippet": row["snippet"],
        "direction": row["direction"],
        "status": row["status"],
        "is_read": bool(row["is_read"]),
        "is_starred": bool(row["is_starred"]),
        "has_attachments": bool(row["has_attachments"]),
        "created_at": row["created_at"],
        "first_opened_at": row["first_opened_at"],
        "open_count": row["open_count"],
        "import_job_id": row["import_job_id"],
    }
