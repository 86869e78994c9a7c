"""A server that costs next to nothing, so that a benchmark measures the client: canned answers by path."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

ADDRESS = "scout@inkboxmail.com"
MESSAGE: dict[str, Any] = {
    "id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "mailbox_id": "7f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "thread_id": "8f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "message_id": "<20260102030405.1234@mail.example>",
    "from_address": "ada@example.com",
    "from_display_name": "Ada Lovelace",
    "to_addresses": [ADDRESS],
    "cc_addresses": None,
    "subject": "The analytical engine",
    "snippet": "It weaves algebraical patterns just as the Jacquard loom weaves flowers and leaves. " * 2,
    "direction": "inbound",
    "status": "received",
    "is_read": False,
    "is_starred": False,
    "has_attachments": False,
    "created_at": "2026-01-02T03:04:05.678901Z",
}
WHOAMI = {
    "auth_type": "api_key",
    "auth_subtype": "api_key.admin_scoped",
    "organization_id": "org_1",
    "key_id": "ApiKey_6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "label": "benchmark",
    "created_by": "user_1",
    "creator_type": "human",
}
PAGE = {"items": [MESSAGE] * 50, "next_cursor": None, "has_more": False}
ANSWERS: list[tuple[bytes, object]] = [
    (b"/api/whoami", WHOAMI),
    (f"/api/v1/mail/mailboxes/{ADDRESS}/messages/".encode(), {**MESSAGE, "body_text": "word " * 400}),
    (f"/api/v1/mail/mailboxes/{ADDRESS}/messages".encode(), PAGE),
]
SENT = {**MESSAGE, "direction": "outbound", "status": "queued"}


def response(content: object) -> bytes:
    """A whole HTTP response with a JSON body."""
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


class Stub(asyncio.Protocol):
    """One connection: reads whole requests, says what is written down for their path."""

    get: ClassVar = [(path, response(content)) for path, content in ANSWERS]
    post = response(SENT)

    def __init__(self) -> None:
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            total = end + 4
            lower = head.lower()
            if (at := lower.find(b"content-length:")) >= 0:
                total += int(lower[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < total:
                return
            self.buffer = self.buffer[total:]
            method, path, _ = head.split(b" ", 2)
            if method == b"POST":
                self.transport.write(self.post)
            else:
                self.transport.write(next(answer for start, answer in self.get if path.startswith(start)))


async def main() -> None:
    """Serves on a free port of the loopback, which it prints, until it is killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
