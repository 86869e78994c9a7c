"""Much at once on a real edge: large messages, slow sides, parties that leave, and who sees what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox

from .apps import Event, Receive, Send, http, read_body, respond, websocket, ws_echo
from .conftest import Connect

if TYPE_CHECKING:
    from inkbox_async.generated.models.tunnels import Tunnel

MEGABYTE = 1 << 20


@pytest.fixture(params=["edge", "passthrough"])
async def tunnel(request: pytest.FixtureRequest, client: AsyncInkbox) -> Tunnel:
    """A tunnel of either mode."""
    identity = await client.create_identity("my-app", tunnel={"tls_mode": request.param})
    assert identity.tunnel is not None
    return await client.tunnels.get(identity.tunnel.id)


async def test_two_hundred_websockets_with_messages_of_every_size(
    sandbox: Sandbox, connect: Connect, tunnel: Tunnel
) -> None:
    async with connect(ws_echo) as listener, AsyncExitStack() as stack:
        # A session of aiohttp holds at most a hundred connections.
        sessions = [await stack.enter_async_context(sandbox.session()) for _ in range(2)]

        async def talk(number: int) -> None:
            sizes = [number, 65_535 + number, 3 * MEGABYTE if number % 10 == 0 else 100_000]
            async with sessions[number % 2].ws_connect(listener.public_url, max_msg_size=0) as socket:
                for size in sizes:
                    data = b"%d " % number * (size // 4)
                    await socket.send_bytes(data)
                    assert await socket.receive_bytes() == data
                    await socket.send_str(data.decode())
                    assert await socket.receive_str() == data.decode()

        await asyncio.gather(*map(talk, range(200)))


async def test_messages_pass_each_other(sandbox: Sandbox, connect: Connect, tunnel: Tunnel) -> None:
    """Both sides send several megabytes before either reads: no window may lock the other."""

    @websocket
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(8):
            await send({"type": "websocket.send", "bytes": bytes([number]) * MEGABYTE})
        sizes = [len((await receive())["bytes"]) for _ in range(8)]
        await send({"type": "websocket.send", "text": str(sum(sizes))})

    async with (
        connect(app) as listener,
        sandbox.session() as third_party,
        third_party.ws_connect(listener.public_url, max_msg_size=0) as socket,
    ):

        async def write() -> None:
            for _ in range(8):
                await socket.send_bytes(bytes(MEGABYTE))

        writing = asyncio.create_task(write())
        for number in range(8):
            assert await socket.receive_bytes() == bytes([number]) * MEGABYTE
        await writing
        assert await socket.receive_str() == str(8 * MEGABYTE)


async def test_a_third_party_that_does_not_read_slows_the_app(
    sandbox: Sandbox, connect: Connect, tunnel: Tunnel
) -> None:
    produced = 0

    @http
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        nonlocal produced
        if scope["path"] == "/small":
            await respond(send, b"small")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": bytes(MEGABYTE), "more_body": True})
            produced += MEGABYTE
        await send({"type": "http.response.body"})

    limit = 1 << 30
    async with connect(app, max_outbound_body_bytes=limit) as listener, sandbox.session() as third_party:
        async with third_party.get(f"{listener.public_url}/large") as large:
            for _ in range(100):
                async with third_party.get(f"{listener.public_url}/small") as small:
                    assert await small.read() == b"small"
            # Windows, and the buffers of four sockets, are all that may lie between the app and the reader.
            assert produced < 60 * MEGABYTE
            received = 0
            async for piece in large.content.iter_chunked(MEGABYTE):
                received += len(piece)
        assert received == produced == 200 * MEGABYTE


async def test_an_app_that_does_not_read_slows_the_third_party(
    sandbox: Sandbox, connect: Connect, tunnel: Tunnel
) -> None:
    go_on = asyncio.Event()
    sent = 0

    @http
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        if scope["path"] == "/large":
            await go_on.wait()
        size, more = 0, True
        while more:
            event = await receive()
            size += len(event["body"])
            more = event["more_body"]
        await respond(send, b"%d" % size)

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(200):
            yield bytes(MEGABYTE)
            sent += MEGABYTE

    limit = 1 << 30
    async with connect(app, max_inbound_body_bytes=limit) as listener, sandbox.session() as third_party:

        async def upload() -> bytes:
            async with third_party.post(f"{listener.public_url}/large", data=body()) as answer:
                return await answer.read()

        uploading = asyncio.create_task(upload())
        for _ in range(100):
            async with third_party.post(f"{listener.public_url}/small", data=b"abc") as small:
                assert await small.read() == b"3"
        assert sent < 60 * MEGABYTE
        go_on.set()
        assert await uploading == b"%d" % (200 * MEGABYTE)


async def test_a_third_party_that_leaves_ends_the_app(
    sandbox: Sandbox, connect: Connect, tunnel: Tunnel
) -> None:
    ended = asyncio.Event()

    @http
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with connect(app) as listener:
        async with sandbox.session() as third_party, third_party.get(listener.public_url) as answer:
            assert (await answer.content.readany()).startswith(b"tick")
        await ended.wait()


async def test_a_websocket_whose_third_party_vanishes_ends_the_app(
    sandbox: Sandbox, connect: Connect, tunnel: Tunnel
) -> None:
    codes: asyncio.Queue[int] = asyncio.Queue()

    @websocket
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await codes.put((await receive())["code"])

    async with connect(app) as listener, sandbox.session() as third_party:
        socket = await third_party.ws_connect(listener.public_url)
        transport = socket.get_extra_info("socket")
        assert transport is not None
        assert socket._response.connection is not None
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
        assert await codes.get() >= 1000
        with contextlib.suppress(aiohttp.ClientError):
            await socket.close()


async def test_nobody_sees_what_is_anothers(sandbox: Sandbox, connect: Connect, tunnel: Tunnel) -> None:
    @http
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        mine = {name: value for name, value in scope["headers"] if name in (b"x-mine", b"cookie")}
        await asyncio.sleep(0)
        headers = [(b"set-cookie", b"session=" + mine[b"x-mine"]), (b"x-yours", mine[b"x-mine"])]
        await respond(send, mine.get(b"cookie", b"") + b"|" + await read_body(receive), headers=headers)

    async with connect(app) as listener, AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(sandbox.session()) for _ in range(20)]

        async def third_party(number: int) -> None:
            session, me = sessions[number], f"party-{number}"
            for turn in range(10):
                async with session.post(
                    listener.public_url, data=me.encode(), headers={"X-Mine": me}
                ) as answer:
                    cookie = f"session={me}" if turn else ""
                    assert await answer.text() == f"{cookie}|{me}"
                    assert answer.headers["X-Yours"] == me
                    assert answer.headers.getall("Set-Cookie") == [f"session={me}"]

        await asyncio.gather(*map(third_party, range(20)))
