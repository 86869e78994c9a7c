"""A raw HTTP server on loopback that shows exactly which bytes a forwarded request is made of."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Lines = list[str]


@dataclass
class Talk:
    """One request, and the connection to answer it on."""

    head: Lines
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


Answer = Callable[[Talk], Awaitable[None]]


class Upstream:
    """Serves one answer to every request, and keeps what it was sent."""

    def __init__(self, answer: Answer | bytes, context: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._context = context
        self.heads: list[Lines] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def headers(self, number: int = -1) -> dict[str, str]:
        return dict(self.fields(number))

    def fields(self, number: int = -1) -> list[tuple[str, str]]:
        fields = []
        for line in self.heads[number][1:]:
            name, _, value = line.partition(": ")
            fields.append((name.lower(), value))
        return fields

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
                self.heads.append(head)
                body = await self._body(reader)
                self.bodies.append(body)
                if isinstance(self._answer, bytes):
                    writer.write(self._answer)
                    await writer.drain()
                else:
                    await self._answer(Talk(head, body, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        headers = self.headers()
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return b""
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body


def handshake(head: Lines, *extra: str) -> bytes:
    """A correct answer to a WebSocket handshake."""
    fields = dict(line.lower().partition(": ")[::2] for line in head[1:])
    key = next(line.partition(": ")[2] for line in head if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    assert fields["upgrade"] == "websocket"
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest.digest()).decode()}",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
