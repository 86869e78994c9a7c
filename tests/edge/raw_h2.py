"""A small HTTP/2 client that shows all it gets: the listener and the third party of the edge's tests."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Self

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.errors import ErrorCodes
from jh2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from jh2.settings import SettingCodes, Settings

PATIENCE = 10
"""Seconds after which a test that waits for something fails instead of hanging."""

Header = tuple[str, str]


class RawStream:
    """What came back on one stream."""

    def __init__(self, client: RawH2, stream_id: int) -> None:
        self.client = client
        self.id = stream_id
        self.headers: list[Header] = []
        self.body = bytearray()
        self.ended = False
        self.reset: int | None = None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def status(self) -> int:
        return int(self.header(":status") or 0)

    async def head(self) -> Self:
        """Wait for the answer's head."""
        await self.client.until(lambda: bool(self.headers) or self.reset is not None)
        return self

    async def whole(self) -> Self:
        """Wait for the end of the answer."""
        await self.client.until(lambda: self.ended or self.reset is not None)
        return self

    async def at_least(self, size: int) -> bytes:
        """Wait for so many body bytes, or the end."""
        await self.client.until(lambda: len(self.body) >= size or self.ended or self.reset is not None)
        return bytes(self.body)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send body bytes under flow control."""
        await self.client.send(self.id, data, end=end)

    async def cancel(self) -> None:
        self.client.h2.reset_stream(self.id, ErrorCodes.CANCEL)
        await self.client.flush()


class RawH2:
    """One HTTP/2 connection, opened with `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self._reader, self._writer = reader, writer
        self.h2: Any = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: window,
                SettingCodes.MAX_HEADER_LIST_SIZE: 65_536,
            },
        )
        self.streams: dict[int, RawStream] = {}
        self.goaway: tuple[int, bytes] | None = None
        self.settings: dict[int, int] = {}
        self.closed = False
        self.auto_credit = True
        self._partial = bytearray()
        self._changed = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.h2.initiate_connection()
        await self.flush()
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: bool(self.settings))

    async def close(self) -> None:
        self._writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def until(self, condition: Callable[[], bool], seconds: float | None = PATIENCE) -> None:
        """Wait until `condition` holds or the connection is closed; at most `seconds`, None for ever."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: condition() or self.closed)

    async def answered(self, stream: RawStream) -> None:
        """Wait, for as long as it takes, until an answer begins on `stream` or can no longer come."""
        await self.until(lambda: bool(stream.headers) or stream.reset is not None, None)

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def raw(self, data: bytes) -> None:
        """Send bytes past the protocol."""
        self._writer.write(data)
        await self._writer.drain()

    async def request(
        self, method: str, path: str, headers: Sequence[Header] = (), body: bytes | None = b"", **pseudo: str
    ) -> RawStream:
        """Open a stream. With `body=None` it stays open for `send`."""
        stream = RawStream(self, self.h2.get_next_available_stream_id())
        self.streams[stream.id] = stream
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", pseudo.get("authority", "localhost")),
        ]
        fields.append((":path", path))
        if "protocol" in pseudo:
            fields.append((":protocol", pseudo["protocol"]))
        self.h2.send_headers(stream.id, [*fields, *headers], end_stream=body == b"")
        await self.flush()
        if body:
            await stream.send(body, end=True)
        return stream

    async def send(self, stream_id: int, data: bytes, *, end: bool) -> None:
        view = memoryview(data)
        while True:
            room = 0
            with contextlib.suppress(Exception):
                room = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)
            stream = self.streams[stream_id]
            if stream.reset is not None or self.closed:
                raise ConnectionResetError(f"stream {stream_id} was reset")
            if len(view) <= room or not view:
                self.h2.send_data(stream_id, bytes(view), end_stream=end)
                await self.flush()
                return
            if room:
                self.h2.send_data(stream_id, bytes(view[:room]))
                view = view[room:]
                await self.flush()
            else:
                async with asyncio.timeout(PATIENCE), self._changed:
                    await self._changed.wait()

    async def settle(self) -> None:
        """Wait until the edge has taken everything sent so far."""
        answer = await self.request("GET", "/_system/probe", [("x-tunnel-id", "any")])
        assert (await answer.whole()).status == 405

    async def credit(self, stream_id: int, size: int) -> None:
        self.h2.acknowledge_received_data(size, stream_id)
        await self.flush()

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(262_144):
                for frame in self._frames(data):
                    for event in self.h2.receive_data(frame):
                        self._take(event)
                await self.flush()
                async with self._changed:
                    self._changed.notify_all()
        except OSError:
            pass
        finally:
            self.closed = True
            async with self._changed:
                self._changed.notify_all()

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """Whole frames one by one, so that `_take` may mend the library's state between two of them."""
        self._partial += data
        while len(self._partial) >= 9:
            size = 9 + int.from_bytes(self._partial[:3], "big")
            if len(self._partial) < size:
                return
            frame = bytes(self._partial[:size])
            del self._partial[:size]
            yield frame

    def _take(self, event: Any) -> None:  # Any: jh2's events have no common type
        if isinstance(event, ResponseReceived):
            self.streams[event.stream_id].headers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, DataReceived):
            self.streams[event.stream_id].body += event.data
            if self.auto_credit:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.streams[event.stream_id].ended = True
        elif isinstance(event, StreamReset):
            self.streams[event.stream_id].reset = event.error_code
        elif isinstance(event, ConnectionTerminated):
            self.goaway = (event.error_code, event.additional_data or b"")
            # a connection goes on after GOAWAY (RFC 9113, 6.8); the library holds it for the end
            self.h2.state_machine.state = type(self.h2.state_machine.state).CLIENT_OPEN
        elif isinstance(event, RemoteSettingsChanged):
            self.settings.update(
                {int(code): change.new_value for code, change in event.changed_settings.items()}
            )


@contextlib.asynccontextmanager
async def connect(
    port: int, context: ssl.SSLContext, *, server_name: str = "localhost", window: int = 1 << 20
) -> AsyncIterator[RawH2]:
    """A connection to the edge, closed when the block is left."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=server_name, limit=1 << 20
    )
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    client = RawH2(reader, writer, window)
    try:
        await client.open()
        yield client
    finally:
        await client.close()
