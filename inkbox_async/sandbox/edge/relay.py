"""One tunnel at the edge: who listens, which requests wait for a listener, a reply or a bridge."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Final, TypeAlias

from inkbox_async.sandbox.edge.directory import TunnelDirectory, TunnelRecord
from inkbox_async.sandbox.edge.envelope import edge_reason
from inkbox_async.sandbox.edge.http2 import Http2Connection, Stream
from inkbox_async.sandbox.edge.http2_codes import ErrorCode
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.session import Session, SessionState

Intake: TypeAlias = tuple[Session, Stream]
"""A parked intake and whose it is."""

Spawn: TypeAlias = Callable[[Coroutine[None, None, None]], object]
"""Starts a task that the edge owns."""

_GONE: Final = ErrorCode.CANCEL


class NoListener(Exception):
    """Nobody serves this tunnel now."""


class ListenerLost(Exception):
    """The listener went away with the request."""


class Exchange:
    """A request that was given to a listener and has no reply yet."""

    __slots__ = ("id", "reply", "session")

    def __init__(self, request_id: str, session: Session) -> None:
        self.id = request_id
        self.session = session
        self.reply: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        """The stream of the response post, as soon as its head is here."""

    @property
    def post(self) -> Stream | None:
        """The response post if it has come, else None."""
        return _result(self.reply)


class ExpectedBridge:
    """A bridge the listener was asked to open."""

    __slots__ = ("id", "kind", "opened")

    def __init__(self, kind: str) -> None:
        self.id = str(uuid.uuid4())
        self.kind = kind
        self.opened: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    @property
    def key(self) -> str:
        """Its path below `/_system/`."""
        return f"{self.kind}/{self.id}"

    @property
    def stream(self) -> Stream | None:
        """The bridge if it has been opened, else None."""
        return _result(self.opened)


class Relay:
    """One tunnel's traffic. At most one session is live; older ones may still finish what they have.

    Args:
        record: The tunnel; replaced at each hello.
        spawn: Starts a task that lives as long as the edge.
    """

    def __init__(
        self, record: TunnelRecord, directory: TunnelDirectory, limits: EdgeLimits, spawn: Spawn
    ) -> None:
        self.record = record
        self.live: Session | None = None
        self.newest_hello = 0
        self._directory = directory
        self._limits = limits
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._sessions: set[Session] = set()
        self._waiting: deque[asyncio.Future[Intake]] = deque()
        self._exchanges: dict[str, Exchange] = {}
        self._request_ids = _request_ids()
        self._bridges: dict[str, ExpectedBridge] = {}
        self._handover: asyncio.TimerHandle | None = None
        self._lingering: set[asyncio.TimerHandle] = set()
        self._record_lock = asyncio.Lock()

    # Listeners come and go

    async def attach(self, session: Session, record: TunnelRecord, hello: int) -> bool:
        """Make `session` the one that is served; the one before is displaced.

        Args:
            hello: Position of its hello among all hellos of the edge.

        Returns:
            False when a later hello has been accepted meanwhile.
        """
        async with self._record_lock:
            if hello < self.newest_hello:
                return False
            self.newest_hello = hello
            try:
                await self._directory.mark_connected(
                    record.id, session.connection.peer, self._directory.now()
                )
            except asyncio.CancelledError:
                self._spawn(self._mark_disconnected())
                raise
            self.record = record
            for older in self._sessions:
                if older.connection is session.connection:
                    older.retire()
                elif older.state is not SessionState.DISPLACED:
                    was_drained = older.is_drained
                    older.displace()
                    if was_drained:
                        older.connection.release()  # its client has read GOAWAY, for here is its successor
                    else:  # a drained connection has its own, longer time
                        self._close_later(older.connection, self._limits.displaced_linger_seconds)
            self._sessions.add(session)
            self.live = session
            self._end_handover()
        return True

    def detach(self, session: Session) -> None:
        """The connection of `session` is gone."""
        session.stop()
        self._sessions.discard(session)
        was_live = self.live is session
        if was_live:
            self.live = None
        if session.state is not SessionState.DRAINING and not session.is_drained:
            for exchange in [one for one in self._exchanges.values() if one.session is session]:
                self._fail(exchange)
        if was_live:
            self._refuse_waiting()
            self._spawn(self._mark_disconnected())

    async def drain(self) -> bool:
        """Ask the live listener to move to a new connection; False when there is none.

        Requests that arrive meanwhile wait for the successor. GOAWAY waits for messages that are half way
        through: clients whose HTTP/2 library stops at GOAWAY would lose them.
        """
        session = self.live
        if session is None:
            return False
        session.state = SessionState.DRAINING
        self.live = None
        self._end_handover()
        self._handover = self._loop.call_later(self._limits.handover_seconds, self._give_up_handover)
        await session.quiet(self._limits.drain_quiesce_seconds)
        if session.state is SessionState.DRAINING:
            session.goaway(ErrorCode.NO_ERROR, "drain")
            self._close_later(session.connection, self._limits.drain_linger_seconds)
        return True

    def supersede(self) -> bool:
        """Treat the live listener as if another one had taken over; False when there is none."""
        session = self.live
        if session is None:
            return False
        self.live = None
        session.displace()
        self._close_later(session.connection, self._limits.displaced_linger_seconds)
        self._refuse_waiting()
        self._spawn(self._mark_disconnected())
        return True

    def end(self) -> None:
        """The tunnel is gone: end every connection that serves it."""
        self.live = None
        self._end_handover()
        self._refuse_waiting()
        for session in list(self._sessions):
            session.goaway(_GONE, "tunnel-removed")
            session.connection.close()

    def stop(self) -> None:
        """The edge stops: no timer may fire any more."""
        self._end_handover()
        for timer in self._lingering:
            timer.cancel()
        self._lingering.clear()

    # Requests

    @property
    def sessions(self) -> int:
        """How many listeners are connected: the live one and those that finish what they have."""
        return len(self._sessions)

    @property
    def waiting_requests(self) -> int:
        """How many requests wait for an intake."""
        return sum(not waiter.done() for waiter in self._waiting)

    def park(self, session: Session, stream: Stream) -> None:
        """An intake has come: give it to the request that waits longest, or keep it."""
        if session is self.live:
            while self._waiting:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result((session, stream))
                    return
        if session.state is SessionState.DISPLACED:
            stream.respond(edge_reason("intake-superseded", 409), end=True)
        elif session.goaway_code is not None:
            stream.respond(edge_reason("draining", 503), end=True)
        else:
            session.park(stream)

    async def claim(self) -> Intake:
        """A parked intake to answer; waits for one while a listener is there or about to return.

        Raises:
            NoListener: There is none.
        """
        session = self.live
        if session is not None:
            stream = session.take()
            if stream is not None:
                return session, stream
        elif self._handover is None:
            raise NoListener
        waiter: asyncio.Future[Intake] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.park(*waiter.result())
            raise

    def open_exchange(self, session: Session) -> Exchange:
        """A new request id, given to `session`."""
        exchange = Exchange(next(self._request_ids), session)
        self._exchanges[exchange.id] = exchange
        return exchange

    def close_exchange(self, exchange: Exchange) -> None:
        """Nobody waits for the reply any more; it will be refused."""
        self._exchanges.pop(exchange.id, None)
        if not exchange.reply.cancel() and not exchange.reply.cancelled():
            exchange.reply.exception()  # looked at, so that asyncio does not report it as never retrieved

    def reply(self, request_id: str, stream: Stream) -> bool:
        """A response post has come; False when nobody waits for it."""
        exchange = self._exchanges.pop(request_id, None)
        if exchange is None or exchange.reply.done():
            return False
        exchange.reply.set_result(stream)
        return True

    def expect_bridge(self, kind: str) -> ExpectedBridge:
        """A new id for a bridge of this kind (`ws`, `tcp`), good once and only for this tunnel."""
        bridge = ExpectedBridge(kind)
        self._bridges[bridge.key] = bridge
        return bridge

    def forget_bridge(self, bridge: ExpectedBridge) -> None:
        """Nobody waits for this bridge any more."""
        self._bridges.pop(bridge.key, None)
        bridge.opened.cancel()

    def bridge(self, kind: str, bridge_id: str, stream: Stream) -> bool:
        """A listener has opened a bridge; False when nobody waits for it."""
        expected = self._bridges.pop(f"{kind}/{bridge_id}", None)
        if expected is None or expected.opened.done():
            return False
        expected.opened.set_result(stream)
        return True

    # Inside

    def _fail(self, exchange: Exchange) -> None:
        self._exchanges.pop(exchange.id, None)
        if not exchange.reply.done():
            exchange.reply.set_exception(ListenerLost())

    def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(NoListener())

    def _give_up_handover(self) -> None:
        self._handover = None
        self._refuse_waiting()
        self._spawn(self._mark_disconnected())

    def _end_handover(self) -> None:
        if self._handover is not None:
            self._handover.cancel()
            self._handover = None

    def _close_later(self, connection: Http2Connection, seconds: float) -> None:
        def close() -> None:
            self._lingering.discard(timer)
            connection.close()

        timer = self._loop.call_later(seconds, close)
        self._lingering.add(timer)

    async def _mark_disconnected(self) -> None:
        async with self._record_lock:
            if self.live is None and self._handover is None:
                await self._directory.mark_disconnected(self.record.id, self._directory.now())


def _request_ids() -> Iterator[str]:
    """Ids that look like UUIDs and differ in their last group: a random one each would cost more."""
    beginning = str(uuid.uuid4())[:24]
    return (f"{beginning}{number:012x}" for number in itertools.count(1))


def _result(future: asyncio.Future[Stream]) -> Stream | None:
    if future.done() and not future.cancelled() and future.exception() is None:
        return future.result()
    return None
