"""A thousand calls at once, one in ten of which goes wrong: nothing is lost, doubled or handed to another."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID

from inkbox_async import AsyncInkbox, InkboxAPIError, InkboxConnectionError, InkboxError, InkboxResponseError
from inkbox_async.sandbox.store import Tx

from . import faults
from .calls import World
from .census import nothing_left_behind
from .proxy import Act, Line, Order, Proxy, pass_on

CALLS = 1_000
ONE_IN = 10
NOTES = 20


class InTurn:
    """Mistreats one exchange in ten, each time in another way; the others pass.

    Attributes:
        seen: How many exchanges there were,
        spoilt: and how many of them were mistreated.
    """

    def __init__(self, *acts: Act) -> None:
        self.seen = self.spoilt = 0
        self._acts = itertools.cycle(acts)
        self._chance = random.Random(10)

    async def __call__(self, line: Line) -> None:
        self.seen += 1
        if self._chance.random() * ONE_IN < 1:
            self.spoilt += 1
            await next(self._acts)(line)
        else:
            await pass_on(line)


async def gone_wrong(calls: Sequence[Coroutine[Any, Any, None]]) -> list[InkboxError | None]:
    """What became of each call, all of them made at once: its error, or None. Nothing else may come out."""

    async def one(call: Coroutine[Any, Any, None]) -> InkboxError | None:
        try:
            await call
        except InkboxError as error:
            return error
        return None

    return await asyncio.gather(*map(one, calls))


async def look(inkbox: AsyncInkbox, note_id: UUID, title: str) -> None:
    assert (await inkbox.notes.get(note_id)).title == title, "a call got the answer of another"


async def send(inkbox: AsyncInkbox, address: str, label: str) -> None:
    sent = await inkbox.messages.send(address, to=["bob@example.com"], subject=label, body_text="Hello")
    assert sent.subject == label, "a send got the answer of another"


async def write(inkbox: AsyncInkbox, label: str) -> None:
    assert (await inkbox.notes.create(title=label, body="new")).title == label, "a call got another's answer"


async def thousand(world: World, inkbox: AsyncInkbox, name: str) -> tuple[list[str], list[Any]]:
    """1,000 calls: eight reads in ten, a send and a write. Their labels, and the calls."""
    async with world.sandbox.client() as admin:
        notes = [await admin.notes.create(title=f"{name} note {n}", body="here") for n in range(NOTES)]
    labels, calls = [], []
    for number in range(CALLS):
        label = f"{name} {number}"
        labels.append(label)
        match number % 10:
            case 0:
                calls.append(send(inkbox, world.address, label))
            case 1:
                calls.append(write(inkbox, label))
            case _:
                note = notes[number % NOTES]
                calls.append(look(inkbox, note.id, str(note.title)))
    return labels, calls


async def stored(world: World, name: str) -> Counter[str]:
    """How often each label is at the server."""

    def labels(tx: Tx) -> list[str]:
        rows = tx.all(
            "SELECT title AS label FROM notes WHERE title LIKE ? || ' %' UNION ALL "
            "SELECT subject FROM mail_messages WHERE direction = 'outbound' AND subject LIKE ? || ' %'",
            name,
            name,
        )
        return [row["label"] for row in rows if " note " not in row["label"]]

    return Counter(await world.sandbox.store.run(labels))


def nothing_lost(labels: list[str], errors: list[InkboxError | None], there: Counter[str]) -> None:
    """What was answered is there once, what raised is there once at most, what was surely not sent is not."""
    for number, (label, error) in enumerate(zip(labels, errors, strict=True)):
        writes = number % 10 < 2
        if error is None:
            assert there[label] == writes, f"{label!r} was answered, and is there {there[label]} times"
            continue
        assert type(error) in (InkboxAPIError, InkboxConnectionError, InkboxResponseError), repr(error)
        assert there[label] <= writes, f"{label!r} raised {error!r}, and is there {there[label]} times"
        if isinstance(error, InkboxConnectionError) and not error.sent:
            assert there[label] == 0, f"{label!r} was said not to have been sent, and is there"
    assert sum(there.values()) <= CALLS // 5


async def test_one_in_ten_goes_wrong_on_the_wire(world: World, proxy: Proxy) -> None:
    proxy.listen()
    acts = InTurn(
        faults.reset,
        faults.hang_up,
        faults.lose_the_answer,
        faults.cut_in_the_head,
        faults.cut_in_the_body,
        faults.reset_in_the_body,
        faults.halve_the_json,
        faults.show_a_page,
        faults.speak_noise,
    )
    async with world.sandbox.client(base_url=proxy.url) as inkbox:
        labels, calls = await thousand(world, inkbox, "wire")
        proxy.order = Order(acts)
        errors = await gone_wrong(calls)
        proxy.order = None
        nothing_lost(labels, errors, await stored(world, "wire"))
        assert acts.seen >= CALLS
        assert acts.spoilt > CALLS // ONE_IN // 2
        assert any(errors), "nothing went wrong for anybody: what was tested?"
        assert not any(isinstance(error, InkboxAPIError) for error in errors)
        await again(world, inkbox, labels, errors, "wire")


async def test_one_in_ten_goes_wrong_at_the_server(world: World) -> None:
    async with nothing_left_behind(), world.sandbox.client() as inkbox:
        labels, calls = await thousand(world, inkbox, "server")
        for number in range(CALLS // ONE_IN):
            match number % 4:
                case 0:
                    world.sandbox.faults.add(drop=True)
                case 1:
                    world.sandbox.faults.add(status=503)
                case 2:
                    world.sandbox.faults.add(status=429, headers={"Retry-After": "0"})
                case 3:
                    world.sandbox.faults.add(delay_seconds=0.05)
        errors = await gone_wrong(calls)
        world.sandbox.faults.clear()
        nothing_lost(labels, errors, await stored(world, "server"))
        await again(world, inkbox, labels, errors, "server")


async def again(
    world: World, inkbox: AsyncInkbox, labels: list[str], errors: list[InkboxError | None], name: str
) -> None:
    """The sends that raised are repeated under their keys: then each of them is there once."""
    for number in range(0, CALLS, 10):
        error = errors[number]
        if error is not None:
            await inkbox.messages.send(
                world.address,
                to=["bob@example.com"],
                subject=labels[number],
                body_text="Hello",
                idempotency_key=error.idempotency_key,
            )
    there = await stored(world, name)
    wrong = {labels[n]: there[labels[n]] for n in range(0, CALLS, 10) if there[labels[n]] != 1}
    assert not wrong, f"sends that are not there exactly once: {wrong}"
