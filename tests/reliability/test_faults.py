"""Every kind of call meets every fault: what comes out, what is repeated, what is done at the server."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import aiohttp
import pytest

from inkbox_async import (
    AsyncInkbox,
    InkboxAPIError,
    InkboxConnectionError,
    InkboxError,
    InkboxResponseError,
    InkboxTimeoutError,
)
from inkbox_async.observe import RequestMetadata

from .calls import CALLS, CREATE, READ, SEND, UPLOAD, WAITING_CALLS, Answer, Call, World
from .census import nothing_left_behind
from .faults import PAGE, SERVER_FAULTS, WIRE_FAULTS, Meaning, ServerFault, WireFault, refuse_early
from .proxy import Order, Proxy

SHORT = 0.1
"""Seconds a client waits where nothing will ever come."""

_labels = (f"label {number}" for number in itertools.count())


class How(Enum):
    """How long a fault lasts."""

    ONCE = "once"
    ALWAYS = "always"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to come of a call.

    Attributes:
        error: What it raises; None: it gets its answer.
        sent: What a connection error says about the request: False, it never left; True, who knows.
        attempts: How many requests it makes, in all.
    """

    error: type[InkboxError] | None
    sent: bool | None
    attempts: int


def expected(meaning: Meaning, call: Call, how: How, before: int, retries: int, timed: bool) -> Expected:
    """The promise: the one place that says what has to come of which fault.

    Args:
        meaning: What the fault is to the client.
        call: The call that it hits,
        how: once, or every time.
        before: How many requests of the call came through before.
        retries: The client's `max_retries`.
        timed: Whether the client is kept waiting.
    """
    error, sent = {
        Meaning.NONE: (None, None),
        Meaning.NOT_SENT: (InkboxTimeoutError if timed else InkboxConnectionError, False),
        Meaning.LOST: (InkboxConnectionError, True),
        Meaning.LATE: (InkboxTimeoutError, True),
        Meaning.BUSY: (InkboxAPIError, None),
        Meaning.FINAL: (InkboxAPIError, None),
        Meaning.GARBLED: (InkboxResponseError, None),
        Meaning.STRANGE: (InkboxResponseError, None),
    }[meaning]
    match meaning:
        case Meaning.NONE:
            return Expected(None, None, call.requests)
        case Meaning.NOT_SENT:
            again = True
        case Meaning.LOST | Meaning.LATE | Meaning.BUSY:
            again = call.repeatable
        case Meaning.GARBLED:
            again = call.repeatable and call.answer is Answer.MODEL
        case _:
            again = False
    if again and how is How.ONCE:
        return Expected(None, None, call.requests + 1)
    return Expected(error, sent, before + 1 + (retries if again else 0))


def applies(fault: WireFault | ServerFault, call: Call) -> bool:
    """Whether a fault can happen to a call at all."""
    if isinstance(fault, WireFault) and fault.keeps_waiting and call not in WAITING_CALLS:
        return False
    if fault.in_the_body:
        return call.answer in (Answer.MODEL, Answer.TEXT)
    # Of this one, a redirect is the answer.
    return not (
        call.answer is Answer.HEADER and isinstance(fault, ServerFault) and fault.status in (302, 307)
    )


def cells(faults: tuple[Any, ...]) -> list[Any]:  # Any: faults of one of the kinds; pytest's parameters
    return [
        pytest.param(fault, call, how, id=f"{fault}-{call}-{how}")
        for fault in faults
        for call in CALLS
        for how in How
        if applies(fault, call)
    ]


class Attempts:
    """Counts what the client says it sends, and lets something happen before a second try."""

    def __init__(self) -> None:
        self.count = 0
        self.before_second: Callable[[], None] | None = None

    def __call__(self, request: RequestMetadata) -> None:
        self.count += 1
        if request.attempt == 2 and self.before_second is not None:
            self.before_second()


