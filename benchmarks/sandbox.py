"""How soon a sandbox is ready: as a program, in a fresh test run, a second time, and after a reset."""

from __future__ import annotations

import json
import time
from typing import Any

from .processes import Options, Worker, program, sandbox
from .report import Row, Target, at_most
from .rounds import median, ratio

MESSAGES = 2000
"""What a test stores before the reset."""


def run(options: Options) -> list[Row]:
    """All of it in milliseconds of the time that passes, which other work on the machine lengthens."""
    starts = max(5, options.rounds // 3)
    programs = [_program() for _ in range(starts)]
    embedded = [_embedded(0) for _ in range(starts)]
    used = _embedded(MESSAGES)
    processor = median(one["cold_processor"] for one in embedded) * 1e3
    return [
        _row("process to its line of JSON", programs, at_most(1000)),
        _row(
            "fixture in a fresh test run, import included",
            [one["cold"] for one in embedded],
            at_most(300),
            f", {processor:.0f} ms of processor time",
        ),
        _row("async with Sandbox(), warm", [one["warm"] for one in embedded], at_most(300)),
        _row(
            f"reset() after a test that stored {MESSAGES:,} messages",
            used["resets"],
            at_most(10),
            f", after one that stored nothing {median(embedded[0]['resets']) * 1e3:.1f} ms",
        ),
    ]


def _program() -> float:
    start = time.perf_counter()
    with sandbox():
        return time.perf_counter() - start


def _embedded(messages: int) -> dict[str, Any]:  # Any: JSON
    with program("benchmarks.sandbox_start", str(messages)) as process:
        found: dict[str, Any] = json.loads(Worker(process).line())
        return found


def _row(name: str, seconds: list[float], target: Target, note: str = "") -> Row:
    found = ratio(value * 1e3 for value in seconds)
    return Row(name, found.median, "ms", target, found.spread, f"fastest {min(seconds) * 1e3:.1f} ms{note}")
