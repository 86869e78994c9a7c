"""Listeners come and go: takeover, drain with hand-over, lost connections, requests that wait meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter

import aiohttp
import pytest

from inkbox_async.sandbox.edge import EdgeLimits, http2

from .conftest import RunningEdge, StartEdge, eventually, status
from .directory import TUNNEL_ID
from .listener import RawListener, request_id
from .raw_h2 import RawStream

SUPERSEDED = 0x1201


async def echo(listener: RawListener, envelope: RawStream) -> None:
    """Answer with the path."""
    await envelope.whole()
    await listener.post(request_id(envelope), 200, (envelope.header("inkbox-path") or "").encode())


async def test_without_a_listener_the_third_party_is_told_so(edge: RunningEdge) -> None:
    async with edge.session() as third_party, third_party.get(edge.url()) as answer:
        assert answer.status == 503
        assert (await answer.json())["reason"] == "no-listener"
        assert answer.headers["inkbox-reason"] == "no-listener"


async def test_without_a_parked_intake_the_request_waits_for_one(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        sending = asyncio.create_task(third_party.get(edge.url("/late")))
        relay = edge.edge.relay(edge.directory.tunnels[TUNNEL_ID])
        await eventually(lambda: relay.waiting_requests == 1)
        intake = await (await listener.park()).whole()
        await listener.post(request_id(intake), 200, b"here")
        assert await (await sending).read() == b"here"


async def test_a_request_whose_third_party_left_gives_its_intake_back(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        sending = asyncio.create_task(third_party.get(edge.url("/gone")))
        relay = edge.edge.relay(edge.directory.tunnels[TUNNEL_ID])
        await eventually(lambda: relay.waiting_requests == 1)
        sending.cancel()
        await eventually(lambda: relay.waiting_requests == 0)
        intake = await listener.park()
        staying = asyncio.create_task(third_party.get(edge.url("/stays")))
        await intake.whole()
        assert intake.header("inkbox-path") == "/stays"
        await listener.post(request_id(intake), 200, b"ok")
        assert await status(staying) == 200


async def test_no_reply_within_the_deadline_is_504_and_a_late_one_is_refused(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(response_deadline_seconds=0.05))
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        answer = await third_party.get(edge.url())
        assert answer.status == 504
        assert (await answer.json())["reason"] == "response-deadline-exceeded"
        await intake.whole()
        assert (await (await listener.post(request_id(intake), 200, b"late")).whole()).status == 404


async def test_a_second_listener_takes_over(edge: RunningEdge) -> None:
    async with edge.listener() as first, edge.session() as third_party:
        parked = await first.park()
        await first.client.settle()
        async with edge.listener() as second:
            await parked.whole()
            assert (parked.status, parked.header("inkbox-reason")) == (409, "intake-superseded")
            await first.client.until(lambda: first.client.goaway is not None)
            assert first.client.goaway == (SUPERSEDED, b'{"reason":"superseded"}')
            late = await (await first.park()).whole()
            assert (late.status, late.header("inkbox-reason")) == (409, "intake-superseded")
            assert [event for event, _ in edge.directory.log] == ["connected", "connected"]
            async with second.serving(echo):
                assert await (await third_party.get(edge.url("/second"))).text() == "/second"


async def test_a_displaced_listener_may_finish_what_it_has(edge: RunningEdge) -> None:
    async with edge.listener() as first, edge.session() as third_party:
        intake = await first.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        async with edge.listener():
            assert (await (await first.post(request_id(intake), 200, b"old")).whole()).status == 200
            assert await (await sending).read() == b"old"


async def test_a_listener_lost_with_a_request_is_a_bad_gateway(edge: RunningEdge) -> None:
    async with edge.session() as third_party:
        async with edge.listener() as listener:
            intake = await listener.park()
            sending = asyncio.create_task(third_party.get(edge.url()))
            await intake.whole()
        answer = await sending
        assert (answer.status, (await answer.json())["reason"]) == (502, "listener-lost")


async def test_drain_hands_over_without_losing_a_request(edge: RunningEdge) -> None:
    async with edge.listener() as first, edge.session() as third_party:
        before = await first.park()
        unused = await first.park(1)
        await first.client.settle()
        early = asyncio.create_task(third_party.get(edge.url("/early")))
        await before.whole()
        assert await edge.edge.drain(TUNNEL_ID)
        await first.client.until(lambda: first.client.goaway is not None)
        assert first.client.goaway == (0, b'{"reason":"drain"}')
        between = asyncio.create_task(third_party.get(edge.url("/between")))
        assert (await (await first.park(2)).whole()).status == 503, "a drained connection takes no intakes"
        assert (await first.try_hello()).status == 503, "and no hello"
        async with edge.listener() as second, second.serving(echo):
            assert await (await between).text() == "/between"
            await (await second.post(request_id(before), 200, b"posted on the new connection")).whole()
            assert await (await early).text() == "posted on the new connection"
            await unused.whole()
            assert unused.header("inkbox-reason") == "intake-superseded"
            assert first.client.goaway == (0, b'{"reason":"drain"}'), (
                "the same client is not told of a takeover"
            )
        assert [event for event, _ in edge.directory.log] == ["connected", "connected"]


async def test_replies_to_a_drained_connection_are_taken_when_it_is_closed_already(edge: RunningEdge) -> None:
    async with edge.session() as third_party, edge.listener() as first:
        intake = await first.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        await edge.edge.drain(TUNNEL_ID)
        await first.client.until(lambda: first.client.goaway is not None)
        async with edge.listener() as second:
            await first.client.close()
            await eventually(lambda: edge.edge.relay(edge.directory.tunnels[TUNNEL_ID]).sessions == 1)
            assert (await (await second.post(request_id(intake), 200, b"kept")).whole()).status == 200
            assert await (await sending).read() == b"kept"


async def test_a_drained_connection_may_post_until_it_closes(edge: RunningEdge) -> None:
    async with edge.listener() as first, edge.session() as third_party:
        intake = await first.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        await edge.edge.drain(TUNNEL_ID)
        await first.client.until(lambda: first.client.goaway is not None)
        assert (await (await first.post(request_id(intake), 200, b"old")).whole()).status == 200
        assert await (await sending).read() == b"old"


async def test_nothing_follows_goaway_before_its_reader_shows_itself(
    edge: RunningEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy client on hyper-h2 would read both at once, and take that for a broken connection.
    monkeypatch.setattr(http2, "_QUIET_AFTER_GOAWAY", 3600.0)
    async with edge.listener() as first:
        await edge.edge.drain(TUNNEL_ID)
        await first.client.until(lambda: first.client.goaway is not None)
        late = await first.park()
        async with edge.listener():
            assert (await late.whole()).status in (409, 503)


async def test_goaway_waits_for_a_message_that_is_half_way_through(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        post = await listener.begin_post(request_id(intake), 200, length=4)
        await post.send(b"ha")
        answer = await sending
        assert await answer.content.readexactly(2) == b"ha"
        draining = asyncio.create_task(edge.edge.drain(TUNNEL_ID))
        await listener.client.settle()
        assert listener.client.goaway is None
        await post.send(b"lf", end=True)
        await listener.client.until(lambda: listener.client.goaway is not None)
        assert await draining
        assert await answer.content.read() == b"lf"


async def test_without_a_successor_a_drained_tunnel_is_offline(start_edge: StartEdge) -> None:
    edge = await start_edge(EdgeLimits(handover_seconds=0.05, drain_linger_seconds=0.1))
    async with edge.listener() as listener, edge.session() as third_party:
        await edge.edge.drain(TUNNEL_ID)
        answer = await third_party.get(edge.url())
        assert (answer.status, (await answer.json())["reason"]) == (503, "no-listener")
        assert edge.directory.log[-1] == ("disconnected", TUNNEL_ID)
        await listener.client.until(lambda: listener.client.closed)
        assert listener.client.closed, "the drained connection is closed in the end"


async def test_supersede_on_request(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        parked = await listener.park()
        await listener.client.settle()
        assert edge.edge.supersede(TUNNEL_ID)
        await parked.whole()
        assert parked.header("inkbox-reason") == "intake-superseded"
        await listener.client.until(lambda: listener.client.goaway is not None)
        assert listener.client.goaway == (SUPERSEDED, b'{"reason":"superseded"}')
        assert await status(third_party.get(edge.url())) == 503
    assert not edge.edge.supersede(TUNNEL_ID)
    assert not await edge.edge.drain(TUNNEL_ID)


async def test_a_removed_tunnel_ends_its_listener(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        edge.directory.remove(TUNNEL_ID)
        await edge.edge.refresh()
        await listener.client.until(lambda: listener.client.closed)
        assert listener.client.goaway is not None
        assert listener.client.goaway[0] not in (0, SUPERSEDED)
        answer = await third_party.get(edge.url())
        assert (answer.status, (await answer.json())["reason"]) == (404, "no-tunnel")
        async with edge.connect() as again:
            assert (await RawListener(again).try_hello()).status == 403


async def test_an_older_hello_that_is_still_unanswered_loses(edge: RunningEdge) -> None:
    record = edge.directory.tunnels[TUNNEL_ID]
    asked, answer = asyncio.Event(), asyncio.Event()
    resolve = edge.directory.resolve_tunnel

    async def slowly(tunnel_id: str) -> object:
        asked.set()
        await answer.wait()
        return record

    edge.directory.resolve_tunnel = slowly  # type: ignore[assignment]
    async with edge.connect() as first:
        older = asyncio.create_task(RawListener(first).try_hello())
        await asked.wait()
        edge.directory.resolve_tunnel = resolve  # type: ignore[method-assign]
        async with edge.listener():
            answer.set()
            refused = await older
            assert refused.status == 409
            assert json.loads(refused.body) == {"reason": "hello-superseded"}


async def test_three_drains_under_load_lose_and_double_nothing(edge: RunningEdge) -> None:
    seen: Counter[str] = Counter()

    async def count(listener: RawListener, envelope: RawStream) -> None:
        await envelope.whole()
        path = envelope.header("inkbox-path") or ""
        seen[path] += 1
        current = listeners[-1]
        post = await current.post(request_id(envelope), 200, path.encode())
        assert (await post.whole()).status == 200

    listeners: list[RawListener] = []
    limit = asyncio.Semaphore(50)

    async def ask(third_party: aiohttp.ClientSession, number: int) -> str:
        async with limit, third_party.get(edge.url(f"/{number}")) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async with edge.session() as third_party, contextlib.AsyncExitStack() as stack:

        async def join() -> None:
            listener = await stack.enter_async_context(edge.listener())
            listeners.append(listener)
            await stack.enter_async_context(listener.serving(count, slots=8))

        await join()
        requests = [asyncio.create_task(ask(third_party, number)) for number in range(600)]
        for share in (100, 250, 400):
            await eventually(lambda: len(seen) >= share)  # noqa: B023  (awaited at once)
            await edge.edge.drain(TUNNEL_ID)
            await join()
        answers = await asyncio.gather(*requests)
    assert answers == [f"/{number}" for number in range(600)]
    assert set(seen.values()) == {1}, "a request reached two listeners"
    assert len(seen) == 600
