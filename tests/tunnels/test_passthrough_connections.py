"""Connections of third parties to a passthrough tunnel, through the sandbox's edge: kept, or broken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.tunnels.listener import TunnelListener

from .apps import Event, Receive, Send, http, respond

HOST = "my-app.localhost"
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HEADERS, CONTINUATION = 1, 9
END_STREAM, END_HEADERS = 1, 4
Dialled = tuple[asyncio.StreamReader, asyncio.StreamWriter]

INDEXED_GET = b"\x82\x87\x84\x01\x10" + HOST.encode()
"""`GET https://my-app.localhost/` in HPACK."""


class App:
    """Answers at once and reads nothing; `/wait` waits until it is let go or cancelled."""

    def __init__(self) -> None:
        self.waiting = asyncio.Semaphore(0)
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()
        self.asgi = http(self._handle)

    async def _handle(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait" or scope["http_version"] == "2":
            self.waiting.release()
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        status = int(scope["query_string"] or b"200")
        body = b"" if status in (204, 304) else b"ok"
        await respond(send, body, status, [(b"content-length", b"2")] if body else [])


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def listener(
    sandbox: Sandbox, client: AsyncInkbox, app: App, tmp_path: Path
) -> AsyncIterator[TunnelListener]:
    await client.create_identity("my-app", tunnel={"tls_mode": "passthrough"})
    connecting = client.tunnels.connect(
        name="my-app", forward_to=app.asgi, state_dir=tmp_path / "state", ca=sandbox.ca_cert_path
    )
    async with connecting as listener:
        yield listener


@asynccontextmanager
async def dial(sandbox: Sandbox, alpn: str) -> AsyncIterator[Dialled]:
    context = ssl.create_default_context(cafile=sandbox.ca_cert_path)
    context.set_alpn_protocols([alpn])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", sandbox.edge_port, ssl=context, server_hostname=HOST
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


class Http1:
    """A third party that sends one request after the other on its one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h11 = h11.Connection(h11.CLIENT)

    async def request(self, method: str, target: str) -> tuple[int, bytes]:
        head = h11.Request(method=method, target=target, headers=[("host", HOST)])
        self._writer.write((self._h11.send(head) or b"") + (self._h11.send(h11.EndOfMessage()) or b""))
        status, body = 0, b""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                pytest.fail(f"the connection ended instead of an answer: {event}")
        assert self._h11.their_state is not h11.MUST_CLOSE, "the connection is not kept"
        self._h11.start_next_cycle()
        return status, body


async def test_a_connection_is_kept_after_requests_without_a_body(
    sandbox: Sandbox, listener: TunnelListener
) -> None:
    async with asyncio.timeout(30), dial(sandbox, "http/1.1") as (reader, writer):
        third_party = Http1(reader, writer)
        for _ in range(2):
            assert await third_party.request("GET", "/") == (200, b"ok")
            assert await third_party.request("HEAD", "/") == (200, b"")
            assert await third_party.request("DELETE", "/?204") == (204, b"")
            assert await third_party.request("GET", "/?304") == (304, b"")
            assert await third_party.request("OPTIONS", "/?404") == (404, b"ok")


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream_id.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x40"), id="a name is missing"),
        pytest.param(frame(HEADERS, END_STREAM | END_HEADERS, 3, INDEXED_GET[:-3]), id="cut off"),
        pytest.param(frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\xff" * 20), id="an endless index"),
        pytest.param(frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x3f\xff\xff\xff\x7f"), id="a huge table"),
        pytest.param(
            frame(HEADERS, END_STREAM, 3, INDEXED_GET) + frame(CONTINUATION, END_HEADERS, 3, b"\x40"),
            id="a broken continuation",
        ),
        pytest.param(
            frame(HEADERS, END_STREAM, 3, INDEXED_GET) + frame(HEADERS, END_HEADERS, 5, INDEXED_GET),
            id="no continuation",
        ),
    ],
)
async def test_a_broken_header_block_ends_its_own_connection_and_nothing_else(
    sandbox: Sandbox, listener: TunnelListener, app: App, broken: bytes
) -> None:
    connected_at = listener.last_connected_at
    async with (
        asyncio.timeout(30),
        dial(sandbox, "http/1.1") as other,
        dial(sandbox, "h2") as (reader, writer),
    ):
        bystander = Http1(*other)
        answer = asyncio.create_task(bystander.request("GET", "/wait"))
        await app.waiting.acquire()
        writer.write(OPENING + frame(HEADERS, END_STREAM | END_HEADERS, 1, INDEXED_GET))
        await app.waiting.acquire()
        writer.write(broken)
        await reader.read()  # until it is disconnected
        await app.cancelled.wait()
        assert not answer.done()
        app.let_go.set()
        assert await answer == (200, b"ok")
        assert await bystander.request("GET", "/") == (200, b"ok")
        async with dial(sandbox, "http/1.1") as third:
            assert await Http1(*third).request("GET", "/") == (200, b"ok")
    assert (listener.status, listener.last_connected_at) == ("connected", connected_at)
