"""`PostgresStore`: jobs in a PostgreSQL database, in Oban's own table, which Oban and many machines may share."""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from typing_extensions import override

from headrace.clock import utc_now
from headrace.database.heartbeat import HEARTBEAT_SECONDS
from headrace.database.queries import sql_condition, sql_text
from headrace.database.threads import CommitUnknown
from headrace.database.urls import is_postgres_url, shown
from headrace.errors import HeadraceError
from headrace.jobs.errors import BadStore, BadTransaction, NewerSchema, NotJson, OlderOban
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.flows import GROUP_KEYS
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sql.dialect import INSERT_COLUMNS, Body, Dialect, R, Row, finish
from headrace.jobs.stores.sql.rows import LARGE_ARGS, warn_of_large_args
from headrace.jobs.stores.sql.sql_store import SqlStore
from headrace.jobs.stores.store import LeaseOwner, Listeners, StoreChange, available_of
from headrace.jobs.stores.transitions import texts_of, tidy, to_json, urgency
from headrace.jobs.wire.oban import decode_notification, encode_notification, to_job, to_time

if TYPE_CHECKING:
    from headrace.database.postgres import PostgresReader, PostgresWriter

QUERIES: Final = "headrace.jobs.stores.sql"
"""The package that holds the SQL files."""

MIGRATIONS: Final = ("1_headrace",)
"""Files that bring headrace's own tables to the version of their number, in order."""

POLL_SECONDS: Final = 1.0
"""How often changes are looked for where no notification comes: behind a pooler, or while LISTEN is lost."""

SHAPE: Final = (
    "write postgresql://user:password@host:5432/shop; / ? # @ : % in a password are written %2F %3F %23 %40 %3A %25"
)
NO_DRIVER: Final = "needs the package psycopg and its libpq: pip install 'headrace[postgres]' 'psycopg[binary]'"

_ARGS: Final = INSERT_COLUMNS.index("args")
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL in JSON text, which jsonb cannot hold."""


class RawCursor(Protocol):
    """The part of a driver's cursor that a session uses."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, query: bytes, params: Sequence[Any]) -> object:
        """Run a statement with the placeholders $1, $2 and so on."""

    def fetchall(self) -> list[Row]:
        """Return the rows of the last statement."""


@cache
def query(name: str) -> str:
    """Return the text of a query; those about jobs that may be pruned begin with `prunable.sql`."""
    text = sql_text(QUERIES, name, "postgres")
    return f"{sql_text(QUERIES, 'prunable', 'postgres')}{text}" if name.startswith("prune_") else text


def partition_texts(queue: str, path: str) -> Mapping[str, str]:
    """Return the name of the index of a partitioned queue, its expression, and the queue, as SQL text."""
    key_hash = hashlib.blake2b(f"{queue}\n{path}".encode(), digest_size=6).hexdigest()
    field, *keys = path.split(".")
    expression = "headrace_json(worker)"
    if keys:
        names = ",".join(f'"{key}"' for key in keys)
        expression = f"nullif({field} #> {_quoted(f'{{{names}}}')}, 'null')"
    return {"index": f"headrace_jobs_by_{key_hash}", "partition": expression, "queue": _quoted(queue)}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def prepare(cursor: RawCursor, database: str) -> None:
    """Make the missing tables, in the transaction that has begun.

    Raises NewerSchema, or OlderOban for Oban's table before its migration 14; then nothing was changed.
    """
    cursor.execute(query("lock_schema").encode(), ())
    if not _value(cursor, "has_oban"):
        cursor.execute(query("1_oban").encode(), ())
    elif not _value(cursor, "can_suspend"):
        raise OlderOban(database)
    if not _value(cursor, "has_schema"):
        cursor.execute(query("schema").encode(), ())
    version = _value(cursor, "version")
    if version > len(MIGRATIONS):
        raise NewerSchema(database, version, len(MIGRATIONS))
    for number, name in enumerate(MIGRATIONS[version:], version + 1):
        cursor.execute(query(name).encode(), ())
        cursor.execute(query("set_version").encode(), (number,))


def _value(cursor: RawCursor, name: str) -> Any:
    cursor.execute(query(name).encode(), ())
    return cursor.fetchall()[0][0]


