"""Drives an ASGI 3 application: lifespan, HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

from .bridge_frames import Close
from .exceptions import AppFailure, LocalAnswer, TunnelAppError
from .exchange import Request, Responder, WebSocketPeer
from .options import ASGIApp
from .protocol import forwarded_request_headers

logger = logging.getLogger("inkbox_async.tunnels")

Event: TypeAlias = MutableMapping[str, Any]  # Any: the ASGI specification's own typing
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

SHUTDOWN_TIMEOUT: Final = 5.0
_VERSION: Final = {"version": "3.0", "spec_version": "2.3"}


class AsgiTarget:
    """An application in this process.

    Args:
        app: An ASGI 3 callable.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lifespan = _Lifespan(app)

    async def start(self) -> None:
        """Run the application's startup.

        Raises:
            TunnelAppError: The application reported that it could not start.
        """
        await self._lifespan.startup()

    async def aclose(self) -> None:
        """Run the application's shutdown."""
        await self._lifespan.shutdown()

    async def http(self, request: Request, responder: Responder) -> None:
        """Answer a request; see `Target.http`."""
        cycle = _HttpCycle(request, responder)
        try:
            await self._app(self._scope(request, "http", "https"), cycle.receive, cycle.send)
        except (LocalAnswer, asyncio.CancelledError):
            raise
        except Exception as error:
            if cycle.finished or not request.disconnected.is_set():
                logger.exception("tunnel: the application raised")
            raise LocalAnswer(500, "internal error") from error
        if not responder.started:
            raise LocalAnswer(500, "")
        if not cycle.finished:
            await responder.send(b"", False)

    async def websocket(self, request: Request, peer: WebSocketPeer) -> None:
        """Serve a WebSocket; see `Target.websocket`."""
        scope = self._scope(request, "websocket", "wss")
        scope["subprotocols"] = peer.subprotocols
        scope["headers"] = [field for field in scope["headers"] if field[0] != b"sec-websocket-protocol"]
        cycle = _WebSocketCycle(peer)
        try:
            await self._app(scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not cycle.over:
                logger.exception("tunnel: the application raised in a WebSocket")
            if not cycle.answered:
                raise AppFailure(403, "app rejected WS (close code=1011)") from error
            await peer.close(1011, "")
        else:
            if not cycle.answered:
                raise LocalAnswer(403, "app rejected WS (close code=1006)")
            await peer.close(1000, "")

    def _scope(self, request: Request, kind: str, scheme: str) -> Scope:
        path, _, query = request.target.partition(b"?")
        client = request.client
        host = request.public_host.encode()
        public_name, _, port = request.public_host.partition(":")
        scope: Scope = {
            "type": kind,
            "asgi": _VERSION,
            "http_version": request.http_version,
            "scheme": scheme,
            "path": (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": forwarded_request_headers(
                request.headers, host=host, public_host=host, client_ip=client.encode() if client else None
            ),
            "client": (client or "unknown", 0),
            "server": (public_name, int(port) if port.isascii() and port.isdigit() else 443),
        }
        if kind == "http":
            scope["method"] = request.method.upper()
        if self._lifespan.state:
            scope["state"] = self._lifespan.state.copy()
        return scope


class _HttpCycle:
    """The receive and send of one HTTP request."""

    __slots__ = ("_body_done", "_request", "_responder", "finished")

    def __init__(self, request: Request, responder: Responder) -> None:
        self._request = request
        self._responder = responder
        self._body_done = False
        self.finished = False

    async def receive(self) -> Event:
        request = self._request
        if not self._body_done and not request.disconnected.is_set():
            body = request.body
            whole = body.whole
            if whole is not None:
                self._body_done = True
                return {"type": "http.request", "body": whole, "more_body": False}
            try:
                piece = await body.read()
            except ConnectionResetError:
                return {"type": "http.disconnect"}
            self._body_done = not piece
            return {"type": "http.request", "body": piece, "more_body": bool(piece)}
        await request.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        kind = event["type"]
        if kind == "http.response.body":
            if self.finished:
                return
            more = bool(event.get("more_body", False))
            if not more:
                self.finished = True
            if self._request.disconnected.is_set():
                # An application that sends on and on must still let the event loop turn.
                await asyncio.sleep(0)
                return
            try:
                await self._responder.send(event.get("body", b""), more)
            except ConnectionResetError:
                more = False
            if not more:
                # Whoever listens for the third party's departure may stop now: the response is over.
                self._request.disconnected.set()
        elif kind == "http.response.start":
            await self._responder.start(event["status"], list(event.get("headers", ())))
        else:
            raise RuntimeError(f"unexpected ASGI event {kind!r} in an HTTP response")


class _WebSocketCycle:
    """The receive and send of one WebSocket."""

    __slots__ = ("_connected", "_peer", "answered", "over")

    def __init__(self, peer: WebSocketPeer) -> None:
        self._peer = peer
        self._connected = False
        self.answered = False
        self.over = False

    async def receive(self) -> Event:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        message = await self._peer.receive()
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        if isinstance(message, Close):
            self.over = True
            return {"type": "websocket.disconnect", "code": message.code, "reason": message.reason}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, event: Event) -> None:
        kind = event["type"]
        if kind == "websocket.send":
            if not self.answered:
                raise RuntimeError("websocket.send before websocket.accept")
            data = event.get("bytes")
            if data is None:
                data = event.get("text")
            if data is None:
                raise RuntimeError("websocket.send without text or bytes")
            await self._peer.send(data)
        elif kind == "websocket.accept":
            if self.answered:
                raise RuntimeError("websocket.accept sent twice")
            self.answered = True
            await self._peer.accept(event.get("subprotocol"), list(event.get("headers", ())))
        elif kind == "websocket.close":
            code = event.get("code", 1000)
            if not self.answered:
                self.answered = self.over = True
                shown = event.get("code", 1006)
                await self._peer.reject(
                    403,
                    [(b"content-type", b"text/plain")],
                    f"app rejected WS (close code={shown})".encode(),
                )
                return
            self.over = True
            await self._peer.close(code, event.get("reason") or "")
        else:
            raise RuntimeError(f"unexpected ASGI event {kind!r} in a WebSocket")


class _Lifespan:
    """The startup and shutdown of an application, in one task of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.state: dict[str, Any] = {}  # Any: whatever the application keeps there
        self._shutdown = asyncio.Event()
        self._startup_given = False
        self._started: asyncio.Future[Event] | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        self._started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="inkbox-tunnel-lifespan")
        await asyncio.wait((self._task, self._started), return_when=asyncio.FIRST_COMPLETED)
        if self._started.done() and self._started.result()["type"] == "lifespan.startup.failed":
            message = self._started.result().get("message") or "no reason given"
            raise TunnelAppError(f"the application failed to start: {message}")

    async def shutdown(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._shutdown.set()
        await asyncio.wait((task,), timeout=SHUTDOWN_TIMEOUT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _receive(self) -> Event:
        if not self._startup_given:
            self._startup_given = True
            return {"type": "lifespan.startup"}
        await self._shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: Event) -> None:
        assert self._started is not None
        if event["type"].startswith("lifespan.startup.") and not self._started.done():
            self._started.set_result(event)

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # An application that does not know the lifespan protocol raises here; it needs none.
            if self._shutdown.is_set():
                logger.exception("tunnel: the application raised in its shutdown")
            else:
                logger.debug("tunnel: the application does not support lifespan: %r", error)
