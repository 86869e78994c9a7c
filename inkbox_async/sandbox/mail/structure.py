"""Raw messages to trees of parts, and parts to their bytes, without holding up other threads for long.

The standard library's parser does the work. What it would do with long contents in one go (searching 30 MB
for the last line end, decoding them) keeps the interpreter to itself for a good part of a second; so they are
kept out of its hands, and taken piece by piece here. Short contents are the library's affair.
"""

from __future__ import annotations

import binascii
import io
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.feedparser import BytesFeedParser
from email.generator import BytesGenerator
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import EmailPolicy
from typing import Any

_MAX_HEADER = 256 * 1024
_MAX_CONTENT_HEADER = 8 * 1024
"""Longer values are cut: the library reads parameters in quadratic time."""
_MAX_LINE_CHECKS = 20_000_000
"""Lines times nested boundaries: what the library's parser compares for one message, at most."""

PIECE = 256 * 1024
"""Characters that are worked on at a time; contents up to this long are the library's affair."""
_BOUNDARY = re.compile(rb"boundary\s*\*?\s*=", re.IGNORECASE)
_BLANKS = b" \t\r\n"
HARMLESS = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError)
"""What the standard library raises on some malformed messages, in one version or another."""


@dataclass(slots=True)
class _LongText:
    """The content of a part, as the parser reads it: ASCII, other bytes as surrogates."""

    text: str

    def lines(self) -> Iterator[bytes]:
        """Its bytes in pieces that end with a line where they can."""
        start = 0
        while start < len(self.text):
            end = self.text.find("\n", start + PIECE) + 1 or len(self.text)
            yield self.text[start:end].encode("ascii", "surrogateescape")
            start = end

    def cut_line_end(self) -> None:
        """Takes off the line end that belongs to the boundary behind the part."""
        self.text = self.text.removesuffix("\n").removesuffix("\r")


class _Part(EmailMessage):
    """A part whose long content the parser does not look at again."""

    def set_payload(
        self, payload: Any, charset: Any = None
    ) -> None:  # Any: the library keeps what is no text
        if isinstance(payload, str) and len(payload) > PIECE and charset is None:
            payload = _LongText(payload)
        super().set_payload(payload, charset)


class _SourcePolicy(EmailPolicy):
    """Header values stay as they were sent, cut to a length that can be read in reasonable time."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: _MAX_CONTENT_HEADER if name.lower().startswith("content-") else _MAX_HEADER]

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


_POLICY = _SourcePolicy()
_AS_IT_WAS = _SourcePolicy(refold_source="none", linesep="\r\n")


def structure(raw: bytes) -> Message:
    """The message as a tree of parts; never raises, at worst the body is one part."""
    if (raw.count(b"\n") + 1) * (_boundaries(raw) + 1) <= _MAX_LINE_CHECKS:
        parser = BytesFeedParser(_Part, policy=_POLICY)
        try:
            for start in range(0, len(raw), PIECE):
                parser.feed(raw[start : start + PIECE])
            root: Message = parser.close()
        except HARMLESS:
            pass
        else:
            _cut_line_ends(root)
            return root
    return BytesParser(_class=_Part, policy=_POLICY).parsebytes(raw, headersonly=True)


def children(part: Message) -> list[Message]:
    """The parts right below a part."""
    return (
        [child for child in part.get_payload() if isinstance(child, Message)] if part.is_multipart() else []
    )


def content(part: Message) -> bytes:
    """The decoded bytes of a leaf."""
    if (long := _long_text(part)) is not None:
        decoded = _decoded(long, str(part.get("Content-Transfer-Encoding", "")).lower())
        if decoded is not None:
            return decoded
        Message.set_payload(part, long.text)
    try:
        payload = part.get_payload(decode=True)
    except HARMLESS:
        del part["Content-Type"]  # the library stumbled over a parameter that it does not need
        payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def nested(part: Message) -> bytes:
    """The bytes of a message inside the message (`message/rfc822`, `message/delivery-status`, …)."""
    if not part.is_multipart():
        return content(part)
    sink = io.BytesIO()
    for child in children(part):
        _give_back(child)
        try:
            BytesGenerator(sink, mangle_from_=False, policy=_AS_IT_WAS).flatten(child)
        except HARMLESS:
            continue
    return sink.getvalue()


def _boundaries(raw: bytes) -> int:
    """How many multiparts a message may hold. Piece by piece, so that other threads get their turn."""
    overlap = 16
    return sum(
        len(_BOUNDARY.findall(raw, start, start + PIECE + overlap)) for start in range(0, len(raw), PIECE)
    )


def _tree(root: Message) -> Iterator[Message]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += children(part)


def _long_text(part: Message) -> _LongText | None:
    # `get_payload` would decode short contents, and may stumble over what it reads for that.
    payload = vars(part).get("_payload")
    return payload if isinstance(payload, _LongText) else None


def _cut_line_ends(root: Message) -> None:
    """Does for long contents what the parser does for others: a boundary owns the line end before it."""
    for part in _tree(root):
        if part.get_content_maintype() != "multipart":
            continue
        for last in children(part):
            while last.get_content_maintype() != "multipart" and (below := children(last)):
                last = below[-1]
            if (long := _long_text(last)) is not None:
                long.cut_line_end()


def _give_back(root: Message) -> None:
    """Makes long contents the library's again, which writes them."""
    for part in _tree(root):
        if (long := _long_text(part)) is not None:
            Message.set_payload(part, long.text)


def _decoded(long: _LongText, encoding: str) -> bytes | None:
    """The bytes of a long content; None where only the library knows what to make of it."""
    if encoding == "base64":
        return _from_base64(long)
    if encoding == "quoted-printable":
        return b"".join(quopri.decodestring(piece) for piece in long.lines())
    return None if "uu" in encoding else b"".join(long.lines())


def _from_base64(long: _LongText) -> bytes | None:
    """Decoded base64, None when it is not well-formed."""
    decoded: list[bytes] = []
    rest = b""
    for piece in long.lines():
        characters = rest + piece.translate(None, _BLANKS)
        if b"=" in rest and characters != rest:
            return None  # something after the padding
        if b"=" in characters:
            rest = characters
            continue
        whole = len(characters) - len(characters) % 4
        try:
            decoded.append(binascii.a2b_base64(characters[:whole], strict_mode=True))
        except ValueError:
            return None
        rest = characters[whole:]
    try:
        decoded.append(binascii.a2b_base64(rest, strict_mode=True))
    except ValueError:
        return None
    return b"".join(decoded)
