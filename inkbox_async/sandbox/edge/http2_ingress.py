"""Third parties over HTTP/2: requests, and WebSockets by extended CONNECT (RFC 8441)."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from typing import Final

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from inkbox_async.sandbox.edge.bridge_frames import CloseMessage, Message
from inkbox_async.sandbox.edge.envelope import handshake_fields
from inkbox_async.sandbox.edge.http1 import SERVER
from inkbox_async.sandbox.edge.http2 import Stream, StreamReset
from inkbox_async.sandbox.edge.http2_codes import ErrorCode
from inkbox_async.sandbox.edge.http2_headers import Header
from inkbox_async.sandbox.edge.ingress import Answer, Ingress, OpenBridge, PublicRequest, Refusal
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.relay import Relay
from inkbox_async.sandbox.edge.websocket import LOST, TOO_BIG, carry

_COLON: Final = ord(":")
_FRAME_PAYLOAD: Final = 32_768


class _StreamBody:
    """The body of a stream as the ingress reads it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def at_end(self) -> bool:
        return self._stream.is_read_out

    def take(self) -> bytes:
        return self._stream.take()

    async def read(self) -> bytes:
        return await self._stream.read()


class Http2Ingress:
    """Takes the streams of third parties through the tunnels."""

    def __init__(self, ingress: Ingress, limits: EdgeLimits) -> None:
        self._ingress = ingress
        self._limits = limits

    def on_stream(self, stream: Stream) -> None:
        """Take a stream that is not for the data plane."""
        stream.connection.spawn(self._handle(stream))

    async def _handle(self, stream: Stream) -> None:
        method = stream.pseudo[b":method"]
        authority = (stream.pseudo.get(b":authority") or stream.header(b"host") or b"").decode("latin-1")
        protocol = stream.pseudo.get(b":protocol")
        request = PublicRequest(
            b"GET" if protocol else method,
            stream.pseudo.get(b":path", b"/"),
            _fields(stream, authority),
            stream.connection.peer,
            _StreamBody(stream),
        )
        try:
            if method == b"CONNECT" and protocol != b"websocket":
                raise Refusal(501, "no-connect", "the edge is no proxy")
            if self._ingress.is_put_aside(authority, request.path):
                with self._ingress.fetch(request) as answer:
                    await _send(stream, answer, method)
                return
            relay = await self._ingress.relay_for(authority)
            if protocol:
                await self._upgrade(stream, relay, request)
            else:
                async with self._ingress.exchange(relay, request) as answer:
                    await _send(stream, answer, method)
        except Refusal as refusal:
            await _refuse(stream, refusal)
        except StreamReset:
            stream.reset(ErrorCode.INTERNAL_ERROR)
        else:
            if not stream.remote_closed:
                stream.reset(ErrorCode.NO_ERROR)

    async def _upgrade(self, stream: Stream, relay: Relay, request: PublicRequest) -> None:
        async with self._ingress.upgrade(relay, request) as opened:
            if isinstance(opened, Answer):
                await _send(stream, opened, b"GET")
                return
            stream.respond(_handshake(stream, opened))
            await carry(_Socket(stream, self._limits), opened, self._limits)


