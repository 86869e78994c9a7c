"""What the requests of one tunnel share: where they go, their tasks, and the way back to the edge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from .body_fetch import BodyFetcher
from .exceptions import LocalAnswer
from .exchange import CANCEL_GRACE
from .protocol import DataPlane, Headers
from .session import PostStream, Session
from .site import Site

logger = logging.getLogger("inkbox_async.tunnels")

REPLY_PATIENCE: Final = 5.0
REPLY_LIMIT: Final = 30.0
TEARDOWN_TIMEOUT: Final = 5.0
POST_ATTEMPTS: Final = 3


class Service:
    """Serves requests while sessions with the edge come and go.

    Args:
        plane: Builds the header lists.
        site: What is served.
        fetcher: Fetches request bodies that the edge put aside; closed with the service.
    """

    def __init__(self, plane: DataPlane, site: Site, fetcher: BodyFetcher) -> None:
        self.plane = plane
        self.site = site
        self.fetcher = fetcher
        self.stopping = False
        """Whether everything is being closed."""
        self.farewells: dict[asyncio.Task[None], Callable[[], None]] = {}
        """How each exchange under way tells its application that the tunnel stops."""
        self._active: Session | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: results are never used

    # Sessions

    def use(self, session: Session) -> None:
        """Answer on this session from now on."""
        self._active = session
        self._changed.set()
        self._changed = asyncio.Event()

    def leave(self, session: Session) -> None:
        """Answer on this session no longer."""
        if self._active is session:
            self._active = None

    # Tasks

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

    async def end_tasks(self) -> None:
        """Tell the applications that the tunnel stops, then end everything that was spawned."""
        if self.farewells:
            for farewell in list(self.farewells.values()):
                farewell()
            await asyncio.wait(set(self.farewells), timeout=CANCEL_GRACE)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=TEARDOWN_TIMEOUT)

    async def aclose(self) -> None:
        """Release the target and what else is held."""
        await self.fetcher.aclose()
        await self.site.target.aclose()

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
            except asyncio.CancelledError:
                post.reset()
                raise
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
