"""Listeners of a tunnel, ours and the official one, behind the sandbox's edge: requests, bodies, latency."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkbox_async import AsyncInkbox

CONCURRENCY = 64
BODY = b"x" * 1024
LARGE = 100_000_000
NAME = "bench-app"
HOST = f"{NAME}.localhost"
PIECE = b"x" * 65536


@dataclass(frozen=True)
class Door:
    """Where third parties knock."""

    port: int
    context: ssl.SSLContext | None


@dataclass(frozen=True)
class Result:
    """What one listener achieved."""

    rate: float
    """Requests a second."""
    cost: float
    """Microseconds of the listener's processor time a request."""
    upload: float
    """MB/s."""
    download: float
    """MB/s."""
    upload_cost: float
    """Milliseconds of the listener's processor time for the upload."""
    download_cost: float
    """Milliseconds of the listener's processor time for the download."""
    memory: float
    """MB by which the listener grew while the large bodies passed."""
    median: float
    """Milliseconds of one request after another."""
    p99: float
    """Milliseconds."""


class Caller:
    """One third party on one kept connection, doing as little as possible itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, door: Door) -> Caller:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            door.port,
            ssl=door.context,
            server_hostname=HOST if door.context else None,
            limit=1 << 20,
        )
        return cls(reader, writer)

    def close(self) -> None:
        self._writer.close()

    async def echo(self) -> None:
        self._writer.write(_head("POST", "/echo", len(BODY)) + BODY)
        if await self._response() != len(BODY):
            raise RuntimeError("the echo has another length than the request")

    async def upload(self, size: int) -> None:
        self._writer.write(_head("POST", "/count", size))
        for start in range(0, size, len(PIECE)):
            self._writer.write(PIECE[: size - start])
            await self._writer.drain()
        await self._response()

    async def download(self, size: int) -> None:
        self._writer.write(_head("GET", f"/produce?{size}", 0))
        if await self._response() != size:
            raise RuntimeError("the download has another length than was asked for")

    async def _response(self) -> int:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"unexpected answer: {head.decode('latin-1')}")
        size = left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while left:
            left -= len(await self._reader.read(min(left, 1 << 20)))
        return size


def _head(method: str, target: str, size: int) -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode()


class Process:
    """What the system knows of a listener's process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._proc = Path("/proc") / str(process.pid)

    def seconds(self) -> float:
        """Processor time used so far; 0 where the system does not tell."""
        if not self._proc.exists():
            return 0.0
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Memory in use; 0 where the system does not tell."""
        if not self._proc.exists():
            return 0.0
        return int((self._proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def _measure(door: Door, process: Process, seconds: float) -> Result:
    caller = await _first(door)
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await caller.echo()
        times.append((time.perf_counter() - start) * 1e3)
    rate, cost = await _rate(door, process, seconds)
    before = process.megabytes()
    upload, upload_cost = await _speed(process, caller.upload(LARGE))
    download, download_cost = await _speed(process, caller.download(LARGE))
    memory = process.megabytes() - before
    caller.close()
    p99 = statistics.quantiles(times, n=100)[98]
    return Result(
        rate, cost, upload, download, upload_cost, download_cost, memory, statistics.median(times), p99
    )


async def _speed(process: Process, transfer: Coroutine[None, None, None]) -> tuple[float, float]:
    """MB/s of a large transfer, and the milliseconds of processor time it took the listener."""
    start, used = time.perf_counter(), process.seconds()
    await transfer
    return LARGE / 1e6 / (time.perf_counter() - start), (process.seconds() - used) * 1e3


async def _first(door: Door) -> Caller:
    """A caller whose first request has been answered: the listener is there."""
    while True:
        try:
            caller = await Caller.dial(door)
            await caller.echo()
        except (OSError, RuntimeError, EOFError):
            await asyncio.sleep(0.2)
        else:
            return caller


async def _rate(door: Door, process: Process, seconds: float) -> tuple[float, float]:
    callers = await asyncio.gather(*(Caller.dial(door) for _ in range(CONCURRENCY)))
    done = 0
    end = time.perf_counter() + seconds

    async def work(caller: Caller) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await caller.echo()
            done += 1

    start, used = time.perf_counter(), process.seconds()
    await asyncio.gather(*map(work, callers))
    taken, used = time.perf_counter() - start, process.seconds() - used
    for caller in callers:
        caller.close()
    return done / taken, used / done * 1e6


@contextmanager
def _sandbox() -> Iterator[dict[str, Any]]:  # Any: JSON
    command = [sys.executable, "-m", "inkbox_async.sandbox", "--json", "--port", "0", "--smtp-port", "0"]
    process = subprocess.Popen(
        [*command, "--edge-port", "0", "--zone", "localhost"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _program(arguments: dict[str, Any]) -> Iterator[Process]:  # Any: JSON
    environment = dict(os.environ)
    if "ca" in arguments:
        environment["SSL_CERT_FILE"] = arguments["ca"]
    command = [sys.executable, "-m", "benchmarks.tunnel_listener", json.dumps(arguments)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield Process(process)
    finally:
        process.kill()
        process.wait()


async def _create(about: dict[str, Any]) -> None:  # Any: JSON
    async with AsyncInkbox(about["api_key"], base_url=about["base_url"]) as client:
        await client.create_identity(NAME)


async def _direct_latency(port: int, seconds: float) -> tuple[float, float]:
    caller = await _first(Door(port, None))
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await caller.echo()
        times.append((time.perf_counter() - start) * 1e3)
    caller.close()
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def run(seconds: float = 2.0) -> None:
    """Measures both listeners behind one edge and prints the ratios.

    Args:
        seconds: How long each measurement runs.
    """
    results: dict[str, Result] = {}
    with _sandbox() as about, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_create(about))
        door = Door(about["edge_port"], ssl.create_default_context(cafile=about["ca_cert_path"]))
        arguments = {
            "api_key": about["api_key"],
            "base_url": about["base_url"],
            "edge_port": about["edge_port"],
            "ca": about["ca_cert_path"],
            "name": NAME,
        }
        for kind in ("ours", "theirs"):
            state = str(Path(folder) / kind)
            with _program({**arguments, "kind": kind, "state_dir": state}) as process:
                results[kind] = asyncio.run(_measure(door, process, seconds))
    port = _free_port()
    with _program({"kind": "direct", "port": port}):
        direct = asyncio.run(_direct_latency(port, seconds))
    _print(results["ours"], results["theirs"], direct)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _print(ours: Result, theirs: Result, direct: tuple[float, float]) -> None:
    print(f"Tunnels: an ASGI application behind the sandbox's edge, Python {sys.version.split()[0]}\n")
    print(f"{'':44}{'ours':>10}{'theirs':>10}{'ratio':>9}")
    rows = [
        (f"requests/s, 1 KB, {CONCURRENCY} at once", ours.rate, theirs.rate),
        ("upload of 100 MB, MB/s", ours.upload, theirs.upload),
        ("download of 100 MB, MB/s", ours.download, theirs.download),
    ]
    for name, our, their in rows:
        print(f"{name:44}{our:10.0f}{their:10.0f}{our / their:8.1f}x")
    print("\nprocessor time of the listener alone:")
    costs = [
        ("one of these requests, µs", ours.cost, theirs.cost),
        ("upload of 100 MB, ms", ours.upload_cost, theirs.upload_cost),
        ("download of 100 MB, ms", ours.download_cost, theirs.download_cost),
    ]
    for name, our, their in costs:
        print(f"{name:44}{our:10.0f}{their:10.0f}{their / (our or 1):8.1f}x")
    print(f"{'growth of memory under these bodies, MB':44}{ours.memory:10.0f}{theirs.memory:10.0f}")
    print("\nadded to a direct request, one after another (the edge and two TLS connections included):")
    for name, our, their, base in (
        ("median, ms", ours.median, theirs.median, direct[0]),
        ("99th percentile, ms", ours.p99, theirs.p99, direct[1]),
    ):
        print(f"{name:44}{our - base:10.2f}{their - base:10.2f}")
    print()


if __name__ == "__main__":
    run()
