"""How long servers may take for their answers: one timer for all calls in flight, not several a call.

A timer costs as much as building a request, and next to none ever fires. Here a call only leaves a note of
when its time is up. All calls wait equally long, so notes expire in the order in which they were made, and
one timer follows the oldest. When an answer is late, its connection is told to give up at once, and fails
as it does when aiohttp measures the time by itself.
"""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler

AT_ONCE = 1e-6
"""Seconds; aiohttp takes 0 for no time-out."""


class Deadlines:
    """The connections that an answer is awaited on, each with the time at which it is too late.

    Args:
        seconds: How long an answer may take to begin, and then each next piece of it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._due: dict[ResponseHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, peer: ResponseHandler) -> None:
        """From now on, the server has to answer on this connection."""
        when = self._due[peer] = self._loop.time() + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_at(when, self._expire)

    def end(self, peer: ResponseHandler) -> None:
        """The answer has begun, or nobody waits for it any more."""
        self._due.pop(peer, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._due:
            peer, when = next(iter(self._due.items()))
            if when > now:
                self._timer = self._loop.call_at(when, self._expire)
                break
            del self._due[peer]
            peer.read_timeout = AT_ONCE
            peer.start_timeout()
