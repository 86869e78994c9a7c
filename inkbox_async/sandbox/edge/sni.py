"""Which host a TLS client wants, read from its ClientHello alone (RFC 8446, RFC 6066)."""

from __future__ import annotations

from typing import Final

CLIENT_HELLO_LIMIT: Final = 65_536
"""A ClientHello longer than this is nobody's."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_MAX_RECORD: Final = 16_384 + 256


class NotTls(ValueError):
    """The bytes are not the beginning of a TLS handshake."""


class Incomplete(Exception):
    """The ClientHello is not whole yet: read more and try again."""


class _Reader:
    """Big-endian numbers and vectors out of bytes; one that runs over the end makes the message invalid."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise NotTls("a length in the ClientHello runs over its end")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))


def server_name(data: bytes) -> str | None:
    """The SNI host name of a ClientHello at the start of `data`, in lower case; None when it names none.

    Raises:
        Incomplete: `data` is a good beginning, and more is needed.
        NotTls: `data` is something else.
    """
    hello = _Reader(_client_hello(data))
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session id
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression methods
    if not hello:
        return None
    extensions = _Reader(hello.vector(2))
    while extensions:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind == _SERVER_NAME:
            return _host_name(body)
    return None


def _host_name(extension: bytes) -> str | None:
    names = _Reader(_Reader(extension).vector(2))
    while names:
        kind = names.number(1)
        name = names.vector(2)
        if kind == _HOST_NAME:
            try:
                return name.decode("ascii").lower().rstrip(".") or None
            except UnicodeDecodeError:
                raise NotTls("the server name is not ASCII") from None
    return None


def _client_hello(data: bytes) -> bytes:
    """The ClientHello's body, put together from the records it is spread over."""
    handshake = bytearray()
    at = 0
    while True:
        record = data[at : at + 5]
        if (record and record[0] != _HANDSHAKE) or (len(record) > 1 and record[1] != 3):
            raise NotTls("not a TLS handshake record")
        if len(record) < 5:
            raise Incomplete
        length = int.from_bytes(record[3:5], "big")
        if not 0 < length <= _MAX_RECORD:
            raise NotTls("a TLS record of an impossible length")
        fragment = data[at + 5 : at + 5 + length]
        handshake += fragment
        if handshake and handshake[0] != _CLIENT_HELLO:
            raise NotTls("the handshake does not begin with a ClientHello")
        if len(handshake) >= 4:
            size = int.from_bytes(handshake[1:4], "big")
            if size > CLIENT_HELLO_LIMIT:
                raise NotTls("the ClientHello is too long")
            if len(handshake) >= 4 + size:
                return bytes(handshake[4 : 4 + size])
        if len(fragment) < length:
            raise Incomplete
        at += 5 + length
