"""Temporary links to attachments, which need no key, and the picture that counts openings."""

from __future__ import annotations

from datetime import timedelta

from inkbox_async.generated.models.mail import AttachmentLink
from inkbox_async.generated.queries.mail import MessagesGetAttachmentQuery
from inkbox_async.sandbox.clock import parse_timestamp
from inkbox_async.sandbox.handling import Answer, Call, handles, not_found, serves
from inkbox_async.sandbox.mail.rows import mailbox_of, message_of
from inkbox_async.sandbox.temporary_links import LINK_LIFE, file_answer, linked_file, temporary_link

OPEN_DEBOUNCE = timedelta(minutes=1)
"""Loads of the picture within this time of the last counted one are the same opening."""

_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@handles("messages.get_attachment")
def get_attachment(call: Call) -> AttachmentLink | Answer:
    """A link to one attachment, or a redirect to it."""
    query: MessagesGetAttachmentQuery = call.query
    message = message_of(call, mailbox_of(call), call.path["message_id"])
    part = call.tx.one(
        "SELECT id, filename FROM mail_attachments WHERE message_id = ? AND filename = ? "
        "ORDER BY part_index LIMIT 1",
        message["id"],
        call.path["filename"],
    )
    if part is None:
        raise not_found("Attachment")
    url = temporary_link(
        call.tx, call.now, call.settings.base_url, "mail", part["id"], part["filename"], LINK_LIFE
    )
    if query.redirect:
        return Answer(status=302, headers={"Location": url})
    return AttachmentLink(url=url, filename=part["filename"], expires_in=int(LINK_LIFE.total_seconds()))


@serves("GET", "/files/mail/{file_id}/{expires}/{signature}/{filename}")
def download(call: Call) -> Answer:
    """The content behind a link, until the link expires."""
    part = call.tx.one("SELECT * FROM mail_attachments WHERE id = ?", linked_file(call, "mail"))
    if part is None:
        raise not_found("Attachment")
    return file_answer(part["content"], part["content_type"], part["filename"])


@serves("GET", "/mail/opened/{token}")
def opened(call: Call) -> Answer:
    """The picture inside a message that is tracked; loading it is an opening."""
    row = call.tx.one(
        "SELECT id, first_opened_at, last_opened_at FROM mail_messages WHERE tracking_token = ?",
        call.path["token"].removesuffix(".gif"),
    )
    if row is not None:
        last = row["last_opened_at"]
        if last is None or call.now - parse_timestamp(last) >= OPEN_DEBOUNCE:
            call.tx.execute(
                "UPDATE mail_messages SET open_count = open_count + 1, last_opened_at = ?, "
                "first_opened_at = coalesce(first_opened_at, ?) WHERE id = ?",
                call.now,
                call.now,
                row["id"],
            )
    return Answer(_PIXEL, content_type="image/gif", headers={"Cache-Control": "no-store"})
