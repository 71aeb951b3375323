"""Jobs in a SQLite file: one thread writes, in groups; others read beside it."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from headrace.ground.sqlite_writer import SqliteWriter, Synchronous
from headrace.jobs.job import (
    Acknowledgement,
    CalledOff,
    Completed,
    Failed,
    Job,
    NewJob,
    Returned,
    Snoozed,
    after,
    to_text,
)
from headrace.jobs.stores.sqlite.queries import MIGRATIONS, query, statements
from headrace.jobs.stores.sqlite.rows import COLUMNS, error_text, from_new, to_job, to_json
from headrace.jobs.stores.store import Claimant


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteStore:
    """A store in one file, which other OS processes may share, and an application with Oban's Lite engine too."""

    def __init__(
        self, path: Path | str, *, synchronous: Synchronous = "full", now: Callable[[], datetime] = _utc_now
    ) -> None:
        self.path = Path(path)
        self.now = now
        self.inserted: Callable[[str], None] = lambda _: None
        self.writer = SqliteWriter(self.path, synchronous=synchronous, opened=_migrate)

    async def open(self) -> None:
        """Make the tables if there are none."""
        await self.writer.start()

    async def close(self) -> None:
        """Write what was accepted, and close the file."""
        await self.writer.aclose()

    async def insert(self, jobs: Sequence[NewJob]) -> list[int]:
        """Insert jobs; return their ids, in order. They are durable at return."""
        now = self.now()
        rows = [from_new(job, now) for job in jobs]
        ids = await self.writer.run(lambda connection: _insert(connection, rows))
        for name in {job.queue for job, row in zip(jobs, rows, strict=True) if row[0] == "available"}:
            self.inserted(name)
        return ids

    async def claim(self, claimant: Claimant, count: int) -> list[Job]:
        """Take at most `count` available jobs of the claimant's queue, most urgent and oldest first; they execute."""
        values = (to_text(self.now()), to_json([claimant.node, claimant.uuid]), claimant.queue, count)
        return await self.writer.run(lambda connection: _claim(connection, values))

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Write how attempts ended; what concerns an attempt that is no longer the present one is ignored."""
        now = self.now()
        await self.writer.run(lambda connection: _acknowledge(connection, acknowledgements, now))

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""
        text = f"select {COLUMNS} from oban_jobs where id = ?"  # noqa: S608 - the columns are a constant
        row = await self.writer.run(lambda connection: connection.execute(text, (job_id,)).fetchone())
        return None if row is None else to_job(row)

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due; return the queues that have got any."""
        values = (to_text(self.now()), limit)
        return await self.writer.run(lambda connection: {row[0] for row in connection.execute(query("stage"), values)})


def _migrate(connection: sqlite3.Connection) -> None:
    for name in MIGRATIONS:
        for statement in statements(query(name)):
            connection.execute(statement)


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> list[int]:
    text = query("insert")
    if len(rows) == 1:
        return [connection.execute(text, rows[0]).lastrowid or 0]
    execute = connection.execute
    return [execute(text, row).lastrowid or 0 for row in rows]


def _claim(connection: sqlite3.Connection, values: tuple[object, ...]) -> list[Job]:
    jobs = [to_job(row) for row in connection.execute(query("claim"), values)]
    jobs.sort(key=_urgency)
    return jobs


def _urgency(job: Job) -> tuple[int, datetime, int]:
    return (job.priority, job.scheduled_at, job.id)


def _acknowledge(connection: sqlite3.Connection, told: Sequence[Acknowledgement], now: datetime) -> None:
    time = to_text(now)
    plain = [(time, one.id, one.attempt) for one in told if type(one.outcome) is Completed and one.outcome.meta is None]
    if plain:
        connection.executemany(query("complete"), plain)
    if len(plain) < len(told):
        for one in told:
            if type(one.outcome) is not Completed or one.outcome.meta is not None:
                _acknowledge_one(connection, one, now)


def _acknowledge_one(connection: sqlite3.Connection, one: Acknowledgement, now: datetime) -> None:
    outcome, time = one.outcome, to_text(now)
    meta = to_json(outcome.meta or {})
    if isinstance(outcome, Completed):
        connection.execute(query("complete_with_meta"), (time, meta, one.id, one.attempt))
    elif isinstance(outcome, Returned):
        connection.execute(query("put_back"), (meta, one.id, one.attempt))
    elif isinstance(outcome, Snoozed):
        connection.execute(query("snooze"), (to_text(after(now, outcome.seconds)), meta, one.id, one.attempt))
    else:
        error = error_text(outcome.error, one.attempt, now)
        is_off = isinstance(outcome, CalledOff)
        retry = outcome.retry_seconds if isinstance(outcome, Failed) else None
        state = "cancelled" if is_off else "discarded" if retry is None else "retryable"
        at = None if retry is None else to_text(after(now, retry))
        cancelled_at, discarded_at = time if is_off else None, time if state == "discarded" else None
        also = "cancelled" if is_off else "executing"
        connection.execute(
            query("end"), (state, at, cancelled_at, discarded_at, error, meta, one.id, one.attempt, also)
        )
