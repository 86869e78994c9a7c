"""Frames and envelopes inside a bridge: RFC 6455 layout in HTTP/2 data, and JSON messages in those frames."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

MAX_CONTROL_PAYLOAD: Final = 125


class Opcode(IntEnum):
    """Opcodes of RFC 6455."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_DATA_OPCODES: Final = (Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY)
_OPCODES: Final = frozenset(Opcode)
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class FrameError(Exception):
    """Bytes that are no frame, or a frame out of place."""


class MessageTooBig(Exception):
    """A message larger than its receiver accepts."""


def apply_mask(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """XOR data with a four-byte key, starting `offset` bytes into the key's cycle."""
    size = len(data)
    if not size:
        return b""
    start = offset & 3
    if start:
        key = key[start:] + key[:start]
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


def encode_frame(opcode: Opcode, payload: bytes, *, mask_key: bytes | None = None) -> bytes:
    """One whole frame, masked (with a fresh random key unless one is given)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    key = mask_key or os.urandom(4)
    return b"".join((head, key, apply_mask(payload, key)))


def encode_close(code: int, reason: str = "") -> bytes:
    """A CLOSE frame; a reason too long for a control frame is cut at a character."""
    text = reason.encode("utf-8", "replace")[: MAX_CONTROL_PAYLOAD - 2].decode("utf-8", "ignore").encode()
    return encode_frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)


class FrameParser:
    """Takes bytes, gives frames; the payload of a data frame is given in pieces as it arrives.

    Frames of any size pass through without being gathered, and fragments are joined by their nature:
    a bridge carries a byte stream, so the borders of data frames mean nothing.

    Args:
        allow_text: Whether TEXT counts as data; otherwise it is an error.
    """

    def __init__(self, *, allow_text: bool) -> None:
        self._allow_text = allow_text
        self._buffer = b""
        self._opcode: Opcode | None = None
        self._left = 0
        self._key = b""
        self._offset = 0
        self._in_message = False

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """The pieces in these bytes: (BINARY, piece of data) or (control opcode, whole payload).

        Raises:
            FrameError: The bytes break RFC 6455 or the rules of the bridge.
        """
        pieces: list[tuple[Opcode, bytes]] = []
        if self._buffer:
            data = self._buffer + data
        position, size = 0, len(data)
        while True:
            if self._opcode is None:
                position = self._head(data, position)
                if self._opcode is None:
                    break
            if self._opcode in _DATA_OPCODES:
                taken = data[position : position + self._left]
                if taken:
                    position += len(taken)
                    self._left -= len(taken)
                    pieces.append((Opcode.BINARY, self._unmasked(taken)))
                if self._left:
                    break
            else:
                if size - position < self._left:
                    break
                taken = data[position : position + self._left]
                position += self._left
                pieces.append((self._opcode, self._unmasked(taken)))
            self._opcode = None
        self._buffer = data[position:]
        return pieces

    def _unmasked(self, data: bytes) -> bytes:
        if not self._key:
            return data
        offset = self._offset
        self._offset += len(data)
        return apply_mask(data, self._key, offset)

    def _head(self, data: bytes, start: int) -> int:
        """Parse a frame's head if it is complete; returns where its payload begins."""
        available = len(data) - start
        if available < 2:
            return start
        first, second = data[start], data[start + 1]
        if first & 0x70:
            raise FrameError("reserved bits are set")
        code = first & 0x0F
        if code not in _OPCODES:
            raise FrameError(f"unknown opcode {code}")
        opcode, final, length = Opcode(code), bool(first & 0x80), second & 0x7F
        position = start + 2
        if length > MAX_CONTROL_PAYLOAD:
            width = 2 if length == 126 else 8
            if available < 2 + width:
                return start
            length = int.from_bytes(data[position : position + width], "big")
            position += width
            if length >> 63:
                raise FrameError("length out of range")
        key = b""
        if second & 0x80:
            if len(data) - position < 4:
                return start
            key = data[position : position + 4]
            position += 4
        if opcode in _DATA_OPCODES:
            self._check_data(opcode, final)
        elif not final or second & 0x7F > MAX_CONTROL_PAYLOAD:
            raise FrameError("control frame fragmented or too long")
        self._opcode, self._left, self._key, self._offset = opcode, length, key, 0
        return position

    def _check_data(self, opcode: Opcode, final: bool) -> None:
        if opcode is Opcode.TEXT and not self._allow_text:
            raise FrameError("text on a binary bridge")
        if (opcode is Opcode.CONTINUATION) != self._in_message:
            wrong = "message inside a message" if self._in_message else "continuation without start"
            raise FrameError(wrong)
        self._in_message = not final


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a WebSocket."""

    code: int = 1000
    reason: str = ""


Message: TypeAlias = str | bytes | Close


def encode_envelope(message: Message) -> bytes:
    """One WebSocket message as a length-prefixed JSON envelope."""
    if isinstance(message, str):
        document: dict[str, str | int] = {"type": "text", "data": message}
    elif isinstance(message, Close):
        document = {"type": "close", "code": message.code, "reason": message.reason}
    else:
        document = {"type": "binary", "data": base64.b64encode(message).decode("ascii")}
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return len(text).to_bytes(4, "big") + text


class EnvelopeParser:
    """Takes the bytes of a bridge, gives the JSON texts of whole envelopes.

    Args:
        limit: Largest accepted envelope in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = 4

    def feed(self, data: bytes) -> list[bytes]:
        """The envelopes completed by these bytes, still encoded.

        Raises:
            MessageTooBig: An envelope announces more than `limit` bytes.
        """
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        data = b"".join(self._chunks)
        texts: list[bytes] = []
        position, self._need = 0, 4
        while len(data) - position >= 4:
            size = int.from_bytes(data[position : position + 4], "big")
            if size > self._limit:
                raise MessageTooBig(f"message of about {size} bytes; at most {self._limit} are accepted")
            if len(data) - position - 4 < size:
                self._need = 4 + size
                break
            texts.append(data[position + 4 : position + 4 + size])
            position += 4 + size
        rest = data[position:]
        self._chunks, self._have = [rest], len(rest)
        return texts


def decode_envelope(text: bytes) -> Message | None:
    """The message in an envelope's JSON, or None when it is none that we know.

    Raises:
        FrameError: The text is not a JSON object.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError("an envelope is not JSON") from error
    if not isinstance(document, dict):
        raise FrameError("an envelope is not a JSON object")
    kind, data = document.get("type"), document.get("data", "")
    if kind == "close":
        code, reason = document.get("code", 1000), document.get("reason", "")
        valid = isinstance(code, int) and not isinstance(code, bool) and 1000 <= code < 5000
        said = _LONE_SURROGATE.sub("\ufffd", reason) if isinstance(reason, str) else ""
        return Close(code if valid else 1000, said)
    if not isinstance(data, str):
        return None
    if kind == "text":
        if not data.isascii() and _LONE_SURROGATE.search(data):
            raise FrameError("a text message holds half a surrogate pair")
        return data
    if kind == "binary":
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return None
    return None
