"""One HTTP request in edge mode: its body from an intake stream, its response to the edge."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from . import access_log
from .body_fetch import FetchedBody
from .connection import DuplexStream
from .exceptions import LocalAnswer
from .exchange import CANCEL_GRACE, Body, Request
from .http2 import ErrorCode
from .protocol import (
    Headers,
    SdkReason,
    content_length,
    is_valid_path,
    response_headers,
)
from .service import Service
from .session import IntakeStream

logger = logging.getLogger("inkbox_async.tunnels")

GATHER_LIMIT: Final = 64 * 1024
GATHER_SECONDS: Final = 0.02


class EdgeExchange:
    """Runs one request and carries its response.

    A response of known length, or one that is whole when it is first sent, is posted with its length.
    One of unknown length is gathered for a moment, so that the common small one still gets its
    length, and streams without a length from then on.
    """

    def __init__(self, service: Service, intake: IntakeStream) -> None:
        assert intake.envelope is not None
        self._service = service
        self._intake = intake
        self._envelope = intake.envelope
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._fetched: FetchedBody | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._received = 0
        self._settled = False
        self._outcome: int | None = None
        self._head: tuple[int, Headers] | None = None
        self._declared: int | None = None
        self._sent = 0
        self._gathered: list[bytes] = []
        self._stream: DuplexStream | None = None
        self._flush: asyncio.Task[None] | None = None
        self._flush_timer: asyncio.TimerHandle | None = None

    # Life

    async def run(self) -> None:
        """Check, run and answer the request."""
        service, envelope = self._service, self._envelope
        self._task = asyncio.current_task()
        assert self._task is not None
        service.farewells[self._task] = self._disconnect
        started_at = asyncio.get_running_loop().time()
        self._start_clock()
        try:
            if not is_valid_path(envelope.path):
                raise LocalAnswer(400, "invalid path", SdkReason.INVALID_PATH)
            body: Body = self
            if envelope.body_uri:
                body = self._fetched = await service.fetcher.open(
                    envelope.body_uri, self.count, self.override
                )
            else:
                announced = content_length(envelope.headers) or 0
                if max(announced, self._intake.buffered) > service.site.limits.inbound_body:
                    raise _too_large()
            client = envelope.forwarded_for
            self._request = Request(
                method=envelope.method.decode("latin-1"),
                target=envelope.path,
                headers=envelope.headers,
                client=client.decode("latin-1") if client else None,
                public_host=service.site.public_host,
                body=body,
            )
            await service.site.target.http(self._request, self)
        except LocalAnswer as answer:
            self.override(answer, cancel=False)
        except ConnectionResetError:
            logger.debug("tunnel: the connection went away during a request")
        except Exception:
            logger.exception("tunnel: an internal error during a request")
            self.override(LocalAnswer(500, "internal error"), cancel=False)
        finally:
            del service.farewells[self._task]
            if self._clock is not None:
                self._clock.cancel()
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            self._finish()
            if access_log.is_enabled():
                self._log(started_at)

    def _log(self, started_at: float) -> None:
        seconds = asyncio.get_running_loop().time() - started_at
        method = self._envelope.method.decode("latin-1")
        access_log.log(method, self._envelope.path, self._outcome or "no answer", seconds)

    def _finish(self) -> None:
        """Leave no stream half open."""
        self._disconnect()
        if self._stream is not None and not self._stream.local_closed:
            self._stream.reset(ErrorCode.INTERNAL_ERROR)
        if self._fetched is not None:
            self._fetched.close()
        if not self._intake.ended:
            self._intake.reset(ErrorCode.CANCEL)

    def _disconnect(self) -> None:
        """Tell the application that nobody waits any more."""
        if self._request is not None:
            self._request.disconnected.set()

    def abort(self) -> None:
        """Tell the application that nobody waits any more, and cancel it soon after."""
        self._disconnect()
        if self._task is not None:
            asyncio.get_running_loop().call_later(CANCEL_GRACE, self._task.cancel)

    def override(self, answer: LocalAnswer, *, cancel: bool = True) -> None:
        """Answer in the application's place, or break off the response it has begun."""
        if not self._settled:
            self._settled = True
            self._outcome = answer.status
            if self._stream is not None:
                self._stream.reset(ErrorCode.INTERNAL_ERROR)
            else:
                if self._flush is not None:
                    self._flush.cancel()
                post = self._service.post_answer(self._intake.session, self._envelope.request_id, answer)
                self._service.spawn(post, "answer")
        if cancel:
            self.abort()

    def _start_clock(self) -> None:
        hello = self._intake.session.hello
        if hello is not None and hello.response_deadline is not None:
            self._run_clock(hello.response_deadline, hello.response_deadline)

    def _run_clock(self, seconds: float, deadline: float) -> None:
        self._clock = asyncio.get_running_loop().call_later(seconds, self._deadline, deadline)

    def _deadline(self, deadline: float) -> None:
        if self._stream is not None or self._settled:
            # A response that has begun in time may take as long as the edge lets it.
            return
        body = self._intake if self._fetched is None else self._fetched
        left = body.arrived_at + deadline - asyncio.get_running_loop().time()
        if left > 0:
            # So may a body that keeps coming: the limit is for the application, not for a slow line.
            self._run_clock(left, deadline)
            return
        self.override(LocalAnswer(504, "local handler too slow", SdkReason.RESPONSE_DEADLINE_EXCEEDED))

    # Body

    @property
    def whole(self) -> bytes | None:
        """The body, if all of it is here and nothing was read; see `Body.whole`."""
        if self._received or self._settled or self._intake.buffered > self._service.site.limits.inbound_body:
            return None
        return self._intake.take_whole()

    async def read(self) -> bytes:
        """The next piece of the body; see `Body.read`."""
        piece = await self._intake.read()
        self.count(len(piece))
        return piece

    def count(self, size: int) -> None:
        """Take note of received bytes.

        Raises:
            ConnectionResetError: They are too many; the request has been answered with 413.
        """
        self._received += size
        if self._received > self._service.site.limits.inbound_body:
            self.override(_too_large())
        if self._settled:
            raise ConnectionResetError("the request was answered already")

    # Response

    @property
    def started(self) -> bool:
        """Whether a response was begun; see `Responder.started`."""
        return self._head is not None or self._settled

    async def start(self, status: int, headers: Headers) -> None:
        """Give the head; see `Responder.start`. Nothing leaves before the first piece of the body."""
        if self._head is not None or self._settled:
            return
        self._declared = content_length(headers)
        clean = response_headers(headers)
        if self._declared is not None and (self._envelope.method == b"HEAD" or status == 304):
            # Only these responses may state the length of a body they do not carry.
            clean.append((b"content-length", b"%d" % self._declared))
            self._declared = None
        self._head = (status, clean)
        self._outcome = status
        limits = self._service.site.limits
        if (self._declared is not None and self._declared > limits.outbound_body) or not (
            self._intake.session.takes_head(clean)
        ):
            self.override(LocalAnswer(502, "response too large", SdkReason.RESPONSE_TOO_LARGE))

    async def send(self, data: bytes, more: bool) -> None:
        """Give a piece of the body; see `Responder.send`."""
        try:
            await self._send(data, more)
        except asyncio.CancelledError:
            # The application may go on without this piece, but what follows would pass for the whole.
            if not self._service.stopping:
                self.override(LocalAnswer(500, "internal error"), cancel=False)
            raise

    async def _send(self, data: bytes, more: bool) -> None:
        if self._flush is not None and not self._flush.done():
            await asyncio.wait((self._flush,))
        if self._settled:
            await asyncio.sleep(0)
            return
        if self._head is None:
            raise RuntimeError("a response body before its head")
        if self._envelope.method == b"HEAD":
            data = b""
        self._sent += len(data)
        if self._sent > self._service.site.limits.outbound_body:
            self.override(LocalAnswer(502, "response too large", SdkReason.RESPONSE_TOO_LARGE))
            return
        if self._stream is not None:
            await self._stream_out(data, more)
        elif not more:
            self._settled = True
            status, headers = self._head
            if self._gathered:
                self._gathered.append(data)
                data = b"".join(self._gathered)
            await self._service.post(
                self._intake.session, self._envelope.request_id, status, headers, bytes(data)
            )
        elif self._declared is not None:
            await self._open(self._declared)
            await self._stream_out(data, more)
        else:
            self._gathered.append(data)
            if self._sent >= GATHER_LIMIT:
                if self._flush_timer is not None:
                    # It would open a second response while a draining connection's successor is awaited.
                    self._flush_timer.cancel()
                await self._open_and_flush()
            elif self._flush_timer is None:
                loop = asyncio.get_running_loop()
                self._flush_timer = loop.call_later(GATHER_SECONDS, self._flush_soon)

    async def _stream_out(self, data: bytes, more: bool) -> None:
        assert self._stream is not None
        if self._declared is not None and (
            self._sent > self._declared or (not more and self._sent != self._declared)
        ):
            logger.warning("tunnel: the application sent another length than its content-length")
            self.override(LocalAnswer(502, "", SdkReason.UPSTREAM_ERROR))
            return
        if data or not more:
            await self._stream.write(data, end_stream=not more)
        if not more:
            self._settled = True

    async def _open(self, length: int | None) -> None:
        assert self._head is not None
        status, headers = self._head
        self._stream = await self._service.open_post(
            self._intake.session, self._envelope.request_id, status, headers, length, self._given_up
        )

    def _given_up(self, repeatable: bool = False) -> None:
        """The edge takes no more of a response that is being streamed; its beginning is gone, too."""
        self._settled = True
        self.abort()

    def _flush_soon(self) -> None:
        if self._stream is None and self._flush is None and not self._settled:
            self._flush = self._service.spawn(self._open_and_flush(), "flush")

    async def _open_and_flush(self) -> None:
        data = b"".join(self._gathered)
        self._gathered.clear()
        try:
            await self._open(None)
            assert self._stream is not None
            await self._stream.write(data)
        except ConnectionResetError:
            self._given_up()
            raise


def _too_large() -> LocalAnswer:
    return LocalAnswer(413, "request body too large", SdkReason.REQUEST_BODY_TOO_LARGE)
