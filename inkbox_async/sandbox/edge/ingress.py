"""A third party's request on its way through a tunnel, whatever protocol it came by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from inkbox_async.sandbox.edge.data_plane import Relays, refuse_post
from inkbox_async.sandbox.edge.envelope import (
    TCP_STREAM,
    WEBHOOK,
    WS_UPGRADE,
    ReplyHead,
    envelope_head,
    reply_head,
    request_fields,
)
from inkbox_async.sandbox.edge.http2 import Stream, StreamReset
from inkbox_async.sandbox.edge.http2_codes import ErrorCode
from inkbox_async.sandbox.edge.http2_headers import Header, decimal, header_list_size
from inkbox_async.sandbox.edge.names import EdgeNames
from inkbox_async.sandbox.edge.put_aside import PATH, BodyAside, PutAside
from inkbox_async.sandbox.edge.relay import Exchange, Intake, ListenerLost, NoListener, Relay
from inkbox_async.sandbox.edge.session import Session, SessionState


class Refusal(Exception):
    """What the edge itself answers to a third party.

    Attributes:
        status: HTTP status.
        reason: A word for programs: `no-tunnel`, `no-listener`, ...
        detail: A sentence for people.
        headers: Further header fields of the answer.
    """

    def __init__(
        self, status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})


class RequestBody(Protocol):
    """The body of a third party's request."""

    def at_end(self) -> bool:
        """Everything has arrived and been read."""
        ...

    def take(self) -> bytes:
        """What has arrived and was not read, without waiting."""
        ...

    async def read(self) -> bytes:
        """The next bytes, `b""` at the end.

        Raises:
            StreamReset: The body will never be whole.
        """
        ...


@dataclass(slots=True)
class PublicRequest:
    """A third party's request.

    Attributes:
        path: Path and query, byte for byte as sent.
        fields: Header fields as sent, pseudo-headers and hop-by-hop ones included or not.
        peer: IP address of the third party.
    """

    method: bytes
    path: bytes
    fields: list[Header]
    peer: str | None
    body: RequestBody


@dataclass(slots=True)
class Answer:
    """A listener's reply: the head, and the stream its body is read from."""

    head: ReplyHead
    body: Stream | BodyAside


@dataclass(slots=True)
class OpenBridge:
    """An accepted WebSocket or TCP stream: the bridge, the session it belongs to, the reply's head."""

    stream: Stream
    session: Session
    head: ReplyHead | None = None


