"""What importing costs, in fresh processes: this package, aiohttp alone, and the official package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from .processes import Options, with_peer
from .report import Row, at_most
from .rounds import median, ratio, take_turns

STATEMENTS = {
    "ours": "import inkbox_async; inkbox_async.AsyncInkbox",
    "aiohttp": "import aiohttp",
    "official": "import inkbox",
}


def run(options: Options) -> list[Row]:
    """Processor time of the imports, which other processes disturb less than the time that passes."""
    environments = {
        name: with_peer(options.peer) if name == "official" else dict(os.environ) for name in STATEMENTS
    }
    imports = {name: _import(statement, environments[name]) for name, statement in STATEMENTS.items()}
    take_turns(imports, 1)  # so that everything is compiled
    rounds = take_turns(imports, options.rounds)
    cost = {name: median(one[name] for one in rounds) * 1e3 for name in STATEMENTS}
    note = ", ".join(f"{name} {value:.0f} ms" for name, value in cost.items())
    beside_aiohttp = ratio(one["ours"] / one["aiohttp"] for one in rounds)
    beside_official = ratio(one["ours"] / one["official"] for one in rounds)
    return [
        Row(
            "import AsyncInkbox / import aiohttp",
            beside_aiohttp.median,
            "x",
            at_most(1.25),
            beside_aiohttp.spread,
            note,
        ),
        Row(
            "import AsyncInkbox / import inkbox",
            beside_official.median,
            "x",
            at_most(1.0),
            beside_official.spread,
        ),
    ]


def _import(statement: str, environment: dict[str, str]) -> Callable[[], float]:
    program = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"

    def seconds() -> float:
        command = [sys.executable, "-c", program]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return float(run.stdout)

    return seconds
