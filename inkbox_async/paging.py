"""Lists that come in pages: awaited for the first page, or iterated over to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from .errors import InkboxResponseError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_END: Any = object()  # Any: stands where an item would stand


class PageEnvelope(Protocol[T_co]):
    """The shape of one page on the wire; `has_more` is looked for beside it."""

    @property
    def items(self) -> Sequence[T_co]:
        """The items of the page."""

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins, or None after the last."""


class Page(Sequence[T]):
    """One page of a list; a sequence of its items.

    Attributes:
        items: The items.
        next_cursor: Where the next page begins; None after the last.
        has_more: Whether there is a next page.
    """

    __slots__ = ("has_more", "items", "next_cursor")

    def __init__(
        self, items: Sequence[T], next_cursor: str | None = None, has_more: bool | None = None
    ) -> None:
        self.items = items
        self.next_cursor = next_cursor or None
        self.has_more = bool(next_cursor) and has_more is not False

    @classmethod
    def of(cls, envelope: PageEnvelope[T]) -> Page[T]:
        """The page that came in an envelope."""
        return Page(envelope.items, envelope.next_cursor, getattr(envelope, "has_more", None))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Page):
            return (list(self.items), self.next_cursor) == (list(other.items), other.next_cursor)
        return list(self.items) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # pages are compared by their items, which may change

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)} items{', more follow' if self.has_more else ''}>"


Fetch = Callable[[str | None], Coroutine[Any, Any, Page[T]]]
Spawn = Callable[[Coroutine[Any, Any, Page[T]]], "asyncio.Task[Page[T]]"]


class AsyncPages(Awaitable[Page[T]], Generic[T]):
    """A list of unknown length. Nothing is requested before it is used, and each use starts anew.

    ```python
    page = await pages                      # the first page
    async for item in pages: ...            # every item; the next page is fetched meanwhile
    async for page in pages.by_page(): ...  # page by page
    newest = await pages.collect(10)        # a plain list
    ```

    Args:
        fetch: Gets one page: the first for None, else the one at the cursor.
        spawn: Starts a task that somebody owns; without it, no page is fetched ahead.
    """

    def __init__(self, fetch: Fetch[T], *, spawn: Spawn[T] | None = None) -> None:
        self._fetch = fetch
        self._spawn = spawn

    def __repr__(self) -> str:
        return "<AsyncPages: await it for the first page, or use `async for`>"

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self._fetch(None).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(_Walk(self._fetch, self._spawn))

    def by_page(self) -> AsyncIterator[Page[T]]:
        """Iterate over whole pages; the next page is fetched while one is looked at."""
        return _Walk(self._fetch, self._spawn)

    def filter(self, predicate: Callable[[T], bool]) -> AsyncPages[T]:
        """The same list without the items for which `predicate` is false; its pages may be empty."""
        fetch = self._fetch

        async def filtered(cursor: str | None) -> Page[T]:
            page = await fetch(cursor)
            return Page([item for item in page.items if predicate(item)], page.next_cursor, page.has_more)

        return AsyncPages(filtered, spawn=self._spawn)

    async def collect(self, limit: int | None = None) -> list[T]:
        """All items as a list, or the first `limit` of them; no page is requested beyond those needed.

        Raises:
            ValueError: `limit` is negative.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        found: list[T] = []
        if limit == 0:
            return found
        async for page in _Walk(self._fetch, None):
            found += page.items
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found


class _Walk(AsyncIterator[Page[T]], Generic[T]):
    """One walk over the pages. It owns at most one task: the fetch of the page ahead."""

    __slots__ = ("_ahead", "_busy", "_cursor", "_done", "_fetch", "_spawn")

    def __init__(self, fetch: Fetch[T], spawn: Spawn[T] | None) -> None:
        self._fetch = fetch
        self._spawn = spawn
        self._cursor: str | None = None
        self._ahead: asyncio.Task[Page[T]] | None = None
        self._done = False
        self._busy = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        if self._done:
            raise StopAsyncIteration
        if self._busy:
            raise RuntimeError(
                "one iterator cannot serve two tasks at a time; iterate over the pages twice instead"
            )
        self._busy = True
        try:
            page = await self._next()
        finally:
            self._busy = False
        if not page.has_more:
            self._done = True
        elif page.next_cursor == self._cursor:
            self._done = True
            raise InkboxResponseError(
                "the server's next page is the same page again; the list is not complete"
            )
        else:
            self._cursor = page.next_cursor
            if self._spawn is not None:
                self._ahead = self._spawn(self._fetch(self._cursor))
        return page

    async def _next(self) -> Page[T]:
        """The page at the cursor; the cursor stays when this fails, and the next try gets the same page."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            try:
                return await ahead
            except asyncio.CancelledError:
                here = asyncio.current_task()
                if here is None or here.cancelling():
                    raise
                # Only the task ahead was ended, by the closing of its owner; asking again says so properly.
        return await self._fetch(self._cursor)

    async def aclose(self) -> None:
        """End the walk and wait until the fetch ahead has ended."""
        self._done = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])

    def __del__(self) -> None:
        # Breaking out of a loop drops the walk. Its task belongs to the owner, and is told to end.
        ahead = self._ahead
        if ahead is None or ahead.done():
            return
        loop = ahead.get_loop()
        if loop.is_closed():
            return
        if asyncio._get_running_loop() is loop:
            ahead.cancel()
        else:
            loop.call_soon_threadsafe(ahead.cancel)


class _Items(AsyncIterator[T], Generic[T]):
    """One walk over the items."""

    __slots__ = ("_items", "_walk")

    def __init__(self, walk: _Walk[T]) -> None:
        self._walk = walk
        self._items: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while (item := next(self._items, _END)) is _END:
            # The walk says where it ends by StopAsyncIteration.
            self._items = iter((await self._walk.__anext__()).items)
        found: T = item
        return found

    async def aclose(self) -> None:
        """End the walk and wait until the fetch ahead has ended."""
        self._items = iter(())
        await self._walk.aclose()
