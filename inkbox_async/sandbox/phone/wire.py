"""The line between two numbers of the sandbox: what one agent says waits here until the other hears it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

MAX_WAITING = 8 * 1024 * 1024
"""Bytes that wait on a line, a quarter of an hour of sound. What is said beyond that is lost."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that was said.

    Attributes:
        text: The words, for whoever gets what is said as text. Empty for mere sound.
        sound: The sound as mu-law samples, for whoever listens. Empty for mere words.
    """

    text: str = ""
    sound: bytes = b""

    @property
    def size(self) -> int:
        """About how much room it takes."""
        return len(self.text) + len(self.sound)


class Wire:
    """One direction of the line: `put` at the one end, `get` at the other."""

    def __init__(self) -> None:
        self._waiting: deque[Utterance] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    def put(self, utterance: Utterance) -> None:
        """Let the other end hear something. What comes too fast for the line is lost, as on every line."""
        if self._size + utterance.size <= MAX_WAITING:
            self._waiting.append(utterance)
            self._size += utterance.size
            self._changed.set()

    def clear(self) -> None:
        """Take back the sound that was not heard yet."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.text)
        self._size = sum(waiting.size for waiting in self._waiting)

    async def get(self) -> Utterance:
        """Wait for something to be said, and hear it."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        utterance = self._waiting.popleft()
        self._size -= utterance.size
        return utterance
