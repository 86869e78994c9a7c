"""The store: whole transactions or none, work after the commit, and data files that are ours."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from inkbox_async.sandbox.clock import parse_timestamp
from inkbox_async.sandbox.store import Callback, Store, StoreError, Tx


@pytest.fixture
def ordered() -> list[Callback]:
    return []


@pytest.fixture
async def store(ordered: list[Callback]) -> AsyncIterator[Store]:
    store = Store(on_commit=ordered.extend)
    assert await store.open(), "memory is always new"
    yield store
    await store.close()


def add(tx: Tx, name: str) -> None:
    tx.insert("meta", name=name, value="v")


def names(tx: Tx) -> list[str]:
    return [row["name"] for row in tx.all("SELECT name FROM meta ORDER BY name")]


async def test_what_a_transaction_does_is_stored(store: Store) -> None:
    await store.run(lambda tx: add(tx, "a"))
    assert await store.run(names) == ["a"]


async def test_a_transaction_that_fails_leaves_nothing_and_orders_nothing(
    store: Store, ordered: list[Callback]
) -> None:
    async def never() -> None: ...

    def fail(tx: Tx) -> None:
        add(tx, "a")
        tx.after_commit(never)
        raise LookupError("no")

    with pytest.raises(LookupError):
        await store.run(fail)
    assert await store.run(names) == []
    assert ordered == []


async def test_an_exception_may_ask_to_keep_what_was_written(store: Store) -> None:
    class Remembered(Exception):
        keep_changes = True

    def refuse(tx: Tx) -> None:
        add(tx, "attempt")
        raise Remembered

    with pytest.raises(Remembered):
        await store.run(refuse)
    assert await store.run(names) == ["attempt"]


async def test_work_for_after_the_commit_is_handed_over_once_it_is_stored(
    store: Store, ordered: list[Callback]
) -> None:
    done: list[tuple[int, str]] = []

    async def work(number: int, text: str) -> None:
        done.append((number, text))

    await store.run(lambda tx: tx.after_commit(work, 1, "x"))
    assert len(ordered) == 1
    await ordered[0]()
    assert done == [(1, "x")]


async def test_a_cancelled_caller_does_not_disturb_the_store(store: Store) -> None:
    tasks = [asyncio.create_task(store.run(partial(add, name=f"{n:03}"))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    kept = await store.run(names)
    assert {f"{n:03}" for n in range(1, 50, 2)} <= set(kept), "callers that waited got what they asked for"


async def test_times_ids_and_objects_go_in_as_they_are(store: Store) -> None:
    moment, row_id = datetime(2026, 5, 1, tzinfo=UTC), uuid4()

    def write(tx: Tx) -> tuple[str, str, str]:
        tx.execute("CREATE TABLE things (at TEXT, id TEXT, item TEXT)")
        tx.insert("things", at=moment, id=row_id, item={"names": ["Zoë"]})
        row = tx.one("SELECT at, id, item FROM things")
        assert row is not None
        return tuple(row)

    at, identifier, item = await store.run(write)
    assert parse_timestamp(at) == moment
    assert identifier == str(row_id)
    assert item == '{"names":["Zoë"]}'


async def test_restore_goes_back_to_the_seed_and_nothing_else(store: Store) -> None:
    await store.run(lambda tx: add(tx, "left over"))
    for _ in range(2):
        await store.restore(lambda tx: add(tx, "seed"))
        assert await store.run(names) == ["seed"]
        await store.run(lambda tx: add(tx, "more"))


async def test_a_file_keeps_its_data_and_can_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    for expected, fresh in (([], True), (["0"], False), (["0", "1"], False)):
        store = Store(path)
        assert await store.open() is fresh
        assert await store.run(names) == expected
        await store.run(partial(add, name=str(len(expected))))
        await store.close()
    store = Store(path)
    await store.open()
    await store.restore(lambda tx: add(tx, "seed"))
    await store.close()
    store = Store(path)
    assert not await store.open()
    assert await store.run(names) == ["seed"]
    await store.close()


@pytest.mark.parametrize("content", [b"hello, this is a text " * 100, b"x"])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    store = Store(path)
    with pytest.raises(StoreError, match="not a sandbox's data file"):
        await store.open()
    await store.close()
    assert path.read_bytes() == content


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    store = Store(path)
    with pytest.raises(StoreError, match="not a sandbox's data file"):
        await store.open()
    await store.close()
    assert path.read_bytes() == content


async def test_a_file_of_another_version_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    store = Store(path)
    await store.open()
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    store = Store(path)
    with pytest.raises(StoreError, match=r"another version.*Delete it, give --data another path"):
        await store.open()
    await store.close()


async def test_a_file_belongs_to_one_sandbox_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    first, second = Store(path), Store(path)
    await first.open()
    with pytest.raises(StoreError, match=r"in use by another sandbox.*--data"):
        await second.open()
    await first.close()
    await second.close()
    third = Store(path)
    assert await third.open() is False
    await third.close()


async def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "missing" / "sandbox.db")
    with pytest.raises(StoreError, match="missing"):
        await store.open()
    await store.close()
