"""The whole way: a third party, the sandbox's edge, the listener, an application, and back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import aiohttp
import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

from inkbox_async import AsyncInkbox, TunnelSupersededError
from inkbox_async.sandbox import Sandbox
from inkbox_async.tunnels import TunnelAuthenticationError, TunnelsResource

from .conftest import Connect, eventually
from .upstream import Upstream

if TYPE_CHECKING:
    from inkbox_async.generated.models.tunnels import Tunnel

SIZE = 50_000_000


def application() -> FastAPI:
    app = FastAPI()
    app.state.handled = Counter()

    @app.post("/echo/{number}")
    async def echo(number: int, request: Request) -> Response:
        app.state.handled[number] += 1
        await asyncio.sleep(0)
        return Response(await request.body(), headers={"x-number": str(number)})

    @app.post("/count")
    async def count(request: Request) -> dict[str, int]:
        pieces = [len(piece) async for piece in request.stream()]
        return {"bytes": sum(pieces), "largest": max(pieces)}

    @app.get("/produce")
    async def produce() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(SIZE // 50_000):
                yield b"x" * 50_000

        return StreamingResponse(pieces())

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(f"echo {text}")

    return app


@pytest.fixture(params=["edge", "passthrough"])
async def tunnel(request: pytest.FixtureRequest, client: AsyncInkbox) -> Tunnel:
    """A tunnel of either mode."""
    identity = await client.create_identity("my-app", tunnel={"tls_mode": request.param})
    assert identity.tunnel is not None
    return await client.tunnels.get(identity.tunnel.id)


async def test_requests_websockets_and_large_bodies(
    sandbox: Sandbox, client: AsyncInkbox, connect: Connect, tunnel: Tunnel
) -> None:
    limits = {"max_inbound_body_bytes": SIZE, "max_outbound_body_bytes": SIZE}
    async with connect(application(), **limits) as listener, sandbox.session() as outside:
        url = listener.public_url
        async with outside.post(f"{url}/echo/7", data=b"hello") as response:
            assert (response.status, response.headers["x-number"]) == (200, "7")
            assert await response.read() == b"hello"
        async with outside.post(f"{url}/count", data=zeros()) as response:
            counted = await response.json()
        assert counted["bytes"] == SIZE
        assert counted["largest"] <= 1 << 20
        received = 0
        async with outside.get(f"{url}/produce") as response:
            async for piece in response.content.iter_chunked(1 << 16):
                received += len(piece)
        assert received == SIZE
        async with outside.ws_connect(f"{url}/ws", max_msg_size=0) as socket:
            for text in ("short", "x" * 500_000):
                await socket.send_str(text)
                assert await socket.receive_str() == f"echo {text}"
        record = await client.tunnels.get(tunnel.id)
        assert record.currently_connected
        assert record.last_connected_at is not None
    assert listener.status == "closed"


async def zeros() -> AsyncIterator[bytes]:
    for _ in range(SIZE // 50_000):
        yield bytes(50_000)


async def test_a_url_as_target(sandbox: Sandbox, connect: Connect, tunnel: Tunnel) -> None:
    async with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as upstream:
        async with (
            connect(upstream.url) as listener,
            sandbox.session() as outside,
            outside.post(f"{listener.public_url}/x?y=1", data=b"body") as response,
        ):
            assert await response.read() == b"ok"
        assert upstream.heads[0][0] == "POST /x?y=1 HTTP/1.1"
        assert upstream.bodies == [b"body"]
        assert upstream.headers()["x-forwarded-host"] == f"my-app.localhost:{sandbox.edge_port}"


async def drain(sandbox: Sandbox) -> None:
    async with (
        aiohttp.ClientSession() as operator,
        operator.post(f"{sandbox.control_url}/tunnels/my-app/drain") as response,
    ):
        assert response.status < 300


async def test_a_thousand_requests_over_three_drains(
    sandbox: Sandbox, connect: Connect, edge_tunnel: None
) -> None:
    app = application()
    statuses: list[str] = []
    numbers = iter(range(1000))
    drains = {200, 500, 800}
    answered: Counter[bytes] = Counter()
    async with connect(app, on_status=statuses.append) as listener, sandbox.session() as outside:

        async def third_party() -> None:
            for number in numbers:
                if number in drains:
                    await drain(sandbox)
                url = f"{listener.public_url}/echo/{number}"
                async with outside.post(url, data=b"%d" % number) as response:
                    assert response.status == 200, await response.text()
                    answered[await response.read()] += 1

        await asyncio.gather(*(third_party() for _ in range(100)))
    assert answered == Counter(b"%d" % number for number in range(1000))
    assert app.state.handled == Counter(range(1000))
    assert statuses == ["connecting", "connected", "closed"]


async def test_a_websocket_outlives_a_drain(sandbox: Sandbox, connect: Connect, edge_tunnel: None) -> None:
    async with (
        connect(application()) as listener,
        sandbox.session() as outside,
        outside.ws_connect(f"{listener.public_url}/ws") as socket,
    ):
        before = listener.last_connected_at
        await drain(sandbox)
        await eventually(lambda: listener.last_connected_at != before)
        await socket.send_str("still here")
        assert await socket.receive_str() == "echo still here"


async def test_two_hundred_websockets(sandbox: Sandbox, connect: Connect, edge_tunnel: None) -> None:
    async with connect(application()) as listener, AsyncExitStack() as stack:
        # A session of aiohttp holds at most a hundred connections.
        sessions = [await stack.enter_async_context(sandbox.session()) for _ in range(2)]
        opening = [sessions[n % 2].ws_connect(f"{listener.public_url}/ws") for n in range(200)]
        sockets = await asyncio.gather(*(stack.enter_async_context(socket) for socket in opening))
        for number, socket in enumerate(sockets):
            await socket.send_str(str(number))
        assert [await socket.receive_str() for socket in sockets] == [f"echo {n}" for n in range(200)]
        await asyncio.gather(*(socket.close() for socket in sockets))


async def test_the_second_listener_takes_over(
    sandbox: Sandbox, connect: Connect, edge_tunnel: None, tmp_path: Path
) -> None:
    first = connect(application())
    serving = asyncio.ensure_future(first.serve_forever())
    await eventually(lambda: first.is_connected)
    async with connect(application(), state_dir=tmp_path / "other") as second:
        with pytest.raises(TunnelSupersededError):
            await serving
        assert (first.status, second.status) == ("superseded", "connected")
        async with sandbox.session() as outside, outside.post(f"{second.public_url}/echo/1") as response:
            assert response.status == 200


async def test_a_key_of_another_identity_is_refused(
    sandbox: Sandbox, client: AsyncInkbox, edge_tunnel: None, tmp_path: Path
) -> None:
    other = await client.create_identity("other-app")
    key = await client.api_keys.create(label="other", scoped_identity_id=other.id)
    (mine,) = [tunnel for tunnel in await client.tunnels.list() if tunnel.tunnel_name == "my-app"]
    async with sandbox.client(key.api_key) as stranger:

        class Blind(TunnelsResource):
            """Shows the stranger a tunnel that is not its own."""

            async def list(self) -> list[Tunnel]:
                return [mine]

            async def get(self, tunnel_id: UUID | str) -> Tunnel:
                return mine

        tunnels = Blind(stranger.tunnels._transport)
        listener = tunnels.connect(
            name=mine.tunnel_name,
            forward_to=application(),
            state_dir=tmp_path / "stranger",
            ca=sandbox.ca_cert_path,
        )
        with pytest.raises(TunnelAuthenticationError):
            await listener.serve_forever()
