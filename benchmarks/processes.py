"""The processes of a benchmark: the stub server, a sandbox, and one process for each client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .rounds import Sample

PEER_VERSION = "0.7.20"
PEER = Path(sys.prefix) / "peers" / f"inkbox-{PEER_VERSION}"
"""Where `make bench` puts the official package that is measured, aside from the one the tests use."""


@dataclass(frozen=True)
class Options:
    """What the user may choose.

    Attributes:
        rounds: How many rounds everything that is cheap takes; what is costly takes fewer.
        peer: The folder with the official package.
    """

    rounds: int = 30
    peer: Path = PEER


def with_peer(peer: Path) -> dict[str, str]:
    """The environment of a process that imports the official package from its folder."""
    return {**os.environ, "PYTHONPATH": str(peer)}


class Worker:
    """A client in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def measure(self, **order: object) -> Sample:
        """Have it measure; see `benchmarks.worker` for orders."""
        self.tell(order)
        return Sample(**json.loads(self.line()))

    def order(self, **order: object) -> Callable[[], Sample]:
        """The same, to be given later."""
        return lambda: self.measure(**order)

    def tell(self, what: object) -> None:
        """Write it as one line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return line


@contextmanager
def program(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[subprocess.Popen[str]]:
    """`python -m MODULE`, ended when the block is left."""
    process = subprocess.Popen(
        [sys.executable, *options, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=None if env is None else dict(env),
    )
    try:
        with process:
            try:
                yield process
            finally:
                process.terminate()
    finally:
        process.wait()


@contextmanager
def stub_server(delay: float = 0.0) -> Iterator[str]:
    """A server with canned answers, each `delay` seconds late: its address."""
    with program("benchmarks.stub_server", str(delay)) as process:
        yield f"http://127.0.0.1:{Worker(process).line().strip()}"


@contextmanager
def workers(url: str, kinds: Sequence[str], peer: Path) -> Iterator[dict[str, Worker]]:
    """One process for each client."""
    with ExitStack() as stack:
        found = {}
        for kind in kinds:
            env = with_peer(peer) if kind in ("official", "to_thread") else None
            found[kind] = Worker(stack.enter_context(program("benchmarks.worker", kind, url, env=env)))
        for worker in found.values():
            worker.line()
        yield found


@contextmanager
def sandbox(*arguments: str) -> Iterator[dict[str, Any]]:  # Any: JSON
    """A sandbox on free ports: what it says when it is ready."""
    ports = ("--port", "0", "--smtp-port", "0", "--edge-port", "0")
    with program("inkbox_async.sandbox", "--json", *ports, *arguments) as process:
        ready: dict[str, Any] = json.loads(Worker(process).line())
        yield ready
