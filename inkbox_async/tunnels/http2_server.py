"""HTTP/2 with third parties of a passthrough tunnel, on jh2's full state machine."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.errors import ErrorCodes
from jh2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from jh2.exceptions import ProtocolError
from jh2.settings import SettingCodes, Settings

from . import access_log
from .exceptions import LocalAnswer
from .exchange import CANCEL_GRACE, Request
from .protocol import Headers, content_length, is_valid_path, response_headers
from .server_websocket import ServerWebSocket
from .site import Site
from .tcp_bridge import ByteStream

logger = logging.getLogger("inkbox_async.tunnels")

MAX_STREAMS: Final = 100
STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 16 << 20
IDLE_TIMEOUT: Final = 180.0
MAX_RESETS: Final = 1000
"""Streams that one connection may open only to reset them, before it is taken for an attack."""


class Http2Server:
    """One connection of one third party.

    Args:
        stream: Decrypted bytes.
        site: What is served.
    """

    def __init__(self, stream: ByteStream, site: Site) -> None:
        self._stream = stream
        self.site = site
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=False))
        self._streams: dict[int, _Http2Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resets = 0
        self._uncredited = 0
        self._to_write = asyncio.Event()
        self._written: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer requests until the connection ends.

        Raises:
            ConnectionResetError: The third party went away in the middle of something.
        """
        h2 = self.h2
        h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            },
        )
        h2.initiate_connection()
        h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
        self._writer = asyncio.create_task(self._write(), name="inkbox-tunnel-writer")
        try:
            await self.flush()
            while await self._turn():
                await self.flush()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _turn(self) -> bool:
        """Take what arrives next; returns whether the connection goes on."""
        try:
            async with asyncio.timeout(None if self._streams else IDLE_TIMEOUT):
                data = await self._stream.read()
        except TimeoutError:
            data = b""
        if not data:
            if not self._streams:
                self.h2.close_connection()
                await self.flush()
            for stream in list(self._streams.values()):
                stream.reset_received()
            return False
        try:
            events = self.h2.receive_data(data)
        except ProtocolError as error:
            logger.info("tunnel: a third party broke the HTTP/2 protocol: %s", error)
            await self.flush()
            return False
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A panic of the Rust codec on a broken header block is not even an `Exception`.
            logger.info("tunnel: a third party sent a broken header block: %s", error)
            return False
        for event in events:
            if isinstance(event, ConnectionTerminated) or self._resets > MAX_RESETS:
                return False
            self._handle(event)
        return True

    def _handle(self, event: Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, RequestReceived):
            assert event.stream_id is not None
            headers = [(bytes(field[0]), bytes(field[1])) for field in event.headers or ()]
            self._begin(_Http2Stream(self, event.stream_id, headers))
        elif isinstance(event, DataReceived):
            # The connection is credited on receipt, a stream when its data is consumed.
            self._uncredited += event.flow_controlled_length or 0
            if self._uncredited >= CONNECTION_WINDOW // 4:
                self.h2.increment_flow_control_window(self._uncredited)
                self._uncredited = 0
            if stream is not None:
                stream.data_received(event.data or b"", event.flow_controlled_length or 0)
        elif isinstance(event, StreamEnded):
            if stream is not None:
                stream.end_received()
        elif isinstance(event, StreamReset):
            self._resets += 1
            if stream is not None:
                stream.reset_received()
        elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
            for each in self._streams.values():
                each.window.set()

    def _begin(self, stream: _Http2Stream) -> None:
        self._streams[stream.id] = stream
        task = asyncio.create_task(stream.run(), name="inkbox-tunnel-request")
        stream.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, stream: _Http2Stream) -> None:
        """A stream is over."""
        self._streams.pop(stream.id, None)

    async def flush(self) -> None:
        """Send what the state machine wants to say; returns when the stream has taken it.

        Raises:
            ConnectionResetError: The third party is gone.
        """
        if self._writer is None or self._writer.done():
            raise ConnectionResetError("the connection is over")
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
            self._to_write.set()
        await asyncio.shield(self._written)

    async def _write(self) -> None:
        """Write for all streams: one of them that is cancelled takes nobody's bytes with it."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            written, self._written = self._written, None
            assert written is not None
            try:
                await self._stream.write(bytes(self.h2.data_to_send()))
            except BaseException as error:
                for waited_for in (written, self._written):
                    if waited_for is not None:
                        waited_for.set_exception(ConnectionResetError("the third party is gone"))
                        waited_for.exception()
                if isinstance(error, ConnectionResetError):
                    return
                raise
            written.set_result(None)


class _Http2Stream:
    """One request and its response; body, responder and byte stream of a WebSocket at once."""

    whole = None

    def __init__(self, server: Http2Server, stream_id: int, headers: Headers) -> None:
        self._server = server
        self._h2 = server.h2
        self.id = stream_id
        self.task: asyncio.Task[None] | None = None
        self.window = asyncio.Event()
        self._pseudo = {name: value for name, value in headers if name.startswith(b":")}
        self._headers = [field for field in headers if not field[0].startswith(b":")]
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._reset = False
        self._received = 0
        self._uncredited = 0
        self._sent = 0
        self._started = False
        self._complete = False
        self._status: int | None = None
        self._request = Request(
            method=self._pseudo.get(b":method", b"GET").decode("latin-1"),
            target=self._pseudo.get(b":path", b"/"),
            headers=self._headers,
            client=None,
            public_host=server.site.public_host,
            body=self,
            http_version="2",
        )

    async def run(self) -> None:
        """Serve the request."""
        started_at = asyncio.get_running_loop().time()
        try:
            await self._serve()
        except ConnectionResetError:
            logger.debug("tunnel: a third party gave a request up")
        except ProtocolError as error:
            logger.info("tunnel: a response could not be sent: %s", error)
            self._abandon(ErrorCodes.INTERNAL_ERROR)
        except Exception:
            logger.exception("tunnel: an internal error during a request")
        finally:
            if access_log.is_enabled():
                seconds = asyncio.get_running_loop().time() - started_at
                outcome = self._status or "no answer"
                access_log.log(self._request.method, self._request.target, outcome, seconds)
            self._request.disconnected.set()
            if not self._complete:
                self._abandon(ErrorCodes.INTERNAL_ERROR if self._started else ErrorCodes.CANCEL)
            elif not self._ended:
                self._abandon(ErrorCodes.NO_ERROR)
            self._server.forget(self)
        try:
            await self._server.flush()
        except ConnectionResetError:
            logger.debug("tunnel: a third party was gone when its request ended")

    async def _serve(self) -> None:
        site = self._server.site
        if not is_valid_path(self._request.target):
            await self._respond(400, b"invalid path")
        elif self._pseudo.get(b":protocol") == b"websocket":
            self._request.method = "GET"
            await self._websocket()
        elif b":protocol" in self._pseudo or self._pseudo.get(b":method") == b"CONNECT":
            await self._respond(501, b"not implemented")
        elif (content_length(self._headers) or 0) > site.limits.inbound_body:
            self._abandon(ErrorCodes.REFUSED_STREAM)
        else:
            try:
                await site.target.http(self._request, self)
            except LocalAnswer:
                if not self._started:
                    await self._respond(502, b"upstream error")

    async def _respond(self, status: int, body: bytes, extra: Headers | None = None) -> None:
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [(b"content-type", b"text/plain"), length, *(extra or ())])
        await self.send(body, False)

    def _abandon(self, code: ErrorCodes) -> None:
        self._complete = True
        if not self._reset:
            self._reset = True
            try:
                self._h2.reset_stream(self.id, code)
            except ProtocolError:
                logger.debug("tunnel: stream %d was closed already", self.id)

    # What arrives

    def data_received(self, data: bytes, size: int) -> None:
        """Take a piece of the body; `size` is what it costs of the window."""
        self._chunks.append((data, size))
        self._arrived.set()

    def end_received(self) -> None:
        """The body is complete."""
        self._ended = True
        self._arrived.set()

    def reset_received(self) -> None:
        """The third party gave the request up."""
        self._reset = True
        self._arrived.set()
        self.window.set()
        self._request.disconnected.set()
        if self.task is not None:
            asyncio.get_running_loop().call_later(CANCEL_GRACE, self.task.cancel)

    async def read(self) -> bytes:
        """The next piece of the body; see `Body.read`."""
        while not self._chunks:
            if self._reset:
                raise ConnectionResetError("the third party gave the request up")
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data, size = self._chunks.popleft()
        self._received += len(data)
        if self._received > self._server.site.limits.inbound_body and b":protocol" not in self._pseudo:
            self._abandon(ErrorCodes.REFUSED_STREAM)
            await self._server.flush()
            raise ConnectionResetError("the request body is too large")
        self._uncredited += size
        if self._uncredited >= STREAM_WINDOW // 4 and not self._ended and not self._reset:
            self._h2.increment_flow_control_window(self._uncredited, self.id)
            self._uncredited = 0
            await self._server.flush()
        return data

    # What leaves

    @property
    def started(self) -> bool:
        """Whether a response was begun; see `Responder.started`."""
        return self._started or self._reset

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head; see `Responder.start`."""
        if self.started:
            return
        self._started = True
        self._status = status
        fields = [(b":status", b"%d" % status), *response_headers(headers)]
        length = content_length(headers)
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        self._h2.send_headers(self.id, fields)
        await self._server.flush()

    async def send(self, data: bytes, more: bool) -> None:
        """Send a piece of the body; see `Responder.send`."""
        if self._complete or self._reset:
            await asyncio.sleep(0)
            return
        if self._pseudo.get(b":method") == b"HEAD":
            data = b""
        self._sent += len(data)
        if self._sent > self._server.site.limits.outbound_body:
            logger.warning("tunnel: a response was broken off because it exceeds the limit")
            self._abandon(ErrorCodes.INTERNAL_ERROR)
            await self._server.flush()
            return
        await self.write(data)
        if not more:
            self._complete = True
            self._h2.end_stream(self.id)
            await self._server.flush()

    async def write(self, data: bytes) -> None:
        """Send data under flow control; see `ByteStream`. Cancelled, it gives the stream up."""
        try:
            await self._write(data)
        except asyncio.CancelledError:
            self._abandon(ErrorCodes.INTERNAL_ERROR)
            raise

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._reset:
                raise ConnectionResetError("the third party gave the request up")
            room = min(
                self._h2.local_flow_control_window(self.id), self._h2.max_outbound_frame_size, len(view)
            )
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            self._h2.send_data(self.id, bytes(view[:room]))
            view = view[room:]
            await self._server.flush()

    # WebSocket

    async def _websocket(self) -> None:
        offered: list[str] = []
        for name, value in self._headers:
            if name == b"sec-websocket-protocol":
                offered += [token.strip() for token in value.decode("latin-1").split(",") if token.strip()]

        async def accept(subprotocol: str | None, extra: Headers) -> None:
            chosen = [(b"sec-websocket-protocol", subprotocol.encode("latin-1"))] if subprotocol else []
            await self.start(200, [*chosen, *_without_handshake(extra)])

        async def reject(status: int, extra: Headers, body: bytes) -> None:
            await self.start(status, [*_without_handshake(extra), (b"inkbox-reason", b"websocket-rejected")])
            await self.send(body, False)

        peer = ServerWebSocket(
            self,
            offered=offered,
            accept=accept,
            reject=reject,
            limit=self._server.site.limits.inbound_body,
            masked=None,
        )
        await self._server.site.serve_websocket(self._request, peer)
        await self.send(b"", False)


def _without_handshake(headers: Headers) -> Headers:
    return [
        (name, value)
        for name, value in headers
        if not name.lower().startswith(b"sec-websocket-") and name.lower() != b"content-length"
    ]
