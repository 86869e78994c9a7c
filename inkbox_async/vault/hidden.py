"""A wrapper for keys on their way through coroutines, so that no report of a failure shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hidden(Generic[T]):
    """A value that its repr does not show.

    Tools that report the variables of every frame beside a traceback show reprs. A frame that waits for
    something that may fail therefore holds keys in this wrapper only.
    """

    value: T = field(repr=False)