@asynccontextmanager
async def client(
    world: World,
    given: bool,
    attempts: Attempts,
    **settings: Any,  # Any: the client's own settings
) -> AsyncIterator[AsyncInkbox]:
    """A client with its own session, or with one that was given and has a single connection to spare."""
    async with AsyncExitStack() as stack:
        if given:
            connector = aiohttp.TCPConnector(limit=1)
            settings["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield await stack.enter_async_context(world.sandbox.client(request_observer=attempts, **settings))


async def attempt(
    call: Call, inkbox: AsyncInkbox, world: World, label: str, about: Any = None, key: str | None = None
) -> InkboxError | None:  # Any: what the call prepared
    """Make a call: its error, or None when it was answered rightly. Nothing else may come out."""
    try:
        await call.run(inkbox, world, label, about, key)
    except InkboxError as error:
        return error
    return None


async def prepared(call: Call, world: World) -> tuple[str, Any]:  # Any: for the call
    """A label that nobody has used, and what the call needs to find at the server."""
    label = next(_labels)
    return label, None if call.prepare is None else await call.prepare(world, label)


def check(error: InkboxError | None, wanted: Expected, call: Call, world: World) -> None:
    """The error is the documented one, and says all that it has to and no more."""
    if error is None or wanted.error is None:
        assert error is None, f"the call should have been answered, but raised {error!r}"
        assert wanted.error is None, f"the call was answered, but should have raised {wanted.error.__name__}"
        return
    assert type(error) is wanted.error, f"{error!r} is no {wanted.error.__name__}"
    named = re.search(r"\b([A-Z]+) /api/", str(error))
    assert named, f"{error!r} does not say which request failed"
    if isinstance(error, InkboxConnectionError):
        assert error.sent is wanted.sent, f"{error!r} has sent={error.sent}"
        is_open = error.sent and named[1] != "GET"
        assert ("may have been carried out" in str(error)) == is_open, f"{error!r} misleads about the outcome"
    has_key = call.keyed and named[1] == call.method
    assert (error.idempotency_key is not None) == has_key, f"{error!r} has key {error.idempotency_key!r}"
    link: BaseException | None = error
    while link is not None:
        assert world.sandbox.api_key not in f"{link!s} {link!r}", "the error shows the API key"
        link = link.__cause__ or link.__context__


async def still_usable(inkbox: AsyncInkbox, world: World, timed: bool) -> None:
    """The client that met the fault still answers; a slow machine may make one with a short time-out wait."""
    for _ in range(50):
        error = await attempt(READ, inkbox, world, "")
        if error is None:
            return
        may_be_slow = timed and isinstance(error, InkboxTimeoutError)
        assert may_be_slow, f"the network is well again, but the client raised {error!r}"
    raise AssertionError("the network is well again, but the client gets no answer")


async def works_again(
    call: Call, inkbox: AsyncInkbox, world: World, label: str, error: InkboxError | None
) -> None:
    """The same client can make the call now, and a send repeated under its key is not doubled."""
    key = None if error is None else error.idempotency_key
    about: Any = None
    if key is None:
        label, about = await prepared(call, world)
    error = await attempt(call, inkbox, world, label, about, key)
    assert error is None, f"the network is well again, but the call raised {error!r}"
    done = await call.traces(world, label)
    assert done == (call.trace is not None), f"the server carried it out {done} times"


@pytest.mark.parametrize(("fault", "call", "how"), cells(WIRE_FAULTS))
async def test_on_the_wire(world: World, proxy: Proxy, fault: WireFault, call: Call, how: How) -> None:
    timed = fault.keeps_waiting
    from_the_start = timed or fault.act is None or fault.at_connection
    # Where the client is kept waiting, a slow machine may cost further attempts.
    retries = 2 if not timed else 1 if how is How.ALWAYS else 40
    before = 0 if from_the_start else call.before
    wanted = expected(fault.meaning, call, how, before, retries, timed)
    label, about = await prepared(call, world)
    attempts = Attempts()

    settings = {"base_url": proxy.url, "max_retries": retries, "timeout": SHORT if timed else 30.0}
    async with client(world, how is How.ALWAYS, attempts, **settings) as inkbox:
        if fault.act is None:
            if fault.crowded:
                await proxy.crowd()
            if how is How.ONCE:
                attempts.before_second = proxy.listen
        else:
            proxy.listen()
            if how is How.ONCE and not fault.at_connection:
                # The fault then hits a connection that has served before.
                await still_usable(inkbox, world, timed)
            proxy.order = Order(
                fault.act,
                method=None if from_the_start else call.method,
                skip=0 if from_the_start else call.skip,
                times=1 if how is How.ONCE else None,
                at_connection=fault.at_connection,
            )
        attempts.count, proxy.connections = 0, 0
        proxy.requests.clear()

        error = await attempt(call, inkbox, world, label, about)

        check(error, wanted, call, world)
        made = attempts.count
        may_be_more = timed and how is How.ONCE and error is None
        assert made == wanted.attempts or (may_be_more and made > wanted.attempts), (
            f"{made} attempts instead of {wanted.attempts}"
        )
        if proxy.order is not None and not (fault.at_connection and error is None):
            arrived = proxy.connections if fault.at_connection else len(proxy.requests)
            assert arrived == made, f"the client speaks of {made} attempts, but {arrived} arrived"
        done = await call.traces(world, label)
        if call.trace is not None:
            reached = fault.carried_out and before == call.before
            assert done == (error is None or reached), f"the server carried it out {done} times"

        attempts.before_second = proxy.order = None
        proxy.listen()
        await still_usable(inkbox, world, timed)
        if not timed:
            await works_again(call, inkbox, world, label, error)


@pytest.mark.parametrize(("fault", "call", "how"), cells(SERVER_FAULTS))
async def test_at_the_server(world: World, fault: ServerFault, call: Call, how: How) -> None:
    """Ordered in Python when it strikes once, over the control API when it strikes every time."""
    retries = 2
    wanted = expected(fault.meaning, call, how, call.before - call.skip, retries, False)
    sandbox = world.sandbox
    order = {"method": call.method, **fault.arguments}
    attempts = Attempts()

    async with (
        nothing_left_behind(),
        aiohttp.ClientSession(f"{sandbox.control_url}/") as control,
        client(world, how is How.ALWAYS, attempts, max_retries=retries) as inkbox,
    ):
        label, about = await prepared(call, world)
        sandbox.journal.clear()
        if how is How.ONCE:
            sandbox.faults.add(**order)
        else:
            async with control.post("faults", json={**order, "times": None}) as answer:
                assert answer.status == 201, await answer.text()

        error = await attempt(call, inkbox, world, label, about)

        async with control.delete("faults") as answer:
            assert answer.status == 204
        arrived = len(sandbox.requests())
        check(error, wanted, call, world)
        if isinstance(error, InkboxAPIError):
            assert error.status_code == fault.status
        assert attempts.count == wanted.attempts, f"{attempts.count} attempts instead of {wanted.attempts}"
        assert arrived == wanted.attempts, f"{arrived} requests arrived instead of {wanted.attempts}"
        done = await call.traces(world, label)
        assert done == (call.trace is not None and error is None), f"the server carried it out {done} times"
        await still_usable(inkbox, world, False)
        await works_again(call, inkbox, world, label, error)


GOOD_BYE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SECOND = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("said", "hang_up"),
    [(b"", True), (GOOD_BYE, True), (GOOD_BYE, False), (SECOND, False), (PAGE, False)],
    ids=["hung-up", "good-bye-and-hung-up", "good-bye", "second-answer", "noise"],
)
@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_something_comes_while_nobody_asks(
    world: World, proxy: Proxy, call: Call, said: bytes, hang_up: bool
) -> None:
    """A connection that lies idle is used again only if nothing has happened to it: calls notice nothing."""
    proxy.listen()
    async with world.sandbox.client(base_url=proxy.url, max_retries=0) as inkbox:
        await READ.run(inkbox, world, "", None, None)
        label, about = await prepared(call, world)
        assert await proxy.to_the_idle(said, hang_up=hang_up) == 1
        error = await attempt(call, inkbox, world, label, about)
        assert error is None, f"the call met what was left of another: {error!r}"
        assert await call.traces(world, label) == (call.trace is not None)
        assert proxy.connections == 2, "the connection was used again"


