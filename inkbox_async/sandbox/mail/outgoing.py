"""The operations that send mail: send, reply to all, forward."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from sqlite3 import Row

from inkbox_async.generated.models.mail import (
    ForwardMessageRequest,
    ForwardMode,
    Message,
    ReplyAllRequest,
    SendMessageRequest,
)
from inkbox_async.sandbox.clock import parse_timestamp
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles, invalid
from inkbox_async.sandbox.idempotency import send_once
from inkbox_async.sandbox.mail.checks import (
    MAX_SUBJECT_LENGTH,
    check_address,
    check_attachments,
    check_recipients,
    check_subject,
    check_total,
)
from inkbox_async.sandbox.mail.compose import Original, inline_forward
from inkbox_async.sandbox.mail.mime import Attachment, DistinctNames
from inkbox_async.sandbox.mail.references import (
    forward_subject,
    message_ids,
    references_of_reply,
    reply_subject,
)
from inkbox_async.sandbox.mail.rows import (
    BLOCKED,
    mailbox_of,
    message_of,
    reply_all_recipients_of,
    show_message,
    visible_folders,
)
from inkbox_async.sandbox.mail.sending import Submission, submit


@handles("messages.send")
def send(call: Call) -> Answer:
    """Send a new message, or an answer to a known one."""
    mailbox = mailbox_of(call)
    return _send_once(call, mailbox, "mail.send", lambda: _new_message(call, mailbox))


@handles("messages.reply_all")
def reply_all(call: Call) -> Answer:
    """Answer everybody who took part in a message."""
    mailbox = mailbox_of(call)
    original = message_of(call, mailbox, call.path["message_id"])
    return _send_once(call, mailbox, "mail.reply_all", lambda: _reply(call, mailbox, original))


@handles("messages.forward")
def forward(call: Call) -> Answer:
    """Pass a message on."""
    mailbox = mailbox_of(call)
    original = message_of(call, mailbox, call.path["message_id"])
    return _send_once(call, mailbox, "mail.forward", lambda: _forward(call, original))


def _new_message(call: Call, mailbox: Row) -> Submission:
    body: SendMessageRequest = call.body
    recipients = check_recipients(
        {"to": body.recipients.to, "cc": body.recipients.cc, "bcc": body.recipients.bcc}
    )
    if body.track_opens and body.body_html is None:
        raise _tracking_needs_html()
    parent_id, parent = _parent(call, mailbox, body.in_reply_to_message_id)
    return Submission(
        to=recipients["to"],
        cc=recipients["cc"],
        bcc=recipients["bcc"],
        subject=check_subject(body.subject),
        body_text=body.body_text,
        body_html=body.body_html,
        attachments=check_attachments(body.attachments, inline_allowed=body.body_html is not None),
        in_reply_to=parent_id,
        references=_references(parent) if parent else [parent_id] if parent_id else [],
        is_blocked=parent is not None and parent["folder"] == BLOCKED,
        track_opens=bool(body.track_opens),
    )


def _reply(call: Call, mailbox: Row, original: Row) -> Submission:
    body: ReplyAllRequest = call.body
    to, cc = reply_all_recipients_of(original, mailbox)
    if not to and not cc:
        raise invalid(
            "There is nobody to answer: the message went to this mailbox only", "path", "message_id"
        )
    recipients = check_recipients({"to": to or cc, "cc": cc if to else []})
    subject = check_subject(body.subject) if body.subject is not None else reply_subject(original["subject"])
    return Submission(
        to=recipients["to"],
        cc=recipients["cc"],
        bcc=[],
        subject=subject[:MAX_SUBJECT_LENGTH],
        body_text=body.body_text,
        body_html=body.body_html,
        attachments=check_attachments(body.attachments, inline_allowed=body.body_html is not None),
        reply_to=_reply_to(body.reply_to),
        in_reply_to=original["message_id"],
        references=_references(original),
        is_blocked=original["folder"] == BLOCKED,
    )


def _forward(call: Call, original: Row) -> Submission:
    body: ForwardMessageRequest = call.body
    recipients = check_recipients(
        {"to": body.recipients.to, "cc": body.recipients.cc, "bcc": body.recipients.bcc}
    )
    added = check_attachments(
        body.additional_attachments, field="additional_attachments", inline_allowed=False
    )
    if body.mode == ForwardMode.WRAPPED:
        text, page = body.body_text, body.body_html
        carried = [_wrapped(call, original)]
    else:
        text, page = inline_forward(_original(original), body.body_text, body.body_html)
        carried = _attachments(
            call, original, listed=body.include_original_attachments, inline=page is not None
        )
    if body.track_opens and page is None:
        raise _tracking_needs_html()
    names = DistinctNames()
    attachments = [
        Attachment(
            names.name(part.filename), part.content_type, part.content, part.content_id, part.is_inline
        )
        for part in [*carried, *added]
    ]
    check_total(attachments)
    subject = (
        check_subject(body.subject) if body.subject is not None else forward_subject(original["subject"])
    )
    return Submission(
        to=recipients["to"],
        cc=recipients["cc"],
        bcc=recipients["bcc"],
        subject=subject[:MAX_SUBJECT_LENGTH],
        body_text=text,
        body_html=page,
        attachments=attachments,
        reply_to=_reply_to(body.reply_to),
        is_forward=True,
        is_blocked=original["folder"] == BLOCKED,
        track_opens=bool(body.track_opens),
    )


def _send_once(call: Call, mailbox: Row, operation: str, compose: Callable[[], Submission]) -> Answer:
    def send_now() -> tuple[str, Message]:
        row = submit(call, mailbox, compose())
        return row["id"], show_message(row)

    return send_once(call, "mailbox", mailbox["id"], operation, send_now)


def _parent(call: Call, mailbox: Row, given: str | None) -> tuple[str | None, Row | None]:
    """The Message-ID that is answered, and the message where it is known here.

    Raises:
        ApiError: 404 for the id of a message that is not here, 422 for what is no id at all.
    """
    if given is None:
        return None, None
    try:
        row_id = str(uuid.UUID(given.strip()))
    except ValueError:
        ids = message_ids(given)
        if len(ids) != 1:
            raise invalid(
                "Give one Message-ID, such as <id@example.com>, or the id of a message in this mailbox",
                "body",
                "in_reply_to_message_id",
            ) from None
        return ids[0], _by_message_id(call, mailbox, ids[0])
    row = message_of(call, mailbox, row_id)
    return row["message_id"], row


def _by_message_id(call: Call, mailbox: Row, message_id: str) -> Row | None:
    return call.tx.one(
        "SELECT m.*, t.folder FROM mail_messages AS m JOIN mail_threads AS t ON t.id = m.thread_id "
        f"WHERE m.mailbox_id = ? AND m.message_id = ? AND {visible_folders(call)} "
        "ORDER BY m.seq DESC LIMIT 1",
        mailbox["id"],
        message_id,
    )


def _references(parent: Row) -> list[str]:
    return references_of_reply(
        parent["message_id"], json.loads(parent["reference_ids"]), parent["in_reply_to"]
    )


def _reply_to(address: str | None) -> str | None:
    if address is not None:
        check_address(address, "body", "reply_to")
    return address


def _tracking_needs_html() -> ApiError:
    return invalid("Openings are counted by a picture: give an HTML body", "body", "track_opens")


def _original(row: Row) -> Original:
    return Original(
        from_address=row["from_address"],
        from_display_name=row["from_display_name"],
        to=json.loads(row["to_addresses"]),
        cc=json.loads(row["cc_addresses"]),
        subject=row["subject"],
        date=parse_timestamp(row["created_at"]),
        body_text=row["body_text"],
        body_html=row["body_html"],
    )


def _attachments(call: Call, original: Row, *, listed: bool, inline: bool) -> list[Attachment]:
    """Parts of the original that go along: those listed beside it, and the pictures of its HTML."""
    return [
        Attachment(
            part["filename"],
            part["content_type"],
            part["content"],
            part["content_id"] if part["is_inline"] else None,
            bool(part["is_inline"]),
        )
        for part in call.tx.all(
            "SELECT * FROM mail_attachments WHERE message_id = ? ORDER BY part_index", original["id"]
        )
        if (inline if part["is_inline"] else listed)
    ]


def _wrapped(call: Call, original: Row) -> Attachment:
    raw = call.tx.value("SELECT raw FROM mail_sources WHERE message_id = ?", original["id"])
    return Attachment("forwarded.eml", "message/rfc822", raw)
