"""The carrier: every call that is placed or comes in is carried here, each in a task of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from sqlite3 import Row

import aiohttp
import anyio
from anyio.abc import TaskGroup

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.phone import records
from inkbox_async.sandbox.phone.arrivals import TOPIC
from inkbox_async.sandbox.phone.conversing import LOCAL, REMOTE, Conversation, Person
from inkbox_async.sandbox.phone.handshake import Handshakes, Line, NoAgent, connect, context_of
from inkbox_async.sandbox.phone.wire import Wire
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Store, Tx
from inkbox_async.sandbox.webhooks.service import Webhooks

MAX_DURATION = timedelta(hours=1)
"""How long a call may last."""
CLOSING = 2.0
"""Seconds (real ones) that an agent has to close its end of the WebSocket."""

TOO_LONG = "max_duration"
STOP_REASONS = {LOCAL: "agent_hang_up", REMOTE: "caller_hang_up", TOO_LONG: "max_duration"}
"""What the agent is told by the reason for which a call has ended."""

_ENDS = {"busy": ("failed", "rejected"), "rejected": ("failed", "rejected"), "no_answer": ("canceled", None)}
"""Status and reason of calls that nobody takes."""

logger = logging.getLogger("inkbox_async.sandbox")


class Gone(Exception):
    """The call is not in the store any more: the sandbox was reset."""


class Carrier:
    """Carries calls. What an earlier run left unfinished has ended with it."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        webhooks: Webhooks,
        session: Callable[[], aiohttp.ClientSession],
        handshakes: Handshakes,
    ) -> None:
        """Prepare it; `run` works.

        Args:
            settings: The sandbox's names and addresses.
            store: Its data.
            clock: Its clock.
            webhooks: Asks receivers what is to become of calls.
            session: Gives the session that WebSockets are opened with.
            handshakes: Remembers the answers to the session's upgrades.
        """
        self._settings = settings
        self._store = store
        self._clock = clock
        self._webhooks = webhooks
        self._session = session
        self._handshakes = handshakes
        self._running: dict[str, _Carried] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._store.listen(TOPIC, wake)
        await self._store.run(lambda tx: records.end_all(tx, self._clock.now(), self._settings))
        async with anyio.create_task_group() as tasks:
            while True:
                woken.clear()
                await self._look(tasks)
                await woken.wait()

    async def _look(self, tasks: TaskGroup) -> None:
        """Take up new calls, hang up those that were asked to be, and drop those that a reset has removed."""
        known = list(self._running)
        going_on, stored = await self._store.run(partial(_calls, known))
        for call_id in known:
            if call_id not in stored and (carried := self._running.get(call_id)) is not None:
                carried.scope.cancel()
        for call in going_on:
            carried = self._running.get(call["id"])
            if carried is None:
                carried = self._running[call["id"]] = _Carried(is_inbound=call["direction"] == "inbound")
                if (peer := self._running.get(call["peer_id"] or "")) is not None:
                    carried.peer, peer.peer = peer, carried
                tasks.start_soon(self._carry, call["id"], carried)
            if call["hangup_requested"]:
                carried.end(LOCAL)

    async def _carry(self, call_id: str, carried: _Carried) -> None:
        with carried.scope:
            try:
                await self._carry_through(call_id, carried)
            except Gone:
                pass
            except Exception:
                logger.exception("Call %s failed in the sandbox", call_id)
                await self._end(call_id, "failed", None)
        self._running.pop(call_id, None)
        if carried.peer is not None:
            carried.peer.end(TOO_LONG if carried.reason == TOO_LONG else REMOTE)

    async def _carry_through(self, call_id: str, carried: _Carried) -> None:
        call = await self._change(call_id, status="ringing")
        plan = json.loads(call["plan"])
        if (end := _ENDS.get(plan.get("outcome", "answered"))) is not None:
            await self._end(call_id, *end)
            return
        line = None
        with carried.ringing:
            line = await self._ring(call, carried, plan)
        if carried.ringing.cancelled_caught:
            await self._end(call_id, "canceled", carried.reason)
        if line is None:
            return
        try:
            await self._connected(call_id, carried, line, plan, call["audio"] or b"")
        finally:
            with anyio.move_on_after(CLOSING, shield=True):
                await line.socket.close()

    async def _ring(self, call: Row, carried: _Carried, plan: records.Plan) -> Line | None:
        """The line to the agent, once somebody takes the call; None when nobody does, which ends it."""
        call_id, url = call["id"], call["client_websocket_url"]
        if call["direction"] == "inbound":
            url = await self._ask(call)
            if url is None:
                await self._end(call_id, "failed", "rejected")
                return None
            call = await self._change(call_id, client_websocket_url=url)
        elif carried.peer is not None and not await carried.is_taken(carried.peer):
            await self._store.run(
                lambda tx: records.end_untaken(tx, self._clock.now(), self._settings, call_id, plan["peer"])
            )
            return None
        context, secret = await self._store.run(lambda tx: context_of(tx, call))
        try:
            return await connect(self._session(), self._handshakes, self._settings, url, context, secret)
        except NoAgent as reason:
            logger.warning("Call %s has no agent: %s", call_id, reason)
            await self._end(call_id, "failed", None)
            return None

    async def _ask(self, call: Row) -> str | None:
        """Where the agent takes an inbound call; None when nobody does."""
        number, payload, secret = await self._store.run(
            lambda tx: records.incoming_call(tx, self._clock.now(), call)
        )
        stored: str | None = number["client_websocket_url"]
        webhook = number["incoming_call_webhook_url"]
        if number["incoming_call_action"] != "webhook":
            return stored
        if webhook is None:
            return None
        answer = await self._webhooks.ask_about_call(
            url=webhook,
            payload=payload,
            secret=secret,
            organization_id=call["organization_id"],
            phone_number_id=call["phone_number_id"],
        )
        if answer is None or answer.action != "answer":
            return None
        return answer.client_websocket_url or stored

    async def _connected(
        self, call_id: str, carried: _Carried, line: Line, plan: records.Plan, sound: bytes
    ) -> None:
        """A call from the moment at which it is answered."""
        started = self._clock.now()
        await self._change(
            call_id, status="answered", started_at=started, use_inkbox_tts=line.tts, use_inkbox_stt=line.stt
        )

        async def said(party: str, text: str) -> None:
            await self._store.run(
                lambda tx: records.write_down(tx, self._clock.now(), started, call_id, party, text)
            )

        carried.answered.set()
        if carried.peer is not None:
            conversation = Conversation(line, said, self._clock, wire=carried.peer.wire)
        else:
            person = Person(plan["script"], sound, leaves=bool(plan["leaves"]))
            conversation = Conversation(line, said, self._clock, person)
        await conversation.start(call_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_when, carried, conversation.listen, LOCAL)
            tasks.start_soon(self._end_after, carried, started + MAX_DURATION, TOO_LONG)
            if carried.peer is not None:
                tasks.start_soon(conversation.relay, carried.wire)
            elif plan.get("hangup_after") is not None:
                too_long = MAX_DURATION.total_seconds() + 1
                leaving = started + timedelta(seconds=min(plan["hangup_after"], too_long))
                tasks.start_soon(self._end_after, carried, leaving, REMOTE)
                tasks.start_soon(conversation.speak)
            else:
                tasks.start_soon(self._end_when, carried, conversation.speak, REMOTE)
            await carried.over.wait()
            tasks.cancel_scope.cancel()
        reason = carried.reason
        await self._end(call_id, "completed", reason, conversation.frames)
        with anyio.move_on_after(CLOSING):
            await conversation.stop(STOP_REASONS[reason])

    @staticmethod
    async def _end_when(carried: _Carried, happens: Callable[[], Awaitable[bool]], reason: str) -> None:
        if await happens():
            carried.end(reason)

    async def _end_after(self, carried: _Carried, moment: datetime, reason: str) -> None:
        await self._clock.sleep_until(moment)
        carried.end(reason)

    async def _change(self, call_id: str, **columns: object) -> Row:
        def change(tx: Tx) -> Row:
            tx.update("calls", call_id, updated_at=self._clock.now(), **columns)
            row = tx.one("SELECT * FROM calls WHERE id = ?", call_id)
            if row is None:
                raise Gone
            return row

        return await self._store.run(change)

    async def _end(
        self, call_id: str, status: str, reason: str | None, frames: list[str] | None = None
    ) -> None:
        await self._store.run(
            lambda tx: records.end(
                tx, self._clock.now(), self._settings, call_id, status, reason, frames or []
            )
        )


