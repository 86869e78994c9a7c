"""The listener: the one object through which a tunnel is served, watched and closed."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from ..generated.models.tunnels import Tunnel
from .bootstrap import Prepared, bootstrap, check_not_removed
from .control import ControlPlane
from .exceptions import TunnelAuthenticationError
from .options import ListenerOptions
from .protocol import DEFAULT_ZONE
from .status import Status, TunnelRuntimeStatus

if TYPE_CHECKING:
    from .runtime import Runtime

logger = logging.getLogger("inkbox_async.tunnels")

CLOSE_TIMEOUT: Final = 30.0
_POLL: Final = 1.0

Control = Callable[[], AbstractAsyncContextManager[ControlPlane]]


class TunnelListener:
    """Serves one tunnel. Nothing happens before it is entered, served or waited for.

    Use one of three ways, which exclude each other:

    - `async with listener:` connects on entry and closes on exit;
    - `await listener.serve_forever()` with `await listener.aclose()`, in a running event loop;
    - `listener.wait()` with `listener.close()`, in a plain thread: the tunnel gets an event loop of its own.

    Example:
        ```python
        async with inkbox.tunnels.connect(name="my-app", forward_to=app) as listener:
            print(listener.public_url)
            await listener.serve_forever()
        ```
    """

    def __init__(
        self, options: ListenerOptions, *, api_key: str, control: Control, own_control: Control
    ) -> None:
        self._options = options
        self._api_key = api_key
        self._control = control
        self._own_control = own_control
        self._status = Status(options.on_status)
        self._prepared: Prepared | None = None
        self._runtime: Runtime | None = None
        self._mode: Literal["thread", "async"] | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._thread_ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<TunnelListener {self._options.name} {self.status}>"

    # What it is

    @property
    def public_url(self) -> str:
        """The public address, `https://{public_host}`.

        Before the tunnel was looked up for the first time, the address it has on the live service.
        """
        if self._prepared is not None:
            host = self._prepared.public_host
        else:
            host = self._options.state.load().public_host or f"{self._options.name}.{DEFAULT_ZONE}"
        return f"https://{host}"

    @property
    def tunnel(self) -> Tunnel | None:
        """The tunnel's record as it was when the listener started; None before."""
        return self._prepared.tunnel if self._prepared is not None else None

    @property
    def status(self) -> TunnelRuntimeStatus:
        """What the listener is doing."""
        return self._status.current

    @property
    def is_connected(self) -> bool:
        """Whether third parties reach the application now."""
        return self.status is TunnelRuntimeStatus.CONNECTED

    @property
    def last_connected_at(self) -> datetime | None:
        """When a connection to the edge was last made (UTC); None before the first."""
        return self._status.last_connected_at

    # The async ways

    async def __aenter__(self) -> Self:
        """Connect; returns when third parties reach the application, or somebody closed the listener.

        Raises:
            TunnelError: The tunnel cannot be served; see the subclasses.
            InkboxError: The control plane refused, or could not be reached.
        """
        self._claim("async")
        connected = asyncio.Event()
        self._status.watch(connected.set)
        task = self._start()
        waiter = asyncio.create_task(connected.wait())
        try:
            await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await self._joined(task)
        except BaseException:
            await self.aclose()
            raise
        finally:
            waiter.cancel()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
        if error is None:
            self._raise_once()

    async def serve_forever(self) -> None:
        """Serve until `aclose()`, or until something fatal happens.

        Raises:
            TunnelAuthenticationError: The edge rejected the API key.
            TunnelSupersededError: Another listener took the tunnel over.
            TunnelError: The tunnel cannot be served; see the other subclasses.
            InkboxError: The control plane refused, or could not be reached.
            RuntimeError: `wait()` drives this listener.
        """
        self._claim("async")
        if self._closed:
            self._raise_once()
            return
        task = self._start()
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except BaseException:
            self._error = None
            raise

    async def aclose(self) -> None:
        """Stop serving and close everything; does nothing the second time.

        Raises:
            RuntimeError: `wait()` drives this listener; use `close()`.
        """
        if self._mode == "thread":
            raise RuntimeError("wait() drives this listener; use close()")
        self._closed = True
        if self._runtime is not None:
            self._runtime.stop()
        task = self._task
        if task is None:
            self._status.change(TunnelRuntimeStatus.CLOSED)
        elif task is not asyncio.current_task():
            if self._runtime is None:
                task.cancel()
            await asyncio.wait((task,))

    def _start(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._serve(self._control), name="inkbox-tunnel")
            self._task.add_done_callback(self._keep_error)
        return self._task

    def _keep_error(self, task: asyncio.Task[None]) -> None:
        self._closed = True
        if not task.cancelled():
            self._error = task.exception()

    async def _joined(self, task: asyncio.Task[None]) -> None:
        self._error = None
        await task

    def _raise_once(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    # The thread way

    def wait(self) -> None:
        """Serve in a thread of its own and block until `close()`, SIGTERM, Ctrl-C, or something fatal.

        On the main thread, SIGTERM closes the listener, and `wait` returns normally. Ctrl-C closes it, and
        `KeyboardInterrupt` is raised.

        Raises:
            TunnelError: As `serve_forever`.
            RuntimeError: Called in a running event loop, or the async way drives this listener.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("wait() would block the event loop; use `await listener.serve_forever()`")
        self._claim("thread")
        with _Sigterm(self._stop_thread):
            try:
                with self._lock:
                    if self._closed and self._thread is None:
                        return
                    if self._thread is None:
                        self._thread = threading.Thread(target=self._run_thread, name="inkbox-tunnel-runtime")
                        self._thread.start()
                # Not `join`, which may take the thread for ended when a signal interrupts it.
                while not self._thread_ended.wait(_POLL):
                    pass
            except KeyboardInterrupt:
                self.close()
                raise
        self._thread.join()
        self._raise_once()

    def close(self) -> None:
        """Stop what `wait()` drives, and wait for its end.

        Raises:
            TimeoutError: The thread was still alive after 30 seconds.
            RuntimeError: The async way drives this listener; use `aclose()`.
        """
        if self._mode == "async":
            raise RuntimeError("the event loop drives this listener; use `await listener.aclose()`")
        with self._lock:
            thread, self._closed = self._thread, True
        if thread is None:
            self._status.change(TunnelRuntimeStatus.CLOSED)
            return
        self._stop_thread()
        if thread is not threading.current_thread():
            if not self._thread_ended.wait(CLOSE_TIMEOUT):
                raise TimeoutError("the tunnel's thread did not end in 30 seconds")
            thread.join()

    def _stop_thread(self) -> None:
        self._closed = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stop_on_loop)

    def _stop_on_loop(self) -> None:
        if self._runtime is not None:
            self._runtime.stop()
        elif self._task is not None:
            self._task.cancel()

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._thread_main())
        except BaseException as error:
            self._error = error
        finally:
            self._thread_ended.set()

    async def _thread_main(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if not self._closed:
            await self._serve(self._own_control)

    # Both

    def _claim(self, mode: Literal["thread", "async"]) -> None:
        with self._lock:
            if self._mode not in (None, mode):
                other = "wait()" if self._mode == "thread" else "the event loop"
                raise RuntimeError(f"{other} drives this listener already; the two ways exclude each other")
            self._mode = mode

    async def _serve(self, control: Control) -> None:
        try:
            async with control() as plane:
                prepared = self._prepared = await bootstrap(self._options, plane)
                runtime = self._runtime = await asyncio.to_thread(
                    _make_runtime, self._options, prepared, self._api_key, self._status
                )
                if self._closed:
                    return
                try:
                    await runtime.run()
                except TunnelAuthenticationError:
                    # So does the edge answer for a tunnel that is gone; the control plane tells which it is.
                    await check_not_removed(prepared.tunnel, plane)
                    raise
        except asyncio.CancelledError:
            if not self._closed:
                raise
            logger.debug("tunnel: closed before it was connected")
        finally:
            self._closed = True
            self._status.change(TunnelRuntimeStatus.CLOSED)


def _make_runtime(options: ListenerOptions, prepared: Prepared, api_key: str, status: Status) -> Runtime:
    # HTTP/2, WebSockets and certificate stores take some hundred milliseconds: not on the event loop.
    from .serving import make_runtime

    return make_runtime(options, prepared, api_key, status)


class _Sigterm:
    """While entered on the main thread, SIGTERM calls a function instead of ending the process."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._installed:
            self._previous = signal.signal(signal.SIGTERM, self._handle)

    def __exit__(self, *error: object) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._action()
