"""Processor time of whole calls, one after another: from the arguments of the method to what it returns."""

from __future__ import annotations

from .processes import Options, stub_server, workers
from .report import Row, Target, at_most
from .rounds import Rounds, Sample, median, ratio, take_turns

SECONDS = 0.1
PAGES = 10
CASES: list[tuple[str, str, Target | None]] = [
    ("send", "messages.send", at_most(1.25)),
    ("page", "messages.list, a page of 50", at_most(1.15)),
    ("send_email", "identity.send_email", None),
    ("get", "messages.get", None),
    ("walk", f"async for over {PAGES} pages of 50", None),
]
KINDS = ("ours", "aiohttp", "official")


def run(options: Options) -> list[Row]:
    """Every call beside bare aiohttp, and beside the official client."""
    rows: list[Row] = []
    with stub_server() as url, workers(url, KINDS, options.peer) as clients:
        for what, name, target in CASES:
            if what == "walk":
                order: dict[str, object] = {"how": "walk", "pages": PAGES, "pause": 0}
            else:
                order = {"how": "one by one", "what": what, "seconds": SECONDS}
            orders = {kind: worker.order(**order) for kind, worker in clients.items()}
            take_turns(orders, 2)
            rounds = take_turns(orders, options.rounds)
            per_page = PAGES if what == "walk" else 1
            rows.append(_row(name, rounds, target, 50 if what == "walk" else 1, per_page))
    return rows


def _row(name: str, rounds: Rounds[Sample], target: Target | None, items: int, per: int) -> Row:
    beside = ratio(one["ours"].cost / one["aiohttp"].cost for one in rounds)
    costs = {kind: median(one[kind].cost for one in rounds) * 1e6 * items for kind in KINDS}
    unit = "µs a page" if per > 1 else "µs"
    note = ", ".join(f"{kind} {cost:.0f} {unit}" for kind, cost in costs.items())
    return Row(f"{name} / bare aiohttp", beside.median, "x", target, beside.spread, note)
