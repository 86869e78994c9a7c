"""The running tunnel: keeps a session with the edge through drains and faults, and hands its requests out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from ..errors import TunnelSupersededError
from .backoff import cold_backoff, handoff_backoff
from .edge_http import EdgeExchange
from .edge_websocket import EdgeWebSocket
from .limits import Timing
from .passthrough import Passthrough
from .protocol import RouteKind
from .service import Service
from .session import EdgeAddress, IntakeStream, Outcome, Session, SessionFault
from .status import Status, TunnelRuntimeStatus

logger = logging.getLogger("inkbox_async.tunnels")

HANDOFF_BUDGET: Final = 30.0
DRAIN_LIMIT: Final = 90.0
STABLE_AFTER: Final = 10.0
QUICK_DRAIN: Final = 2.0


class Runtime:
    """Serves one tunnel until it is stopped.

    Args:
        service: Serves the requests; the runtime starts and closes it.
        address: Where to dial.
        status: Told of every change.
        pool_size: Wished number of parked intakes, or None.
        passthrough: Terminates TLS for a passthrough tunnel, None in edge mode.
        timing: Signs of life.
        chores: Run beside the tunnel for as long as it is served.
    """

    def __init__(
        self,
        service: Service,
        *,
        address: EdgeAddress,
        status: Status,
        pool_size: int | None = None,
        passthrough: Passthrough | None = None,
        timing: Timing | None = None,
        chores: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),  # Any: coroutine protocol
    ) -> None:
        self._service = service
        self._address = address
        self._status = status
        self._pool_size = pool_size
        self._passthrough = passthrough
        self._chores = chores
        self._timing = timing or Timing()
        self._sessions: set[Session] = set()
        self._serving: asyncio.Task[None] | None = None

    # Life

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            TunnelAuthenticationError: The edge rejected the API key.
            TunnelSupersededError: Another listener took the tunnel over.
            TunnelAppError: The application failed to start.
        """
        self._serving = asyncio.current_task()
        try:
            if self._service.stopping:
                return
            await self._service.site.target.start()
            for chore in self._chores:
                self._service.spawn(chore(), "chore")
            await self._keep_connected()
        except TunnelSupersededError:
            self._status.change(TunnelRuntimeStatus.SUPERSEDED)
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._service.stopping or (task is not None and task.uncancel() > 0):
                raise
        finally:
            await self._tear_down()

    def stop(self) -> None:
        """Let `run` end; it closes everything and returns."""
        if not self._service.stopping:
            self._service.stopping = True
            if self._serving is not None:
                self._serving.cancel()

    async def _tear_down(self) -> None:
        service = self._service
        service.stopping = True
        await service.end_tasks()
        sessions, self._sessions = self._sessions, set()
        for session in sessions:
            session.close()
        for session in sessions:
            await session.connection.wait_closed(1.0)
        await service.aclose()

    # Sessions

    async def _keep_connected(self) -> None:
        backoff = cold_backoff()
        self._status.change(TunnelRuntimeStatus.CONNECTING)
        while True:
            try:
                session = await self._connect()
            except SessionFault as fault:
                delay = backoff.next()
                logger.warning("tunnel: %s; next try in %.1f s", fault, delay)
                self._status.change(TunnelRuntimeStatus.RECONNECTING)
                await asyncio.sleep(delay)
                continue
            connected_at = asyncio.get_running_loop().time()
            ended = await self._follow(session)
            if asyncio.get_running_loop().time() - connected_at > STABLE_AFTER:
                backoff.reset()
            self._status.change(TunnelRuntimeStatus.RECONNECTING)
            delay = backoff.next()
            logger.warning("tunnel: %s; next try in %.1f s", ended.fault or "the connection ended", delay)
            await asyncio.sleep(delay)

    async def _connect(self) -> Session:
        """A new active session."""
        session = Session(
            self._service.plane,
            self._address,
            pool_size=self._pool_size,
            on_envelope=self._dispatch,
            ping_interval=self._timing.ping_interval,
            ping_timeout=self._timing.ping_timeout,
        )
        await session.start()
        self._sessions.add(session)
        self._service.use(session)
        self._status.change(TunnelRuntimeStatus.CONNECTED)
        return session

    async def _follow(self, session: Session) -> Session:
        """Stay with a session and, through drains, its successors; returns the one that broke."""
        pace = handoff_backoff()
        clock = asyncio.get_running_loop().time
        while True:
            followed_from = clock()
            outcome = await asyncio.shield(session.outcome)
            self._service.leave(session)
            if outcome is Outcome.SUPERSEDED:
                raise TunnelSupersededError(
                    "another listener connected to this tunnel and took it over; this one stays closed"
                )
            if outcome is Outcome.FAULT:
                session.close()
                self._sessions.discard(session)
                return session
            if clock() - followed_from < QUICK_DRAIN:
                # An edge whose every connection drains at once must not be dialled without a pause.
                await asyncio.sleep(pace.next())
            else:
                pace.reset()
            successor = await self._hand_off()
            self._service.spawn(self._retire(session), "retire")
            if successor is None:
                session.fault = SessionFault("the draining edge could not be replaced in time")
                return session
            session = successor

    async def _hand_off(self) -> Session | None:
        """A session to take over from a draining one; None when none could be had in time."""
        backoff = handoff_backoff()
        try:
            async with asyncio.timeout(HANDOFF_BUDGET):
                while True:
                    try:
                        return await self._connect()
                    except SessionFault as fault:
                        logger.info("tunnel: no successor for a draining connection yet: %s", fault)
                        await asyncio.sleep(backoff.next())
        except TimeoutError:
            return None

    async def _retire(self, session: Session) -> None:
        try:
            await session.retire(DRAIN_LIMIT)
            await session.connection.wait_closed(1.0)
        finally:
            self._sessions.discard(session)

    # Work

    def _dispatch(self, intake: IntakeStream) -> None:
        envelope = intake.envelope
        assert envelope is not None
        if envelope.route_kind == RouteKind.TCP_STREAM:
            if self._passthrough is None or envelope.tcp_id is None:
                logger.warning("tunnel: the edge sent a TCP stream that this listener cannot take")
                return
            self._service.spawn(self._passthrough.serve(intake.session, envelope), "tcp")
        elif envelope.route_kind == RouteKind.WS_UPGRADE:
            self._service.spawn(EdgeWebSocket(self._service, intake.session, envelope).run(), "websocket")
        else:
            self._service.spawn(EdgeExchange(self._service, intake).run(), "request")
