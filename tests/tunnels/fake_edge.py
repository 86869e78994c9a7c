"""A scripted tunnel edge: it speaks the data plane's bytes, does what a test tells it, and can misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes, Settings

Headers = list[tuple[str, str]]


@dataclass
class Reply:
    """A response as the listener posted it."""

    status: int
    headers: Headers
    body: bytes
    reason: str | None
    connection: EdgeConnection
    posted: Headers
    """The header list of the post itself."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class EdgeStream:
    """One stream that the listener opened."""

    def __init__(self, connection: EdgeConnection, stream_id: int, headers: Headers) -> None:
        self.connection = connection
        self.id = stream_id
        self.header_list = headers
        self.headers = dict(headers)
        self.received = bytearray()
        self.ended = asyncio.Event()
        self.reset_code: int | None = None
        self.credit = True
        self._arrived = asyncio.Event()
        self._window = asyncio.Event()

    @property
    def path(self) -> str:
        return self.headers[":path"]

    def answer(self, status: int, headers: Iterable[tuple[str, str]] = (), *, end: bool = True) -> None:
        fields = [(b":status", b"%d" % status)]
        fields += [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]
        self.connection.h2.send_headers(self.id, fields, end_stream=end)
        self.connection.flush()
        if end:
            self._forget()

    async def send(self, data: bytes = b"", *, end: bool = False, chunk: int = 1 << 20) -> None:
        """Send DATA under flow control, in pieces of at most `chunk` bytes."""
        h2 = self.connection.h2
        sent = 0
        while sent < len(data):
            room = min(h2.local_flow_control_window(self.id), h2.max_outbound_frame_size, chunk)
            if room <= 0:
                self._window.clear()
                await self._window.wait()
                if self.reset_code is not None:
                    raise ConnectionResetError(f"stream reset with {self.reset_code}")
                continue
            h2.send_data(self.id, data[sent : sent + room])
            sent += room
            self.connection.flush()
            await self.connection.writable.wait()
        if end:
            h2.end_stream(self.id)
            self.connection.flush()
            self._forget()

    def _forget(self) -> None:
        if self.ended.is_set():
            self.connection.streams.pop(self.id, None)

    def reset(self, code: int = 2) -> None:
        self.connection.h2.reset_stream(self.id, code)
        self.connection.flush()

    async def read(self, size: int) -> bytes:
        """Exactly `size` received bytes; fewer when the stream ended or was reset."""
        while len(self.received) < size and not self.ended.is_set() and self.reset_code is None:
            self._arrived.clear()
            await self._arrived.wait()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def gone(self) -> None:
        """Wait until the listener gave the stream up."""
        while self.reset_code is None:
            self._window.clear()
            await self._window.wait()

    def wake(self) -> None:
        self._arrived.set()
        self._window.set()


@dataclass
class HelloAnswer:
    """What the edge says to one hello; `hang` says nothing at all."""

    status: int = 200
    body: bytes | None = None
    hang: bool = False
    close: bool = False


