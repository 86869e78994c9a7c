"""The sandbox as one object: its parts, what starts and stops them, and what embedding code uses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple

import aiohttp
import anyio
from anyio.abc import TaskGroup

from .clock import Clock
from .courier import Courier
from .edge.limits import EdgeLimits
from .faults import Faults
from .imessage import delivery as imessage
from .journal import Entry, Journal
from .mail import delivery as mail
from .organizations import Organization, create_organization, new_organization
from .phone.service import Phone
from .server import ApiServer
from .session import local_session
from .settings import Settings
from .smtp import SmtpServer
from .store import Callback, Store, Tx
from .tunnel_edge import TunnelEdge
from .webhooks.service import Webhooks
from .world import World

if TYPE_CHECKING:
    from inkbox_async.client import AsyncInkbox

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger("inkbox_async.sandbox")


class Sandbox:
    """A local Inkbox, embedded in this process.

        async with Sandbox() as sandbox, sandbox.client() as inkbox:
            identity = await inkbox.create_identity("support")
            await sandbox.world.send_email(
                from_="ann@example.com", to=[identity.email_address], subject="Hello"
            )

    Everything listens on loopback. Several may run at once; their methods may be used from any thread and
    any event loop while it runs.

    Attributes:
        settings: Its names and addresses.
        clock: Its clock; `sandbox.clock.advance(seconds)`.
        faults: Orders to fail; `sandbox.faults.add(path="/api/v1/mail/*", status=503)`.
        world: The outside world: people who write, carriers, domains.
        store: Its data.
        edge: Its tunnel edge; None until it runs.
        webhooks: What it sends to receivers.
        phone: What carries its calls and texts.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        smtp_port: int = 0,
        edge_port: int = 0,
        data: str | Path | None = None,
        zone: str | None = None,
        public_domain: str | None = None,
        allow_external_webhooks: bool = False,
        edge_limits: EdgeLimits | None = None,
    ) -> None:
        """Prepare a sandbox; entering it with `async with` starts it.

        Args:
            host: Address to listen on.
            port: Port of the API; 0 takes a free one.
            smtp_port: Port for mail from outside; 0 takes a free one.
            edge_port: Port of the tunnel edge; 0 takes a free one.
            data: SQLite file to keep the data in; None keeps them in memory.
            zone: What tunnel records name as the host to dial; by default `localhost:{edge_port}`.
            public_domain: Domain of the tunnels' public names; by default the zone.
            allow_external_webhooks: Whether webhooks may be sent to other machines than this one.
            edge_limits: Times and sizes of the tunnel edge; by default those of `EdgeLimits()`.
        """
        self.settings = Settings(
            zone=zone, public_domain=public_domain, allow_external_webhooks=allow_external_webhooks
        )
        self.clock = Clock(on_advance=self._remember_clock)
        self.faults = Faults()
        self.journal = Journal()
        self.store = Store(None if data is None else Path(data), on_commit=self._commit_callbacks)
        self.world = World(self)
        self.webhooks = Webhooks(self.settings, self.store, self.clock)
        self.phone = Phone(self.settings, self.store, self.clock, self.webhooks)
        self.edge: TunnelEdge | None = None
        self._host, self._port, self._smtp_port, self._edge_port = host, port, smtp_port, edge_port
        self._data = None if data is None else Path(data)
        self._edge_limits = edge_limits
        self._home: Organization | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._tasks: TaskGroup | None = None
        self._callback_scopes: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url or 'not started'}>"

    async def __aenter__(self) -> Self:
        """Start it. Returns when it is ready.

        Raises:
            StoreError: The data file cannot be used.
            OSError: A port is taken.
            RuntimeError: It was started before.
        """
        if self._main is not None:
            raise RuntimeError("A sandbox is started once: make a new Sandbox().")
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = self._loop.create_future()
        self._main = asyncio.create_task(self._run(ready), name="inkbox-sandbox")
        try:
            await ready
        except BaseException:
            if ready.cancelled():
                self._main.cancel()
            await asyncio.wait([self._main])
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and close everything."""
        await self.stop()

    async def stop(self) -> None:
        """Stop it and close everything. Stopping twice does no harm."""
        if self._main is not None:
            await self.on_own_loop(self._stop)

    @property
    def base_url(self) -> str:
        """Where the API is: `http://127.0.0.1:PORT`."""
        return self.settings.base_url

    @property
    def control_url(self) -> str:
        """Where the control API is."""
        return self.settings.control_url

    @property
    def console_url(self) -> str:
        """A page for people that shows identities, mailboxes and what left for the outside."""
        return self.settings.console_url

    @property
    def smtp_host(self) -> str | None:
        """Where mail from outside is taken in."""
        return self.settings.smtp_host

    @property
    def smtp_port(self) -> int | None:
        """Its port."""
        return self.settings.smtp_port

    @property
    def edge_host(self) -> str | None:
        """Where the tunnel edge listens."""
        return self.settings.edge_host

    @property
    def edge_port(self) -> int | None:
        """Its port."""
        return self.settings.edge_port

    @property
    def ca_cert_path(self) -> str | None:
        """PEM file of the authority that signs the edge's certificates; made when it is first asked for."""
        return self.settings.ca_cert_path

    @property
    def home(self) -> Organization:
        """The ready-made organization.

        Raises:
            RuntimeError: The sandbox was not started.
        """
        if self._home is None:
            raise RuntimeError(
                "The sandbox is not running: enter it with `async with Sandbox() as sandbox:`."
            )
        return self._home

    @property
    def api_key(self) -> str:
        """Admin key of the ready-made organization."""
        return self.home.api_key

    @property
    def organization_id(self) -> str:
        """Id of the ready-made organization."""
        return self.home.id

    def client(
        self, api_key: str | None = None, **settings: Any
    ) -> AsyncInkbox:  # Any: the client's own settings
        """A client on this sandbox, to be entered with `async with`.

        Args:
            api_key: Another key than the ready-made organization's admin key.
            **settings: Further arguments of `AsyncInkbox`.
        """
        from inkbox_async.client import AsyncInkbox

        settings.setdefault("base_url", self.base_url)
        return AsyncInkbox(api_key or self.api_key, **settings)

    def session(self, **settings: Any) -> aiohttp.ClientSession:  # Any: aiohttp's own settings
        """An aiohttp session that finds the sandbox's public names (`*.localhost`) and trusts its authority.

        To be entered with `async with`. `settings` are further arguments of `aiohttp.ClientSession`.
        """
        return local_session(self.settings, **settings)

    def requests(self) -> list[Entry]:
        """The API calls that came in, newest first, without their secrets."""
        return self.journal.entries()

    async def reset(self) -> None:
        """Go back to the state just after the start: the ready-made organization and nothing else."""
        await self.on_own_loop(self._reset)

    async def on_own_loop(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        """`await function(*arguments)` on the event loop the sandbox runs on, from whichever loop calls."""

        async def call() -> T:
            return await function(*arguments)

        loop = self._loop
        if loop is None:
            raise RuntimeError(
                "The sandbox is not running: enter it with `async with Sandbox() as sandbox:`."
            )
        if loop is asyncio.get_running_loop():
            return await call()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), loop))

    def spawn(self, function: Callable[[*Ts], Awaitable[None]], *arguments: *Ts) -> None:
        """Run a worker until the sandbox stops. To be called on the sandbox's loop, from a service's start.

        Workers live on through `reset`: they must not remember what the store has forgotten.
        """
        if self._tasks is not None and not self._stopping.is_set():
            self._tasks.start_soon(self._guard, function, *arguments)

    async def _run(self, ready: asyncio.Future[None]) -> None:
        """The sandbox's life, in one task: everything is started, awaited and closed here."""
        try:
            await self._open_store()
            # Workers are cancelled before the services they use are stopped.
            async with AsyncExitStack() as services, anyio.create_task_group() as self._tasks:
                await self._start_services(services)
                if not ready.cancelled():
                    ready.set_result(None)
                await self._stopping.wait()
                self._tasks.cancel_scope.cancel()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(_only(error))
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await self.store.close()

    async def _start_services(self, services: AsyncExitStack) -> None:
        """Start every part that runs, in this order; they are stopped in the reverse order."""
        shown_host = "127.0.0.1" if self._host in ("0.0.0.0", "::", "") else self._host
        api = ApiServer(self, self._host, self._port)
        await api.start()
        services.push_async_callback(api.stop)
        host = f"[{shown_host}]" if ":" in shown_host else shown_host
        self.settings.base_url = f"http://{host}:{api.port}"
        edge = TunnelEdge(
            self.settings,
            self.store,
            self.clock,
            self._host,
            self._edge_port,
            self._data,
            self._edge_limits,
        )
        services.push_async_callback(edge.stop)
        self.settings.edge_port = await edge.start()
        self.settings.edge_host = shown_host
        self.settings.make_authority = edge.authority
        self.spawn(edge.watch)
        self.edge = edge
        smtp = SmtpServer(self, self._host, self._smtp_port)
        await smtp.start()
        services.push_async_callback(smtp.stop)
        self.settings.smtp_host, self.settings.smtp_port = shown_host, smtp.port
        self.spawn(Courier(self.store, self.clock, mail.TOPIC, mail.advance).run)
        self.spawn(
            Courier(self.store, self.clock, imessage.TOPIC, partial(imessage.advance, self.settings)).run
        )
        self.spawn(self.webhooks.run)
        self.spawn(self.phone.run)

    async def _open_store(self) -> None:
        await self.store.open()
        remembered = await self.store.run(
            lambda tx: dict(tx.execute("SELECT name, value FROM meta").fetchall())
        )
        if "home" not in remembered:  # new, or killed before it was ready for the first time
            self._home = new_organization(self.clock.now())
            await self.store.seed(self._seed)
            return
        self._home = Organization.from_json(remembered["home"])
        self.clock.reset(timedelta(seconds=float(remembered.get("clock_offset", "0"))))

    def _seed(self, tx: Tx) -> None:
        tx.insert("meta", name="home", value=self.home.to_json())
        create_organization(tx, self.home)

    async def _reset(self) -> None:
        for scope in list(self._callback_scopes):
            scope.cancel()
        await self.store.restore(self._seed)
        self.clock.reset()
        self.faults.clear()
        self.journal.clear()

    async def _stop(self) -> None:
        self._stopping.set()
        if self._main is not None:
            await asyncio.wait([self._main])
            self._main.result()

    def _remember_clock(self, offset: timedelta) -> None:
        def remember(tx: Tx) -> None:
            tx.execute(
                "INSERT INTO meta (name, value) VALUES ('clock_offset', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                str(offset.total_seconds()),
            )

        if self._home is not None:
            self.store.submit(remember)

    def _commit_callbacks(self, callbacks: list[Callback]) -> None:
        """Take over, from the store's thread, what a stored transaction ordered."""
        if self._loop is not None and not self._loop.is_closed():
            for callback in callbacks:
                self._loop.call_soon_threadsafe(self.spawn, self._callback, callback)

    async def _callback(self, callback: Callback) -> None:
        with anyio.CancelScope() as scope:
            self._callback_scopes.add(scope)
            try:
                await callback()
            finally:
                self._callback_scopes.discard(scope)

    @staticmethod
    async def _guard(function: Callable[[*Ts], Awaitable[None]], *arguments: *Ts) -> None:
        """One worker's failure is written to the log; the others go on."""
        try:
            await function(*arguments)
        except Exception:
            logger.exception("Background work of the sandbox failed")


def _only(error: BaseException) -> BaseException:
    """The one exception in a group of one, as a task group wraps it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
