"""Raw messages to what is stored of them (RFC 5322, RFC 2045, RFC 2231), whatever their senders got wrong.

`parse` never raises. Structure comes from the standard library's parser; header values are taken as they were
sent and read leniently here, because the library's own header objects raise on some malformed values.
"""

from __future__ import annotations

import email.utils
import mimetypes
import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

from inkbox_async.sandbox.mail.references import message_ids
from inkbox_async.sandbox.mail.structure import HARMLESS, nested, structure
from inkbox_async.sandbox.mail.structure import children as children_of
from inkbox_async.sandbox.mail.structure import content as content_of
from inkbox_async.sandbox.mail.words import decode, decode_words, header_source, storable

MAX_FILENAME_LENGTH = 255
_MAX_DEPTH = 50
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part of a message that is not its text."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None
    is_inline: bool = False
    """Shown inside the HTML by its `content_id`, not listed beside it."""


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """What the server keeps of a message. Every string can be stored; every id has its angle brackets."""

    message_id: str | None
    from_address: str | None
    from_display_name: str | None
    reply_to: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    body_text: str | None
    body_html: str | None
    attachments: tuple[Attachment, ...]


def parse(raw: bytes) -> ParsedMessage:
    """Read one message. Never raises: what cannot be understood is left out, or kept as text."""
    root = structure(raw)
    from_names = _addresses(root, "From") or _addresses(root, "Sender")
    references = message_ids(_header(root, "References"))
    in_reply_to = next(iter(message_ids(_header(root, "In-Reply-To"))), None)
    body = _Body()
    body.read(root)
    return ParsedMessage(
        message_id=next(iter(message_ids(_header(root, "Message-ID"))), None),
        from_address=from_names[0][1] if from_names else None,
        from_display_name=(from_names[0][0] or None) if from_names else None,
        reply_to=tuple(address for _, address in _addresses(root, "Reply-To")),
        to=tuple(address for _, address in _addresses(root, "To")),
        cc=tuple(address for _, address in _addresses(root, "Cc")),
        subject=" ".join(decode_words(_header(root, "Subject")).split()) or None,
        in_reply_to=in_reply_to,
        references=tuple(references),
        body_text=body.joined("plain"),
        body_html=body.joined("html"),
        attachments=tuple(body.finished_attachments()),
    )


def _header(part: Message, name: str) -> str:
    value = part.get(name)
    return header_source(value) if isinstance(value, str) else ""


def _addresses(part: Message, name: str) -> list[tuple[str, str]]:
    """(display name, address) pairs of every header of that name; of a group, its members."""
    values = [header_source(value) for value in part.get_all(name, []) if isinstance(value, str)]
    try:
        if getattr(email.utils, "supports_strict_parsing", False):
            pairs = email.utils.getaddresses(values, strict=False)
        else:
            pairs = email.utils.getaddresses(values)
    except HARMLESS:
        pairs = [
            ("", address)
            for value in values
            for address in re.findall(r"[^\s<>,;:()\"]+@[^\s<>,;:()\"]+", value)
        ]
    found: list[tuple[str, str]] = []
    for display, address in pairs:
        address = _UNPRINTABLE.sub("", storable(address)).strip()
        if address:
            found.append((" ".join(_UNPRINTABLE.sub(" ", decode_words(storable(display))).split()), address))
    return found


def _parameter(part: Message, header: str, name: str) -> str:
    """A parameter of a header, in any of its spellings: RFC 2231, encoded words, or plain 8-bit."""
    try:
        value = part.get_param(name, "", header)
        if isinstance(value, tuple):
            charset, _, encoded = value
            return decode(encoded.encode("latin-1", "replace"), charset or "us-ascii")
        return decode_words(header_source(str(value)))
    except HARMLESS:
        return ""


def _content_type(part: Message) -> str:
    content_type = part.get_content_type()
    return content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"


class _Body:
    """Collects the texts and the attachments of one message, in the order they were sent."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {"plain": [], "html": []}
        self._parts: list[tuple[Attachment, str]] = []

    def joined(self, subtype: str) -> str | None:
        """All inline texts of that subtype: mail programs split a body around pictures and footers."""
        return "\n".join(text.strip("\n") for text in self._texts[subtype]) if self._texts[subtype] else None

    def finished_attachments(self) -> Iterator[Attachment]:
        """The attachments under distinct names: a link names one by its filename."""
        names = DistinctNames()
        body_html = self.joined("html") or ""
        for part, disposition in self._parts:
            is_inline = part.content_id is not None and (
                disposition != "attachment" or f"cid:{part.content_id}" in body_html
            )
            yield Attachment(
                names.name(part.filename), part.content_type, part.content, part.content_id, is_inline
            )

    def read(self, part: Message, depth: int = 0) -> None:
        """Take in one part and those below it."""
        if depth > _MAX_DEPTH:
            return
        content_type = _content_type(part)
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            children = children_of(part)
            if content_type == "multipart/alternative":
                children = _preferred(children)
            for child in children:
                self.read(child, depth + 1)
            return
        disposition = _header(part, "Content-Disposition").partition(";")[0].strip().lower()
        filename = _parameter(part, "content-disposition", "filename") or _parameter(
            part, "content-type", "name"
        )
        is_body = content_type in {"text/plain", "text/html"} or part.get_content_maintype() == "multipart"
        if is_body and disposition != "attachment" and not filename:
            text = decode(content_of(part), _parameter(part, "content-type", "charset") or None)
            subtype = "html" if content_type == "text/html" else "plain"
            self._texts[subtype].append(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
            return
        content = nested(part) if part.get_content_maintype() == "message" else content_of(part)
        content_id = _UNPRINTABLE.sub("", _header(part, "Content-ID").strip(" <>")) or None
        name = _safe_filename(filename) or _made_up_name(content_type, len(self._parts) + 1)
        self._parts.append((Attachment(name, content_type, content, content_id), disposition))


def _preferred(alternatives: list[Message]) -> list[Message]:
    """Of alternatives that say the same, one text and one HTML; all else (calendars, related) is kept."""
    kept: list[Message] = []
    seen: set[str] = set()
    for part in alternatives:
        content_type = part.get_content_type()
        if content_type not in {"text/plain", "text/html"} or content_type not in seen:
            kept.append(part)
        seen.add(content_type)
    return kept


def _safe_filename(filename: str) -> str:
    """The last step of a path, without what no file system takes, at most `MAX_FILENAME_LENGTH` long."""
    name = _UNPRINTABLE.sub("", filename).replace("\\", "/").rpartition("/")[2].strip().strip(".")
    return shorten(name)


def shorten(name: str) -> str:
    """A filename cut to `MAX_FILENAME_LENGTH` characters, its ending kept."""
    if len(name) <= MAX_FILENAME_LENGTH:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 20:
        return name[:MAX_FILENAME_LENGTH]
    return f"{stem[: MAX_FILENAME_LENGTH - len(ending) - 1]}.{ending}"


def _made_up_name(content_type: str, number: int) -> str:
    ending = ".eml" if content_type == "message/rfc822" else mimetypes.guess_extension(content_type) or ".bin"
    return f"attachment-{number}{ending}"


class DistinctNames:
    """Hands out filenames, numbering those that were asked for before."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last_number: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        stem, ending = os.path.splitext(wanted)
        candidate = wanted
        while candidate.lower() in self._taken:
            number = self._last_number[wanted.lower()] = self._last_number.get(wanted.lower(), 1) + 1
            candidate = f"{stem[: MAX_FILENAME_LENGTH - 30]} ({number}){ending[:20]}"
        self._taken.add(candidate.lower())
        return candidate
