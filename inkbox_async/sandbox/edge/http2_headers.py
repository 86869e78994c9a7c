"""What a request's header list must look like before anyone else sees it (RFC 9113 section 8, RFC 8441)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]
"""One header: name in lower case, value."""

_COLON: Final = ord(":")
_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
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


class _Role(Enum):
    PSEUDO = auto()
    ORDINARY = auto()
    CONTENT_LENGTH = auto()
    TE = auto()
    MISPLACED = auto()
    ILLEGAL = auto()


@lru_cache(maxsize=4096)
def _role(name: bytes) -> _Role:
    if name in _PSEUDO:
        return _Role.PSEUDO
    if not name or name[0] == _COLON or len(name.translate(None, _NOT_IN_NAMES)) != len(name):
        return _Role.ILLEGAL
    if name in _CONNECTION_SPECIFIC:
        return _Role.MISPLACED
    return {b"content-length": _Role.CONTENT_LENGTH, b"te": _Role.TE}.get(name, _Role.ORDINARY)


def read_head(fields: list[Header]) -> RequestHead:
    """Check a header list and find in it what its stream needs.

    Raises:
        MalformedMessage: It is not a request.
    """
    pseudo: dict[bytes, bytes] = {}
    length: bytes | None = None
    fields_begun = False
    for name, value in fields:
        role = _role(name)
        if role is _Role.PSEUDO:
            if fields_begun or name in pseudo:
                raise MalformedMessage("a pseudo-header is doubled or out of place")
            pseudo[name] = value
            continue
        fields_begun = True
        if role is _Role.ORDINARY:
            continue
        if role is _Role.CONTENT_LENGTH:
            if not value.isdigit() or length not in (None, value):
                raise MalformedMessage("content-length is not one number")
            length = value
        elif role is _Role.ILLEGAL:
            raise MalformedMessage("a field name is empty, unknown or holds an illegal character")
        elif role is _Role.MISPLACED or value != b"trailers":
            raise MalformedMessage("a connection-specific field has no place in HTTP/2")
    _check_values([value for _, value in fields])
    _check_pseudo(pseudo)
    return RequestHead(fields, pseudo, int(length) if length is not None else None)


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
