"""The public side of a passthrough tunnel: real sockets whose bytes go through TCP bridges."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid

import aiohttp

from inkbox_async.tunnels.bridge_frames import FrameParser, Opcode

from .authority import Authority
from .bridges import frame
from .fake_edge import EdgeStream, FakeEdge

HOST = "my-app.localhost"


class Ingress:
    """Listens on loopback and hands every connection to the listener, as an edge does by SNI.

    Args:
        edge: Whose bridges are used.
        fragment: Size of the pieces in which bytes are handed over.
    """

    def __init__(self, edge: FakeEdge, authority: Authority, fragment: int = 8192) -> None:
        self._edge = edge
        self._authority = authority
        self._fragment = fragment
        self.bridges: list[EdgeStream] = []
        self.closes: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Ingress:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def session(self) -> aiohttp.ClientSession:
        """A third party over HTTP/1.1 that resolves the public host to this machine."""
        context = self._authority.client_context("http/1.1")
        connector = aiohttp.TCPConnector(resolver=Loopback(), ssl=context)
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)

    async def connect(self, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A third party's own TLS connection."""
        return await self.dial(self._authority.client_context(*alpn))

    async def dial(self, context: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A third party's connection, with TLS or without; it is closed with the ingress."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=HOST if context else None
        )
        self._writers.append(writer)
        return reader, writer

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        tcp_id = str(uuid.uuid4())
        extra = [("inkbox-route-kind", "tcp-stream"), ("inkbox-tcp-id", tcp_id), ("inkbox-sni-host", HOST)]
        await self._edge.send_envelope(extra=extra)
        bridge = await self._edge.bridge(tcp_id)
        self.bridges.append(bridge)
        outward = asyncio.create_task(self._outward(bridge, writer))
        self._tasks.add(outward)
        outward.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for start in range(0, len(data), self._fragment):
                    await bridge.send(frame(2, data[start : start + self._fragment]))
            if bridge.reset_code is None:
                await bridge.send(end=True)

    async def _outward(self, bridge: EdgeStream, writer: asyncio.StreamWriter) -> None:
        frames = FrameParser(allow_text=False)
        with contextlib.suppress(ConnectionError):
            while data := await bridge.read(1):
                data += bytes(bridge.received)
                bridge.received.clear()
                for opcode, payload in frames.feed(data):
                    if opcode is Opcode.BINARY:
                        writer.write(payload)
                    elif opcode is Opcode.CLOSE:
                        self.closes.append(payload)
                await writer.drain()
        writer.close()


class Loopback(aiohttp.abc.AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: object = None
    ) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass
