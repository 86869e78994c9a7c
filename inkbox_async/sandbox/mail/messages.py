"""The operations on stored messages: list, get, flags, delete."""

from __future__ import annotations

from inkbox_async.generated.models.mail import Message, MessageDetail, MessagePage, UpdateMessageFlagsRequest
from inkbox_async.generated.queries.mail import MessagesListQuery
from inkbox_async.sandbox.clock import timestamp
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.mail.archive import delete_message, with_folder
from inkbox_async.sandbox.mail.cursors import decode_cursor, encode_cursor
from inkbox_async.sandbox.mail.periods import end_of, first_instant, zone_of
from inkbox_async.sandbox.mail.rows import (
    LISTED,
    mailbox_of,
    message_of,
    show_message,
    show_message_detail,
    visible_folders,
)


@handles("messages.list")
def list_messages(call: Call) -> MessagePage:
    """A page of a mailbox's messages, newest first."""
    query: MessagesListQuery = call.query
    conditions, values = _period(query)
    if query.direction is not None:
        conditions.append("m.direction = ?")
        values.append(query.direction)
    if query.cursor is not None:
        conditions.append("(m.created_at, m.seq) < (?, ?)")
        values.extend(decode_cursor(query.cursor))
    rows = call.tx.all(
        f"SELECT {LISTED} FROM mail_messages AS m JOIN mail_threads AS t ON t.id = m.thread_id "
        f"WHERE {' AND '.join(['m.mailbox_id = ?', visible_folders(call), *conditions])} "
        "ORDER BY m.created_at DESC, m.seq DESC LIMIT ?",
        mailbox_of(call)["id"],
        *values,
        query.limit + 1,
    )
    page, has_more = rows[: query.limit], len(rows) > query.limit
    return MessagePage(
        items=[show_message(row) for row in page],
        next_cursor=encode_cursor(page[-1]["created_at"], page[-1]["seq"]) if has_more else None,
        has_more=has_more,
    )


@handles("messages.get")
def get_message(call: Call) -> MessageDetail:
    """One message with its body. Getting inbound mail with an API key reads it; at the console, not."""
    mailbox = mailbox_of(call)
    row = message_of(call, mailbox, call.path["message_id"])
    if row["direction"] == "inbound" and not row["is_read"] and not call.caller.console:
        call.tx.update("mail_messages", row["id"], is_read=True, updated_at=call.now)
        row = with_folder(call.tx, row["id"])
    return show_message_detail(call.tx, row, mailbox)


@handles("messages.update_flags")
def update_flags(call: Call) -> Message:
    """Mark a message as read or unread, starred or not."""
    body: UpdateMessageFlagsRequest = call.body
    row = message_of(call, mailbox_of(call), call.path["message_id"])
    flags = {"is_read": body.is_read, "is_starred": body.is_starred}
    changes = {name: value for name, value in flags.items() if value is not None}
    if changes:
        call.tx.update("mail_messages", row["id"], updated_at=call.now, **changes)
    return show_message(with_folder(call.tx, row["id"]))


@handles("messages.delete")
def delete(call: Call) -> None:
    """Delete a message."""
    delete_message(call.tx, message_of(call, mailbox_of(call), call.path["message_id"]))


def _period(query: MessagesListQuery) -> tuple[list[str], list[object]]:
    """SQL conditions for the dates of a query, and their values."""
    zone = zone_of(query.tz)
    conditions: list[str] = []
    values: list[object] = []
    if query.start_datetime is not None:
        conditions.append("m.created_at >= ?")
        values.append(timestamp(first_instant(query.start_datetime, zone, "start_datetime")))
    if query.end_datetime is not None:
        end, is_inclusive = end_of(query.end_datetime, zone, "end_datetime")
        conditions.append("m.created_at <= ?" if is_inclusive else "m.created_at < ?")
        values.append(timestamp(end))
    return conditions, values
