"""One listener of the tunnel benchmark as a program: ours, the official one, or the bare application."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]  # Any: ASGI messages
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE = b"x" * 65536
LIMIT = 1 << 30


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """`POST /echo` answers with the body, `/count` with its length, `GET /produce?N` with N bytes."""
    assert scope["type"] == "http"
    if scope["path"] == "/produce":
        await produce(int(scope["query_string"]), send)
        return
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        size += len(message["body"])
        if scope["path"] == "/echo":
            pieces.append(message["body"])
    body = b"".join(pieces) or b"%d" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def produce(size: int, send: Send) -> None:
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, size, len(PIECE)):
        piece = PIECE[: size - start]
        more = start + len(piece) < size
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def ours(arguments: dict[str, Any]) -> None:  # Any: JSON
    from inkbox_async import AsyncInkbox

    async with (
        AsyncInkbox(arguments["api_key"], base_url=arguments["base_url"]) as client,
        client.tunnels.connect(
            name=arguments["name"],
            forward_to=app,
            state_dir=arguments["state_dir"],
            ca=arguments["ca"],
            data_plane_zone=f"localhost:{arguments['edge_port']}",
            max_inbound_body_bytes=LIMIT,
            max_outbound_body_bytes=LIMIT,
        ) as listener,
    ):
        await listener.serve_forever()


def official(arguments: dict[str, Any]) -> None:  # Any: JSON
    # It dials port 443 and nothing else; that is led to the port of the edge.
    dial = asyncio.open_connection

    async def led(host: str, port: int, **rest: Any) -> Any:  # Any: asyncio's own arguments
        return await dial(host, arguments["edge_port"] if port == 443 else port, **rest)

    asyncio.open_connection = led  # type: ignore[assignment]
    from inkbox import Inkbox

    client = Inkbox(api_key=arguments["api_key"], base_url=arguments["base_url"])
    listener = client.tunnels.connect(
        name=arguments["name"],
        forward_to=app,
        state_dir=arguments["state_dir"],
        max_inbound_body_bytes=LIMIT,
        max_outbound_body_bytes=LIMIT,
    )
    asyncio.run(listener.serve_forever())


def direct(arguments: dict[str, Any]) -> None:  # Any: JSON
    import uvicorn

    uvicorn.run(app, port=arguments["port"], log_level="error", lifespan="off")


def main() -> None:
    arguments = json.loads(sys.argv[1])
    if arguments["kind"] == "ours":
        asyncio.run(ours(arguments))
    elif arguments["kind"] == "official":
        official(arguments)
    else:
        direct(arguments)


if __name__ == "__main__":
    main()
