"""What a request's header list must look like before anyone else sees it (RFC 9113 section 8, RFC 8441)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]
"""One header: name in lower case, value."""

_COLON: Final = ord(":")
_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_MAX_DIGITS: Final = 18
# What a field is to its request. Constants, for every field of every request is compared to them.
_ORDINARY: Final = "ordinary"
_PSEUDO_HEADER: Final = "pseudo-header"
_CONTENT_LENGTH: Final = "content-length"
_TE: Final = "te"
_MISPLACED: Final = "misplaced"
_ILLEGAL: Final = "illegal"
_NOT_IN_NAMES: Final = bytes(
    byte for byte in range(256) if byte <= 0x20 or byte >= 0x7F or 0x41 <= byte <= 0x5A
)


class MalformedMessage(Exception):
    """The header list breaks a rule that ends its stream."""


@dataclass(slots=True)
class RequestHead:
    """A header list that keeps the rules of a request.

    Attributes:
        fields: All of it, pseudo-headers first.
        pseudo: The pseudo-headers by name.
        content_length: Size of the body as declared, None when it is not.
    """

    fields: list[Header]
    pseudo: dict[bytes, bytes]
    content_length: int | None


@lru_cache(maxsize=4096)
def _role(name: bytes) -> str:
    if name in _PSEUDO:
        return _PSEUDO_HEADER
    if not name or name[0] == _COLON or len(name.translate(None, _NOT_IN_NAMES)) != len(name):
        return _ILLEGAL
    if name in _CONNECTION_SPECIFIC:
        return _MISPLACED
    return {b"content-length": _CONTENT_LENGTH, b"te": _TE}.get(name, _ORDINARY)


def read_head(fields: list[Header]) -> RequestHead:
    """Check a header list and find in it what its stream needs.

    Raises:
        MalformedMessage: It is not a request.
    """
    pseudo: dict[bytes, bytes] = {}
    length: int | None = None
    fields_begun = False
    for name, value in fields:
        role = _role(name)
        if role is _PSEUDO_HEADER:
            if fields_begun or name in pseudo:
                raise MalformedMessage("a pseudo-header is doubled or out of place")
            pseudo[name] = value
            continue
        fields_begun = True
        if role is _ORDINARY:
            continue
        if role is _CONTENT_LENGTH:
            declared = decimal(value)
            if declared is None or length not in (None, declared):
                raise MalformedMessage("content-length is not one number")
            length = declared
        elif role is _ILLEGAL:
            raise MalformedMessage("a field name is empty, unknown or holds an illegal character")
        elif role is _MISPLACED or value != b"trailers":
            raise MalformedMessage("a connection-specific field has no place in HTTP/2")
    _check_values([value for _, value in fields])
    _check_pseudo(pseudo)
    return RequestHead(fields, pseudo, length)


def decimal(value: bytes) -> int | None:
    """The number that a field's value is, None when it is none, or one of an absurd length."""
    return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else None


def _check_values(values: Sequence[bytes]) -> None:
    text = b"".join(values)
    if b"\n" in text or b"\r" in text or b"\0" in text:
        raise MalformedMessage("a field's value holds a line break or a NUL")


def _check_pseudo(pseudo: dict[bytes, bytes]) -> None:
    method = pseudo.get(b":method")
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if b":authority" not in pseudo or b":path" in pseudo or b":scheme" in pseudo:
            raise MalformedMessage("CONNECT has an authority and nothing else")
    elif not method or not pseudo.get(b":scheme") or not pseudo.get(b":path"):
        raise MalformedMessage("a request needs :method, :scheme and :path")
    elif method != b"CONNECT" and b":protocol" in pseudo:
        raise MalformedMessage(":protocol belongs to CONNECT")


def header_list_size(headers: list[Header]) -> int:
    """Size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum([len(name) + len(value) + 32 for name, value in headers])  # a list: this is a hot path
