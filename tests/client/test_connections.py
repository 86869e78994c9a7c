"""How a connection may fail, be cancelled, be shared and be closed."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from inkbox_async.errors import (
    InkboxConnectionError,
    InkboxError,
    InkboxResponseError,
    InkboxTimeoutError,
)
from inkbox_async.modeling import InkboxModel

from .conftest import KEY, Connect
from .servers import Answer, Server, Wire


class Thing(InkboxModel):
    id: UUID
    name: str | None = None


ID = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")


async def test_time_out_of_an_answer(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()

    with pytest.raises(InkboxTimeoutError) as caught:
        await connect(timeout=0.05, max_retries=0).request("GET", "/api/v1/x", None, query={"q": "secret"})

    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, InkboxConnectionError)
    assert caught.value.sent
    assert "0.05 s" in str(caught.value)
    assert "secret" not in str(caught.value)
    server.gate.set()


async def test_time_out_of_one_request(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect(max_retries=0)

    with pytest.raises(InkboxTimeoutError, match=r"0\.05 s"):
        await transport.request("GET", "/api/v1/x", None, timeout=0.05)
    with pytest.raises(ValueError, match="timeout"):
        await transport.request("GET", "/api/v1/x", None, timeout=-1)

    server.gate.set()
    await transport.request("GET", "/api/v1/x", None, timeout=None)


async def test_the_time_out_is_for_a_silence_not_for_the_whole(server: Server, connect: Connect) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        writer.close()

    slow = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with slow:
        transport = connect(base_url=f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}", timeout=1.0)
        assert await transport.request("GET", "/api/v1/x", bytes) == b"x" * 12


async def test_time_out_of_a_body_that_nobody_takes(connect: Connect) -> None:
    done = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    async with server:
        transport = connect(
            base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.1, max_retries=0
        )
        with pytest.raises(InkboxTimeoutError) as caught:
            await transport.request("POST", "/api/v1/x", None, data=b"x" * 50_000_000)
        assert caught.value.sent
        await transport.aclose()
        done.set()


async def test_time_out_of_waiting_for_a_connection(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkbox_async.pool.CONNECTIONS", 1)
    server.gate = asyncio.Event()
    transport = connect(max_retries=0)
    first = asyncio.create_task(transport.request("POST", "/api/v1/first", None))
    await server.reached(1)

    with pytest.raises(InkboxTimeoutError, match="no connection") as caught:
        await transport.request("POST", "/api/v1/second", None, timeout=0.05)

    assert not caught.value.sent
    server.gate.set()
    await first
    assert server.paths == ["/api/v1/first"]


async def test_nobody_listens(connect: Connect) -> None:
    async with Wire(b"") as wire:
        port = wire.port
    transport = connect(base_url=f"http://127.0.0.1:{port}")

    with pytest.raises(InkboxConnectionError) as caught:
        await transport.request("GET", "/api/v1/x", None, query={"q": "secret"})

    assert not caught.value.sent
    assert not isinstance(caught.value, InkboxTimeoutError)
    assert f"cannot connect to http://127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


class NoNames(AbstractResolver):
    """Knows no host, as without a network."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        pass


async def test_a_name_that_nobody_knows(connect: Connect) -> None:
    attempts: list[int] = []
    connector = aiohttp.TCPConnector(resolver=NoNames())
    async with aiohttp.ClientSession(connector=connector) as session:
        transport = connect(
            session=session,
            base_url="https://inkbox.example",
            request_observer=lambda request: attempts.append(request.attempt),
        )

        with pytest.raises(
            InkboxConnectionError, match=r"cannot resolve the host of https://inkbox\.example"
        ) as e:
            await transport.request("POST", "/api/v1/x", None, query={"q": "secret"})

    assert not e.value.sent
    assert attempts == [1, 2, 3], "nothing was sent, and so a POST may be tried again"
    assert "secret" not in str(e.value)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "broke before an answer came"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "broke in the middle of the answer"),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
            "broke in the middle of the answer",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", "in the middle"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "not HTTP"),
    ],
)
async def test_broken_answers(connect: Connect, reply: bytes, says: str) -> None:
    async with Wire(reply) as wire:
        transport = connect(base_url=wire.url)

        with pytest.raises(InkboxConnectionError, match=says) as caught:
            await transport.request("POST", "/api/v1/x", None, query={"auth_hash": "secret"}, body={"a": 1})

        assert len(wire.requests) == 1
    error: BaseException | None = caught.value
    assert caught.value.sent
    while error is not None:
        assert "secret" not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.filterwarnings("error")
async def test_a_server_that_changes_the_protocol_unasked_leaves_nothing_open(connect: Connect) -> None:
    asyncio.get_running_loop().set_debug(True)  # in which aiohttp tells of what is left open
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    async with Wire(switch, keep_open=True) as wire:
        transport = connect(base_url=wire.url)

        with pytest.raises(InkboxResponseError):
            await transport.request("POST", "/api/v1/x", dict[str, Any], body={})

        gc.collect()


async def test_one_connection_serves_one_request_after_another(server: Server, connect: Connect) -> None:
    transport = connect()

    for _ in range(5):
        await transport.request("GET", "/api/v1/x", dict[str, Any])
    server.answers = [Answer(404, {"detail": "no"})]
    for _ in range(2):
        with pytest.raises(InkboxError):
            await transport.request("GET", "/api/v1/x", Thing)

    assert {seen.connection for seen in server.seen} == {0}


