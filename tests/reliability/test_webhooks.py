"""A receiver of webhooks on a bad network: every event arrives all the same, in order, and not too often."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.webhooks.dispatcher import RETRY_DELAYS

from ..webhooks.conftest import Receiver
from ..webhooks.test_delivery import attempts, subject_of, subscribe, write
from .faults import WIRE_FAULTS, Meaning, WireFault
from .proxy import Order, Proxy

# Whatever is readable and has a good status is a success, and how long to wait is tested for itself.
BREAKING = [fault for fault in WIRE_FAULTS if fault.meaning is Meaning.LOST and not fault.in_the_body]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.mark.parametrize("fault", BREAKING, ids=str)
async def test_a_broken_delivery_is_made_again(
    inkbox_sandbox: Sandbox, inkbox: AsyncInkbox, receiver: Receiver, fault: WireFault
) -> None:
    sandbox = inkbox_sandbox
    assert fault.act is not None
    async with Proxy("127.0.0.1", receiver.port) as proxy:
        proxy.listen()
        proxy.order = Order(fault.act, at_connection=fault.at_connection, times=1)
        agent = await inkbox.create_identity("support")
        await subscribe(inkbox, agent, f"{proxy.url}/hooks")
        await write(sandbox, agent, "one")
        [attempt] = await attempts(sandbox, 1)
        assert (attempt.outcome, attempt.response_status) == ("retrying", None)
        assert attempt.error_detail
        await write(sandbox, agent, "two")
        sandbox.clock.advance(RETRY_DELAYS[0])
        wanted = ["one", "one", "two"] if fault.carried_out else ["one", "two"]
        assert [subject_of(await receiver.next()) for _ in wanted] == wanted
        await attempts(sandbox, 3)
        bodies = [delivery.body for delivery in receiver.received]
        assert bodies[0] == bodies[len(wanted) - 2], "the second delivery is another than the first"


async def test_what_a_receiver_says_unasked_is_no_answer(
    inkbox_sandbox: Sandbox, inkbox: AsyncInkbox, receiver: Receiver
) -> None:
    """A second answer to one event is not taken for the answer to the next."""
    sandbox = inkbox_sandbox
    async with Proxy("127.0.0.1", receiver.port) as proxy:
        proxy.listen()
        agent = await inkbox.create_identity("support")
        await subscribe(inkbox, agent, f"{proxy.url}/hooks")
        await write(sandbox, agent, "one")
        await attempts(sandbox, 1)
        await proxy.to_the_idle(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        receiver.answer(500)
        await write(sandbox, agent, "two")
        newest, _ = await attempts(sandbox, 2)
        assert newest.response_status == 500
