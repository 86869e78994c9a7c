"""How long to wait before the next dial."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Doubling delays with jitter, so that listeners do not all come back at the same instant.

    Args:
        first: First delay in seconds.
        cap: Largest delay before jitter.
        floor: Smallest delay after jitter.
        jitter: Share by which a delay may be shorter or longer.
        uniform: Source of random numbers between 0 and 1.
    """

    def __init__(
        self,
        first: float,
        cap: float,
        floor: float,
        *,
        jitter: float = 0.25,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._cap = cap
        self._floor = floor
        self._jitter = jitter
        self._uniform = uniform
        self._base = first

    def next(self) -> float:
        """The delay in seconds before the coming attempt; the one after it will be about twice as long."""
        base = self._base
        self._base = min(base * 2, self._cap)
        return max(self._floor, base + base * self._jitter * (2 * self._uniform() - 1))

    def reset(self) -> None:
        """Begin anew with the first delay."""
        self._base = self._first


def cold_backoff() -> Backoff:
    """The delays between attempts when there is no connection: 1 s, doubling to 30 s."""
    return Backoff(1.0, 30.0, 0.1)


def handoff_backoff() -> Backoff:
    """The delays between attempts to replace a draining connection: 0.1 s, doubling to 5 s."""
    return Backoff(0.1, 5.0, 0.05)
