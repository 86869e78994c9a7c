"""A server that costs next to nothing, so that a benchmark measures the client: canned answers by path.

    python -m benchmarks.stub_server [SECONDS]

Every answer is SECONDS late, as over a long line. The mailbox `pages-20@inkboxmail.com` has 20 pages.
"""

from __future__ import annotations

import asyncio
import re
import sys

from .stub_data import ADDRESS, CURSOR_LENGTH, DETAIL, HANDLE, IDENTITY, MESSAGE_ID, SENT, encoded, page

HEAD = (
    b"HTTP/1.1 %d %s\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nX-Request-ID: 3f0c9b7a5d2e4f6881a2b3c4d5e6f708\r\n\r\n"
)
MAILBOXES = "/api/v1/mail/mailboxes/"
_NEXT = b'"next_cursor":"'
_CURSOR = re.compile(rb"[?&]cursor=(\d+)")
_PAGES = re.compile(rf"^{MAILBOXES}pages-(\d+)(?:@|%40)inkboxmail\.com/messages$".encode())


def response(body: bytes, status: int = 200, reason: bytes = b"OK") -> bytes:
    """A whole HTTP response with a JSON body."""
    return HEAD % (status, reason, len(body)) + body


def _of_mailbox(path: str) -> list[bytes]:
    """Both spellings of a path that holds an address."""
    return [f"{MAILBOXES}{address}{path}".encode() for address in (ADDRESS, ADDRESS.replace("@", "%40"))]


class Answers:
    """What is said to each request."""

    def __init__(self) -> None:
        last, detail = response(page(None)), response(encoded(DETAIL))
        self._fixed = {
            b"GET /api/v1/identities/%b" % HANDLE.encode(): response(encoded(IDENTITY)),
            **{b"GET %b" % path: last for path in _of_mailbox("/messages")},
            **{b"GET %b" % path: detail for path in _of_mailbox(f"/messages/{MESSAGE_ID}")},
            **{
                b"POST %b" % path: response(encoded(SENT), 201, b"Created")
                for path in _of_mailbox("/messages")
            },
        }
        self._last = last
        # One page that is not the last; only its cursor changes.
        middle = response(page(0))
        cursor = middle.index(_NEXT) + len(_NEXT)
        self._before, self._after = middle[:cursor], middle[cursor + CURSOR_LENGTH :]
        self._unknown = response(b'{"detail":"The stub does not know this path."}', 404, b"Not Found")

    def to(self, method: bytes, target: bytes) -> bytes:
        """The response to one request."""
        path, _, _ = target.partition(b"?")
        if found := self._fixed.get(b"%b %b" % (method, path)):
            return found
        if method == b"GET" and (walk := _PAGES.match(path)):
            cursor = _CURSOR.search(target)
            here = int(cursor[1]) if cursor else 0
            if here + 1 >= int(walk[1]):
                return self._last
            return b"%b%0*d%b" % (self._before, CURSOR_LENGTH, here + 1, self._after)
        return self._unknown


class Stub(asyncio.Protocol):
    """One connection: reads whole requests, says what is written down for their path."""

    def __init__(self, answers: Answers, delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            total = end + 4
            lower = head.lower()
            if (at := lower.find(b"content-length:")) >= 0:
                total += int(lower[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < total:
                return
            self._buffer = self._buffer[total:]
            method, target, _ = head.split(b" ", 2)
            answer = self._answers.to(method, target)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._say, answer)
            else:
                self._say(answer)

    def _say(self, answer: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(answer)


async def main(delay: float) -> None:
    """Serves on a free port of the loopback, which it prints, until it is killed."""
    answers = Answers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(answers, delay), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
