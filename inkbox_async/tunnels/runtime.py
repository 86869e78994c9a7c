"""The running tunnel: keeps a session with the edge, hands work out, and brings the answers back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ..errors import TunnelSupersededError
from .backoff import cold_backoff, handoff_backoff
from .body_fetch import BodyFetcher
from .connection import PING_INTERVAL, PING_TIMEOUT
from .edge_http import EdgeExchange
from .edge_websocket import EdgeWebSocket
from .exceptions import LocalAnswer
from .exchange import CANCEL_GRACE, Target
from .limits import Limits
from .passthrough import Passthrough
from .protocol import DataPlane, Headers, RouteKind
from .session import EdgeAddress, IntakeStream, Outcome, PostStream, Session, SessionFault

logger = logging.getLogger("inkbox_async.tunnels")

HANDOFF_BUDGET: Final = 30.0
DRAIN_LIMIT: Final = 90.0
REPLY_PATIENCE: Final = 5.0
REPLY_LIMIT: Final = 30.0
STABLE_AFTER: Final = 10.0
TEARDOWN_TIMEOUT: Final = 5.0
QUICK_DRAIN: Final = 2.0
POST_ATTEMPTS: Final = 3


class TunnelRuntimeStatus(StrEnum):
    """What a listener is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"
    SUPERSEDED = "superseded"


class Status:
    """The runtime status and who wants to hear of it; a status is reported when it changes.

    Args:
        callback: Called with each new status; what it raises is logged.
    """

    def __init__(self, callback: Callable[[str], object] | None) -> None:
        self._callback = callback
        self._on_connected: Callable[[], object] | None = None
        self.current = TunnelRuntimeStatus.IDLE
        self.last_connected_at: datetime | None = None

    def watch(self, on_connected: Callable[[], object]) -> None:
        """Also call a function of our own at each connection."""
        self._on_connected = on_connected

    def change(self, status: TunnelRuntimeStatus) -> None:
        """Enter a status."""
        if status is TunnelRuntimeStatus.CONNECTED:
            self.last_connected_at = datetime.now(UTC)
            if self._on_connected is not None:
                self._on_connected()
        if status is self.current or self.current is TunnelRuntimeStatus.SUPERSEDED:
            return
        self.current = status
        if self._callback is not None:
            try:
                self._callback(status)
            except Exception:
                logger.exception("tunnel: on_status raised")


@dataclass(frozen=True)
class Timing:
    """How often the edge is asked for a sign of life, and how long it may take; seconds."""

    ping_interval: float = PING_INTERVAL
    ping_timeout: float = PING_TIMEOUT