async def test_many_requests_at_once(server: Server, connect: Connect) -> None:
    async def echo(seen: Any) -> Answer:
        await asyncio.sleep(0)
        return Answer(body={"id": str(ID), "name": seen.query})

    server.handler = echo
    transport = connect()

    found = await asyncio.gather(
        *(transport.request("GET", "/api/v1/x", Thing, query={"n": n}) for n in range(300))
    )

    assert [thing.name for thing in found] == [f"n={n}" for n in range(300)]
    assert len(server.connections) <= 100


async def test_cancellation_leaves_the_pool_usable(
    server: Server, connect: Connect, alarms: list[dict[str, Any]]
) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    tasks = [asyncio.create_task(transport.request("GET", "/api/v1/x", None)) for _ in range(20)]
    await server.reached(20)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    server.gate.set()

    await asyncio.gather(*(transport.request("GET", "/api/v1/y", None) for _ in range(20)))

    assert server.paths.count("/api/v1/y") == 20


async def test_cancellation_in_the_middle_of_an_answer(connect: Connect) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with Wire(half, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", keep_open=True) as wire:
        transport = connect(base_url=wire.url)
        task = asyncio.create_task(transport.request("GET", "/api/v1/x", bytes))
        await wire.reached.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await transport.request("GET", "/api/v1/x", bytes) == b"{}"
        await transport.aclose()


async def test_cancellation_of_a_large_upload(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    task = asyncio.create_task(transport.request("POST", "/api/v1/x", None, body={"a": "x" * 3_000_000}))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.gate.set()

    await transport.request("GET", "/api/v1/y", None)

    # The server may notice the first request, or that it was given up, after the second.
    assert "/api/v1/y" in server.paths


async def test_nothing_is_opened_before_the_first_request(connect: Connect) -> None:
    transport = connect()
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(InkboxError, match="closed"):
        await transport.request("GET", "/api/v1/x", None)


async def test_a_closed_transport_stays_closed(server: Server, connect: Connect) -> None:
    transport = connect()
    await transport.request("GET", "/api/v1/x", None)
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(InkboxError, match="closed"):
        await transport.request("GET", "/api/v1/x", None)
    assert len(server.seen) == 1


async def test_closing_ends_requests_under_way(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    task = asyncio.create_task(transport.request("GET", "/api/v1/x", None))
    await server.reached(1)

    await transport.aclose()

    with pytest.raises(InkboxError):
        await task
    server.gate.set()


def test_a_client_belongs_to_one_event_loop(unused_tcp_port: int) -> None:
    from inkbox_async.settings import Settings
    from inkbox_async.transport import Transport

    transport = Transport(Settings(base_url=f"http://127.0.0.1:{unused_tcp_port}", max_retries=0))

    async def use() -> None:
        await transport.request("GET", "/api/v1/x", None)

    async def use_and_close() -> None:
        with pytest.raises(InkboxConnectionError):
            await use()

    asyncio.run(use_and_close())
    with pytest.raises(InkboxError, match="another event loop"):
        asyncio.run(use())
    asyncio.run(transport.aclose())


async def test_a_given_session_is_shared_and_left_as_it_was(server: Server, connect: Connect) -> None:
    async with aiohttp.ClientSession(
        headers={"X-Mine": "1", "User-Agent": "mine"}, raise_for_status=True
    ) as session:
        transport = connect(session=session)
        await transport.request("POST", "/api/v1/x", None, body={})
        server.answers = [Answer(404, {"detail": "gone"})]
        with pytest.raises(InkboxError, match="gone"):
            await transport.request("GET", "/api/v1/x", None)
        await transport.aclose()

        assert not session.closed
        assert dict(session.headers) == {"X-Mine": "1", "User-Agent": "mine"}
        async with session.get(server.url, raise_for_status=False):
            pass

    assert server.seen[0].headers["X-Mine"] == "1"
    assert server.seen[0].headers["User-Agent"].startswith("inkbox-async/")
    assert server.seen[0].headers["X-API-Key"] == KEY
    assert "X-API-Key" not in server.seen[2].headers


async def test_a_given_session_that_leaves_bodies_compressed(server: Server, connect: Connect) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await connect(session=session).request("GET", "/api/v1/x", None)

    assert server.seen[0].headers["Accept-Encoding"] == "identity"


async def test_a_given_session_that_is_closed(connect: Connect) -> None:
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(InkboxError, match="session given to this client is closed"):
        await connect(session=session).request("GET", "/api/v1/x", None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_given_session_repeats_nothing_by_itself(
    server: Server, connect: Connect, method: str
) -> None:
    passed: list[str] = []

    async def own(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        passed.append(request.method)
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=(own,)) as session:
        transport = connect(session=session, max_retries=0)
        await transport.request(method, "/api/v1/x", None)
        server.answers = [Answer(drop=True)]
        with pytest.raises(InkboxConnectionError):
            await transport.request(method, "/api/v1/x", None)

    assert len(server.seen) == 2, f"aiohttp sent a {method} again whose connection broke"
    assert passed == [method, method]


async def test_nothing_is_expected_but_a_page_for_people_comes(server: Server, connect: Connect) -> None:
    server.answers = [Answer(body=b"<html>Welcome</html>", headers={"Content-Type": "text/html"})]

    with pytest.raises(InkboxResponseError, match="not JSON"):
        await connect().request("DELETE", "/api/v1/x", None)


@pytest.mark.parametrize(("method", "says"), [("GET", False), ("POST", True), ("DELETE", True)])
async def test_an_error_says_that_the_outcome_is_open(
    server: Server, connect: Connect, method: str, says: bool
) -> None:
    server.answers = [Answer(drop=True)]

    with pytest.raises(InkboxConnectionError) as caught:
        await connect(max_retries=0).request(method, "/api/v1/x", None)

    assert ("may have been carried out" in str(caught.value)) is says
