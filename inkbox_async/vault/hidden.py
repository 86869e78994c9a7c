"""A wrapper for keys on their way through coroutines, so that no report of a failure shows them."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Hidden(Generic[T]):
    """A value that its repr does not show.

    Tools that report the variables of every frame beside a traceback show reprs. A frame that waits for
    something that may fail therefore holds keys in this wrapper only.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Hidden(***)"

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, Hidden) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)
