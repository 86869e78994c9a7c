"""Outgoing messages as bytes: texts, inline pictures, attachments, replies, forwards (RFC 5322, RFC 2045)."""

from __future__ import annotations

import base64
import html
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr

from inkbox_async.sandbox.mail.addresses import comparable, normalise_address
from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.mail.mime import Attachment
from inkbox_async.sandbox.mail.words import storable


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message before it is bytes. Addresses are bare; ids have their angle brackets."""

    message_id: str
    date: datetime
    from_address: str
    from_display_name: str | None
    to: Sequence[str]
    cc: Sequence[str]
    subject: str
    body_text: str | None
    body_html: str | None
    attachments: Sequence[Attachment] = ()
    reply_to: str | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further header fields; those that the message has anyway are replaced."""


def render(message: Outgoing) -> bytes:
    """The message with CRLF line ends. Blind copies are nowhere in it.

    Raises:
        ValueError: A header has a line break, has no proper name, or describes the body.
    """
    addresses = [message.from_address, *message.to, *message.cc, message.reply_to or ""]
    policy = SMTP if all(address.isascii() for address in addresses) else SMTPUTF8
    head = EmailMessage(policy)
    sender = _encoded_sender(message) if policy is SMTP else b""
    if not sender:
        head["From"] = _named(message.from_address, message.from_display_name)
    if message.to:
        head["To"] = ", ".join(message.to)
    if message.cc:
        head["Cc"] = ", ".join(message.cc)
    if message.reply_to:
        head["Reply-To"] = message.reply_to
    head["Subject"] = message.subject
    head["Date"] = format_datetime(message.date)
    head["Message-ID"] = message.message_id
    if message.in_reply_to:
        head["In-Reply-To"] = message.in_reply_to
    if message.references:
        head["References"] = " ".join(message.references)
    for name, value in message.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _COMPOSED:
            raise ValueError(f"the header {name!r} cannot be given")
        if name.lower() == "from":
            sender = b""
        del head[name]
        head[name] = value
    head["MIME-Version"] = "1.0"
    header_block = head.as_bytes().removesuffix(b"\r\n")
    return sender + header_block + _body(message)


_COMPOSED = frozenset({"content-type", "content-transfer-encoding", "content-disposition", "mime-version"})
_PIECE = 57 * 1024  # whole lines of base64
_HEADER_NAME = re.compile(r"[!-9;-~]+")


def _encoded_sender(message: Outgoing) -> bytes:
    """The From line of a sender whose name is not ASCII; empty for other names.

    Folded by `Header`: the folding of `EmailMessage` loses spaces of long names, in the phrase of an address.
    """
    name = message.from_display_name
    if not name or name.isascii():
        return b""
    words = Header(name, "utf-8", header_name="From").encode(linesep="\r\n")
    return f"From: {words} <{message.from_address}>\r\n".encode("ascii")


def _named(address: str, display_name: str | None) -> str:
    if not display_name:
        return address
    if not address.isascii() or '"' in address:
        return (
            formataddr((display_name, address))
            if address.isascii()
            else f'"{_quoted(display_name)}" <{address}>'
        )
    return str(Address(display_name, addr_spec=address))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _body(message: Outgoing) -> bytes:
    """The body entity: its Content headers, an empty line, its content."""
    inline = [part for part in message.attachments if part.is_inline]
    listed = [part for part in message.attachments if not part.is_inline]
    texts: list[bytes] = []
    if message.body_text is not None or message.body_html is None:
        texts.append(_text(message.body_text or "", "plain"))
    if message.body_html is not None:
        page = _text(message.body_html, "html")
        texts.append(_multipart("related", [page, *map(_leaf, inline)]) if inline else page)
    body = texts[0] if len(texts) == 1 else _multipart("alternative", texts)
    beside = [_leaf(part) for part in (listed if message.body_html is not None else message.attachments)]
    return _multipart("mixed", [body, *beside]) if beside else body


def _text(content: str, subtype: str) -> bytes:
    part = EmailMessage(SMTP)
    part.set_content(storable(content), subtype=subtype)
    del part["MIME-Version"]
    return part.as_bytes()


