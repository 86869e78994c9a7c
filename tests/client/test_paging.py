"""Pages: awaited, iterated over, broken out of; no request too many, no task left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest

from inkbox_async.errors import InkboxAPIError, InkboxError, InkboxResponseError
from inkbox_async.modeling import InkboxModel
from inkbox_async.paging import AsyncPages, Page
from inkbox_async.resource import Resource
from inkbox_async.transport import Transport

from .conftest import Connect
from .servers import Answer, Seen, Server


class Item(InkboxModel):
    n: int


class ItemPage(InkboxModel):
    items: list[Item]
    next_cursor: str | None = None
    has_more: bool = False


class CursorOnlyPage(InkboxModel):
    items: list[Item]
    next_cursor: str | None = None


def serve(server: Server, *sizes: int) -> None:
    """Serves pages of these sizes, items counted through, cursors `c1`, `c2`, ..."""

    async def handler(seen: Seen) -> Answer:
        cursor = dict(pair.split("=") for pair in seen.query.split("&") if pair).get("cursor", "c0")
        index = int(cursor[1:])
        start = sum(sizes[:index])
        more = index + 1 < len(sizes)
        return Answer(
            body={
                "items": [{"n": n} for n in range(start, start + sizes[index])],
                "next_cursor": f"c{index + 1}" if more else None,
                "has_more": more,
            }
        )

    server.handler = handler


Make = Callable[..., AsyncPages[Item]]


@pytest.fixture
def pages(connect: Connect) -> Make:
    def make(
        transport: Transport | None = None, envelope: Any = ItemPage, **query: object
    ) -> AsyncPages[Item]:
        resource = Resource(connect() if transport is None else transport)
        return resource._pages("/api/v1/items", envelope, query)

    return make


def other_tasks() -> list[str]:
    """The tasks beside the test's own and those of its server."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return [str(task) for task in tasks if "RequestHandler" not in str(task.get_coro())]


async def take(walk: AsyncIterator[Item]) -> Item:
    return await anext(walk)


