"""Many short rounds in which all clients take turns, so that what else the machine does slows them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """What one client did in one round.

    Attributes:
        calls: How many calls were answered.
        processor: Seconds of processor time the client's process took for them, all threads together.
        elapsed: Seconds that passed.
        failures: Calls that failed.
    """

    calls: int
    processor: float
    elapsed: float
    failures: int = 0

    @property
    def cost(self) -> float:
        """Seconds of processor time a call."""
        return self.processor / self.calls

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.elapsed


@dataclass(frozen=True)
class Ratio:
    """The median of what the rounds gave, and their quartiles."""

    median: float
    spread: tuple[float, float]


Rounds = list[dict[str, T]]


def take_turns(clients: Mapping[str, Callable[[], T]], rounds: int) -> Rounds[T]:
    """Let every client measure once a round; who begins changes from round to round."""
    names = list(clients)
    results: Rounds[T] = []
    for number in range(rounds):
        first = number % len(names)
        order = names[first:] + names[:first]
        results.append({name: clients[name]() for name in order})
    return results


def ratio(values: Iterable[float]) -> Ratio:
    """Median and quartiles of the ratios that the rounds gave."""
    found = sorted(values)
    if len(found) < 2:
        return Ratio(found[0], (found[0], found[0]))
    low, _, high = statistics.quantiles(found, n=4, method="inclusive")
    return Ratio(statistics.median(found), (low, high))


def median(values: Iterable[float]) -> float:
    """The middle of the values."""
    return statistics.median(values)
