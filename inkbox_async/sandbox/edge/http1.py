"""Third parties over HTTP/1.1, on the edge's TLS port and on the API's plain one, served by aiohttp."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterable
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from multidict import CIMultiDict

from inkbox_async.sandbox.edge.bridge_frames import CloseMessage, Message
from inkbox_async.sandbox.edge.envelope import handshake_fields
from inkbox_async.sandbox.edge.http2 import StreamReset
from inkbox_async.sandbox.edge.http2_headers import Header
from inkbox_async.sandbox.edge.ingress import Answer, Ingress, OpenBridge, PublicRequest, Refusal
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.relay import Relay
from inkbox_async.sandbox.edge.websocket import LOST, carry, sendable_code

SERVER: Final = "inkbox-sandbox-edge"
FIELD_LIMIT: Final = 65_536
FIELDS_LIMIT: Final = 1000


class _RelayedHead(web.StreamResponse):
    """An answer that goes on chunk by chunk; aiohttp adds no content type of its own."""

    async def _prepare_headers(self) -> None:
        typed = hdrs.CONTENT_TYPE in self.headers
        await super()._prepare_headers()
        if not typed:
            self.headers.popall(hdrs.CONTENT_TYPE, None)


class _RelayedWhole(_RelayedHead, web.Response):
    """An answer whose body is all here: head and body go out in one write."""


class _ChunkedBody:
    """The body of an aiohttp request as the ingress reads it."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._content = request.content

    def at_end(self) -> bool:
        return self._content.at_eof()

    def take(self) -> bytes:
        if self._content.exception() is not None:
            return b""  # `read` tells
        return self._content.read_nowait(-1)

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except (web.RequestPayloadError, ConnectionError):
            raise StreamReset from None


class Http1Ingress:
    """Takes aiohttp requests for public hosts through the tunnels."""

    def __init__(self, ingress: Ingress, limits: EdgeLimits) -> None:
        self._ingress = ingress
        self._limits = limits
        self._upgrades: set[asyncio.Task[web.StreamResponse]] = set()
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}

    async def stop(self) -> None:
        """End the WebSockets that are still open."""
        for timer in self._silent.values():
            timer.cancel()
        for task in self._upgrades:
            task.cancel()
        await asyncio.gather(*self._upgrades, return_exceptions=True)

    def server(self) -> web.Server:
        """A server of its own for connections that carry nothing but public hosts."""
        return web.Server(
            self._handle_first_hand,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            max_line_size=FIELD_LIMIT,
            max_field_size=FIELD_LIMIT,
            max_headers=FIELDS_LIMIT,
        )

    def connection(self, server: web.Server) -> asyncio.Protocol:
        """A protocol for one more connection, which is closed unless its first request comes in time."""
        protocol = server()

        def give_up() -> None:
            del self._silent[protocol]
            protocol.force_close()

        loop = asyncio.get_running_loop()
        self._silent[protocol] = loop.call_later(self._limits.handshake_seconds, give_up)
        return protocol

    async def _handle_first_hand(self, request: web.BaseRequest) -> web.StreamResponse:
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return await self.handle(request)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request whose Host is, or should be, a tunnel's public host."""
        public = PublicRequest(
            request.method.encode(),
            _origin_form(request.raw_path).encode("utf-8", "surrogateescape"),
            list(request.raw_headers),
            request.remote,
            _ChunkedBody(request),
        )
        try:
            authority = request.headers.get(hdrs.HOST, "")
            if self._ingress.is_put_aside(authority, public.path):
                with self._ingress.fetch(public) as answer:
                    return await _send(request, answer)
            relay = await self._ingress.relay_for(authority)
            if request.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket":
                _check_upgrade(request)
                return await self._upgrade_to_the_end(request, relay, public)
            async with self._ingress.exchange(relay, public) as answer:
                return await _send(request, answer)
        except Refusal as refusal:
            return _refused(refusal)
        except (StreamReset, ConnectionError):
            return _broken(request)

    async def _upgrade_to_the_end(
        self, request: web.BaseRequest, relay: Relay, public: PublicRequest
    ) -> web.StreamResponse:
        """Carry a WebSocket even when aiohttp gives the request up: the listener is still owed its close."""
        task = asyncio.create_task(self._upgrade(request, relay, public))
        self._upgrades.add(task)
        task.add_done_callback(self._upgrade_done)
        return await asyncio.shield(task)

    def _upgrade_done(self, task: asyncio.Task[web.StreamResponse]) -> None:
        self._upgrades.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: when aiohttp has given up, nobody else does

    async def _upgrade(
        self, request: web.BaseRequest, relay: Relay, public: PublicRequest
    ) -> web.StreamResponse:
        async with self._ingress.upgrade(relay, public) as opened:
            if isinstance(opened, Answer):
                return await _send(request, opened)
            socket = web.WebSocketResponse(
                protocols=_chosen(request, opened),
                autoclose=False,  # it would answer every close with 1000
                compress=False,
                max_msg_size=self._limits.max_websocket_message_bytes,
                timeout=self._limits.closing_seconds,
            )
            assert opened.head is not None
            socket.headers.extend(_text_fields(handshake_fields(opened.head.fields)))
            socket.headers.setdefault(hdrs.SERVER, SERVER)
            await socket.prepare(request)
            await carry(_Socket(socket), opened, self._limits)
            return socket


