"""The official client as a program: it serves a small ASGI app through a tunnel and tells its states.

It dials `{zone}:443` and nothing else; its connections are led to the port of the sandbox's edge. Arguments,
as one JSON object: base_url, api_key, name, edge_port, state_dir.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]  # Any: ASGI messages
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await echo_socket(scope, receive, send)
        return
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"].startswith("/slow"):
        await asyncio.sleep(0.05)
    headers = [(b"content-type", b"application/octet-stream"), (b"x-path", scope["raw_path"])]
    headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    for name, value in scope["headers"]:
        if name in (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-mine"):
            headers.append((b"seen-" + name, value))
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo_socket(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 4000})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            tell(f"disconnect {message.get('code')}")
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4010, "reason": "asked"})
            return
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})


def main() -> None:
    arguments = json.loads(sys.argv[1])
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
        on_status=lambda status: tell(str(status)),
    )
    try:
        listener.wait()
    except Exception as error:
        tell(f"ended {type(error).__name__}")


if __name__ == "__main__":
    main()
