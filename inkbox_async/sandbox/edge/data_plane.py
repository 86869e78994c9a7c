"""The `/_system/` paths of one connection: hello, intakes, response posts and bridges of a listener."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Protocol

from inkbox_async.sandbox.edge.directory import TunnelDirectory, TunnelRecord, Verdict
from inkbox_async.sandbox.edge.envelope import edge_reason, pseudo_path
from inkbox_async.sandbox.edge.http2 import Http2Connection, Stream
from inkbox_async.sandbox.edge.http2_codes import ErrorCode
from inkbox_async.sandbox.edge.http2_headers import decimal
from inkbox_async.sandbox.edge.limits import POOL_SIZE_MAX, POOL_SIZE_MIN, EdgeLimits
from inkbox_async.sandbox.edge.relay import Relay
from inkbox_async.sandbox.edge.session import Session, SessionState

PREFIX: Final = b"/_system/"

_OK: Final = [(b":status", b"200")]
_BRIDGES: Final = {b"inkbox-tunnel-ws": "ws", b"inkbox-tunnel-tcp": "tcp"}


class Relays(Protocol):
    """Where the tunnels' relays are kept."""

    directory: TunnelDirectory
    limits: EdgeLimits

    def relay(self, record: TunnelRecord) -> Relay:
        """The relay of a tunnel, made on first use."""
        ...

    def find_relay(self, tunnel_id: str) -> Relay | None:
        """The relay of a tunnel that has had a listener."""
        ...

    def next_hello(self) -> int:
        """The position of a hello that has just arrived."""
        ...


