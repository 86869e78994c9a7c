"""The bytes on a bridge: WebSocket-shaped outer frames, and the envelopes inside those of a ws bridge."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_FIN: Final = 0x80
_MASKED: Final = 0x80
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LENGTH: Final = struct.Struct(">L")


class BridgeProtocolError(Exception):
    """The listener sent something that is no bridge frame or no envelope."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One outer frame, unmasked."""

    opcode: int
    final: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseMessage:
    """The end of a WebSocket: code and reason."""

    code: int
    reason: str = ""


Message: TypeAlias = str | bytes | CloseMessage
"""What travels through a ws bridge: a text message, a binary message, or the end."""


def encode_frame(opcode: int, payload: bytes = b"") -> bytes:
    """One whole, unmasked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, size))
    elif size < 65_536:
        head = struct.pack(">BBH", _FIN | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", _FIN | opcode, 127, size)
    return head + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A CLOSE frame."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()  # cut at a character
    return encode_frame(CLOSE, struct.pack(">H", code) + text)


def close_code(payload: bytes) -> int | None:
    """The code in a CLOSE frame's payload, None without one."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None


class FrameReader:
    """Cuts a byte stream into outer frames.

    Args:
        max_payload: Largest payload of one frame.
    """

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole after these bytes.

        Raises:
            BridgeProtocolError: A reserved bit is set, or a frame is too large.
        """
        buffer = self._buffer
        buffer += data
        while (frame := self._next(buffer)) is not None:
            yield frame

    def _next(self, buffer: bytearray) -> Frame | None:
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if first & 0x70:
            raise BridgeProtocolError("a reserved bit of a bridge frame is set")
        size = second & 0x7F
        at = 2
        if size == 126:
            at, size = 4, int.from_bytes(buffer[2:4], "big")
        elif size == 127:
            at, size = 10, int.from_bytes(buffer[2:10], "big")
        if len(buffer) < at:
            return None
        if size > self._max_payload:
            raise BridgeProtocolError("a bridge frame is too large")
        masked = second & _MASKED
        start = at + 4 if masked else at
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        if masked:
            payload = _unmask(payload, bytes(buffer[at : at + 4]))
        del buffer[: start + size]
        return Frame(first & 0x0F, bool(first & _FIN), payload)


def _unmask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    if not size or key == b"\0\0\0\0":
        return payload
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


def encode_envelope(message: Message) -> bytes:
    """One message as an envelope: its length, then compact ASCII JSON."""
    if isinstance(message, str):
        text = json.dumps({"type": "text", "data": message}, separators=(",", ":")).encode("ascii")
    elif isinstance(message, bytes):
        text = b'{"type":"binary","data":"%b"}' % base64.b64encode(message)
    else:
        close = {"type": "close", "code": message.code, "reason": message.reason}
        text = json.dumps(close, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(text)) + text


class EnvelopeReader:
    """Cuts the payloads of BINARY frames into messages; envelopes of unknown types are passed over.

    Args:
        max_size: Largest envelope in bytes.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._buffer = bytearray()

    def feed(self, payload: bytes) -> Iterator[Message]:
        """The messages that are whole after this payload.

        Raises:
            BridgeProtocolError: An envelope is too large or is not a JSON object.
        """
        buffer = self._buffer
        buffer += payload
        while len(buffer) >= 4:
            size = _LENGTH.unpack_from(buffer)[0]
            if size > self._max_size:
                raise BridgeProtocolError("an envelope is too large")
            if len(buffer) < 4 + size:
                return
            text = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            message = _message(text)
            if message is not None:
                yield message


def _message(text: bytes) -> Message | None:
    try:
        body: Any = json.loads(text)  # Any: JSON from the wire, checked below
    except (ValueError, RecursionError):
        raise BridgeProtocolError("an envelope is not JSON") from None
    if not isinstance(body, dict):
        raise BridgeProtocolError("an envelope is not a JSON object")
    kind, data = body.get("type"), body.get("data")
    if kind == "text" and isinstance(data, str):
        if _LONE_SURROGATE.search(data):
            raise BridgeProtocolError("a text message holds half a surrogate pair")
        return data
    if kind == "binary" and isinstance(data, str):
        try:
            return base64.b64decode(data, validate=True)
        except ValueError:  # not base64, or not even ASCII
            return None
    if kind == "close":
        code, reason = body.get("code", 1000), body.get("reason", "")
        return CloseMessage(
            code if isinstance(code, int) else 1000,
            _LONE_SURROGATE.sub("\ufffd", reason) if isinstance(reason, str) else "",
        )
    return None
