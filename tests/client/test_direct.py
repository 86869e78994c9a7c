"""The short way past aiohttp's client: it writes what aiohttp would, and stands back when watched."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from inkbox_async import pool
from inkbox_async.deadlines import Deadlines
from inkbox_async.direct import usable
from inkbox_async.errors import InkboxTimeoutError
from inkbox_async.retry import Idempotency
from inkbox_async.transport import Transport

from .conftest import Connect
from .servers import Answer, Server, Wire

FINE = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\nSet-Cookie: stick=v1|a.b; Path=/\r\n\r\n"
)

Send = Callable[[Transport], Awaitable[Any]]


class MockedResponse(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know of an argument that aiohttp 3.14 requires."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    "send",
    [
        lambda t: t.request("GET", "/api/v1/x", bytes, query={"q": "a b&c", "n": 1, "tags": ["x", "y"]}),
        lambda t: t.request("HEAD", "/api/v1/x", bytes),
        lambda t: t.request("DELETE", "/api/v1/x/1", bytes),
        lambda t: t.request("POST", "/api/v1/x", bytes),
        lambda t: t.request("POST", "/api/v1/x", bytes, body={"text": "ü" * 100}),
        lambda t: t.request("PATCH", "/api/v1/x", bytes, body={}),
        lambda t: t.request(
            "POST", "/api/v1/x", bytes, body=[], idempotency=Idempotency.SEND, idempotency_key="once"
        ),
        lambda t: t.request("GET", "/api/v1/x", bytes, headers={"accept": "text/vcard", "X-Own": "ü"}),
    ],
    ids=["query", "HEAD", "DELETE", "no body", "body", "empty body", "idempotent", "own headers"],
)
@pytest.mark.parametrize("way", ["both"])  # in place of the fixture, which tries one after the other
async def test_both_ways_write_the_same_bytes(
    send: Send, way: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    for short in (True, False):
        with monkeypatch.context() as patch:
            if not short:
                patch.setattr(pool, "usable", lambda _: False)
            # Every answer closes its connection; the second request brings the cookie of the first.
            async with Wire(FINE) as wire:
                transport = connect(base_url=f"{wire.url}/prefix")
                for _ in range(2):
                    await send(transport)
                assert (transport._pool.line is not None) is short
                heads.append([head.replace(str(wire.port).encode(), b"PORT") for head in wire.requests])

    assert heads[0] == heads[1]
    assert b"Cookie: stick=v1|a.b\r\n" in heads[0][1]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(gzip.compress(b"hello")), gzip.compress(b"hello")),
    ],
    ids=["interim response", "chunked", "until the end", "HTTP/1.0", "compressed"],
)
async def test_every_framing_of_an_answer_is_understood(reply: bytes, connect: Connect) -> None:
    async with Wire(reply) as wire:
        assert await connect(base_url=wire.url).request("GET", "/api/v1/x", bytes) == b"hello"


async def test_an_answer_may_take_long_while_it_comes_in_pieces(server: Server, connect: Connect) -> None:
    timeout = 1.0

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(15):
            await asyncio.sleep(timeout / 10)
            writer.write(b"x")
        writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as slow:
        url = f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}"
        assert await connect(base_url=url, timeout=timeout).request("GET", "/x", bytes) == b"x" * 15


async def test_an_answer_that_stops_in_the_middle_is_late(connect: Connect) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with Wire(half, keep_open=True) as wire:
        transport = connect(base_url=wire.url, timeout=0.1, max_retries=0)
        with pytest.raises(InkboxTimeoutError):
            await transport.request("GET", "/x", bytes)
        await transport.aclose()


async def test_a_line_break_in_a_header_is_sent_nowhere(server: Server, connect: Connect) -> None:
    with pytest.raises(ValueError, match=r"(?i)line break|control character|newline"):
        await connect().request("GET", "/api/v1/x", bytes, headers={"X-Own": "a\r\nX-Other: b"})
    assert server.seen == []


@pytest.mark.parametrize("used_before", [False, True])
async def test_a_mock_of_aiohttp_sees_every_request(
    used_before: bool, server: Server, connect: Connect
) -> None:
    transport = connect()
    if used_before:
        await transport.request("GET", "/api/v1/x", bytes)
    with aioresponses() as mock:
        mock.get(f"{server.url}/api/v1/x", body=b"mocked", response_class=MockedResponse)
        assert await transport.request("GET", "/api/v1/x", bytes) == b"mocked"

    assert await transport.request("GET", "/api/v1/x", bytes) == b"{}"


async def test_tracing_sees_every_request(
    connect: Connect, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = []

    async def on_request_start(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        traced.append(params.url.path)

    original = aiohttp.ClientSession.__init__

    def instrumented(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> None:
        # So do the instrumentations of observability tools.
        config = aiohttp.TraceConfig()
        config.on_request_start.append(on_request_start)
        original(self, *args, **kwargs, trace_configs=[config])

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", instrumented)
    await connect().request("GET", "/api/v1/x", bytes)

    assert traced == ["/api/v1/x"]


async def test_other_releases_of_aiohttp_are_used_by_their_documents_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with aiohttp.ClientSession() as session:
        assert usable(session)
        monkeypatch.setattr(aiohttp, "__version__", "3.99.0")
        assert not usable(session)


async def test_connections_are_used_again(server: Server, connect: Connect) -> None:
    transport = connect()
    for _ in range(10):
        await transport.request("POST", "/api/v1/x", None, body={})
    assert len(server.connections) == 1


async def test_a_connection_that_the_server_wants_closed_is_closed(server: Server, connect: Connect) -> None:
    server.answers = [Answer(body={}, headers={"Connection": "close"})]
    transport = connect()
    for _ in range(3):
        await transport.request("GET", "/api/v1/x", None)
    assert len(server.connections) == 3


class Peer:
    """What `Deadlines` knows of a connection."""

    def __init__(self) -> None:
        self.read_timeout: float | None = None
        self.late = asyncio.Event()

    def start_timeout(self) -> None:
        self.late.set()


async def test_deadlines_expire_in_their_order_and_those_that_ended_never() -> None:
    deadlines = Deadlines(0.05)
    first, answered, last = Peer(), Peer(), Peer()
    deadlines.start(first)  # type: ignore[arg-type]
    deadlines.start(answered)  # type: ignore[arg-type]
    timer = deadlines._timer
    await asyncio.sleep(0.03)
    deadlines.start(last)  # type: ignore[arg-type]
    deadlines.end(answered)  # type: ignore[arg-type]

    assert deadlines._timer is timer, "one timer serves them all"
    async with asyncio.timeout(10):
        await first.late.wait()
        assert not last.late.is_set()
        await last.late.wait()

    assert not answered.late.is_set()
    assert deadlines._timer is None
    deadlines.close()
