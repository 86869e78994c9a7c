"""Text out of headers and bodies: charsets, encoded words (RFC 2047), and nothing that cannot be stored."""

from __future__ import annotations

import binascii
import codecs
import re

_ENCODED_WORD = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]{0,60})?\?([bBqQ])\?([^?]*)\?=")
_SPACE_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?)")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_FOLD = re.compile(r"[ \t]*[\r\n]+[ \t]*")

_PIECE = 256 * 1024  # a multiple of 4

_NOT_FOR_MAIL = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
"""Codecs of Python that are no charset of mail; some take quadratic time."""


def storable(text: str) -> str:
    """The text with NULs removed and lone surrogates replaced, so that SQLite and UTF-8 can hold it."""
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\x00", ""))


def decode(content: bytes, charset: str | None) -> str:
    """Bytes as text in the charset they claim; when that cannot be, as UTF-8, then as Windows-1252.

    What claims to be Latin-1 is read as Windows-1252, as programs for mail and browsers do: its control
    characters are in truth the quotation marks and dashes of the other.
    """
    claimed = _codec(charset) if charset else None
    for codec in ("cp1252" if claimed == "iso8859-1" else None, claimed, "utf-8"):
        if codec:
            try:
                return storable(content.decode(codec))
            except (UnicodeError, ValueError, LookupError):
                continue
    return storable(content.decode("cp1252", "replace"))


def _codec(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset.strip()).name
    except (LookupError, ValueError):
        return None
    return None if name.replace("_", "-") in _NOT_FOR_MAIL else name


def header_source(value: str) -> str:
    """One header value as the parser hands it out (bytes above 127 as surrogates), unfolded, as text."""
    text = value if value.isascii() else decode(value.encode("utf-8", "surrogateescape"), None)
    return storable(_FOLD.sub(" ", text)).strip()


def decode_words(text: str) -> str:
    """The text with its encoded words decoded; adjoining words lose the space between them (RFC 2047, 6.2).

    A character that a careless sender split over two words of one charset is put together again.
    """
    if "=?" not in text:
        return text
    text = _SPACE_BETWEEN_WORDS.sub(r"\1", text)
    out: list[str] = []
    pending: list[bytes] = []
    pending_charset = ""
    end = 0
    for word in _ENCODED_WORD.finditer(text):
        charset, encoding, encoded = word.group(1).lower(), word.group(2).lower(), word.group(3)
        if pending and (word.start() != end or charset != pending_charset):
            out.append(decode(b"".join(pending), pending_charset))
            pending.clear()
        out.append(text[end : word.start()])
        pending.append(_from_base64(encoded) if encoding == "b" else _from_q(encoded))
        pending_charset = charset
        end = word.end()
    if pending:
        out.append(decode(b"".join(pending), pending_charset))
    out.append(text[end:])
    return storable("".join(out))


def from_base64(text: str) -> bytes:
    """The content of standard base64 (RFC 4648, section 4); white space in it is passed over.

    Piece by piece, so that other threads get their turn.

    Raises:
        ValueError: It is not base64, or its padding is wrong.
    """
    encoded = "".join(text.split()).encode("ascii")
    if b"=" in encoded[:-2]:
        raise ValueError("padding is at the end of base64 only")
    pieces = (encoded[start : start + _PIECE] for start in range(0, len(encoded), _PIECE))
    return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)


def _from_base64(encoded: str) -> bytes:
    content = re.sub(r"[^A-Za-z0-9+/]", "", encoded)
    content = content[: len(content) - 1] if len(content) % 4 == 1 else content
    return binascii.a2b_base64(content + "=" * (-len(content) % 4))


def _from_q(encoded: str) -> bytes:
    return binascii.a2b_qp(encoded.encode("utf-8", "replace"), header=True)
