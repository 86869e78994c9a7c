"""Large request bodies put aside: the envelope names a URL, and the listener fetches the body from there."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from inkbox_async.sandbox.edge.http2 import StreamReset
from inkbox_async.sandbox.edge.http2_codes import ErrorCode

PATH: Final = b"/_system/body/"


class BodyAside:
    """One body on its way from the third party that sends it to the listener that fetches it.

    It is written and read like a stream, piece by piece: nothing more than one piece is kept.

    Args:
        uri: Where it is fetched.
        length: Its size in bytes, None when the third party did not announce it.
    """

    def __init__(self, uri: str, length: int | None) -> None:
        self.uri = uri
        self.length = length
        self.reset_code: int | None = None
        self._piece = b""
        self._ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Add a piece as soon as the one before was read; with `end`, nothing follows.

        Raises:
            StreamReset: Nobody reads it any more.
        """
        while self._piece and data and self.reset_code is None:
            self._emptied.clear()
            await self._emptied.wait()
        if self.reset_code is not None:
            raise StreamReset
        self._piece = data or self._piece
        self._ended = end
        self._filled.set()

    @property
    def is_read_out(self) -> bool:
        """Everything has been read."""
        return self._ended and not self._piece

    def take(self) -> bytes:
        """What is here, without waiting."""
        piece, self._piece = self._piece, b""
        self._emptied.set()
        return piece

    async def read(self) -> bytes:
        """The next piece, `b""` at the end.

        Raises:
            StreamReset: The body will never be whole.
        """
        while not self._piece and not self._ended and self.reset_code is None:
            self._filled.clear()
            await self._filled.wait()
        if self.reset_code is not None:
            raise StreamReset
        return self.take()

    def reset(self) -> None:
        """One side gives it up; nothing happens when it has been read."""
        if not self.is_read_out:
            self.reset_code = ErrorCode.CANCEL
            self._filled.set()
            self._emptied.set()


class PutAside:
    """The bodies that wait to be fetched. Each is good once, and for as long as its request is waiting."""

    def __init__(self) -> None:
        self.origin = ""
        """Scheme, host and port of the URLs; known when the edge listens."""
        self._waiting: dict[bytes, BodyAside] = {}

    def offer(self, length: int | None) -> BodyAside:
        """A new body under a URL that nobody can guess."""
        token = secrets.token_urlsafe(24)
        body = BodyAside(f"{self.origin}{PATH.decode()}{token}", length)
        self._waiting[token.encode()] = body
        return body

    def claim(self, path: bytes) -> BodyAside | None:
        """The body at this path, which is nobody else's from then on."""
        return self._waiting.pop(path[len(PATH) :], None)

    def withdraw(self, body: BodyAside) -> None:
        """Its request is over."""
        self._waiting.pop(body.uri.rpartition("/")[2].encode(), None)
        body.reset()
