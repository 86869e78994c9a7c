"""What a message must be like to be sent: recipients, subject, attachments."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inkbox_async.generated.models.mail import MailAttachment
from inkbox_async.sandbox.handling import ApiError, invalid
from inkbox_async.sandbox.mail.addresses import comparable, normalise_address
from inkbox_async.sandbox.mail.mime import Attachment, DistinctNames
from inkbox_async.sandbox.mail.words import from_base64

MAX_ATTACHMENT_BYTES = 25 * 1024 * 1024
"""All attachments of one message together."""
MAX_SUBJECT_LENGTH = 998
BLOCKED_ENDINGS = (".exe", ".bat", ".scr")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTENT_TYPE = re.compile(
    r"[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9][\w!#$&^.+-]*(?:\s*;[\x20-\x7e]*)?", re.ASCII
)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,255}")


def check_recipients(groups: dict[str, Sequence[str] | None]) -> dict[str, list[str]]:
    """The recipients of each group (`to`, `cc`, `bcc`) without outer space, each person once.

    Raises:
        ApiError: 422 for whatever is not one bare address, and when nobody is left.
    """
    seen: set[str] = set()
    checked: dict[str, list[str]] = {}
    for group, addresses in groups.items():
        checked[group] = []
        for index, address in enumerate(addresses or ()):
            check_address(address, "body", "recipients", group, index)
            if (key := comparable(address)) not in seen:
                seen.add(key)
                checked[group].append(address.strip())
    if not seen:
        raise invalid("Give at least one recipient", "body", "recipients")
    return checked


def check_address(address: str, *location: str | int) -> None:
    """Make sure that something is one bare e-mail address.

    Raises:
        ApiError: 422 when it is not.
    """
    try:
        normalise_address(address)
    except ValueError as error:
        raise invalid(str(error), *location) from None


def check_subject(subject: str) -> str:
    """A subject that fits into one header field.

    Raises:
        ApiError: 422 for line breaks and other control characters, and when it is too long.
    """
    if _CONTROL.search(subject):
        raise invalid("A subject has no line breaks or other control characters", "body", "subject")
    if len(subject) > MAX_SUBJECT_LENGTH:
        raise invalid(f"A subject has at most {MAX_SUBJECT_LENGTH} characters", "body", "subject")
    return subject


def check_attachments(
    given: Sequence[MailAttachment] | None, *, field: str = "attachments", inline_allowed: bool = True
) -> list[Attachment]:
    """The attachments of a request with their content decoded.

    Args:
        given: What the request holds.
        field: Its name in the request.
        inline_allowed: Whether a `content_id` may be given: only beside an HTML body, and never on forwards.

    Raises:
        ApiError: 422 for a bad name, type, encoding or use of `content_id`; 413 when they are too large.
    """
    attachments: list[Attachment] = []
    names = DistinctNames()
    content_ids: set[str] = set()
    for index, item in enumerate(given or ()):
        where = ("body", field, index)
        if item.content_id is not None:
            _check_content_id(item, content_ids, inline_allowed, where)
        attachments.append(
            Attachment(
                filename=names.name(_check_filename(item.filename, where)),
                content_type=_check_content_type(item.content_type, where),
                content=_decode(item.content_base64, where),
                content_id=item.content_id,
                is_inline=item.content_id is not None,
            )
        )
    check_total(attachments)
    return attachments


def check_total(attachments: Sequence[Attachment]) -> None:
    """Make sure that the attachments of one message are not too large together.

    Raises:
        ApiError: 413 when they are.
    """
    if sum(len(part.content) for part in attachments) > MAX_ATTACHMENT_BYTES:
        raise ApiError(413, "The attachments of one message are at most 25 MB together.")


def _check_filename(filename: str, where: tuple[str | int, ...]) -> str:
    if not filename.strip(" .") or _CONTROL.search(filename) or "/" in filename or "\\" in filename:
        raise invalid("Give the name of a file, without a path", *where, "filename")
    if filename.lower().rstrip(" .").endswith(BLOCKED_ENDINGS):
        endings = ", ".join(BLOCKED_ENDINGS)
        raise invalid(f"Files ending in {endings} are not sent", *where, "filename")
    return filename


def _check_content_type(content_type: str, where: tuple[str | int, ...]) -> str:
    text = content_type.strip()
    if not _CONTENT_TYPE.fullmatch(text) or text.lower().startswith("multipart/"):
        raise invalid("Give a MIME type, such as application/pdf", *where, "content_type")
    return text


def _decode(encoded: str, where: tuple[str | int, ...]) -> bytes:
    try:
        return from_base64(encoded)
    except ValueError:
        raise invalid("This is not standard base64", *where, "content_base64") from None


def _check_content_id(
    item: MailAttachment, taken: set[str], inline_allowed: bool, where: tuple[str | int, ...]
) -> None:
    content_id = item.content_id or ""
    if not inline_allowed:
        problem = "A content_id needs an HTML body that shows the picture, and is not for forwards"
    elif not item.content_type.lower().startswith("image/"):
        problem = "Only pictures (image/*) take a content_id"
    elif not _CONTENT_ID.fullmatch(content_id):
        problem = "A content_id is printable ASCII without spaces and angle brackets"
    elif content_id in taken:
        problem = "Another attachment has this content_id"
    else:
        taken.add(content_id)
        return
    raise invalid(problem, *where, "content_id")
