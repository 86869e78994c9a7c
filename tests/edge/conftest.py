"""An edge on a free port, its authority, and what dials it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from inkbox_async.sandbox.edge import CertificateAuthority, Edge, EdgeLimits, EdgeNames

from .directory import TUNNEL_ID, MemoryDirectory
from .listener import RawListener
from .raw_h2 import PATIENCE, RawH2, connect


@dataclass
class RunningEdge:
    """An edge that listens, and how to reach it."""

    edge: Edge
    directory: MemoryDirectory
    authority: CertificateAuthority
    port: int

    @property
    def trust(self) -> ssl.SSLContext:
        """A client context that trusts the sandbox's authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.authority.ca_cert_path))

    def url(self, path: str = "/", host: str = "sales-agent.localhost", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def connect(
        self, server_name: str = "localhost", window: int = 1 << 20
    ) -> AbstractAsyncContextManager[RawH2]:
        context = self.trust
        context.set_alpn_protocols(["h2"])
        return connect(self.port, context, server_name=server_name, window=window)

    @asynccontextmanager
    async def listener(
        self, tunnel_id: str = TUNNEL_ID, window: int = 1 << 20, pool: int = 4
    ) -> AsyncIterator[RawListener]:
        """A listener that has said hello."""
        async with self.connect(window=window) as client:
            listener = RawListener(client, tunnel_id)
            await listener.hello(("x-pool-size", str(pool)))
            yield listener

    def session(self) -> aiohttp.ClientSession:
        """A third party over HTTP/1.1."""
        connector = aiohttp.TCPConnector(ssl=self.trust, resolver=Loopback(), limit=0)
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)


class Loopback(aiohttp.abc.AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: object = None
    ) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that only the edge's own state shows."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  (there is no event for it)
            await asyncio.sleep(0.001)


async def status(request: Awaitable[aiohttp.ClientResponse]) -> int:
    """The status of an answer, which is read to its end."""
    async with await request as answer:
        await answer.read()
        return answer.status


StartEdge = Callable[..., Awaitable[RunningEdge]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def start_edge(authority: CertificateAuthority) -> AsyncIterator[StartEdge]:
    """Starts edges with limits of the test's choice; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(limits: EdgeLimits | None = None, zone: str = "localhost") -> RunningEdge:
            directory = MemoryDirectory()
            edge = Edge(directory, authority, EdgeNames(zone, zone), limits)
            port = await edge.start("127.0.0.1", 0)
            stack.push_async_callback(edge.stop)
            return RunningEdge(edge, directory, authority, port)

        yield start


@pytest.fixture
async def edge(start_edge: StartEdge) -> RunningEdge:
    return await start_edge()
