"""An edge under the test's command, and listeners that dial it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.tunnels.control import ControlPlane
from inkbox_async.tunnels.listener import TunnelListener
from inkbox_async.tunnels.options import ForwardTo, ListenerOptions

from .authority import Authority
from .control import API_KEY, FakeControl
from .fake_edge import FakeEdge


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def edge(authority: Authority, tmp_path: Path) -> AsyncIterator[FakeEdge]:
    edge = FakeEdge(authority.server_context(tmp_path, "localhost", "127.0.0.1"))
    await edge.start()
    yield edge
    await edge.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that announces itself in no other way."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


class Stage:
    """Makes listeners for the edge of a test."""

    def __init__(self, edge: FakeEdge, authority: Authority, folder: Path) -> None:
        self.edge = edge
        self.authority = authority
        self.control = FakeControl(authority, edge.zone)
        self.state_dir = folder / "state"
        self.statuses: list[str] = []

    def passthrough(self) -> None:
        """Let the tunnel be one whose TLS ends at the listener."""
        self.control = FakeControl(self.authority, self.edge.zone, tls_mode="passthrough")

    def listener(self, forward_to: ForwardTo, **options: Any) -> TunnelListener:  # Any: any option
        @asynccontextmanager
        async def control() -> AsyncIterator[ControlPlane]:
            yield self.control

        settings: dict[str, Any] = {  # Any: any option
            "name": "my-app",
            "forward_to": forward_to,
            "state_dir": self.state_dir,
            "ca": self.authority.pem,
            "on_status": self.statuses.append,
            **options,
        }
        return TunnelListener(
            ListenerOptions(**settings), api_key=API_KEY, control=control, own_control=control
        )


@pytest.fixture
def stage(edge: FakeEdge, authority: Authority, tmp_path: Path) -> Stage:
    return Stage(edge, authority, tmp_path)


@pytest.fixture
async def bodies() -> AsyncIterator[str]:
    """Where an edge may have put request bodies aside; the URL of a server."""

    async def big(request: web.Request) -> web.Response:
        assert not {name.lower() for name in request.headers} & {"x-api-key", "x-tunnel-id", "cookie"}
        return web.Response(body=b"b" * 300_000)

    application = web.Application()
    application.router.add_get("/big", big)
    async with TestServer(application) as server:
        yield f"http://127.0.0.1:{server.port}"


Serve = Callable[..., Any]


@pytest.fixture
async def serve(stage: Stage) -> AsyncIterator[Serve]:
    """Enters listeners that are closed with the test."""
    async with AsyncExitStack() as stack:

        async def start(forward_to: ForwardTo, **options: Any) -> TunnelListener:  # Any: any option
            return await stack.enter_async_context(stage.listener(forward_to, **options))

        yield start


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncInkbox]:
    async with sandbox.client() as client:
        yield client


Connect = Callable[..., TunnelListener]


@pytest.fixture
def connect(sandbox: Sandbox, client: AsyncInkbox, tmp_path: Path) -> Connect:
    """Makes listeners for the sandbox's edge."""

    def connect(app: Any, **options: Any) -> TunnelListener:  # Any: applications, any option
        settings = {"name": "my-app", "state_dir": tmp_path / "state", "ca": sandbox.ca_cert_path, **options}
        return client.tunnels.connect(forward_to=app, **settings)

    return connect


@pytest.fixture
async def edge_tunnel(client: AsyncInkbox) -> None:
    await client.create_identity("my-app")
