"""A second SQL dialect, which proves that the method bodies of `SqlStore` fit an async driver.

Its sessions suspend at each statement. Placeholders are written `$1`, times have a blank and no Z, a claim is one
statement, and no lock shows who has died.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

from typing_extensions import override

from headrace.clock import utc_now
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores import sqlite_store
from headrace.jobs.stores.sql.dialect import COLUMNS, INSERT_COLUMNS, Body, R, Row
from headrace.jobs.stores.sql.rows import conditions, from_new, to_job, to_time
from headrace.jobs.stores.sql.sql_store import SqlStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.stores.transitions import to_json, urgency

CLAIM = f"""
update oban_jobs set state = 'executing', attempt = attempt + 1, attempted_at = $1, attempted_by = $2
where id in (
  select id from oban_jobs
  where state = 'available' and queue = $3 and attempt < max_attempts
    and ($4 is null or worker in (select value from json_each($4)))
  order by priority, scheduled_at, id limit $5
)
returning {COLUMNS}
"""  # noqa: S608 - all constants
INSERT = f"""
insert into oban_jobs ({", ".join(INSERT_COLUMNS)})
values ({", ".join(f"${number}" for number in range(1, len(INSERT_COLUMNS) + 1))}) returning id
"""  # noqa: S608 - all constants


class AsyncSession:
    """A session that suspends before each statement, as one of an async driver does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, text: str, *values: object) -> list[Row]:
        return (await self._execute(text, values)).fetchall()

    async def change(self, text: str, *values: object) -> int:
        return (await self._execute(text, values)).rowcount

    async def _execute(self, text: str, values: Sequence[object]) -> sqlite3.Cursor:
        await asyncio.sleep(0)
        encoded = {str(number): _encoded(value) for number, value in enumerate(values, 1)}
        assert not set(re.findall(r"\$(\d+)", text)) - set(encoded)
        return self._connection.execute(text, encoded)


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return to_json(value) if isinstance(value, list) else value


@cache
def _numbered(text: str) -> str:
    """Return a text of the SQLite store with this dialect's placeholders."""
    numbers = count(1)
    return re.sub(r"('[^']*')|\?(\d*)", lambda found: found[1] or f"${found[2] or next(numbers)}", text)


class AsyncDialect:
    """One connection, used in turn by the tasks of a loop; calls from threads have one of their own."""

    job = staticmethod(to_job)
    time = staticmethod(to_time)
    partition = staticmethod(sqlite_store.partition_texts)
    before_partitions: object = float("-inf")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turns = asyncio.Lock()
        self._connection: sqlite3.Connection | None = None
        self._posted: set[asyncio.Task[object]] = set()

    def open(self) -> None:
        self._connection = self._connected()

    async def drain(self) -> None:
        while self._posted:
            await asyncio.wait(self._posted)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        connection.execute("begin immediate")
        sqlite_store.prepare(connection)
        connection.execute("commit")
        return connection

    async def run(
        self, body: Body[AsyncSession, R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> R:
        async with self._turns:
            assert self._connection is not None
            return await _transaction(self._connection, body)

    def run_sync(self, body: Body[AsyncSession, R], *, is_durable: bool = True) -> R:
        with closing(self._connected()) as connection:
            return _stepped(_transaction(connection, body))

    def post(self, body: Body[AsyncSession, object]) -> None:
        task = asyncio.get_running_loop().create_task(self.run(body))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def read(self, body: Body[AsyncSession, R]) -> R:
        return await self.run(body)

    def read_sync(self, body: Body[AsyncSession, R]) -> R:
        return self.run_sync(body)

    def in_transaction(self, connection: object, worker: str) -> AbstractContextManager[AsyncSession]:
        raise NotImplementedError

    def query(self, name: str) -> str:
        return _numbered(sqlite_store.query(name))

    async def condition(self, session: AsyncSession, which: JobFilter, *, has_limit: bool) -> tuple[str, list[object]]:
        found = list(conditions(which, is_common=False))
        where = " and ".join(["true", *(f"({sqlite_store.condition(name)})" for name, _ in found)])
        return _numbered(where), [value for _, values in found for value in values]

    def rows(self, jobs: Sequence[NewJob], now: datetime) -> list[Row]:
        return [from_new(job, _encoded(now), _encoded) for job in jobs]

    async def insert(self, session: AsyncSession, rows: Sequence[Row]) -> list[Inserted]:
        return [Inserted((await session.rows(INSERT, *row))[0][0]) for row in rows]

    def insert_alike(self, jobs: Sequence[NewJob], now: datetime) -> Body[AsyncSession, list[Inserted]] | None:
        return None

    async def claim(self, session: AsyncSession, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
        workers = None if owner.workers is None else list(owner.workers)
        rows = await session.rows(CLAIM, now, [owner.node, owner.uuid], owner.queue, workers, count)
        return sorted(map(to_job, rows), key=urgency)

    async def lock(self, session: AsyncSession, name: str) -> None:
        pass

    async def lock_unique(self, session: AsyncSession, keys: Sequence[str]) -> None:
        pass

    def partition_value(self, value: object) -> object:
        return value


async def _transaction(connection: sqlite3.Connection, body: Body[AsyncSession, R]) -> R:
    connection.execute("begin immediate")
    try:
        result = await body(AsyncSession(connection))
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
    return result


def _stepped(work: Coroutine[object, object, R]) -> R:
    """Run a coroutine that awaits nothing but `asyncio.sleep(0)`, without a loop."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            result: R = end.value
            return result


class AsyncSqlStore(SqlStore[AsyncSession]):
    """A store over that dialect."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._async_dialect = AsyncDialect(path)
        super().__init__(self._async_dialect, now=now)

    @override
    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        self._listeners.add(inserted)
        self._async_dialect.open()

    @override
    async def close(self) -> None:
        await self._leave(self._owners.ours)
        await self._async_dialect.drain()
        self._async_dialect.close()

    @override
    def close_sync(self) -> None:
        self._async_dialect.close()
