"""Measures everything that is promised: `python -m benchmarks [BENCHMARK ...]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from . import imports, paging, requests, sandbox, stalls, throughput, tunnels, vault
from .processes import PEER, Options
from .report import Row, Section, markdown, peer_version, table, write_json

BENCHMARKS: dict[str, Callable[[Options], list[Row]]] = {
    "imports": imports.run,
    "requests": requests.run,
    "throughput": throughput.run,
    "paging": paging.run,
    "stalls": stalls.run,
    "sandbox": sandbox.run,
    "vault": vault.run,
    "tunnels": tunnels.run,
}


def _section(name: str, options: Options) -> Section:
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    start = time.perf_counter()
    rows: list[Row] = []
    error = None
    try:
        rows = BENCHMARKS[name](options)
    except Exception as failure:
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"
    seconds = time.perf_counter() - start
    print(f"{seconds:.0f} s", file=sys.stderr, flush=True)
    return Section(name, rows, seconds, error)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", nargs="*", help=f"which to run (default all): {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--rounds", type=int, default=30, help="rounds of turns (default 30; fewer is faster)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("build/benchmarks.json"),
        metavar="PATH",
        help="where the figures go",
    )
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the table as Markdown, too")
    parser.add_argument("--peer", type=Path, default=PEER, help="folder with the official package")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    arguments = parser.parse_args()
    if unknown := set(arguments.benchmark) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.rounds < 3:
        parser.error("--rounds must be 3 or more")
    try:
        peer_version(arguments.peer)
    except FileNotFoundError as error:
        parser.error(f"{error}; `make bench` puts it there, or name another folder with --peer")
    return arguments


def main() -> int:
    """Exit status: 0, or 1 when a benchmark broke or, if strict, a target is missed."""
    arguments = _arguments()
    options = Options(arguments.rounds, arguments.peer.absolute())
    sections = [_section(name, options) for name in arguments.benchmark or BENCHMARKS]
    print(f"\n{table(sections)}")
    write_json(arguments.json, sections, rounds=options.rounds, peer=options.peer)
    if arguments.markdown is not None:
        arguments.markdown.write_text(markdown(sections), encoding="utf-8")
    missed = [row for section in sections for row in section.rows if row.is_met is False]
    targets = [row for section in sections for row in section.rows if row.target is not None]
    print(f"{len(targets) - len(missed)} of {len(targets)} targets met; figures in {arguments.json}")
    broken = any(section.error is not None for section in sections)
    return int(broken or (arguments.strict and bool(missed)))


if __name__ == "__main__":
    sys.exit(main())