class PostgresSession:
    """A transaction of a sync connection, in the connection's thread: it never suspends."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: RawCursor) -> None:
        self._cursor = cursor

    async def rows(self, text: str, *values: object) -> list[Row]:
        """Run a statement; return its rows."""
        self._cursor.execute(text.encode(), [_encoded(value) for value in values])
        return self._cursor.fetchall()

    async def change(self, text: str, *values: object) -> int:
        """Run a statement; return how many rows it changed."""
        self._cursor.execute(text.encode(), [_encoded(value) for value in values])
        return self._cursor.rowcount


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return _naive(value)
    if isinstance(value, str) and "\\u0000" in value:
        return _NUL.sub(r"\1\\ufffd", value)
    return value


def _naive(time: datetime) -> datetime:
    """Return a time as the column keeps it: naive, in UTC, whatever the zone of the session."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


class PostgresDialect(Dialect[PostgresSession]):
    """PostgreSQL: one thread writes, one reads, and each runs a body to its end."""

    query = staticmethod(query)
    job = staticmethod(to_job)
    time = staticmethod(to_time)
    partition = staticmethod(partition_texts)
    before_partitions: object = "[]"
    """The first of all values of jsonb; jobs with just this value are found in the order of the queue alone."""

    def __init__(self, writer: "PostgresWriter", reader: "PostgresReader") -> None:
        self._writer = writer
        self._reader = reader

    @override
    def run(
        self, body: Body[PostgresSession, R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> Coroutine[object, object, R]:
        return self._writer.run(_work(body), is_durable=is_durable, unwanted=unwanted)

    @override
    def run_sync(self, body: Body[PostgresSession, R], *, is_durable: bool = True) -> R:
        return self._writer.run_sync(_work(body), is_durable=is_durable)

    @override
    def post(self, body: Body[PostgresSession, object]) -> None:
        self._writer.post(_work(body))

    @override
    def read(self, body: Body[PostgresSession, R]) -> Coroutine[object, object, R]:
        return self._reader.run(_work(body))

    @override
    def read_sync(self, body: Body[PostgresSession, R]) -> R:
        return self._reader.run_sync(_work(body))

    @override
    @contextmanager
    def in_transaction(self, connection: object, worker: str) -> Iterator[PostgresSession]:
        from headrace.database.postgres import (  # noqa: PLC0415 - an optional driver
            driver_connection,
            is_database_error,
            raw_cursor,
            transaction_problem,
            why,
        )

        connection = driver_connection(connection)
        problem = transaction_problem(connection)
        cursor = raw_cursor(connection)
        if problem is not None or cursor is None:
            raise BadTransaction(worker, problem or "")
        try:
            with cursor:
                yield PostgresSession(cursor)
        except Exception as error:
            if isinstance(error, HeadraceError) or not is_database_error(error):
                raise
            raise BadTransaction(worker, f"{why(error)}; roll back, and use the database of the store") from error

    @override
    async def condition(
        self, session: PostgresSession, which: JobFilter, *, has_limit: bool
    ) -> tuple[str, Sequence[object]]:
        texts, values = ["true"], list[object]()
        for name, of_it in _conditions(which):
            texts.append(f"({_shifted(name, len(values))})")
            values += of_it
        return " and ".join(texts), values

    @override
    def rows(self, jobs: Sequence[NewJob], now: datetime) -> list[Row]:
        return [_new_row(job, _naive(now)) for job in jobs]

    @override
    async def insert(self, session: PostgresSession, rows: Sequence[Row]) -> list[Inserted]:
        return await insert_rows(session, rows)

    @override
    def insert_alike(self, jobs: Sequence[NewJob], now: datetime) -> Body[PostgresSession, list[Inserted]] | None:
        try:
            args = to_json([job.args for job in jobs])
        except (TypeError, ValueError):
            return None  # the insert one by one names the job whose args are bad
        if "\\u0000" in args:
            return None
        if len(args) > LARGE_ARGS and (largest := max(len(to_json(job.args)) for job in jobs)) > LARGE_ARGS:
            warn_of_large_args(jobs[0].worker, largest)
        (row,) = self.rows([replace(jobs[0], args={})], now)
        values = (*row[:_ARGS], args, *row[_ARGS + 1 :])

        async def body(session: PostgresSession) -> list[Inserted]:
            return [Inserted(row[0]) for row in await session.rows(query("insert_alike"), *values)]

        return body

    @override
    async def claim(self, session: PostgresSession, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
        values = [owner.queue, count, now, [owner.node, owner.uuid]]
        if owner.workers is None:
            rows = await session.rows(query("claim"), *values)
        else:
            rows = await session.rows(query("claim_known"), *values, list(owner.workers))
        return sorted(map(to_job, rows), key=urgency)

    @override
    async def lock(self, session: PostgresSession, name: str) -> None:
        await session.rows(query("lock"), f"headrace {name}")

    @override
    async def lock_unique(self, session: PostgresSession, keys: Sequence[str]) -> None:
        if keys:
            await session.change(query("lock_unique"), list(keys))

    @override
    def partition_value(self, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value


class _Inserting:
    """Plain inserts, which the writer merges."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __call__(self, cursor: RawCursor) -> list[Inserted]:
        return finish(insert_rows(PostgresSession(cursor), self.rows))

    def run_all(self, cursor: RawCursor, works: "Sequence[_Inserting]") -> list[list[Inserted]]:
        inserted = iter(_Inserting([row for work in works for row in work.rows])(cursor))
        return [list(islice(inserted, len(work.rows))) for work in works]


async def insert_rows(session: PostgresSession, rows: Sequence[Row]) -> list[Inserted]:
    """Insert rows by one statement, whose text is the same for any number of them."""
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in INSERT_COLUMNS]
    return [Inserted(row[0]) for row in await session.rows(query("insert"), *columns)]


def _work(body: Body[PostgresSession, R]) -> Callable[[RawCursor], R]:
    """Return the work of a body; that of a plain insert may be merged."""
    if isinstance(body, partial) and isinstance(body.func, MethodType) and body.func.__func__ is PostgresDialect.insert:
        return cast("Callable[[RawCursor], R]", _Inserting(body.keywords["rows"]))
    return lambda cursor: finish(body(PostgresSession(cursor)))


def _new_row(job: NewJob, now: datetime) -> Row:
    """Return the values of INSERT_COLUMNS: args and meta as JSON text, tags as the text of an array. Raises NotJson."""
    args, meta = texts_of(job)
    if _NUL.search(args) or _NUL.search(meta):
        raise NotJson(job.worker, "PostgreSQL keeps no NUL character in a text: take it out")
    if len(args) > LARGE_ARGS:
        warn_of_large_args(job.worker, len(args))
    return (
        job.state or ("available" if job.scheduled_at is None else "scheduled"),
        job.queue,
        job.worker,
        args,
        meta,
        _array_text(tidy(job.tags)) if job.tags else "{}",
        job.max_attempts,
        job.priority,
        now,
        now if job.scheduled_at is None else _naive(job.scheduled_at),
    )


def _array_text(texts: Sequence[str]) -> str:
    """Return the text of an array, as PostgreSQL reads it.

    >>> _array_text(["big", "eu"])
    '{"big","eu"}'
    """
    return "{" + ",".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts) + "}"


def _conditions(which: JobFilter) -> Iterator[tuple[str, list[object]]]:
    """Yield the names of a filter's conditions, with their values."""
    for name in ("ids", "states", "queues", "workers", "tags"):
        found = getattr(which, name)
        if found is not None:
            yield name, [sorted(found)]
    if which.before_id is not None:
        yield "before_id", [which.before_id]
    if which.leaves_out_exhausted:
        yield "not_exhausted", []
    for path, value in which.args.items():
        yield "args", [path.split("."), json.dumps(value)]
    for key, text in which.meta.items():
        if key in GROUP_KEYS or key == "name":
            yield f"meta_{key}", [text]
        else:
            yield "meta_text", [key, text]


@cache
def _shifted(name: str, by: int) -> str:
    """Return a condition whose placeholders begin after the first `by`."""
    text = sql_condition(QUERIES, name, "postgres")
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + by}", text)


class _NotifyingListeners(Listeners):
    """Listeners of this OS process; others hear by NOTIFY of jobs that are available again."""

    def __init__(self, dialect: Dialect[PostgresSession]) -> None:
        super().__init__()
        self._dialect = dialect

    @override
    def inserted(self, jobs: Iterable[NewJob]) -> None:
        self.available_here(available_of(jobs))  # the transaction of the insert has notified the others

    @override
    def available(self, queues: Iterable[str]) -> None:
        names = list(dict.fromkeys(queues))
        self.available_here(names)
        if names:
            self._dialect.post(partial(_notify, queues=names))

    def available_here(self, queues: Iterable[str]) -> None:
        """Call the listeners of this OS process."""
        super().available(queues)


async def _notify(session: PostgresSession, queues: Sequence[str]) -> None:
    await session.rows(query("notify"), "insert", [encode_notification({"queue": queue}) for queue in queues])


async def _kill(session: PostgresSession, job_ids: Sequence[int]) -> None:
    """Ask Oban to stop the jobs that it runs; every version of it reads gzip."""
    messages = [encode_notification({"action": "pkill", "job_id": job_id}, "gzip") for job_id in job_ids]
    await session.rows(query("notify"), "signal", messages)


class PostgresStore(SqlStore[PostgresSession]):
    """A store in a PostgreSQL database, for many machines, and for Oban beside them.

    An inserted job survives a power cut. A power cut may undo the claims and acknowledgements of the last moments, so
    that a job runs again. `open` makes Oban's table if there is none, and headrace's own tables beside it; it raises
    PostgresError, NewerSchema or OlderOban. It works once: to go on after `close`, make another store.
    """

    change_seconds: float | None = 0.01
    """The longest delay until the end of a job elsewhere is noticed. Without notifications it is POLL_SECONDS."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = utc_now) -> None:
        from headrace.database.postgres import PostgresListener, PostgresReader, PostgresWriter  # noqa: PLC0415 - an optional driver

        self.url = url
        self.writer = PostgresWriter(url, opened=partial(prepare, database=shown(url)))
        self._reader = PostgresReader(url)
        self._listener = PostgresListener(url, ("oban_insert", "headrace_ended"), self._notified)
        self._has_ended = True
        self._checked_at = 0.0
        self._unknown: dict[str, tuple[datetime, datetime]] = {}
        """By the uuid of a lease owner: when its claim began and ended whose commit is unknown."""
        super().__init__(PostgresDialect(self.writer, self._reader), now=now)
        self._listeners = self._notifying = _NotifyingListeners(self._dialect)
        self.writer.every(HEARTBEAT_SECONDS, _work(self._owners.heartbeat))

    @override
    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        self._listeners.add(inserted)
        try:
            await self.writer.start()
            await self._reader.start()
        except BaseException:
            await self._shut()
            raise
        self._listener.start()

    @override
    async def close(self) -> None:
        try:
            with suppress(HeadraceError):  # an owner that cannot leave misses its heartbeats
                await self._leave(self._owners.ours)
        finally:
            await self._shut()

    @override
    def close_sync(self) -> None:
        try:
            with suppress(HeadraceError):
                self._dialect.run_sync(partial(self._owners.leave, uuids=self._owners.ours), is_durable=False)
        finally:
            self._listener.close()
            self._reader.close()
            self.writer.close()

    async def _shut(self) -> None:
        await asyncio.to_thread(self._listener.close)  # it may be connecting
        await self._reader.aclose()
        await self.writer.aclose()

    @override
    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        unknown = self._unknown.get(owner.uuid)
        if unknown is not None:
            await self._change("forget_claim", owner.queue, [owner.node, owner.uuid], *unknown)
            del self._unknown[owner.uuid]
        began = self.now()
        try:
            return await super().claim(owner, count)
        except CommitUnknown:
            self._unknown[owner.uuid] = (began, self.now())
            raise

    @override
    async def change(self, what: StoreChange, which: JobFilter) -> list[int]:
        changed = await super().change(what, which)
        if what == "cancel" and changed:
            self._dialect.post(partial(_kill, job_ids=changed))
        return changed

    @property
    def is_listening(self) -> bool:
        """Whether notifications of other OS processes arrive."""
        return self._listener.is_listening

    @override
    def has_changed(self) -> bool:
        now = time.monotonic()
        has_changed = self._has_ended or now - self._checked_at >= POLL_SECONDS
        if has_changed:
            self._has_ended, self._checked_at = False, now
        return has_changed

    def _notified(self, channel: str, payload: str, session_id: int) -> None:
        """Handle a notification, in the listener's thread."""
        if channel != "oban_insert":
            self._has_ended = True
            return
        if session_id == self.writer.session_id:
            return  # it is our own, and our listeners were called
        queue = decode_notification(payload).get("queue")
        if isinstance(queue, str):
            self._notifying.available_here([queue])


def make(url: str) -> PostgresStore:
    """Return a store in the database of a URL of libpq. Raises `BadStore`; the error does not show the URL."""
    if not is_postgres_url(url):
        raise BadStore("postgresql", f"cannot be read: {SHAPE}")
    try:
        return PostgresStore(url)
    except ImportError:  # no psycopg, or psycopg finds no libpq
        raise BadStore("postgresql", NO_DRIVER) from None
