"""What was measured, beside what was promised: one table to read, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

VERDICTS = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Target:
    """A bound that was promised."""

    bound: float
    kind: Literal["at most", "at least"]

    def is_met_by(self, value: float) -> bool:
        """Whether the bound holds."""
        return value <= self.bound if self.kind == "at most" else value >= self.bound


def at_most(bound: float) -> Target:
    """A bound from above."""
    return Target(bound, "at most")


def at_least(bound: float) -> Target:
    """A bound from below."""
    return Target(bound, "at least")


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        value: The figure; where there were rounds, the median of what they gave.
        unit: Of value, spread and target; `x` is a ratio.
        target: What was promised; None for a figure that explains another.
        spread: Quartiles of the rounds; None where the figure is no median.
        note: The figures behind it.
    """

    name: str
    value: float
    unit: str
    target: Target | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.is_met_by(self.value)


@dataclass(frozen=True)
class Section:
    """What one benchmark found, or why it broke."""

    benchmark: str
    rows: Sequence[Row]
    seconds: float
    error: str | None = None


def table(sections: Sequence[Section]) -> str:
    """All figures for people."""
    lines = [f"{'':12}{'':54}{'target':>12}{'measured':>12}{'quartiles':>18}  {'':8}"]
    for section in sections:
        name = section.benchmark
        if section.error is not None:
            lines.append(f"{name:12}BROKEN: {section.error}")
        for row in section.rows:
            lines.append(_line(name, row).rstrip())
            name = ""
        lines.append("")
    return "\n".join(lines)


def markdown(sections: Sequence[Section]) -> str:
    """All figures for `docs/performance.md`."""
    lines = ["| | target | measured | quartiles | |", "|---|---|---|---|---|"]
    for section in sections:
        for row in section.rows:
            name = f"{section.benchmark}: {row.name.strip()}"
            cells = (name, _target(row), _figure(row.value, row.unit), _spread(row), row.note)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _line(benchmark: str, row: Row) -> str:
    return (
        f"{benchmark:12}{row.name:54}{_target(row):>12}{_figure(row.value, row.unit):>12}{_spread(row):>18}"
        f"  {VERDICTS[row.is_met]:8}{row.note}"
    )


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    sign = {"at most": "≤", "at least": "≥"}[row.target.kind]
    return f"{sign} {_figure(row.target.bound, row.unit)}"


def _spread(row: Row) -> str:
    return "" if row.spread is None else " to ".join(_number(value) for value in row.spread)


def _figure(value: float, unit: str) -> str:
    return f"{_number(value)}{unit}" if unit == "x" else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def write_json(path: Path, sections: Sequence[Section], *, rounds: int, peer: Path) -> None:
    """All figures for programs, with what they were measured on."""
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "versions": {
            **{name: metadata.version(name) for name in ("inkbox-async", "aiohttp", "pydantic")},
            "inkbox": peer_version(peer),
        },
        "rounds": rounds,
        "benchmarks": [
            {
                "name": section.benchmark,
                "seconds": round(section.seconds, 1),
                "error": section.error,
                "figures": [_as_json(row) for row in section.rows],
            }
            for section in sections
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_json(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "value": row.value,
        "unit": row.unit,
        "quartiles": row.spread,
        "target": None if row.target is None else {"kind": row.target.kind, "bound": row.target.bound},
        "met": row.is_met,
        "note": row.note,
    }


def peer_version(peer: Path) -> str:
    """Version of the official package in a folder."""
    for distribution in metadata.distributions(path=[str(peer)]):
        if distribution.name == "inkbox":
            return distribution.version
    raise FileNotFoundError(f"there is no inkbox package in {peer}")
