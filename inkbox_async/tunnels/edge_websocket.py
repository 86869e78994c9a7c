"""One WebSocket in edge mode: the handshake over the edge, then messages in a bridge stream."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from . import access_log
from .bridge_frames import (
    Close,
    EnvelopeParser,
    FrameError,
    FrameParser,
    Message,
    MessageTooBig,
    Opcode,
    decode_envelope,
    encode_close,
    encode_envelope,
    encode_frame,
)
from .exceptions import LocalAnswer
from .exchange import Request
from .http2 import ErrorCode
from .inbox import Inbox
from .protocol import (
    WS_CLOSE_DRAINING,
    Envelope,
    Headers,
    SdkReason,
    is_valid_path,
    response_headers,
)
from .service import Service
from .session import AnswerStream, Session

logger = logging.getLogger("inkbox_async.tunnels")

LINGER: Final = 5.0
"""Seconds the other side has to end its half of a closed WebSocket."""

HANDSHAKE_TIMEOUT: Final = 30.0
"""Seconds for the handshake with a URL when the edge sets no deadline."""

DEADLINE_SLACK: Final = 0.1
"""Seconds after the deadline in which a target may still say itself what took so long."""

_OFF_LOOP: Final = 1 << 20
"""Messages from this size on are decoded on a thread, because that takes milliseconds."""

_HANDSHAKE_HEADERS: Final = frozenset(
    {
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
    }
)


class NoBody:
    """The body of a handshake: there is none."""

    whole = b""

    async def read(self) -> bytes:
        """The end; see `Body.read`."""
        return b""


class EdgeWebSocket:
    """Carries one third party's WebSocket; see `WebSocketPeer`."""

    def __init__(self, service: Service, session: Session, envelope: Envelope) -> None:
        self._service = service
        self._session = session
        self._envelope = envelope
        self._task: asyncio.Task[None] | None = None
        self._answered = False
        self._stream: AnswerStream | None = None
        self._writing = asyncio.Lock()
        self._pump: asyncio.Task[None] | None = None
        self._inbox = Inbox()
        self._close_sent = False
        self._deadline_seconds = session.hello.response_deadline if session.hello else None

    async def run(self) -> None:
        """Serve the WebSocket until it ends."""
        self._task = asyncio.current_task()
        assert self._task is not None
        self._service.farewells[self._task] = lambda: self._inbox.finish(Close(1000))
        started_at = asyncio.get_running_loop().time()
        self._session.hold()
        timer = None
        if self._deadline_seconds is not None:
            give_up = self._deadline_seconds + DEADLINE_SLACK
            timer = asyncio.get_running_loop().call_later(give_up, self._deadline)
        try:
            await self._serve()
        except LocalAnswer as answer:
            self._refuse(answer)
        except ConnectionResetError:
            logger.debug("tunnel: the connection went away during a WebSocket")
        except asyncio.CancelledError:
            self._inbox.finish(Close(1000))
            await self._say_close(Close(1000))
            raise
        except Exception:
            logger.exception("tunnel: an internal error in a WebSocket")
            self._refuse(LocalAnswer(500, "internal error"))
        finally:
            del self._service.farewells[self._task]
            if access_log.is_enabled():
                seconds = asyncio.get_running_loop().time() - started_at
                end = self._inbox.end
                access_log.log("WS", self._envelope.path, f"closed {end.code}" if end else "lost", seconds)
            if timer is not None:
                timer.cancel()
            try:
                await self._let_go()
            finally:
                self._session.release()

    async def _serve(self) -> None:
        envelope = self._envelope
        if not is_valid_path(envelope.path):
            raise LocalAnswer(400, "invalid path", SdkReason.INVALID_PATH)
        if envelope.ws_id is None:
            raise LocalAnswer(400, "missing ws_id")
        client = envelope.forwarded_for
        request = Request(
            method=envelope.method.decode("latin-1"),
            target=envelope.path,
            headers=envelope.headers,
            client=client.decode("latin-1") if client else None,
            public_host=self._service.site.public_host,
            body=NoBody(),
            handshake_timeout=self._deadline_seconds or HANDSHAKE_TIMEOUT,
        )
        await self._service.site.target.websocket(request, self)
        await self.close(1000, "")

    def _refuse(self, answer: LocalAnswer) -> None:
        if not self._answered:
            self._answered = True
            post = self._service.post_answer(self._session, self._envelope.request_id, answer)
            self._service.spawn(post, "answer")

    def _deadline(self) -> None:
        if not self._answered:
            self._refuse(LocalAnswer(504, "ws upgrade timed out"))
            self._inbox.finish(Close(1006))
            if self._task is not None:
                self._task.cancel()

    # Handshake

    @property
    def subprotocols(self) -> list[str]:
        """The offered subprotocols; see `WebSocketPeer`."""
        offered: list[str] = []
        for name, value in self._envelope.headers:
            if name == b"sec-websocket-protocol":
                offered += [token.strip() for token in value.decode("latin-1").split(",") if token.strip()]
        return offered

    async def accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Accept on the connection the upgrade came from, then open the bridge; see `WebSocketPeer`.

        A bridge that cannot be opened shows as a WebSocket that closes at once with 1011.
        """
        if self._answered:
            return
        clean = [field for field in response_headers(headers) if field[0] not in _HANDSHAKE_HEADERS]
        if subprotocol:
            clean.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        if not self._session.takes_head(clean):
            self._refuse(LocalAnswer(502, "response too large", SdkReason.RESPONSE_TOO_LARGE))
            self._inbox.finish(Close(1011))
            return
        self._answered = True
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._open_bridge(clean)
        except (ConnectionResetError, TimeoutError) as error:
            logger.warning("tunnel: the bridge of a WebSocket could not be opened: %s", error or "no answer")
            if self._stream is not None:
                self._stream.reset(ErrorCode.CANCEL)
            self._inbox.finish(Close(self._lost_code()))
            return
        self._pump = self._service.spawn(self._read(), "websocket-reader")

    async def _open_bridge(self, headers: Headers) -> None:
        connection, plane = self._session.connection, self._service.plane
        assert self._envelope.ws_id is not None
        answer = AnswerStream(connection)
        head = plane.response(self._envelope.request_id, 200, headers, 0)
        await connection.open_when_possible(answer, head, end_stream=True)
        status = int((await answer.answer)[0][1])
        while await answer.read():
            pass
        if status >= 400:
            raise ConnectionResetError(f"the edge no longer wanted the WebSocket (status {status})")
        self._stream = AnswerStream(connection)
        await connection.open_when_possible(self._stream, plane.ws_bridge(self._envelope.ws_id))
        status = int((await self._stream.answer)[0][1])
        if status != 200:
            raise ConnectionResetError(f"the edge refused the bridge (status {status})")

    async def reject(self, status: int, headers: Headers, body: bytes) -> None:
        """Refuse the handshake; see `WebSocketPeer`."""
        if not self._answered:
            self._answered = True
            clean = [field for field in response_headers(headers) if field[0] not in _HANDSHAKE_HEADERS]
            if not self._session.takes_head(clean):
                status, clean, body = 502, [], b"response too large"
            await self._service.post(self._session, self._envelope.request_id, status, clean, body)

    # Messages in

    async def _read(self) -> None:
        """Move messages from the bridge to the inbox, and answer what needs no application."""
        stream = self._stream
        assert stream is not None
        frames = FrameParser(allow_text=True)
        # Base64 makes a binary message a third longer.
        envelopes = EnvelopeParser(self._service.site.limits.inbound_body // 3 * 4 + 1024)
        try:
            while self._inbox.end is None:
                await self._inbox.wait_for_room()
                data = await stream.read()
                if not data:
                    await self._answer_close(Close(1000))
                    return
                for opcode, payload in frames.feed(data):
                    if opcode is Opcode.BINARY:
                        for text in envelopes.feed(payload):
                            await self._envelope_received(text)
                    elif opcode is Opcode.PING:
                        await self._write(encode_frame(Opcode.PONG, payload))
                    elif opcode is Opcode.CLOSE:
                        self._inbox.finish(Close(1000))
                        await self._write_last(encode_frame(Opcode.CLOSE, payload))
                        return
        except MessageTooBig as error:
            logger.warning("tunnel: %s", error)
            self._inbox.finish(Close(1009))
            await self._say_close(Close(1009, "message too big"))
        except FrameError as error:
            logger.warning("tunnel: the edge sent a broken frame on a WebSocket bridge: %s", error)
            self._inbox.finish(Close(1011))
            await self._say_close(Close(1011))
        except ConnectionResetError:
            self._inbox.finish(Close(self._lost_code() if self._session.connection.closed else 1000))

    async def _envelope_received(self, text: bytes) -> None:
        if len(text) < _OFF_LOOP:
            message = decode_envelope(text)
        else:
            message = await asyncio.to_thread(decode_envelope, text)
        if isinstance(message, Close):
            await self._answer_close(message)
        elif message is not None:
            self._inbox.put(message)

    async def _answer_close(self, close: Close) -> None:
        self._inbox.finish(close)
        await self._say_close(Close(1000))

    async def receive(self) -> Message:
        """The next message; see `WebSocketPeer`."""
        return await self._inbox.receive()

    # Messages out

    async def send(self, message: str | bytes) -> None:
        """Send one message; see `WebSocketPeer`."""
        if self._inbox.end is not None or self._close_sent or self._stream is None:
            raise ConnectionResetError("the WebSocket is closed")
        if len(message) < _OFF_LOOP:
            frame = _message_frame(message)
        else:
            frame = await asyncio.to_thread(_message_frame, message)
        await self._write(frame)

    async def close(self, code: int, reason: str) -> None:
        """End the WebSocket; see `WebSocketPeer`."""
        if self._stream is not None and not self._close_sent:
            await self._say_close(Close(code, reason))
        self._inbox.finish(Close(code, reason))

    async def _say_close(self, close: Close) -> None:
        """One close envelope, one CLOSE frame, and the end of our half."""
        if self._stream is None or self._close_sent:
            return
        self._close_sent = True
        envelope = encode_frame(Opcode.BINARY, encode_envelope(close))
        try:
            await self._write_last(envelope + encode_close(1000))
        except ConnectionResetError:
            logger.debug("tunnel: a WebSocket was gone before it could be closed")

    async def _write(self, data: bytes) -> None:
        assert self._stream is not None
        async with self._writing:
            if not self._stream.local_closed:
                await self._stream.write(data)

    async def _write_last(self, data: bytes) -> None:
        assert self._stream is not None
        self._close_sent = True
        async with self._writing:
            if not self._stream.local_closed:
                await self._stream.write(data, end_stream=True)

    # The end

    def _lost_code(self) -> int:
        return WS_CLOSE_DRAINING if self._session.draining else 1011

    async def _let_go(self) -> None:
        """Give the edge a moment to end its half, then leave nothing behind."""
        stream = self._stream
        if stream is None:
            return
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait((self._pump,))
        if self._service.stopping:
            # The connection is about to be closed, and takes with it what was sent last.
            return
        try:
            async with asyncio.timeout(LINGER):
                while await stream.read():
                    pass
        except (ConnectionResetError, TimeoutError):
            logger.debug("tunnel: the edge did not end a closed WebSocket")
        finally:
            if not (stream.ended and stream.local_closed):
                stream.reset(ErrorCode.CANCEL)


def _message_frame(message: str | bytes) -> bytes:
    return encode_frame(Opcode.BINARY, encode_envelope(message))
