"""The sandbox's clock: always forward, never standing still, waking those who wait for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from inkbox_async.sandbox.clock import Clock, parse_timestamp, timestamp

DAY = 86400.0


def test_two_readings_differ_and_keep_their_order() -> None:
    clock = Clock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(set(readings))


def test_advancing_moves_the_present_by_that_much() -> None:
    clock = Clock()
    before = clock.now()
    told = clock.advance(DAY)
    assert before + timedelta(days=1) <= told < before + timedelta(days=1, minutes=1)
    assert clock.now() > told


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_the_clock_does_not_run_backwards(seconds: float) -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        Clock().advance(seconds)


async def test_advancing_wakes_exactly_the_sleepers_whose_time_has_come() -> None:
    clock = Clock()
    short = asyncio.create_task(clock.sleep(DAY))
    long = asyncio.create_task(clock.sleep(3 * DAY))
    await asyncio.sleep(0)
    clock.advance(DAY)
    await asyncio.wait_for(short, 10)
    assert not long.done()
    clock.advance(2 * DAY)
    await asyncio.wait_for(long, 10)


async def test_a_moment_in_the_past_is_not_waited_for() -> None:
    clock = Clock()
    await asyncio.wait_for(clock.sleep_until(clock.now() - timedelta(days=1)), 10)


async def test_another_thread_may_move_the_clock() -> None:
    clock = Clock()
    sleeper = asyncio.create_task(clock.sleep(DAY))
    await asyncio.sleep(0)
    await asyncio.to_thread(clock.advance, DAY)
    await asyncio.wait_for(sleeper, 10)


def test_those_who_keep_the_clock_hear_its_whole_offset() -> None:
    heard: list[timedelta] = []
    clock = Clock(heard.append)
    clock.advance(10)
    clock.advance(5)
    assert heard == [timedelta(seconds=10), timedelta(seconds=15)]


def test_reset_goes_back_to_real_time() -> None:
    clock = Clock()
    clock.advance(DAY)
    clock.reset()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_stored_times_sort_as_times_do_and_come_back_whole() -> None:
    moment = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    later = moment + timedelta(microseconds=1)
    assert timestamp(moment) == "2026-05-01T12:00:00.000000Z"
    assert timestamp(moment) < timestamp(later)
    assert parse_timestamp(timestamp(later)) == later
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 5, 1))  # noqa: DTZ001
