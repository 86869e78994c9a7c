"""Whole calls through the public clients, ours and the official one: latency alone, throughput together."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata

import httpx
import inkbox as official

from inkbox_async import AsyncInkbox

from .stub_server import ADDRESS, MESSAGE

CONCURRENCY = 64
KEY = "ApiKey_benchmark"

Ours = Callable[[AsyncInkbox], Awaitable[object]]
Theirs = Callable[[official.Inkbox], object]


@dataclass(frozen=True)
class Case:
    """One call, written for both clients."""

    name: str
    ours: Ours
    theirs: Theirs


async def _list(client: AsyncInkbox) -> object:
    return [message async for message in client.messages.list(ADDRESS)]


CASES = [
    Case("whoami (small answer)", lambda c: c.whoami(), lambda c: c.whoami()),
    Case(
        "messages.get (2 kB of text)",
        lambda c: c.messages.get(ADDRESS, MESSAGE["id"]),
        lambda c: c.messages.get(ADDRESS, MESSAGE["id"]),
    ),
    Case("messages.list (a page of 50)", _list, lambda c: list(c.messages.list(ADDRESS))),
    Case(
        "messages.send",
        lambda c: c.messages.send(ADDRESS, to=["ada@example.com"], subject="Re", body_text="Thank you."),
        lambda c: c.messages.send(ADDRESS, to=["ada@example.com"], subject="Re", body_text="Thank you."),
    ),
]


@dataclass(frozen=True)
class Latency:
    """Microseconds of one call after another."""

    median: float
    p99: float


def _latency(times: list[float]) -> Latency:
    return Latency(statistics.median(times) * 1e6, statistics.quantiles(times, n=100)[98] * 1e6)


async def _our_latency(client: AsyncInkbox, call: Ours, seconds: float) -> Latency:
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await call(client)
        times.append(time.perf_counter() - start)
    return _latency(times)


def _their_latency(client: official.Inkbox, call: Theirs, seconds: float) -> Latency:
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        call(client)
        times.append(time.perf_counter() - start)
    return _latency(times)


async def _our_rate(client: AsyncInkbox, call: Ours, seconds: float) -> float:
    done = 0
    start = time.perf_counter()

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < start + seconds:
            await call(client)
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())
    return done / (time.perf_counter() - start)


def _their_rate(client: official.Inkbox, call: Theirs, seconds: float) -> float:
    counts = [0] * CONCURRENCY
    start = time.perf_counter()

    def work(index: int) -> None:
        while time.perf_counter() < start + seconds:
            # Its connection pool fails now and then when so many threads share it.
            with suppress(httpx.TransportError):
                call(client)
                counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CONCURRENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


@contextmanager
def _stub() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stub_server"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


async def _ours(url: str, case: Case, seconds: float) -> tuple[Latency, float]:
    async with AsyncInkbox(KEY, base_url=url) as client:
        await _our_rate(client, case.ours, 0.3)
        return await _our_latency(client, case.ours, seconds), await _our_rate(client, case.ours, seconds)


def _theirs(url: str, case: Case, seconds: float) -> tuple[Latency, float]:
    with official.Inkbox(KEY, base_url=url) as client:
        _their_rate(client, case.theirs, 0.3)
        return _their_latency(client, case.theirs, seconds), _their_rate(client, case.theirs, seconds)


def run(seconds: float = 2.0) -> None:
    """Measures every case for both clients and prints the ratios.

    Args:
        seconds: How long each measurement runs.
    """
    versions = " and ".join(f"{name} {metadata.version(name)}" for name in ("inkbox-async", "inkbox"))
    print(f"Requests: {versions} on Python {sys.version.split()[0]}, a stub server on the loopback\n")
    print(f"{'':30}{'median µs':>24}{'p99 µs':>24}{f'calls/s, {CONCURRENCY} at once':>26}")
    print(
        f"{'call':30}" + f"{'ours':>8}{'theirs':>8}{'ratio':>8}" * 2 + f"{'ours':>9}{'theirs':>9}{'ratio':>8}"
    )
    with _stub() as url:
        for case in CASES:
            our, our_rate = asyncio.run(_ours(url, case, seconds))
            their, their_rate = _theirs(url, case, seconds)
            print(
                f"{case.name:30}"
                f"{our.median:8.0f}{their.median:8.0f}{their.median / our.median:7.1f}x"
                f"{our.p99:8.0f}{their.p99:8.0f}{their.p99 / our.p99:7.1f}x"
                f"{our_rate:9.0f}{their_rate:9.0f}{our_rate / their_rate:7.1f}x"
            )
    print()


if __name__ == "__main__":
    run()
