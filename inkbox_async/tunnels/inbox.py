"""Messages of a WebSocket that have arrived and wait for the application."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from .bridge_frames import Close

INBOX_BYTES: Final = 1 << 20
"""Undelivered messages beyond this stop the reading, and so, through flow control, the sender."""


class Inbox:
    """A queue of messages with an end.

    The reader of the network waits in `wait_for_room`, the application in `receive`.
    """

    def __init__(self) -> None:
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.end: Close | None = None
        """How the WebSocket ended, once it has."""

    def put(self, message: str | bytes) -> None:
        """Add a message; after the end it is dropped."""
        if self.end is None:
            self._messages.append(message)
            self._size += len(message)
            if self._size > INBOX_BYTES:
                self._room.clear()
            self._arrived.set()

    def finish(self, close: Close) -> None:
        """Note the end; only the first one counts. Messages before it are still delivered."""
        if self.end is None:
            self.end = close
            self._arrived.set()
            self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until more messages may be added."""
        await self._room.wait()

    async def receive(self) -> str | bytes | Close:
        """The next message, or the end, again and again."""
        while not self._messages:
            if self.end is not None:
                return self.end
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._size -= len(message)
        if self._size <= INBOX_BYTES:
            self._room.set()
        return message