class Runtime:
    """Serves one tunnel until it is stopped.

    Args:
        plane: Builds the header lists.
        address: Where to dial.
        target: Where requests go.
        public_host: The tunnel's public host.
        status: Told of every change.
        pool_size: Wished number of parked intakes, or None.
        limits: Caps on bodies.
        fetcher: Fetches request bodies that the edge put aside; the runtime closes it.
        passthrough: Terminates TLS for a passthrough tunnel, None in edge mode.
        timing: Signs of life.
        chores: Run beside the tunnel for as long as it is served.
    """

    def __init__(
        self,
        *,
        plane: DataPlane,
        address: EdgeAddress,
        target: Target,
        public_host: str,
        status: Status,
        pool_size: int | None = None,
        limits: Limits | None = None,
        fetcher: BodyFetcher | None = None,
        passthrough: Passthrough | None = None,
        timing: Timing | None = None,
        chores: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),  # Any: coroutine protocol
    ) -> None:
        self.plane = plane
        self._address = address
        self.target = target
        self.public_host = public_host
        self._status = status
        self._pool_size = pool_size
        self.limits = limits or Limits()
        self._passthrough = passthrough
        self._chores = chores
        self._timing = timing or Timing()
        self._active: Session | None = None
        self._sessions: set[Session] = set()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: results are never used
        self.fetcher = fetcher or BodyFetcher()
        self._serving: asyncio.Task[None] | None = None
        self.stopping = False
        """Whether everything is being closed."""
        self.farewells: dict[asyncio.Task[None], Callable[[], None]] = {}
        """How each exchange under way tells its application that the tunnel stops."""

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
            if self.stopping:
                return
            await self.target.start()
            for chore in self._chores:
                self.spawn(chore(), "chore")
            await self._keep_connected()
        except TunnelSupersededError:
            self._status.change(TunnelRuntimeStatus.SUPERSEDED)
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.stopping or (task is not None and task.uncancel() > 0):
                raise
        finally:
            await self._tear_down()

    def stop(self) -> None:
        """Let `run` end; it closes everything and returns."""
        if not self.stopping:
            self.stopping = True
            if self._serving is not None:
                self._serving.cancel()

    async def _tear_down(self) -> None:
        self.stopping = True
        if self.farewells:
            for farewell in list(self.farewells.values()):
                farewell()
            await asyncio.wait(set(self.farewells), timeout=CANCEL_GRACE)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=TEARDOWN_TIMEOUT)
        sessions, self._sessions = self._sessions, set()
        for session in sessions:
            session.close()
        for session in sessions:
            await session.connection.wait_closed(1.0)
        await self.fetcher.aclose()
        await self.target.aclose()

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
            self.plane,
            self._address,
            pool_size=self._pool_size,
            on_envelope=self._dispatch,
            ping_interval=self._timing.ping_interval,
            ping_timeout=self._timing.ping_timeout,
        )
        await session.start()
        self._sessions.add(session)
        self._active = session
        self._announce()
        self._status.change(TunnelRuntimeStatus.CONNECTED)
        return session

    async def _follow(self, session: Session) -> Session:
        """Stay with a session and, through drains, its successors; returns the one that broke."""
        pace = handoff_backoff()
        clock = asyncio.get_running_loop().time
        while True:
            followed_from = clock()
            outcome = await asyncio.shield(session.outcome)
            if self._active is session:
                self._active = None
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
            self.spawn(self._retire(session), "retire")
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

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # Work

    def _dispatch(self, intake: IntakeStream) -> None:
        envelope = intake.envelope
        assert envelope is not None
        if envelope.route_kind == RouteKind.TCP_STREAM:
            if self._passthrough is None or envelope.tcp_id is None:
                logger.warning("tunnel: the edge sent a TCP stream that this listener cannot take")
                return
            self.spawn(self._passthrough.serve(intake.session, envelope), "tcp")
        elif envelope.route_kind == RouteKind.WS_UPGRADE:
            self.spawn(EdgeWebSocket(self, intake.session, envelope).run(), "websocket")
        else:
            self.spawn(EdgeExchange(self, intake).run(), "request")

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:  # Any: its protocol
        """Run something as part of the tunnel; it is cancelled when the tunnel stops."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None and not isinstance(error, ConnectionResetError):
                logger.error("tunnel: %s failed", task.get_name(), exc_info=error)

    # Responses

    async def session_for_reply(self, origin: Session) -> Session:
        """The session to answer on: the active one, or soon its successor, or the draining origin.

        Raises:
            ConnectionResetError: There is none for too long.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            active = self._active
            if active is not None and not active.draining and not active.connection.closed:
                return active
            waited = loop.time() - start
            if waited >= REPLY_PATIENCE and not origin.connection.closed and origin.connection.http2.can_open:
                return origin
            if waited >= REPLY_LIMIT or self.stopping:
                raise ConnectionResetError("no connection to the edge to answer on")
            try:
                async with asyncio.timeout(min(REPLY_PATIENCE, REPLY_LIMIT - waited)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def post(
        self,
        origin: Session,
        request_id: bytes,
        status: int,
        headers: Headers,
        body: bytes,
        attempts: int = POST_ATTEMPTS,
    ) -> None:
        """Post a whole response; should its connection be lost before the edge took it, post it again.

        Raises:
            ConnectionResetError: There was no connection to post it on.
        """

        def on_reset(repeatable: bool) -> None:
            if repeatable and attempts > 1 and not self.stopping:
                self.spawn(self.post(origin, request_id, status, headers, body, attempts - 1), "post")

        session = await self.session_for_reply(origin)
        post = PostStream(session.connection, on_reset)
        head = self.plane.response(request_id, status, headers, len(body))
        try:
            await session.connection.open_when_possible(post, head, end_stream=not body)
        except ConnectionResetError:
            on_reset(True)
            return
        if body:
            try:
                await post.write(body, end_stream=True)
            except ConnectionResetError:
                # The stream has told `on_reset` already whether another try makes sense.
                return
            post.sent_at = session.connection.time()

    async def post_answer(self, origin: Session, request_id: bytes, answer: LocalAnswer) -> None:
        """Post an answer of the listener's own; see `post`."""
        headers: Headers = [(b"content-type", b"text/plain")]
        if answer.reason:
            headers.append((b"inkbox-reason", answer.reason.encode()))
        await self.post(origin, request_id, answer.status, headers, answer.text.encode())

    async def open_post(
        self,
        origin: Session,
        request_id: bytes,
        status: int,
        headers: Headers,
        length: int | None,
        on_reset: Callable[[bool], None],
    ) -> PostStream:
        """Begin to post a response whose body is still to come.

        Raises:
            ConnectionResetError: There is no connection to post it on.
        """
        session = await self.session_for_reply(origin)
        post = PostStream(session.connection, on_reset)
        head = self.plane.response(request_id, status, headers, length)
        await session.connection.open_when_possible(post, head)
        return post
