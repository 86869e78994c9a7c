"""Iterating over pages: what fetching ahead is worth on a long line, and whether memory stays where it is."""

from __future__ import annotations

import json
import sys

from .processes import Options, Worker, program, stub_server, workers
from .report import Row, at_least, at_most
from .rounds import median, ratio, take_turns

LATENCY = 0.02
PAUSE = 0.02
PAGES = 20
FEW, MANY = 200, 2_000
"""Pages of 50 items: 10,000 and 100,000 items."""


def run(options: Options) -> list[Row]:
    """Both clients on a line of 20 ms with a consumer of 20 ms a page; then ours over 100,000 items."""
    kinds = ("ours", "official")
    with stub_server(LATENCY) as url, workers(url, kinds, options.peer) as clients:
        orders = {
            kind: worker.order(how="walk", pages=PAGES, pause=PAUSE) for kind, worker in clients.items()
        }
        take_turns(orders, 1)
        rounds = take_turns(orders, max(3, options.rounds // 3))
    faster = ratio(one["official"].elapsed / one["ours"].elapsed for one in rounds)
    times = {kind: median(one[kind].elapsed for one in rounds) / PAGES * 1e3 for kind in kinds}
    return [
        Row(
            f"{PAGES} pages at 20 ms, consumer of 20 ms / official",
            faster.median,
            "x",
            at_least(1.8),
            faster.spread,
            ", ".join(f"{kind} {value:.1f} ms a page" for kind, value in times.items()),
        ),
        *_memory(),
    ]


def _memory() -> list[Row]:
    with (
        stub_server() as url,
        program("benchmarks.paging_memory", url, str(FEW), str(MANY)) as process,
    ):
        few, many = json.loads(Worker(process).line())
    note = ", ".join(
        f"after {pages * 50:,} items {found['resident']:.1f} MB resident, {found['peak'] * 1e3:.0f} kB traced"
        for pages, found in ((FEW, few), (MANY, many))
    )
    return [
        Row(
            "resident memory, growth over 90,000 more items",
            many["resident"] - few["resident"],
            "MB",
            at_most(2.0),
            None,
            note if sys.platform == "linux" else "not told by this system",
        ),
        Row(
            "most traced memory, 100,000 / 10,000 items",
            many["peak"] / few["peak"],
            "x",
            at_most(1.1),
        ),
    ]