def _leaf(attachment: Attachment) -> bytes:
    """A part for a file: the header is the library's, the body ours, which is faster and exact."""
    maintype, _, subtype = attachment.content_type.partition("/")
    part = EmailMessage(SMTP)
    part.set_content(
        b"",
        maintype=maintype,
        subtype=subtype,
        disposition="inline" if attachment.is_inline else "attachment",
        filename=attachment.filename,
        cid=f"<{attachment.content_id}>" if attachment.content_id else None,
    )
    del part["MIME-Version"]
    is_message = maintype.lower() == "message"
    if is_message:
        # Not encoded (RFC 2046, 5.2.1), nor written anew: signatures shall hold.
        part.replace_header("Content-Transfer-Encoding", "8bit")
    header = part.as_bytes().rstrip(b"\r\n")
    return header + b"\r\n\r\n" + (attachment.content if is_message else _base64_lines(attachment.content))


def _base64_lines(content: bytes) -> bytes:
    """Base64 in lines of 76 characters, made piece by piece, so that other threads get their turn."""
    pieces = (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))
    return b"".join(base64.encodebytes(piece).replace(b"\n", b"\r\n") for piece in pieces)


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    boundary = f"=_{uuid.uuid4().hex}".encode()
    inner = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    head = b"Content-Type: multipart/" + subtype.encode() + b'; boundary="' + boundary + b'"\r\n\r\n'
    return head + inner + b"--" + boundary + b"--\r\n"


@dataclass(frozen=True, slots=True)
class Original:
    """The message that is forwarded."""

    from_address: str
    from_display_name: str | None
    to: Sequence[str]
    cc: Sequence[str]
    subject: str | None
    date: datetime
    body_text: str | None
    body_html: str | None


def inline_forward(
    original: Original, note_text: str | None, note_html: str | None
) -> tuple[str, str | None]:
    """The text and the HTML of an inline forward: the note, a header of the original, the original.

    There is HTML only when the original or the note has it.
    """
    lines = _forward_header(original)
    quoted = original.body_text if original.body_text is not None else html_to_text(original.body_html or "")
    note = note_text if note_text is not None else html_to_text(note_html or "")
    banner = "---------- Forwarded message ----------\n" + "\n".join(
        f"{name}: {value}" for name, value in lines
    )
    text = "\n\n".join(part for part in (note, banner, quoted) if part)
    if original.body_html is None and note_html is None:
        return text, None
    page_note = note_html if note_html is not None else text_to_html(note_text or "")
    page_head = "<br>".join(f"<b>{name}:</b> {html.escape(value)}" for name, value in lines)
    page_body = (
        original.body_html if original.body_html is not None else text_to_html(original.body_text or "")
    )
    page = f"{page_note}<br><div>---------- Forwarded message ----------<br>{page_head}</div><br>{page_body}"
    return text, page


def _forward_header(original: Original) -> list[tuple[str, str]]:
    sender = original.from_address
    if original.from_display_name:
        sender = f"{original.from_display_name} <{original.from_address}>"
    lines = [("From", sender), ("Date", format_datetime(original.date)), ("Subject", original.subject or "")]
    lines.append(("To", ", ".join(original.to)))
    return [*lines, ("Cc", ", ".join(original.cc))] if original.cc else lines


def text_to_html(text: str) -> str:
    """Plain text as the HTML that shows it line for line."""
    return html.escape(text, quote=False).replace("\n", "<br>\n")


def reply_all_recipients(
    own_addresses: Sequence[str],
    sender: str,
    reply_to: Sequence[str],
    to: Sequence[str],
    cc: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Whom a reply to all goes to: (To, Cc), without the own addresses, each person once.

    To is whoever asked for answers (Reply-To, else the sender) and the other To recipients; Cc is Cc.
    What others wrote into these fields and is no address is left out.
    """
    seen = {comparable(address) for address in own_addresses}

    def fresh(addresses: Sequence[str]) -> list[str]:
        found = []
        for address in addresses:
            try:
                key = normalise_address(address)
            except ValueError:
                continue
            if key not in seen:
                seen.add(key)
                found.append(address)
        return found

    return fresh([*(reply_to or [sender]), *to]), fresh(cc)
