"""Small ASGI applications to put behind a tunnel."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Event = MutableMapping[str, Any]  # Any: the ASGI specification's own typing
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]


def http(handler: App) -> App:
    """An application that only knows HTTP."""

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await handler(scope, receive, send)

    return app


def websocket(handler: App) -> App:
    """An application that only knows WebSockets."""

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        await handler(scope, receive, send)

    return app


async def read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        event = await receive()
        assert event["type"] == "http.request", event
        piece: bytes = event.get("body", b"")
        body += piece
        if not event.get("more_body", False):
            return body


async def respond(
    send: Send, body: bytes = b"", status: int = 200, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})


@http
async def echo(scope: Event, receive: Receive, send: Send) -> None:
    """Answers with the body it was sent."""
    body = await read_body(receive)
    await respond(send, body, headers=[(b"content-type", b"application/octet-stream")])


@http
async def mirror(scope: Event, receive: Receive, send: Send) -> None:
    """Answers with its scope, as JSON."""
    await read_body(receive)
    seen = {
        key: value
        for key, value in scope.items()
        if isinstance(value, (str, int)) or key in ("client", "server", "asgi")
    }
    seen["raw_path"] = scope["raw_path"].decode("latin-1")
    seen["query_string"] = scope["query_string"].decode("latin-1")
    seen["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await respond(send, json.dumps(seen).encode(), headers=[(b"content-type", b"application/json")])


@websocket
async def ws_echo(scope: Event, receive: Receive, send: Send) -> None:
    """Accepts, and sends every message back."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})
