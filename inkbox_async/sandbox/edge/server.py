"""The edge itself: one port, where a connection's first bytes decide whether its TLS is opened here."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Final

from aiohttp import web

from inkbox_async.sandbox.edge.ca import CertificateAuthority
from inkbox_async.sandbox.edge.data_plane import PREFIX, DataPlane
from inkbox_async.sandbox.edge.directory import TunnelDirectory, TunnelRecord
from inkbox_async.sandbox.edge.http1 import Http1Ingress
from inkbox_async.sandbox.edge.http2 import Http2Connection, Stream
from inkbox_async.sandbox.edge.http2_ingress import Http2Ingress
from inkbox_async.sandbox.edge.ingress import Ingress
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.names import EdgeNames
from inkbox_async.sandbox.edge.passthrough import RawConnection, pass_through
from inkbox_async.sandbox.edge.put_aside import PutAside
from inkbox_async.sandbox.edge.relay import Relay
from inkbox_async.sandbox.edge.sni import CLIENT_HELLO_LIMIT, Incomplete, NotTls, server_name
from inkbox_async.sandbox.edge.tls import TlsConnection

_ALPN: Final = ("h2", "http/1.1")
_CONTEXTS_KEPT: Final = 256
_HIGH_WATER: Final = 262_144
_LAST_WORDS: Final = 0.1
"""Seconds that requests under way get when the edge stops; aiohttp takes 0 for no limit at all."""
_PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 48\r\n\r\n"
    b"this port speaks TLS only: use an https:// URL.\n"
)


class Edge:
    """The tunnel edge: the data plane of listeners and the public hosts of third parties.

    Args:
        directory: The control plane.
        authority: Issues the certificates of the zone and the public hosts.
        names: Which host means what.
        limits: Times and sizes.
    """

    def __init__(
        self,
        directory: TunnelDirectory,
        authority: CertificateAuthority,
        names: EdgeNames,
        limits: EdgeLimits | None = None,
    ) -> None:
        self.directory = directory
        self.limits = limits or EdgeLimits()
        self.names = names
        self._authority = authority
        self._put_aside = PutAside()
        self._ingress = Ingress(self, names, self._put_aside)
        self.http1 = Http1Ingress(self._ingress, self.limits)
        """Takes aiohttp requests for public hosts; the API's port hands its own to `http1.handle`."""
        self._http2 = Http2Ingress(self._ingress, self.limits)
        self._http1_server: web.Server | None = None
        self._servers: list[asyncio.Server] = []
        self._relays: dict[str, Relay] = {}
        self._hellos = itertools.count(1)
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._transports: set[asyncio.Transport] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._records: set[asyncio.Task[None]] = set()

    # Life

    async def start(self, host: str, port: int) -> int:
        """Listen; port 0 takes a free one. Returns the port.

        Raises:
            OSError: The address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self.connection, host, port, backlog=1024)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        self.open(bound)
        return bound

    def open(self, port: int) -> None:
        """Be ready for connections to a port at which somebody else listens; `connection` serves them."""
        self._http1_server = self.http1.server()
        self._put_aside.origin = f"https://{_literal(self.names.service_hosts[0])}:{port}"

    def connection(self) -> asyncio.Protocol:
        """What speaks on an accepted connection, from its first byte on."""
        return _Connection(self)

    async def stop(self) -> None:
        """Stop listening, end every connection, and wait for what they were doing."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for relay in self._relays.values():
            relay.stop()
        if self._http1_server is not None:
            self._http1_server.pre_shutdown()  # ends idle connections, for which `shutdown` would wait
            await self._http1_server.shutdown(timeout=_LAST_WORDS)
        for transport in list(self._transports):
            transport.abort()
        await self._all_closed.wait()
        await self.http1.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._records)

    # Control

    async def drain(self, tunnel_id: str) -> bool:
        """Ask the tunnel's listener to move to a new connection, as a deploy does; False without one."""
        relay = self._relays.get(tunnel_id)
        return relay is not None and await relay.drain()

    def supersede(self, tunnel_id: str) -> bool:
        """Treat the tunnel's listener as if another one had taken over; False without one."""
        relay = self._relays.get(tunnel_id)
        return relay is not None and relay.supersede()

    async def refresh(self) -> None:
        """Follow the directory: tunnels that were renamed or have changed, and tunnels that are gone.

        The listener of one that is gone is disconnected, and its next hello will be refused.
        """
        for tunnel_id, relay in list(self._relays.items()):
            record = await self.directory.resolve_tunnel(tunnel_id)
            if record is not None:
                relay.record = record
            elif self._relays.get(tunnel_id) is relay:
                del self._relays[tunnel_id]
                relay.end()

    def is_connected(self, tunnel_id: str) -> bool:
        """Whether a listener serves the tunnel now."""
        relay = self._relays.get(tunnel_id)
        return relay is not None and relay.live is not None

    def is_public_host(self, authority: str) -> bool:
        """Whether a Host value belongs to the tunnels and not to the API."""
        return self.names.tunnel_name(authority) is not None

    # For the connections

    def relay(self, record: TunnelRecord) -> Relay:
        relay = self._relays.get(record.id)
        if relay is None:
            relay = self._relays[record.id] = Relay(record, self.directory, self.limits, self._keep_record)
        elif relay.live is None:
            relay.record = record
        return relay

    def find_relay(self, tunnel_id: str) -> Relay | None:
        return self._relays.get(tunnel_id)

    def next_hello(self) -> int:
        return next(self._hellos)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` as a task of the edge; `stop` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _keep_record(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run an update of a tunnel's record; `stop` lets it finish."""
        task = asyncio.get_running_loop().create_task(work)
        self._records.add(task)
        task.add_done_callback(self._records.discard)
        return task

    def opened(self, transport: asyncio.Transport) -> None:
        self._transports.add(transport)
        self._all_closed.clear()

    def closed(self, transport: asyncio.Transport) -> None:
        self._transports.discard(transport)
        if not self._transports:
            self._all_closed.set()

    async def passthrough_relay(self, host: str | None) -> Relay | None:
        """The relay of the tunnel whose TLS for `host` is not opened here, None when it is."""
        name = self.names.tunnel_name(host) if host is not None else None
        record = await self.directory.resolve_tunnel_by_name(name) if name is not None else None
        return self.relay(record) if record is not None and record.is_passthrough else None

    async def serve_raw(self, relay: Relay, host: str, third_party: RawConnection) -> None:
        await pass_through(self._ingress, relay, host, third_party, self.limits)

    def context_for(self, host: str | None) -> ssl.SSLContext:
        """The TLS context for an SNI host.

        Every public host has a certificate of its own: OpenSSL accepts no wildcard right below a top-level
        name, so `*.localhost` would match nothing.
        """
        if host is None or self.names.tunnel_name(host) is None:
            host = ""
        context = self._contexts.get(host)
        if context is None:
            context = self._authority.server_context([host] if host else self.names.service_hosts, _ALPN)
            self._contexts[host] = context
            if len(self._contexts) > _CONTEXTS_KEPT:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(host)
        return context

    def protocol_for(self, alpn: str | None) -> asyncio.Protocol:
        """What speaks on a TLS connection with this ALPN name."""
        if alpn == "h2":
            return _Http2Peer(self, self._http2).connection
        assert self._http1_server is not None
        return self.http1.connection(self._http1_server)


def _literal(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class _Http2Peer:
    """Who is behind one HTTP/2 connection: a listener, third parties, or both."""

    def __init__(self, edge: Edge, ingress: Http2Ingress) -> None:
        self.connection = Http2Connection(self._on_stream, self._on_lost, edge.spawn)
        self._data_plane = DataPlane(edge, self.connection)
        self._ingress = ingress
        self._names = edge.names
        self._silent = asyncio.get_running_loop().call_later(
            edge.limits.handshake_seconds, self.connection.close
        )

    def _on_stream(self, stream: Stream) -> None:
        self._silent.cancel()
        # Listeners may dial the zone or their public host; the tunnel id tells them from a third party.
        if stream.pseudo.get(b":path", b"").startswith(PREFIX) and stream.header(b"x-tunnel-id") is not None:
            self._data_plane.on_stream(stream)
        else:
            self._ingress.on_stream(stream)

    def _on_lost(self, connection: Http2Connection) -> None:
        self._silent.cancel()
        self._data_plane.on_lost()


class _Connection(asyncio.Protocol):
    """An accepted connection until its ClientHello is here."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(
            self._edge.limits.handshake_seconds, transport.abort
        )
        self._edge.opened(transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        transport = self._transport
        assert transport is not None
        try:
            host = server_name(self._received)
        except Incomplete:
            if len(self._received) > CLIENT_HELLO_LIMIT:
                transport.abort()
            return
        except NotTls:
            transport.write(_PLAIN_HTTP)
            transport.close()
            return
        if host is None or not self._edge.is_public_host(host):
            self._open(transport, host)
        else:
            transport.pause_reading()
            self._edge.spawn(self._find_out(transport, host))

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._stop_waiting()
        self._edge.closed(self._transport)

    async def _find_out(self, transport: asyncio.Transport, host: str) -> None:
        """Ask whether this host's TLS is opened here, and go on accordingly."""
        relay = await self._edge.passthrough_relay(host)
        if transport.is_closing():
            return
        if relay is None:
            self._open(transport, host)
            return
        self._stop_waiting()
        raw = RawConnection(transport, self._received, self._edge.closed)
        transport.set_protocol(raw)
        transport.resume_reading()
        await self._edge.serve_raw(relay, host, raw)

    def _open(self, transport: asyncio.Transport, host: str | None) -> None:
        """Terminate TLS here."""
        self._stop_waiting()
        edge = self._edge
        tls = TlsConnection(
            transport,
            edge.context_for(host),
            edge.protocol_for,
            edge.closed,
            handshake_timeout=edge.limits.handshake_seconds,
        )
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        transport.set_protocol(tls)
        transport.resume_reading()
        tls.data_received(self._received)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
