"""A third party that costs little: HTTP/1.1 over TLS on kept-alive connections, its answers only counted."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import Self

_PIECE = 1 << 18


@dataclass(frozen=True)
class Place:
    """Where requests go.

    Attributes:
        host: Value of `Host` and SNI; the address is always the loopback's.
        context: For TLS; None for plain HTTP.
    """

    host: str
    port: int
    context: ssl.SSLContext | None


class Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, place: Place) -> None:
        self._host = place.host
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._head = b""
        self._left = -1
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()

    @classmethod
    async def dial(cls, place: Place) -> Self:
        """A connection that is ready for requests."""
        caller = cls(place)
        await asyncio.get_running_loop().create_connection(
            lambda: caller,
            "127.0.0.1",
            place.port,
            ssl=place.context,
            server_hostname=place.host.partition(":")[0] if place.context else None,
        )
        return caller

    def head(self, method: str, target: str, length: int) -> bytes:
        """The head of a request whose body has `length` bytes."""
        return (
            f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {length}\r\n\r\n".encode()
        )

    async def call(self, message: bytes) -> int:
        """Send a whole request; returns the size of the answer's body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    async def upload(self, target: str, size: int) -> int:
        """Send a body of `size` bytes as fast as it is taken; returns the size of the answer's body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self.head("POST", target, size))
        piece = bytes(_PIECE)
        while size:
            part = piece[:size]
            self._transport.write(part)
            size -= len(part)
            await self._room.wait()
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200 "):
                self._fail(ConnectionError(head.decode("latin-1").partition("\r\n")[0]))
                return
            self._left = self._size = _content_length(head)
        self._left -= len(data)
        if not self._left and self._answer is not None and not self._answer.done():
            self._left = -1
            self._answer.set_result(self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.set()
        self._fail(exc or ConnectionResetError("the server hung up"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ConnectionError("an answer without content-length")


async def first_caller(place: Place, body: bytes) -> Caller:
    """A caller whose first request has been answered: the server is there."""
    while True:
        try:
            caller = await Caller.dial(place)
            await caller.call(caller.head("POST", "/echo", len(body)) + body)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return caller


async def rate(place: Place, body: bytes, concurrency: int, seconds: float) -> tuple[float, int]:
    """Requests a second of `concurrency` third parties, each on a connection of its own, and their number."""
    callers = [await Caller.dial(place) for _ in range(concurrency)]
    start = time.perf_counter()
    counts = await asyncio.gather(*(_calls(caller, body, start + seconds) for caller in callers))
    elapsed = time.perf_counter() - start
    for caller in callers:
        caller.close()
    return sum(counts) / elapsed, sum(counts)


async def _calls(caller: Caller, body: bytes, end: float) -> int:
    message = caller.head("POST", "/echo", len(body)) + body
    count = 0
    while time.perf_counter() < end:
        if await caller.call(message) != len(body):
            raise RuntimeError("the echo has another length than the request")
        count += 1
    return count


async def latencies(caller: Caller, body: bytes, seconds: float) -> list[float]:
    """Seconds that each of many requests took, one after another."""
    message = caller.head("POST", "/echo", len(body)) + body
    for _ in range(50):
        await caller.call(message)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await caller.call(message)
        times.append(time.perf_counter() - start)
    return times
