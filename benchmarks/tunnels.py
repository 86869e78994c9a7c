"""Listeners of a tunnel, ours and the official one, behind the sandbox's edge: requests, bodies, latency.

Third parties, edge and listener are a process each. Requests come as the world sends them, over TLS to the
public host; the large bodies by plain HTTP, so that the listener has as large a part in their rate as
possible. Both listeners are measured in turns, because other work on the machine would hit only one of them
otherwise; of each the best turn counts.
"""

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkbox_async import AsyncInkbox

from .tunnel_load import Place, first_caller, latencies, rate

CONCURRENCY = 64
BODY = b"x" * 1024
LARGE = 100_000_000
NAME = "bench-app"
TURNS = 3


@dataclass
class Result:
    """The best of what one listener achieved in its turns; of its memory the worst."""

    rate: float = 0.0
    """Requests a second."""
    cost: float = float("inf")
    """Microseconds of the listener's processor time a request."""
    upload: float = 0.0
    """MB/s."""
    download: float = 0.0
    """MB/s."""
    upload_cost: float = float("inf")
    """Milliseconds of the listener's processor time for the upload."""
    download_cost: float = float("inf")
    """Milliseconds of the listener's processor time for the download."""
    memory: float = 0.0
    """MB by which the listener grew, at most, while the large bodies passed."""
    median: float = float("inf")
    """Milliseconds of one request after another."""
    p99: float = float("inf")
    """Milliseconds."""


class Process:
    """What the system knows of a listener's process; zeros where it does not tell."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._proc = Path("/proc") / str(process.pid)

    def seconds(self) -> float:
        """Processor time used so far."""
        if not self._proc.exists():
            return 0.0
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Memory in use."""
        if not self._proc.exists():
            return 0.0
        return int((self._proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    async def most_megabytes(self) -> float:
        """The most memory in use from now until this is cancelled."""
        most = self.megabytes()
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0.01)
                most = max(most, self.megabytes())
        return most


async def _measure(secure: Place, plain: Place, process: Process, result: Result, seconds: float) -> None:
    """One turn."""
    caller = await first_caller(secure, BODY)
    _note_latency(result, await latencies(caller, BODY, seconds))
    caller.close()
    used = process.seconds()
    achieved, count = await rate(secure, BODY, CONCURRENCY, seconds)
    result.rate = max(result.rate, achieved)
    result.cost = min(result.cost, (process.seconds() - used) / count * 1e6)
    caller = await first_caller(plain, BODY)
    before = process.megabytes()
    watch = asyncio.create_task(process.most_megabytes())
    start, used = time.perf_counter(), process.seconds()
    await caller.upload("/count", LARGE)
    result.upload = max(result.upload, LARGE / 1e6 / (time.perf_counter() - start))
    result.upload_cost = min(result.upload_cost, (process.seconds() - used) * 1e3)
    start, used = time.perf_counter(), process.seconds()
    if await caller.call(caller.head("GET", f"/produce?{LARGE}", 0)) != LARGE:
        raise RuntimeError("the download has another length than was asked for")
    result.download = max(result.download, LARGE / 1e6 / (time.perf_counter() - start))
    result.download_cost = min(result.download_cost, (process.seconds() - used) * 1e3)
    watch.cancel()
    result.memory = max(result.memory, await watch - before)
    caller.close()


def _note_latency(result: Result, times: list[float]) -> None:
    result.median = min(result.median, statistics.median(times) * 1e3)
    result.p99 = min(result.p99, statistics.quantiles(times, n=100)[98] * 1e3)


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


async def _direct(place: Place, result: Result, seconds: float) -> None:
    caller = await first_caller(place, BODY)
    _note_latency(result, await latencies(caller, BODY, seconds))
    caller.close()


def run(seconds: float = 2.0) -> None:
    """Measures both listeners behind one edge and prints the ratios.

    Args:
        seconds: How long each measurement runs.
    """
    results = {"ours": Result(), "theirs": Result()}
    direct = Result()
    with _sandbox() as about, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_create(about))
        context = ssl.create_default_context(cafile=about["ca_cert_path"])
        secure = Place(f"{NAME}.localhost", about["edge_port"], context)
        plain = Place(f"{NAME}.localhost", int(about["base_url"].rpartition(":")[2]), None)
        arguments = {
            "api_key": about["api_key"],
            "base_url": about["base_url"],
            "edge_port": about["edge_port"],
            "ca": about["ca_cert_path"],
            "name": NAME,
        }
        for _ in range(TURNS):
            for kind, result in results.items():
                state = str(Path(folder) / kind)
                with _program({**arguments, "kind": kind, "state_dir": state}) as process:
                    asyncio.run(_measure(secure, plain, process, result, seconds / TURNS))
            port = _free_port()
            with _program({"kind": "direct", "port": port}):
                asyncio.run(_direct(Place("localhost", port, None), direct, seconds / TURNS))
    _print(results["ours"], results["theirs"], direct)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _print(ours: Result, theirs: Result, direct: Result) -> None:
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
    print(f"{'most growth of memory, MB':44}{ours.memory:10.0f}{theirs.memory:10.0f}")
    print("\nadded to a direct request, one after another (the edge and two TLS connections included):")
    for name, our, their, base in (
        ("median, ms", ours.median, theirs.median, direct.median),
        ("99th percentile, ms", ours.p99, theirs.p99, direct.p99),
    ):
        print(f"{name:44}{our - base:10.2f}{their - base:10.2f}")
    print()


if __name__ == "__main__":
    run()
