"""One connected listener: its connection after hello, its owner token, and the intakes it keeps parked."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from enum import Enum

from inkbox_async.sandbox.edge.envelope import edge_reason
from inkbox_async.sandbox.edge.http2 import Http2Connection, Stream
from inkbox_async.sandbox.edge.http2_codes import ErrorCode


class SessionState(Enum):
    """What a session may still do."""

    LIVE = "live"
    """Takes requests."""
    DRAINING = "draining"
    """Takes no new requests; finishes those it has."""
    DISPLACED = "displaced"
    """Another listener has taken over."""


class Session:
    """A listener that has said hello.

    Args:
        connection: The connection of the hello; intakes come on it and nowhere else.
        idle_seconds: How long an intake stays parked.
    """

    def __init__(self, connection: Http2Connection, idle_seconds: float) -> None:
        self.connection = connection
        self.token = secrets.token_urlsafe(24)
        self.state = SessionState.LIVE
        self.goaway_code: ErrorCode | None = None
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._parked: deque[tuple[Stream, float]] = deque()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._transfers = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def is_drained(self) -> bool:
        """It has been told to move on because the edge drains."""
        return self.goaway_code is ErrorCode.NO_ERROR

    def park(self, stream: Stream) -> None:
        """Keep an intake until there is work for it."""
        self._parked.append((stream, self._loop.time()))
        if self._idle_timer is None:
            self._idle_timer = self._loop.call_later(self._idle_seconds, self._end_idle_intakes)

    def take(self) -> Stream | None:
        """The intake that has been parked longest and is still open."""
        while self._parked:
            stream, _ = self._parked.popleft()
            if not stream.is_over:
                return stream
        return None

    def displace(self) -> None:
        """Another listener took over: end the intakes and say so; a drained listener is not told again."""
        self.state = SessionState.DISPLACED
        while (stream := self.take()) is not None:
            stream.respond(edge_reason("intake-superseded", 409), end=True)
        if self.goaway_code is None:
            self.goaway(ErrorCode.SUPERSEDED, "superseded")

    def retire(self) -> None:
        """A second hello on the same connection replaces this one: the intakes may be parked anew."""
        self.state = SessionState.DRAINING
        while (stream := self.take()) is not None:
            stream.respond(edge_reason("intake-idle-cap", 408), end=True)

    def goaway(self, code: ErrorCode, reason: str) -> None:
        """GOAWAY with the reason as its debug JSON."""
        self.goaway_code = code
        self.connection.goaway(code, json.dumps({"reason": reason}, separators=(",", ":")).encode())

    def begin_transfer(self) -> None:
        """An envelope or a reply is going over the connection in parts."""
        self._transfers += 1
        self._quiet.clear()

    def end_transfer(self) -> None:
        """One that began is through, or given up."""
        self._transfers -= 1
        if not self._transfers:
            self._quiet.set()

    async def quiet(self, timeout_seconds: float) -> None:
        """Wait until nothing is half way through, at most `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._quiet.wait()
        except TimeoutError:
            pass  # GOAWAY must go out in the end; what is half way through goes on behind it

    def stop(self) -> None:
        """The connection is gone."""
        self._parked.clear()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _end_idle_intakes(self) -> None:
        self._idle_timer = None
        now = self._loop.time()
        while self._parked:
            stream, since = self._parked[0]
            due = since + self._idle_seconds
            if not stream.is_over and due > now:
                self._idle_timer = self._loop.call_at(due, self._end_idle_intakes)
                return
            self._parked.popleft()
            stream.respond(edge_reason("intake-idle-cap", 408), end=True)