@dataclass
class EdgeConnection(asyncio.Protocol):
    """The edge's side of one connection."""

    edge: FakeEdge
    parked: deque[EdgeStream] = field(default_factory=deque)
    streams: dict[int, EdgeStream] = field(default_factory=dict)
    token: str = ""
    draining: bool = False

    def __post_init__(self) -> None:
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.closed = asyncio.Event()
        self.answers_pings = self.edge.answers_pings
        self.pinged = asyncio.Event()
        self.ping_acked = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.hello: EdgeStream | None = None
        self.goaway: ConnectionTerminated | None = None
        self.client_settings: dict[int, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
                SettingCodes.MAX_CONCURRENT_STREAMS: self.edge.max_streams,
                SettingCodes.INITIAL_WINDOW_SIZE: self.edge.window,
            },
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(16 << 20)
        self.flush()
        self.edge.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self.writable.set()
        for stream in self.streams.values():
            stream.ended.set()
            stream.wake()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, PingReceived):
                self.pinged.set()
                if not self.answers_pings:
                    self.h2.clear_outbound_data_buffer()
            else:
                self._handle(event)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(bytes(data))

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            assert event.stream_id is not None
            assert event.headers is not None
            headers = [(name.decode(), value.decode()) for name, value in _pairs(event.headers)]
            stream = self.streams[event.stream_id] = EdgeStream(self, event.stream_id, headers)
            self._route(stream)
        elif isinstance(event, DataReceived):
            assert event.stream_id is not None
            stream = self.streams[event.stream_id]
            stream.received += event.data or b""
            stream.wake()
            if stream.credit:
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, StreamEnded):
            assert event.stream_id is not None
            stream = self.streams[event.stream_id]
            stream.ended.set()
            stream.wake()
            self._ended(stream)
        elif isinstance(event, StreamReset):
            assert event.stream_id is not None
            if event.stream_id in self.streams:
                stream = self.streams.pop(event.stream_id)
                stream.reset_code = int(event.error_code or 0)
                stream.wake()
                self.edge.abandoned(stream)
        elif isinstance(event, WindowUpdated):
            for stream in self.streams.values():
                stream.wake()
        elif isinstance(event, PingAckReceived):
            self.ping_acked.set()
        elif isinstance(event, RemoteSettingsChanged):
            for code, change in (event.changed_settings or {}).items():
                self.client_settings[int(code)] = change.new_value
            for stream in self.streams.values():
                stream.wake()
        elif isinstance(event, ConnectionTerminated):
            self.goaway = event

    def _route(self, stream: EdgeStream) -> None:
        path = stream.path
        if path == "/_system/hello":
            self.hello = stream
            self.edge.answer_hello(self, stream)
        elif path == "/_system/intake":
            self.edge.answer_intake(self, stream)
        elif path.startswith(("/_system/ws/", "/_system/tcp/")):
            self.edge.bridge_opened(stream)
        elif path.startswith("/_system/response/"):
            self.edge.post_opened(stream)

    def _ended(self, stream: EdgeStream) -> None:
        if stream.path.startswith("/_system/response/"):
            self.edge.response_posted(stream)

    def send_goaway(self, code: int, reason: str, last_stream_id: int = 2**31 - 1) -> None:
        """Say GOAWAY and go on serving the streams of this connection."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = last_stream_id
        frame.error_code = code
        frame.additional_data = json.dumps({"reason": reason}).encode()
        self.flush()
        self.transport.write(frame.serialize())

    def abort(self) -> None:
        self.transport.abort()

    def close(self) -> None:
        self.transport.close()


class FakeEdge:
    """Listens on loopback; tests send envelopes through it and look at what comes back."""

    def __init__(self, context: ssl.SSLContext | None, *, window: int = 1 << 20) -> None:
        self.context = context
        self.window = window
        self.connections: list[EdgeConnection] = []
        self.hello_answers: deque[HelloAnswer] = deque()
        self.hello_fields: dict[str, object] = {}
        self.on_intake: Callable[[EdgeStream], bool] | None = None
        """May answer an intake in its own way and return True; otherwise the intake is parked."""
        self.on_response: Callable[[EdgeStream], bool] | None = None
        """May answer a response post in its own way and return True."""
        self.on_post_opened: Callable[[EdgeStream], object] | None = None
        """Told of each response when its head arrives."""
        self.max_streams = 1000
        self.answers_pings = True
        self.live: EdgeConnection | None = None
        self.replies: list[Reply] = []
        self.unknown_replies: list[str] = []
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._bridges: dict[str, asyncio.Future[EdgeStream]] = {}
        self._changed = asyncio.Event()

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: EdgeConnection(self), "127.0.0.1", port, ssl=self.context
        )
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for connection in self.connections:
            connection.abort()
        await self._server.wait_closed()

    @property
    def zone(self) -> str:
        return f"localhost:{self.port}"

    # What the edge does by itself.

    def answer_hello(self, connection: EdgeConnection, stream: EdgeStream) -> None:
        answer = self.hello_answers.popleft() if self.hello_answers else HelloAnswer()
        self._notify()
        if answer.close:
            connection.close()
            return
        if answer.hang:
            return
        body = answer.body
        if body is None and answer.status == 200:
            connection.token = f"token-{uuid.uuid4()}"
            wished = int(stream.headers.get("x-pool-size", "0")) or 4
            fields = {"owner_token": connection.token, "default_pool_size": wished, **self.hello_fields}
            body = json.dumps(fields).encode()
            self.live = connection
        stream.answer(answer.status, [("content-type", "application/json")], end=not body)
        if body:
            connection.h2.send_data(stream.id, body, end_stream=True)
            connection.flush()

    def answer_intake(self, connection: EdgeConnection, stream: EdgeStream) -> None:
        if self.on_intake is not None and self.on_intake(stream):
            return
        if stream.headers.get("x-owner-token") != connection.token:
            stream.answer(401, [("inkbox-reason", "owner-token-invalid")])
            return
        connection.parked.append(stream)
        self._notify()

    def post_opened(self, stream: EdgeStream) -> None:
        if self.on_post_opened is not None:
            self.on_post_opened(stream)
        self._notify()

    def response_posted(self, stream: EdgeStream) -> None:
        if self.on_response is not None and self.on_response(stream):
            return
        request_id = stream.path.rpartition("/")[2]
        future = self._pending.pop(request_id, None)
        stream.connection.streams.pop(stream.id, None)
        if future is None or future.done():
            self.unknown_replies.append(request_id)
            stream.answer(404)
            return
        reply = _reply(stream)
        self.replies.append(reply)
        future.set_result(reply)
        stream.answer(204)

    def abandoned(self, stream: EdgeStream) -> None:
        request_id = stream.path.rpartition("/")[2]
        future = self._pending.pop(request_id, None)
        if future is not None and not future.done():
            future.set_exception(ConnectionResetError(f"response reset with {stream.reset_code}"))

    def bridge_opened(self, stream: EdgeStream) -> None:
        bridge_id = stream.path.rpartition("/")[2]
        future = self._bridges.setdefault(bridge_id, asyncio.get_running_loop().create_future())
        if not future.done():
            future.set_result(stream)

    # What tests tell it to do.

    async def connected(self, count: int = 1, parked: int = 1) -> EdgeConnection:
        """Wait until `count` connections were made and the live one has `parked` intakes."""

        def ready() -> bool:
            live = self.live
            return len(self.connections) >= count and live is not None and len(live.parked) >= parked

        await self.until(ready)
        assert self.live is not None
        return self.live

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def intake(self, connection: EdgeConnection | None = None) -> EdgeStream:
        """Take a parked intake of the live (or the given) connection."""

        def source() -> EdgeConnection | None:
            return connection or self.live

        await self.until(lambda: bool((at := source()) and at.parked and not at.closed.is_set()))
        at = source()
        assert at is not None
        return at.parked.popleft()

    async def send_envelope(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        connection: EdgeConnection | None = None,
        extra: Iterable[tuple[str, str]] = (),
        request_id: str | None = None,
        end: bool = True,
        chunk: int = 1 << 20,
    ) -> tuple[EdgeStream, asyncio.Future[Reply]]:
        """Hand one request to the listener; the future resolves when its response was posted."""
        stream = await self.intake(connection)
        request_id = request_id or str(uuid.uuid4())
        future = self.expect(request_id)
        fields = [("inkbox-request-id", request_id), ("inkbox-method", method), ("inkbox-path", path)]
        fields += [*extra, *((f"inkbox-h-{name}", value) for name, value in headers)]
        stream.answer(200, fields, end=end and not body)
        if body:
            await stream.send(body, end=end, chunk=chunk)
        return stream, future

    def expect(self, request_id: str) -> asyncio.Future[Reply]:
        """A future for the response to a request that the test sends by hand."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = future
        return future

    async def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        extra: Iterable[tuple[str, str]] = (),
        chunk: int = 1 << 20,
    ) -> Reply:
        """One whole exchange with the listener."""
        _, future = await self.send_envelope(method, path, headers, body, extra=extra, chunk=chunk)
        return await future

    async def bridge(self, bridge_id: str, *, status: int = 200) -> EdgeStream:
        """Wait for the CONNECT of a bridge and answer it."""
        stream = await self.bridge_stream(bridge_id)
        stream.answer(status, end=status != 200)
        return stream

    async def bridge_stream(self, bridge_id: str) -> EdgeStream:
        """Wait for the CONNECT of a bridge."""
        return await self._bridges.setdefault(bridge_id, asyncio.get_running_loop().create_future())

    def drain(self) -> EdgeConnection:
        """Start a graceful drain of the live connection."""
        assert self.live is not None
        connection = self.live
        connection.draining = True
        connection.send_goaway(0, "drain")
        return connection

    def supersede(self) -> None:
        """Tell the live connection that another listener took over."""
        assert self.live is not None
        connection = self.live
        while connection.parked:
            connection.parked.popleft().answer(409, [("inkbox-reason", "intake-superseded")])
        connection.send_goaway(0x1201, "superseded")

    def _notify(self) -> None:
        self._changed.set()


def keep(posts: list[EdgeStream]) -> Callable[[EdgeStream], bool]:
    """For `on_response`: collect the posts and leave them unanswered."""

    def collect(stream: EdgeStream) -> bool:
        posts.append(stream)
        return True

    return collect


def _pairs(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in headers]


def _reply(stream: EdgeStream) -> Reply:
    status = int(stream.headers["inkbox-status"])
    headers = [
        (name[len("inkbox-h-") :], value)
        for name, value in stream.header_list
        if name.startswith("inkbox-h-")
    ]
    reason = next((value for name, value in headers if name == "inkbox-reason"), None)
    return Reply(status, headers, bytes(stream.received), reason, stream.connection, stream.header_list)
