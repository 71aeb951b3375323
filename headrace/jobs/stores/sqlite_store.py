"""`SqliteStore`: jobs in a SQLite file, in the table of Oban's Lite engine.

On the same machine the lock of an OS process shows at once that it is dead; elsewhere heartbeats show it.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, get_args

from typing_extensions import override

from headrace.clock import utc_now
from headrace.database.heartbeat import HEARTBEAT_SECONDS
from headrace.database.owner_locks import OwnerLocks
from headrace.database.queries import migrate, sql_condition, sql_text
from headrace.database.sqlite_file import FileChanges, R, SqliteError
from headrace.database.sqlite_threads import DatabaseWork, SqliteReader, SqliteWriter, Synchronous
from headrace.database.urls import parse_sqlite_url
from headrace.jobs.errors import BadStore, BadTransaction, NewerSchema
from headrace.jobs.job import Inserted, Job, NewJob, to_text
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sql.dialect import INSERT_COLUMNS, Body, Dialect, Row, finish
from headrace.jobs.stores.sql.rows import (
    LARGE_ARGS,
    conditions,
    from_new,
    is_of_group,
    list_text,
    merged_text,
    object_text,
    to_claimed,
    to_job,
    to_time,
    warn_of_large_args,
)
from headrace.jobs.stores.sql.sql_store import SqlStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.stores.transitions import to_json

QUERIES: Final = "headrace.jobs.stores.sql"
"""The package that holds the SQL files."""

MIGRATIONS: Final = ("1_schema", "2_groups", "3_prunable", "4_limits", "5_owners", "6_stopping")
"""Files that bring the tables to the version of their number, in order."""

COMMON_COUNT: Final = 5000
"""From so many jobs in its states on, a search with a limit reads the table from its end, without their index."""

_LEGACY: Final = -1
"""The value of `Connection.autocommit` unless a user sets it; the attribute is new in Python 3.12."""

_ARGS: Final = INSERT_COLUMNS.index("args")


def prepare(connection: sqlite3.Connection) -> None:
    """Make the missing tables in the transaction that has begun, and the functions that queries call.

    Of two OS processes that do so at once one waits, and then finds the tables. Raises NewerSchema when the tables are
    of a version that it does not know; then nothing was changed.
    """
    connection.create_function("headrace_merge", 2, merged_text, deterministic=True)
    connection.create_function("headrace_object", 1, object_text, deterministic=True)
    connection.create_function("headrace_list", 1, list_text, deterministic=True)
    newer = migrate(connection, QUERIES, MIGRATIONS)
    if newer is not None:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerSchema(path, newer, len(MIGRATIONS))


query: Final = partial(sql_text, QUERIES)
"""Returns the text of a query."""

condition: Final = partial(sql_condition, QUERIES)
"""Returns the text of one condition of a filter."""


def partition_texts(queue: str, path: str) -> Mapping[str, str]:
    """Return the name of the index of a partitioned queue, its expression, and the queue, as SQL text."""
    key_hash = hashlib.blake2b(f"{queue}\n{path}".encode(), digest_size=6).hexdigest()
    return {"index": f"headrace_jobs_by_{key_hash}", "partition": _expression(path), "queue": _quoted(queue)}


def _expression(partition: str) -> str:
    if partition == "worker":
        return partition
    column, *keys = partition.split(".")
    path = "$" + "".join(f'."{key}"' for key in keys)
    return f"json_extract({column}, {_quoted(path)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class SqliteSession:
    """A transaction of a connection, in the connection's thread: it never suspends."""

    __slots__ = ("connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def rows(self, text: str, *values: object) -> list[Row]:
        """Run a statement; return its rows."""
        return self.connection.execute(text, [_encoded(value) for value in values]).fetchall()

    async def change(self, text: str, *values: object) -> int:
        """Run a statement; return how many rows it changed."""
        return self.connection.execute(text, [_encoded(value) for value in values]).rowcount


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return to_text(value)
    return to_json(value) if isinstance(value, list) else value


class SqliteDialect(Dialect[SqliteSession]):
    """SQLite: one thread writes, one reads, and each runs a body to its end."""

    query = staticmethod(query)
    job = staticmethod(to_job)
    time = staticmethod(to_time)
    partition = staticmethod(partition_texts)
    before_partitions: object = float("-inf")
    """SQLite sorts null before it, and every other value after it."""

    def __init__(self, writer: SqliteWriter, reader: SqliteReader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    def run(
        self, body: Body[SqliteSession, R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> Coroutine[object, object, R]:
        return self._writer.run(_work(body), is_durable=is_durable, unwanted=unwanted)

    @override
    def run_sync(self, body: Body[SqliteSession, R], *, is_durable: bool = True) -> R:
        return self._writer.run_sync(_work(body), is_durable=is_durable)

    @override
    def post(self, body: Body[SqliteSession, object]) -> None:
        self._writer.post(_work(body))

    @override
    def read(self, body: Body[SqliteSession, R]) -> Coroutine[object, object, R]:
        return self._reader.run(_work(body))

    @override
    def read_sync(self, body: Body[SqliteSession, R]) -> R:
        return self._reader.run_sync(_work(body))

    @override
    @contextmanager
    def in_transaction(self, connection: object, worker: str) -> Iterator[SqliteSession]:
        with user_transaction(connection, worker) as checked:
            yield SqliteSession(checked)

    @override
    async def condition(
        self, session: SqliteSession, which: JobFilter, *, has_limit: bool
    ) -> tuple[str, Sequence[object]]:
        is_common = False
        if has_limit and which.states is not None and not is_of_group(which):
            count = await session.rows(query("states_count"), sorted(which.states), COMMON_COUNT)
            is_common = count[0][0] == COMMON_COUNT
        texts, values = ["true"], list[object]()
        for name, of_it in conditions(which, is_common=is_common):
            texts.append(f"({condition(name)})")
            values += of_it
        return " and ".join(texts), values

    @override
    def rows(self, jobs: Sequence[NewJob], now: datetime) -> list[Row]:
        time = to_text(now)
        return [from_new(job, time, to_text) for job in jobs]

    @override
    async def insert(self, session: SqliteSession, rows: Sequence[Row]) -> list[Inserted]:
        if len(rows) == 1:
            return [Inserted(session.connection.execute(query("insert"), rows[0]).lastrowid or 0)]
        session.connection.executemany(query("insert"), rows)
        return _last(session.connection, len(rows))

    @override
    def insert_alike(self, jobs: Sequence[NewJob], now: datetime) -> Body[SqliteSession, list[Inserted]] | None:
        try:
            args = to_json([job.args for job in jobs])
        except (TypeError, ValueError):
            return None  # the insert one by one names the job whose args are bad
        if len(args) > LARGE_ARGS and (largest := max(len(to_json(job.args)) for job in jobs)) > LARGE_ARGS:
            warn_of_large_args(jobs[0].worker, largest)
        (row,) = self.rows([replace(jobs[0], args={})], now)
        values = (*row[:_ARGS], args, *row[_ARGS + 1 :])

        async def body(session: SqliteSession) -> list[Inserted]:
            session.connection.execute(query("insert_alike"), values)
            return _last(session.connection, len(jobs))

        return body

    @override
    async def claim(self, session: SqliteSession, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
        # two statements are quicker than one that returns the changed rows; no other writer comes between them
        if owner.workers is None:
            rows = await session.rows(query("available"), owner.queue, count)
        else:
            rows = await session.rows(query("available_known"), owner.queue, list(owner.workers), count)
        by = [owner.node, owner.uuid]
        if rows:
            await session.change(query("take"), now, by, [row[0] for row in rows])
        return [to_claimed(row, now, by) for row in rows]

    @override
    async def lock(self, session: SqliteSession, name: str) -> None:
        pass  # a transaction that writes holds the only lock

    @override
    async def lock_unique(self, session: SqliteSession, keys: Sequence[str]) -> None:
        pass

    @override
    def partition_value(self, value: object) -> object:
        return value


def _work(body: Body[SqliteSession, R]) -> DatabaseWork[R]:
    return lambda connection: finish(body(SqliteSession(connection)))


@contextmanager
def user_transaction(connection: object, worker: str) -> Iterator[sqlite3.Connection]:
    """Hold the file's write lock in the connection's transaction, and begin one if none is open; leave it open.

    Only that lock keeps other writers out between the check for duplicates and the insert. Raises `BadTransaction` for
    a connection that commits each statement by itself, and for one whose file has no jobs.
    """
    if not isinstance(connection, sqlite3.Connection):
        raise BadTransaction(worker, f"it is a {type(connection).__name__}: connect by sqlite3 to the store's file")
    try:
        if not connection.in_transaction:
            if _commits_by_itself(connection):
                raise BadTransaction(worker, "it commits each statement by itself; begin a transaction first")
            connection.execute("BEGIN IMMEDIATE")
        yield connection
    except sqlite3.OperationalError as error:
        raise BadTransaction(worker, f"{error}; connect to the file of the store, begin anew, and try again") from error


def _commits_by_itself(connection: sqlite3.Connection) -> bool:
    autocommit = getattr(connection, "autocommit", _LEGACY)
    return connection.isolation_level is None if autocommit == _LEGACY else bool(autocommit)


def _last(connection: sqlite3.Connection, count: int) -> list[Inserted]:
    """Return the ids of the last rows: no other writer inserts meanwhile, so that they follow one another."""
    (last_id,) = connection.execute("select last_insert_rowid()").fetchone()
    return [Inserted(job_id) for job_id in range(last_id - count + 1, last_id + 1)]


class SqliteStore(SqlStore[SqliteSession]):
    """A store in one file, which other OS processes may share, and an application with Oban's Lite engine too.

    With `synchronous="full"` an inserted job survives a power cut: the commit waits for the disk. A power cut may undo
    the claims and acknowledgements since then, so that a job of the last moments runs again; but nothing is half
    written. With "normal" no commit waits, and a power cut may undo the last inserts, too. The crash of an OS process
    alone loses nothing in either.

    `open` makes the folder, the file and the tables if there are none; it raises SqliteError, or NewerSchema. It works
    once: to go on after `close`, make another store.
    """

    change_seconds: float | None = 0.04
    """Commits of others are noticed so late at most, and half so late on average: for 0.3 % of a core."""

    def __init__(
        self, path: Path | str, *, synchronous: Synchronous = "full", now: Callable[[], datetime] = utc_now
    ) -> None:
        self.path: Path = Path(path)
        self.writer = SqliteWriter(self.path, synchronous=synchronous, opened=prepare)
        self._reader = SqliteReader(self.path)
        self._locks = OwnerLocks(self.path)
        self._changes = FileChanges(self.path)
        self._was_opened = False
        super().__init__(SqliteDialect(self.writer, self._reader), now=now, locks=self._locks)
        self.writer.every(HEARTBEAT_SECONDS, _work(self._owners.heartbeat))

    @override
    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        if self._was_opened:
            raise SqliteError(self.path, "its store was opened before", "open a store once, and then make a new one")
        self._was_opened = True
        self._listeners.add(inserted)
        with suppress(OSError):  # SQLite itself says best what is wrong with a folder
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self.writer.start()
            await self._reader.start()
            self._locks.open()
        except BaseException:
            await self._shut()
            raise

    @override
    async def close(self) -> None:
        try:
            with suppress(SqliteError):  # an owner that cannot leave misses its heartbeats
                await self._leave(self._owners.ours)
        finally:
            await self._shut()

    @override
    def close_sync(self) -> None:
        uuids = self._owners.ours
        try:
            with suppress(SqliteError):
                self._dialect.run_sync(partial(self._owners.leave, uuids=uuids), is_durable=False)
                self._owners.left(uuids)
        finally:
            self._reader.close()
            self.writer.close()
            self._locks.close()

    @override
    def has_changed(self) -> bool:
        return self._changes.has_changed()

    async def _shut(self) -> None:
        await self._reader.aclose()
        await self.writer.aclose()
        self._locks.close()


_SHAPE: Final = "write sqlite:///var/shop.db, or sqlite:////var/lib/shop.db for a path that begins at the root"
_MODES: Final[tuple[Synchronous, ...]] = get_args(Synchronous)


def make(url: str) -> SqliteStore:
    """Return a store in the file that the URL names, with `?synchronous=normal` if it says so. Raises `BadStore`."""
    found = parse_sqlite_url(url)
    if found is None:
        raise BadStore("sqlite", f"needs the path of a file, and no host: {_SHAPE}")
    options = dict(found.options)
    value = options.pop("synchronous", "full")
    if options or found.has_fragment:
        raise BadStore("sqlite", "has the one option ?synchronous=full|normal: take the others away")
    mode = next((mode for mode in _MODES if mode == value), None)
    if mode is None:
        raise BadStore("sqlite", f"has a synchronous that it does not know: write {' or '.join(_MODES)}")
    return SqliteStore(found.path, synchronous=mode)