class _Socket:
    """A WebSocket on a stream as the third party's end; wsproto keeps its frames."""

    def __init__(self, stream: Stream, limits: EdgeLimits) -> None:
        self._stream = stream
        self._limit = limits.max_websocket_message_bytes
        self._closing_seconds = limits.closing_seconds
        self._frames = Connection(ConnectionType.SERVER)
        self._parts: list[str | bytes] = []
        self._size = 0
        self._waiting: list[Message] = []
        self._closed = False

    async def receive(self) -> Message:
        while not self._waiting:
            try:
                data = await self._stream.read()
            except StreamReset:
                return CloseMessage(LOST)
            if not data:
                return CloseMessage(LOST)
            await self._feed(data)
        return self._waiting.pop(0)

    async def _feed(self, data: bytes) -> None:
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, TextMessage | BytesMessage):
                    if event.data or not self._parts:  # empty fragments have no end and no size
                        part = event.data if isinstance(event, TextMessage) else bytes(event.data)
                        self._parts.append(part)
                    self._size += len(event.data)
                    if self._size > self._limit:
                        await self._finish(CloseMessage(TOO_BIG, "message too big"))
                        return
                    if event.message_finished:
                        self._waiting.append(_joined(self._parts))
                        self._parts, self._size = [], 0
                elif isinstance(event, Ping):
                    await self._stream.write(self._frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    await self._finish(CloseMessage(event.code, event.reason or ""))
                    return
        except RemoteProtocolError:
            await self._finish(CloseMessage(1002))
        except StreamReset:
            self._waiting.append(CloseMessage(LOST))

    async def _finish(self, end: CloseMessage) -> None:
        """The third party has closed, or broke the rules: answer with the same code and end the stream."""
        self._waiting.append(end)
        await self._send_close(end.code, end.reason)

    async def _send_close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            frame = self._frames.send(CloseConnection(code=code, reason=reason))
        except LocalProtocolError:
            frame = b""
        await self._stream.write(frame, end=True)

    async def send(self, message: str | bytes) -> None:
        size = len(message)
        for at in range(0, size or 1, _FRAME_PAYLOAD):
            part = message[at : at + _FRAME_PAYLOAD]
            last = at + _FRAME_PAYLOAD >= size
            event: TextMessage | BytesMessage = (
                TextMessage(data=part, message_finished=last)
                if isinstance(part, str)
                else BytesMessage(data=part, message_finished=last)
            )
            try:
                await self._stream.write(self._frames.send(event))
            except LocalProtocolError:
                raise ConnectionResetError("the WebSocket is closing") from None

    async def close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._closing_seconds):
                await self._send_close(code, reason)
                while await self._stream.read():
                    pass
        except (TimeoutError, StreamReset):
            pass  # the stream is reset by its handler


def _joined(parts: list[str | bytes]) -> Message:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes))


def _fields(stream: Stream, authority: str) -> list[Header]:
    """The request's fields as HTTP/1.1 has them: Host first, cookies in one piece (RFC 9113, 8.2.3)."""
    fields: list[Header] = [(b"host", authority.encode("latin-1"))]
    cookies: list[bytes] = []
    for name, value in stream.headers:
        if name == b"cookie":
            cookies.append(value)
        elif name[0] != _COLON and name != b"host":
            fields.append((name, value))
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    return fields


def _handshake(stream: Stream, opened: OpenBridge) -> list[Header]:
    head = opened.head
    assert head is not None
    fields: list[Header] = [(b":status", b"200"), *handshake_fields(head.fields)]
    if head.subprotocol is not None:
        offered = [
            value.decode("latin-1") for name, value in stream.headers if name == b"sec-websocket-protocol"
        ]
        if head.subprotocol not in {name.strip() for value in offered for name in value.split(",")}:
            raise Refusal(502, "bad-reply", "the listener chose a subprotocol that was not offered")
        fields.append((b"sec-websocket-protocol", head.subprotocol.encode()))
    return fields


async def _send(stream: Stream, answer: Answer, method: bytes) -> None:
    head, body = answer.head, answer.body
    fields: list[Header] = [(b":status", b"%d" % head.status), *head.fields]
    names = {name for name, _ in head.fields}
    if b"date" not in names:
        fields.append((b"date", formatdate(usegmt=True).encode()))
    if b"server" not in names:
        fields.append((b"server", SERVER.encode()))
    first = body.take()
    whole = body.is_read_out
    bodiless = method == b"HEAD" or head.status in (204, 304)
    length = head.entity_length if bodiless else len(first) if whole else head.content_length
    if length is not None:
        fields.append((b"content-length", b"%d" % length))
    if bodiless or (whole and not first):
        stream.respond(fields, end=True)
        return
    stream.respond(fields)
    if whole:
        await stream.write(first, end=True)
        return
    if first:
        await stream.write(first)
    while chunk := await body.read():
        await stream.write(chunk)
    await stream.write(b"", end=True)


async def _refuse(stream: Stream, refusal: Refusal) -> None:
    body = json.dumps({"detail": refusal.detail, "reason": refusal.reason}).encode()
    fields = [
        (b":status", b"%d" % refusal.status),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"inkbox-reason", refusal.reason.encode()),
    ]
    unread = not stream.remote_closed
    try:
        stream.respond(fields)
        await stream.write(body, end=True)
    except StreamReset:
        return
    if unread:
        stream.reset(ErrorCode.NO_ERROR)