@pytest.mark.parametrize("call", [READ, SEND, CREATE], ids=str)
async def test_a_server_that_is_too_slow(world: World, call: Call) -> None:
    """The server is still at it when the client gives up, and carries out what it was asked for."""
    attempts = Attempts()
    settings = {"timeout": SHORT, "max_retries": 40}
    async with nothing_left_behind(), client(world, False, attempts, **settings) as inkbox:
        label, _ = await prepared(call, world)
        world.sandbox.faults.add(delay_seconds=1, method=call.method)
        error = await attempt(call, inkbox, world, label)
        if call.repeatable:
            assert error is None, f"the server was slow once, but the call raised {error!r}"
            assert attempts.count > 1
        else:
            assert isinstance(error, InkboxTimeoutError), f"raised {error!r}"
            assert error.sent
            assert attempts.count == 1
            for _ in range(1_000):
                if await call.traces(world, label):
                    break
                await asyncio.sleep(0.01)
        done = await call.traces(world, label)
        assert done == (call.trace is not None), f"the server carried it out {done} times"


async def test_retry_after_is_waited_for(world: World) -> None:
    sandbox = world.sandbox
    async with nothing_left_behind(), client(world, False, Attempts()) as inkbox:
        sandbox.journal.clear()
        sandbox.faults.add(status=429, headers={"Retry-After": "1"}, path="/api/whoami")
        await inkbox.whoami()
        second, first = (entry for entry in sandbox.requests() if entry.path == "/api/whoami")
        waited = (second.received_at - first.received_at).total_seconds()
        assert waited >= 1, f"the server asked for 1 s, the client came again after {waited} s"


async def test_an_upload_is_refused_before_it_is_through(world: World, proxy: Proxy) -> None:
    """A gateway that answers the head and hangs up: its answer or the broken connection, and never twice."""
    proxy.listen()
    proxy.order = Order(refuse_early, at_connection=True)
    attempts = Attempts()
    async with client(world, False, attempts, base_url=proxy.url) as inkbox:
        error = await attempt(UPLOAD, inkbox, world, next(_labels))
        assert type(error) in (InkboxAPIError, InkboxConnectionError), f"raised {error!r}"
        assert attempts.count == 1
        proxy.order = None
        await works_again(UPLOAD, inkbox, world, "", None)
