"""The tunnel edge as a part of the sandbox: its control plane is the store, its names are the settings'."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from sqlite3 import Row

from aiohttp import web

from .auth import caller_of_key
from .clock import Clock
from .edge import CertificateAuthority, Edge, EdgeLimits, EdgeNames, TunnelRecord, Verdict
from .settings import Settings
from .store import Store, Tx
from .tunnels import TOPIC

_AUTHORITY_SUFFIX = ".tls"


class TunnelEdge:
    """Starts, stops and steers the edge of one sandbox.

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
        self.authority = CertificateAuthority(directory)
        """Signs the edge's own certificates and those of passthrough tunnels."""
        zone = settings.zone or "localhost"
        names = EdgeNames(zone, settings.public_domain or zone)
        self._edge = Edge(_StoreDirectory(self._store, self._clock), self.authority, names, limits)
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
        return await self._edge.start(self._host, self._port)

    async def stop(self) -> None:
        """Stop listening, end every connection, and forget the keys of a sandbox without a data file."""
        await self._edge.stop()
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)

    async def watch(self) -> None:
        """Follow renamed and deleted tunnels, for as long as the sandbox runs."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._edge.refresh()

    def is_public_host(self, authority: str) -> bool:
        """Whether a Host value belongs to a tunnel and not to the API."""
        return self._edge.is_public_host(authority)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a third party that came in plain HTTP by the port of the API."""
        return await self._edge.http1.handle(request)

    async def drain(self, tunnel_id: str) -> bool:
        """Ask the tunnel's listener to move to a new connection; False when there is no listener."""
        return await self._edge.drain(tunnel_id)

    def supersede(self, tunnel_id: str) -> bool:
        """Displace the tunnel's listener as another one would; False when there is no listener."""
        return self._edge.supersede(tunnel_id)

    def _forget_connections(self, tx: Tx) -> None:
        """A process that was killed could not tell the end of its connections."""
        tx.execute(
            "UPDATE tunnels SET currently_connected = 0, last_disconnected_at = ? WHERE currently_connected",
            self._clock.now(),
        )


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
