"""The worker that delivers queued events: at least once, in order for each subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import anyio
from anyio.abc import TaskGroup

from inkbox_async.sandbox.clock import Clock, parse_timestamp
from inkbox_async.sandbox.events import TOPIC
from inkbox_async.sandbox.signing_keys import signing_secret
from inkbox_async.sandbox.store import Store, Tx

from .attempts import Subject, record
from .posting import Outcome, Poster

RETRY_DELAYS = (1, 5, 30, 120, 600, 1800)
"""Seconds on the sandbox's clock before the second, third, ... attempt. Then an event is given up."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The oldest event that waits for a subscription."""

    seq: int
    attempts: int
    due_at: datetime
    payload: bytes
    secret: str | None = field(repr=False)
    token: str | None = field(repr=False)
    subject: Subject


class Dispatcher:
    """Delivers what `events.emit` queued, first what an earlier run left behind.

    Subscriptions are served at the same time, each by a task of its own. Within one, an event waits for the
    one before it to be delivered or given up.
    """

    def __init__(
        self, store: Store, clock: Clock, poster: Poster, *, retry_delays: Sequence[float] = RETRY_DELAYS
    ) -> None:
        self._store = store
        self._clock = clock
        self._poster = poster
        self._retry_delays = retry_delays
        self._busy: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._changed.set)

        self._store.listen(TOPIC, wake)
        async with anyio.create_task_group() as workers:
            while True:
                self._changed.clear()
                await self._wait(await self._start(workers))

    async def _start(self, workers: TaskGroup) -> datetime | None:
        """Set a worker on every subscription that has something due; tell when the next will have."""
        heads = await self._store.run(_heads)
        now = self._clock.now()
        later: list[datetime] = []
        for subscription_id, due_at in heads:
            if subscription_id in self._busy:
                continue
            if due_at > now:
                later.append(due_at)
            else:
                self._busy.add(subscription_id)
                workers.start_soon(self._serve, subscription_id)
        return min(later, default=None)

    async def _wait(self, until: datetime | None) -> None:
        """Until something was queued, a worker is done, or the clock shows `until`."""
        if until is None:
            await self._changed.wait()
            return
        async with anyio.create_task_group() as race:

            async def alarm() -> None:
                await self._clock.sleep_until(until)
                self._changed.set()

            race.start_soon(alarm)
            await self._changed.wait()
            race.cancel_scope.cancel()

    async def _serve(self, subscription_id: str) -> None:
        """Deliver what is due to one subscription, one event after the other."""
        try:
            while True:
                job = await self._store.run(partial(_oldest, subscription_id=subscription_id))
                if job is None or job.due_at > self._clock.now():
                    return
                outcome = await self._poster.post(job.subject.url, job.payload, job.secret, token=job.token)
                await self._store.run(partial(self._settle, job=job, outcome=outcome))
        finally:
            self._busy.discard(subscription_id)
            self._changed.set()

    def _settle(self, tx: Tx, job: _Job, outcome: Outcome) -> None:
        """Write down how an attempt went, and when the next one is."""
        now = self._clock.now()
        attempt = job.attempts + 1
        verdict, due_at = "given_up", None
        if outcome.is_success:
            verdict = "delivered"
        elif not outcome.refused and job.attempts < len(self._retry_delays):
            verdict, due_at = "retrying", now + timedelta(seconds=self._retry_delays[job.attempts])
        # The event's id is compared as well: after a reset, the number belongs to another delivery.
        changed = tx.execute(
            "UPDATE webhook_deliveries SET attempts = ?, due_at = ifnull(?, due_at), "
            "status = CASE WHEN status = 'waiting' THEN ? ELSE status END WHERE seq = ? AND event_id = ?",
            attempt,
            due_at,
            "waiting" if verdict == "retrying" else verdict,
            job.seq,
            job.subject.event_id,
        ).rowcount
        if changed:
            record(
                tx,
                now,
                job.subject,
                outcome,
                verdict=verdict,
                attempt=attempt,
                next_attempt_at=due_at,
            )


def _heads(tx: Tx) -> list[tuple[str, datetime]]:
    """Each subscription that something waits for, and when the oldest of it is due."""
    rows = tx.all(
        "SELECT s.id, d.due_at FROM webhook_subscriptions AS s JOIN webhook_deliveries AS d ON d.seq = "
        "(SELECT min(seq) FROM webhook_deliveries WHERE subscription_id = s.id AND status = 'waiting') "
        "WHERE s.status = 'active'"
    )
    return [(row["id"], parse_timestamp(row["due_at"])) for row in rows]


def _oldest(tx: Tx, subscription_id: str) -> _Job | None:
    """The oldest event that waits for a subscription, with the address and the key as they are now."""
    row = tx.one(
        "SELECT d.seq, d.attempts, d.due_at, e.id, e.event_type, e.payload, s.url, s.auth_token, "
        "s.organization_id, s.owner_identity_id FROM webhook_deliveries AS d "
        "JOIN events AS e ON e.id = d.event_id JOIN webhook_subscriptions AS s ON s.id = d.subscription_id "
        "WHERE d.subscription_id = ? AND d.status = 'waiting' AND s.status = 'active' ORDER BY d.seq LIMIT 1",
        subscription_id,
    )
    if row is None:
        return None
    return _Job(
        seq=row["seq"],
        attempts=row["attempts"],
        due_at=parse_timestamp(row["due_at"]),
        payload=row["payload"].encode(),
        secret=signing_secret(tx, row["organization_id"], row["owner_identity_id"]),
        token=row["auth_token"],
        subject=Subject(
            organization_id=row["organization_id"],
            event_id=row["id"],
            event_type=row["event_type"],
            url=row["url"],
            subscription_id=subscription_id,
        ),
    )
