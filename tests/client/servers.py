"""Loopback servers for tests: one that speaks HTTP through aiohttp, one that says exactly what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    query: str
    headers: CIMultiDictProxy[str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the server says: a status, a body (JSON when it is not bytes), headers; or a broken connection."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    delay: float = 0.0

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Handler = Callable[[Seen], Awaitable[Answer | web.StreamResponse]]


class Server:
    """Answers with `answers` in turn, the last one for ever, or by `handler`; remembers what it saw."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer(body={})]
        self.handler: Handler | None = None
        self.seen: list[Seen] = []
        self.connections: list[object] = []
        self.gate: asyncio.Event | None = None
        self._arrival = asyncio.Event()
        self._runner: web.ServerRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    async def reached(self, count: int) -> None:
        """Waits until the server has seen this many requests."""
        while len(self.seen) < count:
            self._arrival.clear()
            await self._arrival.wait()

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport not in self.connections:
            self.connections.append(request.transport)
        seen = Seen(
            request.method,
            request.rel_url.raw_path,
            request.rel_url.raw_query_string,
            request.headers,
            await request.content.read(),
            self.connections.index(request.transport),
        )
        self.seen.append(seen)
        self._arrival.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.handler is not None:
            answer = await self.handler(seen)
        else:
            answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.drop:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        headers = {"Content-Type": "application/json", **answer.headers}
        return web.Response(status=answer.status, body=answer.bytes(), headers=headers)


class Wire:
    """Sends fixed bytes to each connection in turn, the last ones for ever, then closes it."""

    def __init__(self, *replies: bytes, keep_open: bool = False) -> None:
        self.replies = replies
        self.keep_open = keep_open
        self.requests: list[bytes] = []
        self.reached = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            self.reached.set()
            writer.write(self.replies[min(len(self.requests), len(self.replies)) - 1])
            await writer.drain()
            if self.keep_open:
                await asyncio.Event().wait()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)
