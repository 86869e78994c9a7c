"""Calls a second when 64 wait at once; the official client has 32 threads for them."""

from __future__ import annotations

from .processes import Options, stub_server, workers
from .report import Row, at_least
from .rounds import Ratio, Rounds, Sample, median, ratio, take_turns

SECONDS = 0.25
CONCURRENCY = {"ours": 64, "aiohttp": 64, "official": 32, "to_thread": 64}
CASES = {"send": "messages.send", "page": "messages.list, a page of 50"}
TIMES = 5.0
SHARE = 0.85


def run(options: Options) -> list[Row]:
    """Calls beside the official client or, where not even bare aiohttp is so much faster, beside aiohttp."""
    rows: list[Row] = []
    with stub_server() as url, workers(url, tuple(CONCURRENCY), options.peer) as clients:
        for what, name in CASES.items():
            orders = {
                kind: worker.order(how="at once", what=what, seconds=SECONDS, concurrency=CONCURRENCY[kind])
                for kind, worker in clients.items()
            }
            take_turns(orders, 2)
            rows += _rows(name, take_turns(orders, options.rounds))
    return rows


def _rows(name: str, rounds: Rounds[Sample]) -> list[Row]:
    def beside(ours: str, theirs: str) -> Ratio:
        return ratio(one[ours].rate / one[theirs].rate for one in rounds)

    possible = beside("aiohttp", "official").median >= TIMES
    official, bare, threads = (beside("ours", kind) for kind in ("official", "aiohttp", "to_thread"))
    note = ", ".join(f"{kind} {median(one[kind].rate for one in rounds):,.0f}/s" for kind in CONCURRENCY)
    if failures := sum(one["official"].failures for one in rounds):
        note += f"; {failures} calls of the official client failed"
    return [
        Row(
            f"{name} / official, 32 threads",
            official.median,
            "x",
            at_least(TIMES) if possible else None,
            official.spread,
            note,
        ),
        Row(
            f"{name} / bare aiohttp",
            bare.median,
            "x",
            None if possible else at_least(SHARE),
            bare.spread,
            f"bare aiohttp / official: {beside('aiohttp', 'official').median:.1f}x",
        ),
        Row(f"{name} / official, to_thread", threads.median, "x", None, threads.spread),
    ]
