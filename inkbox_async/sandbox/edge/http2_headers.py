"""What a request's header list must look like before anyone else sees it (RFC 9113 section 8, RFC 8441)."""

from __future__ import annotations

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


def check_request(headers: list[Header]) -> None:
    """Raise `MalformedMessage` for a header list that is not a request."""
    pseudo: dict[bytes, bytes] = {}
    fields_begun = False
    for name, value in headers:
        if not name or b"\n" in value or b"\r" in value or b"\0" in value:
            raise MalformedMessage("a field has an empty name or a line break in its value")
        if name[0] == _COLON:
            if fields_begun or name in pseudo or name not in _PSEUDO:
                raise MalformedMessage("a pseudo-header is unknown, doubled or out of place")
            pseudo[name] = value
            continue
        fields_begun = True
        if not _is_field_name(name):
            raise MalformedMessage("a field name holds an upper-case or illegal character")
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            raise MalformedMessage("a connection-specific field has no place in HTTP/2")
    if pseudo.get(b":method") == b"CONNECT" and b":protocol" not in pseudo:
        if b":authority" not in pseudo or b":path" in pseudo or b":scheme" in pseudo:
            raise MalformedMessage("CONNECT has an authority and nothing else")
    elif not pseudo.get(b":method") or not pseudo.get(b":scheme") or not pseudo.get(b":path"):
        raise MalformedMessage("a request needs :method, :scheme and :path")
    elif b":protocol" in pseudo and pseudo[b":method"] != b"CONNECT":
        raise MalformedMessage(":protocol belongs to CONNECT")


@lru_cache(maxsize=4096)
def _is_field_name(name: bytes) -> bool:
    return len(name.translate(None, _NOT_IN_NAMES)) == len(name)


def declared_length(headers: list[Header]) -> int | None:
    """The value of `content-length`, None without one.

    Raises:
        MalformedMessage: It is not a number, or several differ.
    """
    values = {value for name, value in headers if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not value.isdigit():
        raise MalformedMessage("content-length is not one number")
    return int(value)


def header_list_size(headers: list[Header]) -> int:
    """Size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum(len(name) + len(value) + 32 for name, value in headers)