class _Carried:
    """A call that is being carried.

    Attributes:
        is_inbound: Whether the agent is called, or calls.
        scope: Cancels its task.
        ringing: What happens until an agent has taken it; cancelled when it ends before.
        answered: Set once an agent has taken it.
        over: Set once it is to end.
        reason: Why it is to end.
        peer: The call at the other end, where that is a number of the sandbox, too.
        wire: What is said there on its way to this end.
    """

    def __init__(self, *, is_inbound: bool) -> None:
        self.is_inbound = is_inbound
        self.scope = anyio.CancelScope()
        self.ringing = anyio.CancelScope()
        self.answered = asyncio.Event()
        self.over = asyncio.Event()
        self.reason = LOCAL
        self.peer: _Carried | None = None
        self.wire = Wire()

    async def is_taken(self, peer: _Carried) -> bool:
        """Wait until the other end has answered or ended. False when nobody took the call there."""
        async with anyio.create_task_group() as race:

            async def give_up() -> None:
                await self.over.wait()
                race.cancel_scope.cancel()

            race.start_soon(give_up)
            await peer.answered.wait()
            race.cancel_scope.cancel()
        return peer.answered.is_set()

    def end(self, reason: str) -> None:
        """End the call. The first reason counts."""
        if not self.over.is_set():
            self.reason = reason
            self.over.set()
            # A caller whom nobody takes, or whom somebody leaves at once, is not the one who cancels.
            if reason == LOCAL or self.is_inbound:
                self.ringing.cancel()


def _calls(known: list[str], tx: Tx) -> tuple[list[Row], set[str]]:
    """Calls that go on, and which of the known ones are stored at all."""
    going_on = tx.all(
        "SELECT id, direction, json_extract(plan, '$.peer') AS peer_id, hangup_requested FROM calls "
        "WHERE ended_at IS NULL ORDER BY seq"
    )
    return going_on, {call_id for call_id in known if tx.one("SELECT 1 FROM calls WHERE id = ?", call_id)}