class Ingress:
    """Finds a host's tunnel and takes requests through it.

    Args:
        relays: Where the tunnels are.
        names: Which host belongs to which tunnel.
        put_aside: Where large bodies are fetched.
    """

    def __init__(self, relays: Relays, names: EdgeNames, put_aside: PutAside) -> None:
        self._relays = relays
        self._names = names
        self._put_aside = put_aside
        self._limits = relays.limits
        self._by_name: dict[str, Relay] = {}

    async def relay_for(self, authority: str) -> Relay:
        """The relay of the tunnel meant by a Host or `:authority` value.

        Raises:
            Refusal: It names no tunnel, or one whose requests arrive as TLS only.
        """
        name = self._names.tunnel_name(authority)
        if name is None:
            raise Refusal(421, "not-a-tunnel", "this host is not a tunnel's public host")
        relay = self._by_name.get(name)
        if relay is None or relay.live is None or relay.record.tunnel_name != name:
            record = await self._relays.directory.resolve_tunnel_by_name(name)
            if record is None:
                self._by_name.pop(name, None)
                raise Refusal(404, "no-tunnel", f"there is no tunnel named {name}")
            relay = self._by_name[name] = self._relays.relay(record)
        if relay.record.is_passthrough:
            raise Refusal(421, "passthrough", "this tunnel takes TLS with its name as SNI on the edge's port")
        return relay

    def is_put_aside(self, authority: str, path: bytes) -> bool:
        """Whether this is a URL of a body that was put aside."""
        return path.startswith(PATH) and self._names.tunnel_name(authority) is None

    @contextmanager
    def fetch(self, request: PublicRequest) -> Iterator[Answer]:
        """A body that was put aside, for the listener that was told its URL; the block sends it.

        Raises:
            Refusal: It is not there, or not there any more.
        """
        if request.method != b"GET":
            raise Refusal(405, "bad-method", "a request body is fetched with GET", {"allow": "GET"})
        body = self._put_aside.claim(request.path)
        if body is None:
            raise Refusal(404, "no-body", "this body was fetched before, or nobody waits for its request")
        try:
            fields = [(b"content-type", b"application/octet-stream")]
            yield Answer(ReplyHead(200, fields, body.length, None, None), body)
        finally:
            body.reset()

    @asynccontextmanager
    async def exchange(self, relay: Relay, request: PublicRequest) -> AsyncIterator[Answer]:
        """Send a request through the tunnel; the block writes the answer to the third party.

        The request's body is still being sent up while the answer comes down, if the listener wants that.
        When the block is left, whatever is unfinished in either direction is given up.

        Raises:
            Refusal: The listener did not give an answer.
            StreamReset: The request's own body broke off.
        """
        first, complete = await self._gather(request.body)
        aside = self._offer(request, len(first) if complete else None)
        upload: asyncio.Task[None] | None = None
        exchange: Exchange | None = None
        intake: Stream | None = None
        try:
            try:
                async with asyncio.timeout(self._limits.response_deadline_seconds) as deadline:
                    session, intake = await self._claim(relay)
                    exchange = relay.open_exchange(session)
                    extra = [(b"inkbox-body-uri", aside.uri.encode())] if aside is not None else []
                    head = self._head(exchange, request, intake, WEBHOOK, extra)
                    intake.respond(head, end=aside is not None or (complete and not first))
                    if aside or not complete or (first and not intake.write_now(first, end=True)):
                        deadline.reschedule(None)
                        upload = self._start_upload(session, aside or intake, first, request.body)
                        await self._sent_or_answered(upload, exchange)
                        deadline.reschedule(
                            asyncio.get_running_loop().time() + self._limits.response_deadline_seconds
                        )
                    post = await exchange.reply
            except (TimeoutError, NoListener, ListenerLost) as problem:
                raise _refusal(problem) from None
            yield Answer(_checked_head(post), post)
        finally:
            if upload is not None:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)
            if aside is not None:
                self._put_aside.withdraw(aside)
            if intake is not None and not intake.is_over:
                intake.reset(ErrorCode.CANCEL)
            if exchange is not None:
                _give_up(relay, exchange)

    @asynccontextmanager
    async def upgrade(self, relay: Relay, request: PublicRequest) -> AsyncIterator[OpenBridge | Answer]:
        """Ask the listener for a WebSocket: an open bridge, or the answer that refuses it.

        Raises:
            Refusal: The listener did not answer, or accepted and did not open the bridge in time.
        """
        expected = relay.expect_bridge("ws")
        exchange: Exchange | None = None
        intake: Stream | None = None
        try:
            try:
                async with asyncio.timeout(self._limits.response_deadline_seconds):
                    session, intake = await self._claim(relay)
                    exchange = relay.open_exchange(session)
                    extra = [(b"inkbox-ws-id", expected.id.encode())]
                    intake.respond(self._head(exchange, request, intake, WS_UPGRADE, extra), end=True)
                    post = await exchange.reply
                    head = _checked_head(post)
                    accepted = head.status in (101, 200)
                    bridge = await expected.opened if accepted else None
            except (TimeoutError, NoListener, ListenerLost) as problem:
                raise _refusal(problem) from None
            yield Answer(head, post) if bridge is None else OpenBridge(bridge, session, head)
        finally:
            relay.forget_bridge(expected)
            if expected.stream is not None:
                expected.stream.reset(ErrorCode.CANCEL)
            if intake is not None and not intake.is_over:
                intake.reset(ErrorCode.CANCEL)
            if exchange is not None:
                _give_up(relay, exchange)

    @asynccontextmanager
    async def open_tcp(self, relay: Relay, server_name: str, peer: str | None) -> AsyncIterator[OpenBridge]:
        """Ask the listener of a passthrough tunnel for a bridge that carries one TCP connection.

        Raises:
            Refusal: Nobody listens, or the bridge was not opened in time.
        """
        expected = relay.expect_bridge("tcp")
        try:
            try:
                async with asyncio.timeout(self._limits.response_deadline_seconds):
                    session, intake = await self._claim(relay)
                    extra = [
                        (b"inkbox-tcp-id", expected.id.encode()),
                        (b"inkbox-sni-host", server_name.encode()),
                    ]
                    # the request id is only a label: no response is posted for a TCP stream
                    head = envelope_head(expected.id, route_kind=TCP_STREAM, peer=peer, extra=extra)
                    intake.respond(head, end=True)
                    bridge = await expected.opened
            except (TimeoutError, NoListener) as problem:
                raise _refusal(problem) from None
            yield OpenBridge(bridge, session)
        finally:
            relay.forget_bridge(expected)
            if expected.stream is not None:
                expected.stream.reset(ErrorCode.CANCEL)

    async def _gather(self, body: RequestBody) -> tuple[bytes, bool]:
        """The beginning of the body, and whether that is all of it."""
        first = body.take()
        if body.at_end():
            return first, True
        chunks, size = [first], len(first)
        with suppress(TimeoutError):  # a body that comes slowly is passed on as far as it is here
            async with asyncio.timeout(self._limits.gather_seconds):
                while size < self._limits.gather_bytes and not body.at_end():
                    chunk = await body.read()
                    chunks.append(chunk)
                    size += len(chunk)
        return b"".join(chunks), body.at_end()

    def _offer(self, request: PublicRequest, length: int | None) -> BodyAside | None:
        """Where the body is put aside; None when it goes with the envelope.

        Args:
            request: The request with the body.
            length: The body's size if all of it is here, else None.
        """
        threshold = self._limits.put_aside_bytes
        if threshold is None:
            return None
        if length is None:
            announced = [value for name, value in request.fields if name.lower() == b"content-length"]
            length = decimal(announced[0]) if announced else None
        return self._put_aside.offer(length) if length is None or length > threshold else None

    async def _claim(self, relay: Relay) -> Intake:
        while True:
            session, intake = await relay.claim()
            if not intake.is_over and session.state is SessionState.LIVE:
                return session, intake

    def _head(
        self,
        exchange: Exchange,
        request: PublicRequest,
        intake: Stream,
        kind: bytes,
        extra: list[Header],
    ) -> list[Header]:
        head = envelope_head(
            exchange.id,
            method=request.method,
            path=request.path,
            route_kind=kind,
            peer=request.peer,
            fields=request_fields(request.fields),
            extra=extra,
        )
        if header_list_size(head) > intake.connection.core.peer_max_header_list:
            raise Refusal(
                431, "headers-too-large", "the request's header fields are larger than the listener takes"
            )
        return head

    def _start_upload(
        self, session: Session, sink: Stream | BodyAside, first: bytes, body: RequestBody
    ) -> asyncio.Task[None]:
        upload = asyncio.create_task(self._upload(sink, first, body))
        if isinstance(sink, Stream):  # a body that is fetched does not go over the session's connection
            session.begin_transfer()
            upload.add_done_callback(lambda _: session.end_transfer())
        return upload

    async def _upload(self, sink: Stream | BodyAside, first: bytes, body: RequestBody) -> None:
        """Send the request's body on as it comes, at the pace of the slower side."""
        try:
            chunk = first
            while True:
                if chunk:
                    async with asyncio.timeout(self._limits.response_deadline_seconds):
                        await sink.write(chunk)
                if body.at_end():
                    break
                chunk = await body.read()
                if not chunk:
                    break
            await sink.write(b"", end=True)
        except StreamReset:
            if sink.reset_code is None:
                raise
            # the listener wants no more of it; its reply is still to come

    async def _sent_or_answered(self, upload: asyncio.Task[None], exchange: Exchange) -> None:
        either: set[asyncio.Future[None] | asyncio.Future[Stream]] = {upload, exchange.reply}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if upload.done():
            upload.result()


def _give_up(relay: Relay, exchange: Exchange) -> None:
    relay.close_exchange(exchange)
    post = exchange.post
    if post is not None and not post.remote_closed:
        refuse_post(post, 410, "the third party has gone")


def _checked_head(post: Stream) -> ReplyHead:
    head = reply_head(post.headers)
    if head is None:
        raise Refusal(502, "bad-reply", "the listener's reply has no usable inkbox-status")
    return head


def _refusal(problem: Exception) -> Refusal:
    if isinstance(problem, NoListener):
        return Refusal(503, "no-listener", "no listener is connected to this tunnel")
    if isinstance(problem, ListenerLost):
        return Refusal(502, "listener-lost", "the listener went away before it answered")
    return Refusal(504, "response-deadline-exceeded", "the listener did not answer in time")