class DataPlane:
    """The listener's side of one connection; it may carry hellos for any tunnel, normally one for one."""

    def __init__(self, relays: Relays, connection: Http2Connection) -> None:
        self._relays = relays
        self._connection = connection
        self._session: Session | None = None
        self._relay: Relay | None = None
        self._proven: set[tuple[str, str]] = set()

    def on_stream(self, stream: Stream) -> None:
        """Take a stream whose path begins with `/_system/`."""
        path = pseudo_path(stream.pseudo)
        method = stream.pseudo.get(b":method")
        if method == b"CONNECT":
            self._on_connect(stream, path)
        elif method != b"POST":
            _refuse(stream, 405, "the data plane takes POST and CONNECT")
        elif path == b"/_system/intake":
            self._on_intake(stream)
        elif path.startswith(b"/_system/response/"):
            self._on_response(stream, path[len(b"/_system/response/") :].decode("latin-1"))
        elif path == b"/_system/hello":
            self._connection.spawn(self._on_hello(stream, self._relays.next_hello()))
        else:
            _refuse(stream, 404, "no such data-plane path")

    def on_lost(self) -> None:
        """The connection is gone."""
        if self._session is not None and self._relay is not None:
            self._relay.detach(self._session)

    async def _on_hello(self, stream: Stream, order: int) -> None:
        if self._session is not None and self._session.state is not SessionState.LIVE:
            _refuse(stream, 503, "this connection is draining; dial a new one")
            return
        record = await self._authenticate(stream)
        if record is None:
            return
        if record.status != "active":
            _refuse(stream, 403, f"the tunnel is {record.status}; it needs a signed certificate first")
            return
        limits = self._relays.limits
        session = Session(self._connection, limits.intake_idle_seconds)
        relay = self._relays.relay(record)
        previous_session, previous_relay = self._session, self._relay
        if not await relay.attach(session, record, order):
            stream.respond(_JSON_409, end=False)
            await stream.write(_json({"reason": "hello-superseded"}), end=True)
            return
        self._session, self._relay = session, relay
        if previous_session is not None and previous_relay is not None:
            previous_relay.detach(previous_session)
        answer = {
            "owner_token": session.token,
            "default_pool_size": _pool_size(stream.header(b"x-pool-size"), limits.default_pool_size),
            "intake_idle_seconds": limits.intake_idle_seconds,
            "response_deadline_seconds": limits.response_deadline_seconds,
        }
        stream.respond([(b":status", b"200"), (b"content-type", b"application/json")])
        await stream.write(_json(answer), end=True)

    def _on_intake(self, stream: Stream) -> None:
        session, relay = self._session, self._relay
        token = stream.header(b"x-owner-token") or b""
        if session is None or relay is None or token != session.token.encode():
            stream.respond(edge_reason("owner-token-invalid", 401), end=True)
        else:
            relay.park(session, stream)

    def _on_response(self, stream: Stream, request_id: str) -> None:
        def take(relay: Relay) -> None:
            if stream.reset_code is not None:
                return
            if not relay.reply(request_id, stream):
                refuse_post(stream, 404, "nobody waits for this request any more")
            elif stream.remote_closed:
                stream.respond(_OK, end=True)
            else:
                self._follow(stream)

        self._with_relay(stream, take)

    def _follow(self, stream: Stream) -> None:
        """Answer a response post when its last byte is here, whoever reads the body and however slowly."""
        session = self._session
        if session is not None:
            session.begin_transfer()

        def finish(_: Stream) -> None:
            stream.when_ended = stream.when_reset = None
            if session is not None:
                session.end_transfer()
            if stream.reset_code is None:
                stream.respond(_OK, end=True)

        stream.when_ended = stream.when_reset = finish

    def _on_connect(self, stream: Stream, path: bytes) -> None:
        kind = _BRIDGES.get(stream.pseudo.get(b":protocol", b""))
        prefix = f"/_system/{kind}/".encode()
        if kind is None or not path.startswith(prefix):
            _refuse(stream, 404, "no such bridge")
            return
        bridge_id = path[len(prefix) :].decode("latin-1")
        if self._session is not None and self._session.state is SessionState.DISPLACED:
            _refuse(stream, 409, "another listener has taken over")
            return

        def take(relay: Relay) -> None:
            if stream.reset_code is not None:
                return
            if relay.bridge(kind, bridge_id, stream):
                stream.respond(_OK)
            else:
                _refuse(stream, 404, "nobody waits for this bridge")

        self._with_relay(stream, take)

    def _with_relay(self, stream: Stream, use: Callable[[Relay], None]) -> None:
        """Give the tunnel's relay to `use` if the stream's key may serve it; at once if that is known."""
        claim = _claim(stream)
        if claim in self._proven and (relay := self._relays.find_relay(claim[0])) is not None:
            use(relay)
        else:
            self._connection.spawn(self._prove(stream, use))

    async def _prove(self, stream: Stream, use: Callable[[Relay], None]) -> None:
        record = await self._authenticate(stream)
        if record is not None:
            use(self._relays.relay(record))

    async def _authenticate(self, stream: Stream) -> TunnelRecord | None:
        """The record of the stream's tunnel if its key may serve it; else the stream has been refused."""
        tunnel_id, api_key = _claim(stream)
        directory = self._relays.directory
        if not api_key:
            _refuse(stream, 401, "x-api-key is missing")
            return None
        record = await directory.resolve_tunnel(tunnel_id)
        if record is None:
            _refuse(stream, 403, "no such tunnel for this key")
            return None
        verdict = await directory.authenticate(api_key, record)
        if verdict is Verdict.ALLOWED:
            self._proven.add((tunnel_id, api_key))
            return record
        if verdict is Verdict.UNKNOWN_KEY:
            _refuse(stream, 401, "the API key is not known")
        else:
            _refuse(stream, 403, "the API key may not serve this tunnel")
        return None


def refuse_post(stream: Stream, status: int, detail: str) -> None:
    """Answer a response post whose body is not wanted, and stop the listener from sending the rest of it."""
    unfinished = not stream.remote_closed
    stream.when_ended = stream.when_reset = None
    _refuse(stream, status, detail)
    if unfinished:
        stream.reset(ErrorCode.NO_ERROR)


def _refuse(stream: Stream, status: int, detail: str) -> None:
    body = _json({"detail": detail})
    stream.respond([(b":status", b"%d" % status), (b"content-type", b"application/json")])
    if not stream.write_now(body, end=True) and not stream.is_over:
        stream.reset(ErrorCode.CANCEL)


def _claim(stream: Stream) -> tuple[str, str]:
    tunnel_id = stream.header(b"x-tunnel-id") or b""
    api_key = stream.header(b"x-api-key") or b""
    return tunnel_id.decode("latin-1"), api_key.decode("latin-1")


def _pool_size(wish: bytes | None, default: int) -> int:
    size = decimal(wish) if wish is not None else None
    return default if size is None else min(max(size, POOL_SIZE_MIN), POOL_SIZE_MAX)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_JSON_409: Final = [(b":status", b"409"), (b"content-type", b"application/json")]
