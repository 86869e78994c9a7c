"""Listeners of a tunnel, ours and the official one, behind the sandbox's edge: requests, bodies, latency.

Third parties, edge and listener are a process each. Requests come as the world sends them, over TLS to the
public host; the large bodies by plain HTTP, so that the listener has as large a part in their rate as
possible. The listeners take turns, because other work on the machine would hit only one of them otherwise.
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
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inkbox_async import AsyncInkbox

from .processes import Options, sandbox, with_peer
from .report import Row, Target, at_least, at_most
from .rounds import Rounds, median, ratio, take_turns
from .tunnel_load import Caller, Place, first_caller, latencies, rate

CONCURRENCY = 64
BODY = b"x" * 1024
LARGE = 100_000_000
NAME = "bench-app"
SECONDS = 0.7


@dataclass(frozen=True)
class Result:
    """What one listener achieved in one turn."""

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
    """MB by which the listener grew, at most, while the large bodies passed."""
    median: float
    """Milliseconds of one request after another."""
    p99: float
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


async def _measure(secure: Place, plain: Place, process: Process) -> Result:
    """One turn."""
    caller = await first_caller(secure, BODY)
    middle, late = _summary(await latencies(caller, BODY, SECONDS))
    caller.close()
    used = process.seconds()
    achieved, count = await rate(secure, BODY, CONCURRENCY, SECONDS)
    cost = (process.seconds() - used) / count * 1e6
    caller = await first_caller(plain, BODY)
    before = process.megabytes()
    watch = asyncio.create_task(process.most_megabytes())
    upload, upload_cost = await _large(process, partial(caller.upload, "/count", LARGE))
    download, download_cost = await _large(process, partial(_download, caller))
    watch.cancel()
    memory = await watch - before
    caller.close()
    return Result(achieved, cost, upload, download, upload_cost, download_cost, memory, middle, late)


async def _large(process: Process, move: Callable[[], Coroutine[Any, Any, int]]) -> tuple[float, float]:
    """MB/s of one large body, and the listener's milliseconds of processor time."""
    start, used = time.perf_counter(), process.seconds()
    await move()
    return LARGE / 1e6 / (time.perf_counter() - start), (process.seconds() - used) * 1e3


async def _download(caller: Caller) -> int:
    if (size := await caller.call(caller.head("GET", f"/produce?{LARGE}", 0))) != LARGE:
        raise RuntimeError("the download has another length than was asked for")
    return size


def _summary(times: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    return statistics.median(times) * 1e3, statistics.quantiles(times, n=100)[98] * 1e3


@contextmanager
def _listener(arguments: dict[str, Any], peer: Path) -> Iterator[Process]:  # Any: JSON
    environment = with_peer(peer) if arguments["kind"] == "official" else dict(os.environ)
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


async def _direct(place: Place) -> tuple[float, float]:
    caller = await first_caller(place, BODY)
    found = _summary(await latencies(caller, BODY, SECONDS))
    caller.close()
    return found


def run(options: Options) -> list[Row]:
    """Both listeners behind one edge, in turns; then the bare application, for what the way through adds."""
    with sandbox("--zone", "localhost") as about, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_create(about))
        context = ssl.create_default_context(cafile=about["ca_cert_path"])
        secure = Place(f"{NAME}.localhost", about["edge_port"], context)
        plain = Place(f"{NAME}.localhost", int(about["base_url"].rpartition(":")[2]), None)
        shared = {key: about[key] for key in ("api_key", "base_url", "edge_port")}

        def turn(kind: str) -> Result:
            state = str(Path(folder) / kind)
            arguments = {
                **shared,
                "ca": about["ca_cert_path"],
                "name": NAME,
                "kind": kind,
                "state_dir": state,
            }
            with _listener(arguments, options.peer) as process:
                return asyncio.run(_measure(secure, plain, process))

        kinds = ("ours", "official")
        rounds = take_turns({kind: partial(turn, kind) for kind in kinds}, max(3, options.rounds // 6))
        port = _free_port()
        with _listener({"kind": "direct", "port": port}, options.peer):
            direct = asyncio.run(_direct(Place("localhost", port, None)))
    return _rows(rounds, direct)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _rows(rounds: Rounds[Result], direct: tuple[float, float]) -> list[Row]:
    def beside(name: str, field: str, unit: str, target: Target | None, *, less: bool = False) -> Row:
        values = [(getattr(one["ours"], field), getattr(one["official"], field)) for one in rounds]
        found = ratio((theirs / (ours or 1)) if less else (ours / theirs) for ours, theirs in values)
        note = f"ours {ours(field):,.0f} {unit}, official {theirs(field):,.0f}"
        return Row(name, found.median, "x", target, found.spread, note)

    def ours(field: str) -> float:
        return median(getattr(one["ours"], field) for one in rounds)

    def theirs(field: str) -> float:
        return median(getattr(one["official"], field) for one in rounds)

    rows = [
        beside(f"requests/s, 1 KB, {CONCURRENCY} at once / official", "rate", "a second", at_least(3.0)),
        beside("upload of 100 MB / official", "upload", "MB/s", at_least(3.0)),
        beside("download of 100 MB / official", "download", "MB/s", at_least(3.0)),
        beside("official's processor time of a request / ours", "cost", "µs", None, less=True),
        beside("official's of an upload of 100 MB / ours", "upload_cost", "ms", None, less=True),
        beside("official's of a download of 100 MB / ours", "download_cost", "ms", None, less=True),
        Row(
            "most growth of memory under these bodies",
            ours("memory"),
            "MB",
            at_most(24.0),
            None,
            f"official {theirs('memory'):.0f} MB",
        ),
    ]
    for name, field, base in (("median", "median", direct[0]), ("99th percentile", "p99", direct[1])):
        note = f"official {theirs(field) - base:.2f} ms; direct {base:.2f} ms"
        rows.append(Row(f"added to a direct request, {name}", ours(field) - base, "ms", None, None, note))
    return rows
