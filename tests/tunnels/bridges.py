"""The edge's end of a bridge, for tests: frames and envelopes over one stream."""

from __future__ import annotations

import json
from typing import Any

from inkbox_async.tunnels.bridge_frames import EnvelopeParser, FrameParser, Opcode

from .fake_edge import EdgeStream, FakeEdge, Reply


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """An unmasked frame, as an edge sends it."""
    size = len(payload)
    first = bytes((opcode | (0x80 if final else 0),))
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 65536:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def envelope(**document: object) -> bytes:
    text = json.dumps(document).encode()
    return len(text).to_bytes(4, "big") + text


class BridgeEnd:
    """Reads what the listener sends on a bridge."""

    def __init__(self, stream: EdgeStream) -> None:
        self.stream = stream
        self._frames = FrameParser(allow_text=True)
        self._envelopes = EnvelopeParser(1 << 30)
        self._seen: list[tuple[Opcode, bytes]] = []
        self._documents: list[dict[str, Any]] = []  # Any: JSON

    async def frame(self) -> tuple[Opcode, bytes] | None:
        """The next piece; None at the end of the stream."""
        while not self._seen:
            data = await self.stream.read(1)
            if not data:
                return None
            data += bytes(self.stream.received)
            self.stream.received.clear()
            self._seen += self._frames.feed(data)
        return self._seen.pop(0)

    async def document(self) -> dict[str, Any] | None:  # Any: JSON
        """The next envelope; None when a control frame or the end comes instead."""
        while not self._documents:
            piece = await self.frame()
            if piece is None:
                return None
            if piece[0] is not Opcode.BINARY:
                self._seen.insert(0, piece)
                return None
            self._documents += [json.loads(text) for text in self._envelopes.feed(piece[1])]
        return self._documents.pop(0)

    async def send(self, **document: object) -> None:
        """Send one envelope in one frame."""
        await self.stream.send(frame(2, envelope(**document)))


async def open_websocket(
    edge: FakeEdge, path: str = "/ws", headers: list[tuple[str, str]] | None = None, ws_id: str = "ws-1"
) -> tuple[BridgeEnd, Reply]:
    """Let a third party upgrade; returns the bridge and the listener's answer to the handshake."""
    reply = await upgrade(edge, path, headers, ws_id)
    return BridgeEnd(await edge.bridge(ws_id)), reply


async def upgrade(
    edge: FakeEdge,
    path: str = "/ws",
    headers: list[tuple[str, str]] | None = None,
    ws_id: str | None = "ws-1",
) -> Reply:
    extra = [("inkbox-route-kind", "ws-upgrade")]
    if ws_id is not None:
        extra.append(("inkbox-ws-id", ws_id))
    return await edge.request("GET", path, headers or [], extra=extra)
