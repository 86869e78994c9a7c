"""The tunnel edge as a part of the sandbox: its control plane is the store, its names are the settings'."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from datetime import datetime
from importlib import import_module
from pathlib import Path
from sqlite3 import Row
from typing import TYPE_CHECKING

from aiohttp import web

from .auth import caller_of_key
from .clock import Clock
from .edge.directory import TunnelRecord, Verdict
from .edge.limits import EdgeLimits
from .edge.names import EdgeNames
from .private import private_directory
from .settings import Settings
from .store import Store, Tx
from .tunnels import TOPIC

if TYPE_CHECKING:
    from .edge.ca import CertificateAuthority
    from .edge.server import Edge

logger = logging.getLogger("inkbox_async.sandbox")

_AUTHORITY_SUFFIX = ".tls"


class TunnelEdge:
    """Starts, stops and steers the edge of one sandbox.

    The port is open from the start; TLS, HTTP/2 and certificates are imported and made for the first visitor.

    Its certificate authority is kept beside the data file, so that a restarted sandbox is still trusted;
    without a data file it lives in a private directory that is deleted at the end.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        host: str,
        port: int,
        data: Path | None,
        limits: EdgeLimits | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._host, self._port = host, port
        self._temporary: Path | None = None
        if data is None:
            self._temporary = directory = Path(tempfile.mkdtemp(prefix="inkbox-sandbox-"))
        else:
            directory = data.absolute().with_name(data.name + _AUTHORITY_SUFFIX)
            if directory.exists():  # the keys in it are not read before they are needed
                private_directory(directory)
        self._authority_place = directory
        self._authority: CertificateAuthority | None = None
        self._authority_lock = threading.Lock()
        zone = settings.zone or "localhost"
        self._names = EdgeNames(zone, settings.public_domain or zone)
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._edge: Edge | None = None
        self._making: asyncio.Task[Edge] | None = None
        self._early: dict[asyncio.Transport, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: The port is taken.
        """
        await self._store.run(self._forget_connections)
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._changed.set)

        self._store.listen(TOPIC, wake)
        self._server = await loop.create_server(self._connection, self._host, self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]
        return self._port

    async def stop(self) -> None:
        """Stop listening, end every connection, and forget the keys of a sandbox without a data file."""
        if self._server is not None:
            self._server.close()
        for transport in self._early:
            transport.abort()
        await asyncio.gather(*self._early.values())
        if self._making is not None:
            await asyncio.wait([self._making])
        if self._edge is not None:
            await self._edge.stop()
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)

    async def watch(self) -> None:
        """Follow renamed and deleted tunnels, for as long as the sandbox runs."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._edge is not None:
                await self._edge.refresh()

    def authority(self) -> CertificateAuthority:
        """Signs the edge's own certificates and those of passthrough tunnels. Any thread may ask for it."""
        from .edge.ca import CertificateAuthority

        with self._authority_lock:
            if self._authority is None:
                self._authority = CertificateAuthority(self._authority_place)
            return self._authority

    def is_public_host(self, authority: str) -> bool:
        """Whether a Host value belongs to a tunnel and not to the API."""
        return self._names.tunnel_name(authority) is not None

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a third party that came in plain HTTP by the port of the API."""
        edge = self._edge or await self._made()
        return await edge.http1.handle(request)

    async def drain(self, tunnel_id: str) -> bool:
        """Ask the tunnel's listener to move to a new connection; False when there is no listener."""
        return self._edge is not None and await self._edge.drain(tunnel_id)

    def supersede(self, tunnel_id: str) -> bool:
        """Displace the tunnel's listener as another one would; False when there is no listener."""
        return self._edge is not None and self._edge.supersede(tunnel_id)

    def _connection(self) -> asyncio.Protocol:
        """What speaks on an accepted connection."""
        return _Early(self) if self._edge is None else self._edge.connection()

    def take(self, transport: asyncio.Transport) -> None:
        """Hand a connection over to the edge as soon as there is one; nothing is read from it until then."""
        transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._hand_over(transport))
        self._early[transport] = task
        task.add_done_callback(lambda _: self._early.pop(transport))

    async def _hand_over(self, transport: asyncio.Transport) -> None:
        try:
            edge = await self._made()
        except Exception:
            logger.exception("The tunnel edge could not be made")
            transport.abort()
            return
        if not transport.is_closing():
            protocol = edge.connection()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            transport.resume_reading()

    async def _made(self) -> Edge:
        """The edge, made once. A caller that is cancelled leaves the making to the others."""
        if self._making is None:
            self._making = asyncio.create_task(self._make())
        return await asyncio.shield(self._making)

    async def _make(self) -> Edge:
        authority = await asyncio.to_thread(self._prepare)
        from .edge.server import Edge

        directory = _StoreDirectory(self._store, self._clock)
        edge = Edge(directory, authority, self._names, self._limits)
        edge.open(self._port)
        self._edge = edge
        return edge

    def _prepare(self) -> CertificateAuthority:
        """What takes long: the imports and the keys."""
        import_module(".edge.server", __package__)
        return self.authority()

    def _forget_connections(self, tx: Tx) -> None:
        """A process that was killed could not tell the end of its connections."""
        tx.execute(
            "UPDATE tunnels SET currently_connected = 0, last_disconnected_at = ? WHERE currently_connected",
            self._clock.now(),
        )


class _Early(asyncio.Protocol):
    """A connection that came before the edge was made."""

    def __init__(self, edge: TunnelEdge) -> None:
        self._edge = edge

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._edge.take(transport)


class _StoreDirectory:
    """The store as the edge's control plane."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def resolve_tunnel_by_name(self, name: str) -> TunnelRecord | None:
        return await self._find("tunnel_name", name)

    async def resolve_tunnel(self, tunnel_id: str) -> TunnelRecord | None:
        return await self._find("id", tunnel_id.lower())

    async def _find(self, column: str, value: str) -> TunnelRecord | None:
        def find(tx: Tx) -> Row | None:
            return tx.one(f"SELECT * FROM tunnels WHERE {column} = ? AND status <> 'deleted'", value)

        row = await self._store.run(find)
        if row is None:
            return None
        return TunnelRecord(
            id=row["id"],
            tunnel_name=row["tunnel_name"],
            tls_mode=row["tls_mode"],
            status=row["status"],
        )

    async def authenticate(self, api_key: str, tunnel: TunnelRecord) -> Verdict:
        now = self._clock.now()

        def judge(tx: Tx) -> Verdict:
            caller = caller_of_key(tx, now, api_key)
            if caller is None:
                return Verdict.UNKNOWN_KEY
            row = tx.one("SELECT organization_id, identity_id FROM tunnels WHERE id = ?", tunnel.id)
            if row is None or row["organization_id"] != caller.organization_id:
                return Verdict.FORBIDDEN
            return Verdict.ALLOWED if caller.may_touch(row["identity_id"]) else Verdict.FORBIDDEN

        return await self._store.run(judge)

    async def mark_connected(self, tunnel_id: str, ip_address: str | None, at: datetime) -> None:
        def mark(tx: Tx) -> None:
            tx.update(
                "tunnels",
                tunnel_id,
                currently_connected=True,
                last_connected_at=at,
                last_connected_ip_addr=ip_address,
            )

        await self._store.run(mark)

    async def mark_disconnected(self, tunnel_id: str, at: datetime) -> None:
        await self._store.run(
            lambda tx: tx.update("tunnels", tunnel_id, currently_connected=False, last_disconnected_at=at)
        )
