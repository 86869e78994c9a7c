"""Temporary links to attachments, which need no key, and the picture that counts openings."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from inkbox_async.generated.models.mail import AttachmentLink
from inkbox_async.generated.queries.mail import MessagesGetAttachmentQuery
from inkbox_async.sandbox.clock import parse_timestamp
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles, not_found, serves
from inkbox_async.sandbox.mail.rows import mailbox_of, message_of
from inkbox_async.sandbox.store import Tx

LINK_LIFE = timedelta(minutes=15)
OPEN_DEBOUNCE = timedelta(minutes=1)
"""Loads of the picture within this time of the last counted one are the same opening."""

_SECRET = "mail_link_secret"
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
    expires = int((call.now + LINK_LIFE).timestamp())
    signature = _signature(call.tx, part["id"], expires)
    path = f"/files/mail/{part['id']}/{expires}/{signature}/{quote(part['filename'], safe='')}"
    url = call.settings.base_url + path
    if query.redirect:
        return Answer(status=302, headers={"Location": url})
    return AttachmentLink(url=url, filename=part["filename"], expires_in=int(LINK_LIFE.total_seconds()))


@serves("GET", "/files/mail/{attachment_id}/{expires}/{signature}/{filename}")
def download(call: Call) -> Answer:
    """The content behind a link, until the link expires."""
    attachment_id, expires = call.path["attachment_id"], call.path["expires"]
    is_number = expires.isascii() and expires.isdigit() and len(expires) < 12
    signature = call.path["signature"].encode()
    if not is_number or not hmac.compare_digest(
        _signature(call.tx, attachment_id, int(expires)).encode(), signature
    ):
        raise ApiError(403, "This link is not one of the sandbox's.")
    if call.now >= datetime.fromtimestamp(int(expires), UTC):
        raise ApiError(403, "This link has expired. Ask for a new one.")
    part = call.tx.one("SELECT * FROM mail_attachments WHERE id = ?", attachment_id)
    if part is None:
        raise not_found("Attachment")
    disposition = f"attachment; filename*=UTF-8''{quote(part['filename'], safe='')}"
    headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
    return Answer(part["content"], content_type=part["content_type"], headers=headers)


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


def _signature(tx: Tx, attachment_id: str, expires: int) -> str:
    secret: str | None = tx.value("SELECT value FROM meta WHERE name = ?", _SECRET)
    if secret is None:
        secret = secrets.token_hex(32)
        tx.insert("meta", name=_SECRET, value=secret)
    return hmac.new(secret.encode(), f"{attachment_id}:{expires}".encode(), hashlib.sha256).hexdigest()
