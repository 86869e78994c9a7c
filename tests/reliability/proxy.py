"""A bad network in one object: a TCP proxy that mistreats the exchanges it is told to."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BACKLOG = 256


@dataclass(slots=True)
class Message:
    """An HTTP/1.1 message as bytes: everything up to the empty line, and the body."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.head.partition(b" ")[0].decode("ascii", "replace")

    @property
    def whole(self) -> bytes:
        return self.head + self.body

    @property
    def without_length(self) -> bytes:
        """The head, which does not say how long the body is: the end of the connection does."""
        return _LENGTH.sub(b"\r\nConnection: close", self.head)

    def with_body(self, body: bytes) -> bytes:
        """The message as bytes, with another body and the length that belongs to it."""
        return _LENGTH.sub(b"\r\nContent-Length: %d" % len(body), self.head) + body


class Line:
    """One connection between a client and the server, as an `Act` sees it.

    Attributes:
        request: The request that just came in; None before there is one.
        reader: What the client sends.
        writer: What the client receives.
    """

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.reader = reader
        self.writer = writer
        self.request: Message | None = None

    async def answer(self) -> Message:
        """Pass the request on to the server, which carries it out, and take its answer."""
        assert self.request is not None
        if self._server is None:
            self._server = await asyncio.open_connection(self._proxy.server_host, self._proxy.server_port)
        reader, writer = self._server
        writer.write(self.request.whole)
        answer = await _read(reader)
        assert answer is not None, "the server behind the proxy hung up"
        return answer

    async def say(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Break the connection to the client off (TCP RST)."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()

    async def close(self) -> None:
        """Hang up on both sides."""
        self.writer.close()
        if self._server is not None:
            self._server[1].close()


Act = Callable[[Line], Awaitable[None]]
"""Treats one exchange (`line.request` is there) or, of a fault at the connection, a fresh connection."""


async def pass_on(line: Line) -> None:
    """What a good network does."""
    await line.say((await line.answer()).whole)


@dataclass(slots=True)
class Order:
    """Which exchanges are mistreated how: those with this method, but for the first few."""

    act: Act
    method: str | None = None
    skip: int = 0
    times: int | None = None
    at_connection: bool = False
    hits: int = 0

    def takes(self, request: Message) -> bool:
        if self.at_connection or not self.wanted or self.method not in (None, request.method):
            return False
        if self.skip:
            self.skip -= 1
            return False
        return True

    @property
    def wanted(self) -> bool:
        """Whether there is still something to mistreat."""
        return self.times is None or self.hits < self.times


class Proxy:
    """Listens on loopback for one server; entered with `async with`.

    From the start its port belongs to it, but nobody listens there until `listen` is called.

    Attributes:
        requests: The method of every request that came in whole, in this order.
        connections: How many connections were taken.
        order: What is to go wrong; None for nothing.
    """

    def __init__(self, server_host: str, server_port: int) -> None:
        self.server_host, self.server_port = server_host, server_port
        self.requests: list[str] = []
        self.connections = 0
        self.order: Order | None = None
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A peer that does not read shall be felt after few bytes.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._crowd: list[socket.socket] = []
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: of no interest
        self._idle: set[Line] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._disperse()
        tasks = [task for task in (self._accepting, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()
        failures = [r for r in results if isinstance(r, Exception) and not isinstance(r, ConnectionError)]
        assert not failures, f"the proxy itself failed: {failures}"

    def listen(self) -> None:
        """Take connections from now on; again is harmless."""
        if self._accepting is None:
            self._socket.listen(_BACKLOG)
            self._disperse()
            self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def crowd(self) -> None:
        """Let nobody connect: the queue of the port is full, and nothing says so (SYN unanswered)."""
        self._socket.listen(0)
        loop = asyncio.get_running_loop()
        for _ in range(4):
            visitor = socket.socket()
            visitor.setblocking(False)
            self._crowd.append(visitor)
            try:
                async with asyncio.timeout(0.05):
                    await loop.sock_connect(visitor, ("127.0.0.1", self.port))
            except TimeoutError:
                return

    def _disperse(self) -> None:
        for visitor in self._crowd:
            visitor.close()
        self._crowd.clear()

    async def to_the_idle(self, data: bytes, *, hang_up: bool = False) -> int:
        """Say something on the connections on which nothing is going on, and perhaps end them.

        Returns how many those were. On loopback the client has it when this returns.
        """
        idle = list(self._idle)
        for line in idle:
            if data:
                line.writer.write(data)
            if hang_up:
                line.writer.close()
        for _ in range(5):
            await asyncio.sleep(0)
        return len(idle)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._socket)
            self.connections += 1
            task = loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    async def _serve(self, client: socket.socket) -> None:
        line = Line(self, *await asyncio.open_connection(sock=client))
        try:
            with suppress(ConnectionError):
                await self._exchanges(line)
        finally:
            self._idle.discard(line)
            await line.close()

    async def _exchanges(self, line: Line) -> None:
        order = self.order
        if order is not None and order.at_connection and order.wanted:
            order.hits += 1
            await order.act(line)
            return
        while True:
            self._idle.add(line)
            line.request = await _read(line.reader)
            self._idle.discard(line)
            if line.request is None:
                return
            self.requests.append(line.request.method)
            order = self.order
            if order is not None and order.takes(line.request):
                order.hits += 1
                await order.act(line)
                if line.writer.is_closing():
                    return
            else:
                await pass_on(line)


async def _read(reader: asyncio.StreamReader) -> Message | None:
    """The next message, or None when the sender is through or has broken off."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return Message(head, await reader.readexactly(int(length[1])) if length else b"")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