class _Socket:
    """An aiohttp WebSocket as the third party's end."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> Message:
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                data: str | bytes = message.data
                return data
            if message.type is WSMsgType.CLOSE:
                end = CloseMessage(int(message.data), message.extra or "")
                await self.close(sendable_code(end.code), end.reason)
                return end
            if message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                code = self._socket.close_code
                return CloseMessage(LOST if code in (None, WSCloseCode.ABNORMAL_CLOSURE) else code)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def close(self, code: int, reason: str) -> None:
        # A close frame holds 123 bytes of reason (RFC 6455, 5.5), cut at a character.
        text = reason.encode()[:123].decode("utf-8", "ignore")
        await self._socket.close(code=code, message=text.encode())


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    head, body = answer.head, answer.body
    fields = _text_fields(head.fields)
    fields.setdefault(hdrs.SERVER, SERVER)
    if request.method == "HEAD" and head.entity_length is not None:
        fields[hdrs.CONTENT_LENGTH] = str(head.entity_length)
    first = body.take()
    if body.is_read_out:
        return _RelayedWhole(status=head.status, headers=fields, body=first or None)
    response = _RelayedHead(status=head.status, headers=fields)
    response.content_length = head.content_length
    await response.prepare(request)
    chunk = first
    while chunk or (chunk := await body.read()):
        await response.write(chunk)
        chunk = b""
    await response.write_eof()
    return response


def _broken(request: web.BaseRequest) -> web.StreamResponse:
    """The message cannot be finished in either direction: only the end of the connection can say so."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)  # never sent: aiohttp needs an object to find the connection closed with


def _refused(refusal: Refusal) -> web.StreamResponse:
    return web.json_response(
        {"detail": refusal.detail, "reason": refusal.reason},
        status=refusal.status,
        headers={"inkbox-reason": refusal.reason, hdrs.SERVER: SERVER, **refusal.headers},
    )


def _check_upgrade(request: web.BaseRequest) -> None:
    try:
        nonce = base64.b64decode(request.headers.get(hdrs.SEC_WEBSOCKET_KEY, ""), validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    tokens = request.headers.get(hdrs.CONNECTION, "").lower().split(",")
    if request.method != "GET" or len(nonce) != 16 or "upgrade" not in {token.strip() for token in tokens}:
        raise Refusal(400, "bad-upgrade", "this is no valid WebSocket handshake")
    if request.headers.get(hdrs.SEC_WEBSOCKET_VERSION) != "13":
        headers = {"Sec-WebSocket-Version": "13"}
        raise Refusal(426, "bad-upgrade", "the edge speaks WebSocket version 13", headers)


def _chosen(request: web.BaseRequest, opened: OpenBridge) -> Iterable[str]:
    assert opened.head is not None
    chosen = opened.head.subprotocol
    if chosen is None:
        return ()
    offered = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    if chosen not in {name.strip() for value in offered for name in value.split(",")}:
        raise Refusal(502, "bad-reply", "the listener chose a subprotocol that was not offered")
    return (chosen,)


def _text_fields(fields: Iterable[Header]) -> CIMultiDict[str]:
    return CIMultiDict((name.decode("latin-1"), _text(value)) for name, value in fields)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _origin_form(target: str) -> str:
    """Path and query of a request target, which a proxy-minded client may have sent as a whole URL."""
    if target.startswith("/") or "://" not in target:
        return target
    rest = target.partition("://")[2]
    at = min((position for position in (rest.find("/"), rest.find("?")) if position >= 0), default=len(rest))
    path = rest[at:]
    return path if path.startswith("/") else "/" + path
