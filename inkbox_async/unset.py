"""The `UNSET` marker: an argument left out, where `None` means something of its own."""

from __future__ import annotations

from typing import Final, final


@final
class Unset:
    """The type of `UNSET`: an argument that was not given, as opposed to one given as `None`."""

    __slots__ = ()
    _instance: Unset | None = None

    def __new__(cls) -> Unset:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()
"""Not given. For fields where `None` clears the value, leaving the argument out keeps it."""
