"""Bodies of requests: large ones go piece by piece, so that a slow peer holds up nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PIECE = 64 * 1024
"""Bytes of a body that are sent at a time; a smaller body goes out in one write that cannot stall."""


class Pieces:
    """A body for aiohttp that moves a deadline on whenever the peer has taken another piece.

    Args:
        pieces: The body.
        deadline: Moved `seconds` ahead before each piece, and lifted after the last: from there on the
            read time-out of the connection counts.
        seconds: How long the peer may take for one piece; None for ever.
    """

    def __init__(self, pieces: Sequence[bytes], deadline: asyncio.Timeout, seconds: float | None) -> None:
        self._pieces = pieces
        self._deadline = deadline
        self._seconds = seconds

    @property
    def size(self) -> int:
        """Bytes in all pieces together."""
        return sum(map(len, self._pieces))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        for piece in self._pieces:
            view = memoryview(piece)
            for start in range(0, len(view), PIECE):
                self._move(None if self._seconds is None else clock() + self._seconds)
                yield bytes(view[start : start + PIECE])
        self._move(None)

    def _move(self, when: float | None) -> None:
        # An answer that comes before the body is through ends the deadline while the writer still runs.
        if not self._deadline.expired():
            with suppress(RuntimeError):
                self._deadline.reschedule(when)


def is_short(data: object) -> bool:
    """Whether a body goes out in one write that cannot stall."""
    return data is None or (isinstance(data, bytes) and len(data) <= PIECE)


@dataclass(slots=True, eq=False)
class Body:
    """The body of one request; its repr shows nothing of it.

    Attributes:
        data: None, or what aiohttp takes as `data`.
    """

    data: Any = field(repr=False)  # Any: see above

    def pace(self, deadline: asyncio.Timeout, seconds: float | None) -> None:
        """Send it in pieces, each within `seconds`, unless aiohttp sends it in pieces on its own."""
        if isinstance(self.data, (bytes, list)):
            pieces = [self.data] if isinstance(self.data, bytes) else self.data
            self.data = Pieces(pieces, deadline, seconds)