async def settle() -> None:
    """Lets everything run that has something to run."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
async def _nothing_is_left(alarms: list[dict[str, Any]]) -> AsyncIterator[None]:
    yield
    gc.collect()


async def test_nothing_is_requested_before_use(server: Server, pages: Make) -> None:
    listed = pages()
    repr(listed)
    aiter(listed)
    listed.by_page()
    listed.filter(bool)

    assert server.seen == []


async def test_awaiting_gives_the_first_page(server: Server, pages: Make) -> None:
    serve(server, 2, 1)

    page = await pages(limit=2, folder=None)

    assert [item.n for item in page] == [0, 1]
    assert page.items == [Item(n=0), Item(n=1)]
    assert (page.next_cursor, page.has_more) == ("c1", True)
    assert (len(page), page[1].n, [i.n for i in page[:1]]) == (2, 1, [0])
    assert [seen.query for seen in server.seen] == ["limit=2"]


async def test_iterating_gives_every_item_and_passes_the_query_on(server: Server, pages: Make) -> None:
    serve(server, 2, 2, 1)

    found = [item.n async for item in pages(limit=2)]

    assert found == [0, 1, 2, 3, 4]
    assert [seen.query for seen in server.seen] == ["limit=2", "limit=2&cursor=c1", "limit=2&cursor=c2"]


async def test_each_use_starts_anew(server: Server, pages: Make) -> None:
    serve(server, 1, 1)
    listed = pages()

    assert [item.n async for item in listed] == [0, 1]
    assert [item.n async for item in listed] == [0, 1]
    assert [item.n for item in await listed] == [0]
    assert [item.n for item in await listed] == [0]


async def test_two_iterations_at_once(server: Server, pages: Make) -> None:
    serve(server, 2, 2)
    listed = pages()

    found = [(a.n, b.n) async for a in listed async for b in listed]

    assert found == [(a, b) for a in range(4) for b in range(4)]


async def test_iterating_page_by_page(server: Server, pages: Make) -> None:
    serve(server, 2, 0, 1)

    found = [[item.n for item in page] async for page in pages().by_page()]

    assert found == [[0, 1], [], [2]]


async def test_filter(server: Server, pages: Make) -> None:
    serve(server, 3, 2, 3)
    even = pages().filter(lambda item: item.n % 2 == 0)

    assert [item.n async for item in even] == [0, 2, 4, 6]
    assert [item.n async for item in even.filter(lambda item: item.n > 2)] == [4, 6]
    assert [item.n for item in await even] == [0, 2]
    assert [len(page) async for page in even.by_page()] == [2, 1, 1]


@pytest.mark.parametrize(
    ("limit", "items", "requests"), [(None, 5, 3), (0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 5, 3)]
)
async def test_collect(server: Server, pages: Make, limit: int | None, items: int, requests: int) -> None:
    serve(server, 2, 2, 1)

    found = await pages().collect(limit)

    assert [item.n for item in found] == list(range(items))
    assert len(server.seen) == requests


async def test_collect_refuses_a_negative_limit(pages: Make) -> None:
    with pytest.raises(ValueError, match="limit must be 0 or more"):
        await pages().collect(-1)


@pytest.mark.parametrize(
    ("envelope", "end"),
    [
        (ItemPage, {"next_cursor": "c9", "has_more": False}),
        (ItemPage, {"next_cursor": "", "has_more": True}),
        (ItemPage, {"next_cursor": None, "has_more": True}),
        (ItemPage, {}),
        (CursorOnlyPage, {"next_cursor": None}),
        (CursorOnlyPage, {"next_cursor": ""}),
    ],
)
async def test_where_a_list_ends(server: Server, pages: Make, envelope: Any, end: dict[str, Any]) -> None:
    server.answers = [Answer(body={"items": [{"n": 1}], **end})]

    assert [item.n async for item in pages(envelope=envelope)] == [1]
    assert len(server.seen) == 1


async def test_a_cursor_without_has_more_goes_on(server: Server, pages: Make) -> None:
    server.answers = [
        Answer(body={"items": [], "next_cursor": "c1"}),
        Answer(body={"items": [{"n": 1}], "next_cursor": None}),
    ]

    assert [item.n async for item in pages(envelope=CursorOnlyPage)] == [1]


async def test_a_list_that_goes_in_a_circle_is_an_error(server: Server, pages: Make) -> None:
    server.answers = [Answer(body={"items": [{"n": 1}], "next_cursor": "same", "has_more": True})]
    found = []

    with pytest.raises(InkboxResponseError, match="not complete"):  # noqa: PT012 - the loop is what is tested
        async for item in pages():
            found.append(item.n)

    assert len(found) <= 2


async def test_a_bad_query_is_refused_by_the_call_itself(pages: Make) -> None:
    with pytest.raises(ValueError, match="since has no time zone"):
        pages(since=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_the_next_page_is_fetched_while_the_last_is_consumed(server: Server, pages: Make) -> None:
    serve(server, 2, 2, 2)
    walk = aiter(pages())

    assert (await anext(walk)).n == 0
    await server.reached(2)
    await settle()
    assert len(server.seen) == 2, "only one page is fetched ahead"
    assert (await anext(walk)).n == 1
    assert (await anext(walk)).n == 2
    await server.reached(3)
    assert [item.n async for item in walk] == [3, 4, 5]
    assert len(server.seen) == 3


async def test_breaking_out_leaves_no_task(server: Server, pages: Make) -> None:
    serve(server, 2, 2, 2)

    async for _ in pages():
        break
    await settle()
    assert other_tasks() == []

    async for page in pages().by_page():
        assert len(page) == 2
        break
    await settle()
    assert other_tasks() == []


async def test_breaking_out_by_an_exception_leaves_no_task(server: Server, pages: Make) -> None:
    serve(server, 2, 2)

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the loop is what is tested
        async for item in pages():
            assert item.n / 0
    gc.collect()
    await settle()

    assert other_tasks() == []


async def test_breaking_out_while_the_next_page_fails_raises_no_alarm(server: Server, pages: Make) -> None:
    first = {"items": [{"n": 0}], "next_cursor": "c1", "has_more": True}
    server.answers = [Answer(body=first), Answer(404, {"detail": "gone"})]

    async for _ in pages():
        await server.reached(2)
        await asyncio.sleep(0.01)
        break
    gc.collect()
    await settle()

    assert other_tasks() == []


async def test_ending_a_walk_early_by_hand(server: Server, pages: Make) -> None:
    serve(server, 2, 2)

    for make in (lambda: aiter(pages()), lambda: pages().by_page()):
        walk: Any = make()
        await anext(walk)
        async with contextlib.aclosing(walk):
            pass
        assert other_tasks() == []
        with pytest.raises(StopAsyncIteration):
            await anext(walk)
        await walk.aclose()


async def test_a_failed_page_may_be_asked_for_again(server: Server, pages: Make) -> None:
    serve(server, 1, 1, 1)
    healthy = server.handler
    assert healthy is not None
    failures = 2

    async def sometimes(seen: Seen) -> Answer:
        nonlocal failures
        if "c1" in seen.query and failures:
            failures -= 1
            return Answer(404, {"detail": "not now"})
        return await healthy(seen)  # type: ignore[return-value]

    server.handler = sometimes
    walk = aiter(pages())

    assert (await anext(walk)).n == 0
    for _ in range(2):
        with pytest.raises(InkboxAPIError, match="not now"):
            await anext(walk)
    assert [item.n async for item in walk] == [1, 2]


async def test_a_cancelled_wait_may_be_taken_up_again(server: Server, pages: Make) -> None:
    serve(server, 1, 1)
    walk = aiter(pages())
    await anext(walk)
    server.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await anext(walk)
    server.gate.set()

    assert (await anext(walk)).n == 1
    with pytest.raises(StopAsyncIteration):
        await anext(walk)
    with pytest.raises(StopAsyncIteration):
        await anext(walk)


async def test_closing_the_client_ends_the_page_ahead(server: Server, connect: Connect, pages: Make) -> None:
    serve(server, 1, 1)
    transport = connect()
    walk = aiter(pages(transport))
    await anext(walk)
    server.gate = asyncio.Event()
    await server.reached(2)

    await transport.aclose()

    assert other_tasks() == []
    server.gate.set()
    with pytest.raises(InkboxError, match="closed"):
        await anext(walk)


async def test_closing_the_client_under_a_waiting_iteration(
    server: Server, connect: Connect, pages: Make
) -> None:
    serve(server, 1, 1)
    transport = connect()
    walk = aiter(pages(transport))
    await anext(walk)
    server.gate = asyncio.Event()
    waiting = asyncio.create_task(take(walk))
    await server.reached(2)

    await transport.aclose()

    with pytest.raises(InkboxError, match="closed"):
        await waiting
    server.gate.set()


async def test_one_iterator_serves_one_task(server: Server, pages: Make) -> None:
    serve(server, 1, 1)
    walk = aiter(pages())
    server.gate = asyncio.Event()
    waiting = asyncio.create_task(take(walk))
    await server.reached(1)

    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(walk)

    server.gate.set()
    assert (await waiting).n == 0
    await walk.aclose()  # type: ignore[attr-defined]


def test_a_loop_that_ends_before_the_walk_is_dropped() -> None:
    async def fetch(cursor: str | None) -> Page[int]:
        if cursor is not None:
            await asyncio.Event().wait()
        return Page([1], "next", True)

    kept: list[Any] = []

    async def main() -> None:
        walk = aiter(AsyncPages(fetch, spawn=lambda work: asyncio.get_running_loop().create_task(work)))
        await anext(walk)
        kept.append(walk)

    asyncio.run(main())
    kept.clear()
    gc.collect()


async def test_without_an_owner_nothing_is_fetched_ahead() -> None:
    asked: list[str | None] = []

    async def fetch(cursor: str | None) -> Page[int]:
        asked.append(cursor)
        return Page([len(asked)], f"c{len(asked)}", len(asked) < 3)

    walk = aiter(AsyncPages(fetch))
    await anext(walk)
    await settle()
    assert asked == [None]
    assert [n async for n in walk] == [2, 3]


def test_pages_compare_and_show_themselves() -> None:
    page = Page([1, 2], "c", True)

    assert page == Page((1, 2), "c")
    assert page == [1, 2]
    assert page != Page([1, 2])
    assert page != "12"
    assert repr(page) == "<Page of 2 items, more follow>"
    assert repr(Page[int]([])) == "<Page of 0 items>"
    assert 2 in page
    with pytest.raises(TypeError):
        hash(page)
