"""The one door to SQLite: a thread of its own, one transaction at a time, and what happens after a commit."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple
from uuid import UUID

from .clock import timestamp
from .private import close_to_others, touch_private

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Callback = Callable[[], Awaitable[None]]
"""A piece of asynchronous work that a transaction ordered."""

_APPLICATION_ID = 0x1B0C5A9D  # marks an SQLite file as ours
_MAGIC = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-journal")
_SCHEMA = Path(__file__).parent / "schema"


class StoreError(Exception):
    """The data file cannot be used. The message says why and what to do."""


class Tx:
    """One transaction. Everything done through it is stored together, or not at all.

    Parameters of all statements may be `datetime` (stored as UTC text that sorts), `UUID`, enums, and
    dicts or lists (stored as JSON text) beside what SQLite knows. Rows are `sqlite3.Row`: `row["column"]`.

        row = tx.one("SELECT * FROM mailboxes WHERE email_address = ?", address)
        rows = tx.all("SELECT * FROM messages WHERE mailbox_id = ? ORDER BY created_at DESC", mailbox_id)
        tx.insert("messages", id=uuid4(), created_at=call.now, subject=subject)
        tx.update("messages", message_id, is_read=True)
        tx.execute("DELETE FROM messages WHERE thread_id = ?", thread_id).rowcount
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.callbacks: list[Callback] = []
        self.topics: set[str] = set()

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(sql, [_plain(value) for value in parameters])

    def one(self, sql: str, *parameters: object) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self.execute(sql, *parameters).fetchone()
        return row

    def all(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        """Every row."""
        return self.execute(sql, *parameters).fetchall()

    def value(self, sql: str, *parameters: object) -> Any:  # Any: a cell of whatever type the query selects
        """The first column of the first row, or None when there is no row."""
        row = self.execute(sql, *parameters).fetchone()
        return None if row is None else row[0]

    def insert(self, table: str, **columns: object) -> None:
        """Add one row."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", *columns.values())

    def update(self, table: str, row_id: object, **columns: object) -> None:
        """Change columns of the row whose `id` is `row_id`. Without columns it does nothing."""
        if columns:
            changes = ", ".join(f"{name} = ?" for name in columns)
            self.execute(f"UPDATE {table} SET {changes} WHERE id = ?", *columns.values(), row_id)

    def after_commit(self, function: Callable[[*Ts], Awaitable[None]], *arguments: *Ts) -> None:
        """Run `await function(*arguments)` on the sandbox's event loop once this transaction is stored.

        The sandbox owns the task: it is cancelled when the sandbox stops or is reset, and an exception in it
        is logged. Nothing runs if the transaction is rolled back.
        """

        async def callback() -> None:
            await function(*arguments)

        self.callbacks.append(callback)

    def notify(self, topic: str) -> None:
        """Wake the workers that listen to `topic` (`Store.listen`) once this transaction is stored."""
        self.topics.add(topic)


_CLOSED = "The sandbox was stopped: enter a new one with `async with Sandbox() as sandbox:`."


class Store:
    """The sandbox's data, in memory or in a file.

    Functions given to `run` execute one after the other on the store's own thread, each in a transaction;
    the caller's loop never waits for SQLite. `run` may be awaited on any event loop.
    """

    def __init__(
        self, path: Path | None = None, on_commit: Callable[[list[Callback]], None] | None = None
    ) -> None:
        """Prepare it; `open` opens it.

        Args:
            path: The SQLite file, None for memory.
            on_commit: Gets what a stored transaction ordered with `after_commit`, on the store's thread.
        """
        self._path = path
        self._on_commit = on_commit
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-store")
        self._connection: sqlite3.Connection | None = None
        self._pristine: sqlite3.Connection | None = None
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def listen(self, topic: str, listener: Callable[[], None]) -> None:
        """Call `listener()` on the store's thread after commits that notified `topic` and after `restore`."""
        self._listeners.setdefault(topic, []).append(listener)

    async def open(self) -> bool:
        """Open the file or the memory. True when the data are new: the tables are there, and empty.

        Raises:
            StoreError: The file is not a sandbox's, was written by another version, or cannot be opened.
        """
        return await asyncio.wrap_future(self._thread.submit(self._open))

    async def run(self, function: Callable[[Tx], T]) -> T:
        """Run `function` in a transaction and return what it returns; if it raises, nothing is stored.

        The exception to that are exceptions with a true attribute `keep_changes`. A cancelled caller stops
        waiting; a transaction that has begun is finished all the same.
        """
        return await asyncio.wrap_future(self.submit(function))

    def submit(self, function: Callable[[Tx], T]) -> Future[T]:
        """Like `run`, for callers outside an event loop.

        Raises:
            StoreError: The sandbox was stopped.
        """
        try:
            return self._thread.submit(self._transact, function)
        except RuntimeError:  # the executor's own word for it
            raise StoreError(_CLOSED) from None

    async def seed(self, seed: Callable[[Tx], None]) -> None:
        """Write the first rows of a new store."""
        await asyncio.wrap_future(self._thread.submit(self._first_rows, seed))

    async def restore(self, seed: Callable[[Tx], None]) -> None:
        """Throw all data away and begin again with the rows that `seed` writes (once: they are kept)."""
        await asyncio.wrap_future(self._thread.submit(self._restore, seed))

    async def close(self) -> None:
        """Finish what was asked for and close the file."""
        await asyncio.wrap_future(self._thread.submit(self._close))
        self._thread.shutdown()

    def _open(self) -> bool:
        if self._path is not None:
            _make_room(self._path)
        connection = _connect(self._path)
        try:
            if self._path is not None:
                # Two processes on one file would send every webhook twice. The lock ends with the process.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            fresh = self._is_fresh(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            if self._path is not None:
                _close_to_others(self._path)
                # A commit in the write-ahead log survives the death of the process, if not a power cut.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            if fresh:
                connection.executescript(_schema())
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return fresh

    def _is_fresh(self, connection: sqlite3.Connection) -> bool:
        """True for an empty database. Nothing is written before this has looked."""
        stranger = StoreError(f"{self._path} is not a sandbox's data file. Give --data another path.")
        if self._path is not None and self._path.exists():
            with self._path.open("rb") as file:
                if file.read(len(_MAGIC)) not in (b"", _MAGIC):
                    raise stranger
        try:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
                return True
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                advice = "Stop it, or give --data another path."
                raise StoreError(f"{self._path} is in use by another sandbox. {advice}") from error
            raise StoreError(f"{self._path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise stranger from error
        if application != _APPLICATION_ID:
            raise stranger
        if version != _schema_version(_tables()):
            raise StoreError(
                f"{self._path} was written by another version of the sandbox. "
                "Delete it, give --data another path, or use the version that wrote it."
            )
        return False

    def _transact(self, function: Callable[[Tx], T]) -> T:
        if self._connection is None:
            raise StoreError(_CLOSED)
        tx = Tx(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(tx)
        except BaseException as error:
            if not getattr(error, "keep_changes", False):
                self._connection.execute("ROLLBACK")
                raise
            self._commit(tx)
            raise
        self._commit(tx)
        return result

    def _commit(self, tx: Tx) -> None:
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
        if tx.callbacks and self._on_commit is not None:
            self._on_commit(tx.callbacks)
        for topic in tx.topics:
            for listener in self._listeners.get(topic, ()):
                listener()

    def _first_rows(self, seed: Callable[[Tx], None]) -> None:
        self._transact(seed)
        if self._path is None and self._connection is not None:
            # A copy now costs a millisecond, what `_restore` does without one ten. A file's copy would
            # remember its write-ahead log, which memory does not have.
            self._pristine = _connect(None)
            self._connection.backup(self._pristine)

    def _restore(self, seed: Callable[[Tx], None]) -> None:
        if self._connection is None:
            raise StoreError(_CLOSED)
        if self._pristine is None:
            self._pristine = _connect(None)
            self._pristine.executescript(_schema())
            self._pristine.execute("BEGIN")
            seed(Tx(self._pristine))
            self._pristine.execute("COMMIT")
        self._pristine.backup(self._connection)
        for listeners in self._listeners.values():
            for listener in listeners:
                listener()

    def _close(self) -> None:
        for connection in (self._connection, self._pristine):
            if connection is not None:
                connection.close()
        self._connection = self._pristine = None


def _make_room(path: Path) -> None:
    """Make the file, where there is none, so that nobody else can read it even for a moment."""
    try:
        touch_private(path)
    except OSError as error:
        advice = "Does its directory exist?"
        raise StoreError(f"{path} cannot be opened: {error.strerror}. {advice}") from error


def _close_to_others(path: Path) -> None:
    """The data hold API keys and mail. SQLite gives its log the permissions of the data file."""
    try:
        close_to_others(path, *(path.with_name(path.name + suffix) for suffix in _SIDE_FILES))
    except OSError as error:
        advice = "Give --data a path of your own."
        raise StoreError(f"{path} cannot be kept from others: {error.strerror}. {advice}") from error


def _connect(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=True)
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be opened: {error}. Does its directory exist?") from error
    connection.row_factory = sqlite3.Row
    return connection


def _tables() -> str:
    """Every area's tables: the files of `schema/`, in the order of their names."""
    return "\n".join(file.read_text("utf-8") for file in sorted(_SCHEMA.glob("*.sql")))


def _schema_version(tables: str) -> int:
    return zlib.crc32(tables.encode()) & 0x7FFFFFFF


def _schema() -> str:
    tables = _tables()
    return (
        f"BEGIN;\n{tables}\nPRAGMA application_id = {_APPLICATION_ID};\n"
        f"PRAGMA user_version = {_schema_version(tables)};\nCOMMIT;"
    )


def _plain(value: object) -> object:
    """What SQLite can store for a value."""
    match value:
        case datetime():
            return timestamp(value)
        case UUID():
            return str(value)
        case Enum():
            return _plain(value.value)
        case Mapping() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case _:
            return value
