"""The sandbox's clock: real time that can be moved forward, so that a day's wait takes no time in a test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta

_TICK = timedelta(microseconds=1)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Where the clock stops being moved: there has to be room for what is counted from its present on."""


class Moment(datetime):
    """A time to which the clock was moved. Awaiting it lets work that was waiting for it begin."""

    def __await__(self) -> Generator[None, None, Moment]:
        yield from asyncio.sleep(0).__await__()
        return self


class Clock:
    """Time as the sandbox sees it. Every window, expiry and retry in the sandbox is measured with it.

    It runs with real time, `advance` moves it forward, and it never stands still: two readings always
    differ, so that rows stored one after the other sort in that order. It may be used from every thread.
    """

    def __init__(self, on_advance: Callable[[timedelta], None] | None = None) -> None:
        """`on_advance` hears the new total offset from real time after each move."""
        self._on_advance = on_advance
        self._lock = threading.Lock()
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()
        self._offset = timedelta()
        self._last = self._started_at
        self._sleepers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def now(self) -> datetime:
        """The sandbox's present: aware, in UTC, and later than every time told before."""
        with self._lock:
            elapsed = timedelta(seconds=time.monotonic() - self._started)
            self._last = max(self._started_at + elapsed + self._offset, self._last + _TICK)
            return self._last

    def advance(self, seconds: float) -> Moment:
        """Move the clock forward by `seconds`, wake every sleeper whose time has come, and tell the new time.

        The clock has moved when this returns; awaiting what it returns lets the sleepers run, too.

        Raises:
            ValueError: `seconds` is negative, for the sandbox's time does not run backwards, or leads beyond
                the year 9000. The clock stays as it is.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError("The clock only moves forward: give a number of seconds of 0 or more.")
        if seconds > (_LATEST - self.now()).total_seconds():
            raise ValueError("The clock cannot be moved that far: give fewer seconds.")
        with self._lock:
            self._offset += timedelta(seconds=seconds)
            offset = self._offset
        if self._on_advance is not None:
            self._on_advance(offset)
        self._wake()
        return Moment.fromisoformat(self.now().isoformat())

    def reset(self, offset: timedelta = timedelta()) -> None:
        """Go back to real time, plus `offset`: for a sandbox whose data begins anew or is opened again."""
        with self._lock:
            self._started_at = datetime.now(UTC)
            self._started = time.monotonic()
            self._offset = offset
            self._last = self._started_at + offset
        self._wake()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock shows `seconds` more than now."""
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until the clock shows `moment` (aware)."""
        moved = asyncio.Event()
        with self._lock:
            self._sleepers[moved] = asyncio.get_running_loop()
        try:
            while (remaining := (moment - self.now()).total_seconds()) > 0:
                try:
                    async with asyncio.timeout(remaining):
                        await moved.wait()
                except TimeoutError:
                    continue
                moved.clear()
        finally:
            with self._lock:
                del self._sleepers[moved]

    def _wake(self) -> None:
        with self._lock:
            sleepers = list(self._sleepers.items())
        for moved, loop in sleepers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(moved.set)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`, as times are stored: the order of texts is that of times.

    Raises:
        ValueError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("Times in the sandbox are aware; this one has no time zone.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """The aware datetime of a stored time."""
    return datetime.fromisoformat(text)
