"""Strikes a coroutine at a chosen one of the moments at which it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class When(Enum):
    """Where within a moment of waiting the strike falls."""

    WAITING = "while it waits"
    WAKING = "just when what it waited for has come"

    def __str__(self) -> str:
        return self.name.lower()


class Struck(Awaitable[T]):
    """A coroutine that is struck when it waits for the `moment`-th time (from 1).

    `strike` gets the task in which it runs.

    Attributes:
        fell: Whether it has waited so often; afterwards, whether the strike has fallen.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        moment: int,
        when: When,
        strike: Callable[[asyncio.Task[Any]], object],
    ) -> None:
        self._work = work
        self._left = moment
        self._when = when
        self._strike = strike
        self.fell = False

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        error: BaseException | None = None
        while True:
            try:
                awaited = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            self._left -= 1
            if self._left == 0:
                self._fall(awaited, task)
            error = None
            try:
                yield awaited
            except BaseException as raised:
                error = raised

    def _fall(self, awaited: asyncio.Future[Any] | None, task: asyncio.Task[Any]) -> None:
        self.fell = True
        if self._when is When.WAKING and awaited is not None:
            # Before the task adds its own callback: the strike comes first when the future is done.
            awaited.add_done_callback(lambda _: self._strike(task))
        else:
            self._strike(task)


async def outcome_of(work: Awaitable[T]) -> T | BaseException:
    """Run something as a task of its own: what it returned or raised, whatever that is."""

    async def run() -> T:
        return await work

    task = asyncio.create_task(run())
    await asyncio.wait([task], timeout=60)
    assert task.done(), "it never ended"
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception() or task.result()
