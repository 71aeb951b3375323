"""`SqliteStore`: jobs in a SQLite file, in the table of Oban's Lite engine.

No clock decides whether a lease owner lives. On the same machine the lock of its OS process shows at once that it is
dead. Elsewhere one is dead that writes no heartbeat over MISSED_HEARTBEATS heartbeats of *ours*: a clock that is set, a
machine that slept, and a file that was locked for long kill none.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, get_args

from headrace.clock import utc_now
from headrace.database.owner_locks import OwnerLocks
from headrace.database.queries import migrate
from headrace.database.sqlite_file import DatabaseWork, FileChanges, R, SqliteError
from headrace.database.sqlite_threads import SqliteReader, SqliteWriter, Synchronous
from headrace.database.urls import parse_sqlite_url
from headrace.jobs.errors import BadStore, NewerSchema
from headrace.jobs.job import (
    AttemptReleased,
    Inserted,
    Job,
    JobAck,
    MetaChange,
    NewJob,
    after,
    from_text,
    to_text,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import is_limit
from headrace.jobs.stores.sql import claim as running
from headrace.jobs.stores.sql import rows as searching
from headrace.jobs.stores.sql.change import ChangedJob, StoreChange, change, discard_exhausted, prunable, prune
from headrace.jobs.stores.sql.claim import Limited
from headrace.jobs.stores.sql.insert import prepared
from headrace.jobs.stores.sql.lease_owners import Producers
from headrace.jobs.stores.sql.rows import list_text, merged_text, object_text
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import (
    CHANGE_BATCH,
    HEARTBEAT_SECONDS,
    JobCount,
    LeaseOwner,
    PruneRule,
    QueueSettings,
    Rescued,
)
from headrace.jobs.stores.transitions import to_json

QUERIES: Final = "headrace.jobs.stores.sql"
"""The package that holds the SQL files."""

MIGRATIONS: Final = ("1_schema", "2_groups", "3_prunable", "4_limits", "5_owners", "6_stopping")
"""Files that bring the tables to the version of their number, in order."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or what is missing of them, in the transaction that has begun.

    Of two OS processes that do so at once one waits, and then finds it done. Raises NewerSchema when it cannot know the
    tables; then nothing was changed.
    """
    connection.create_function("headrace_merge", 2, merged_text, deterministic=True)
    connection.create_function("headrace_object", 1, object_text, deterministic=True)
    connection.create_function("headrace_list", 1, list_text, deterministic=True)
    newer = migrate(connection, QUERIES, MIGRATIONS)
    if newer is not None:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerSchema(path, newer, len(MIGRATIONS))


_AVAILABLE: Final = (None, "available")
"""What a job says of its state that may run at once, when it has no time."""


class SqliteStore:
    """A store in one file, which other OS processes may share, and an application with Oban's Lite engine too.

    With `synchronous="full"` a job that was inserted survives a power cut: the commit waits for the disk. What was
    claimed and acknowledged since then may be forgotten by one, so that a job of the last moments runs again; but
    nothing is half written. With "normal" no commit waits, and the last inserts may be gone after a power cut, too. The
    crash of an OS process alone loses nothing in either.
    """

    change_seconds: float | None = 0.04
    """So late at most, and half so on average, commits of others are noticed: for 0.3 % of a core."""

    def __init__(
        self, path: Path | str, *, synchronous: Synchronous = "full", now: Callable[[], datetime] = utc_now
    ) -> None:
        self.path = Path(path)
        self.now = now
        self.inserted: Callable[[str], None] = lambda _: None
        self._changes = FileChanges(self.path)
        self._locks = OwnerLocks(self.path)
        self._producers = Producers(now, self._locks)
        self._limited = Limited()
        self._was_opened = False
        self.writer = SqliteWriter(self.path, synchronous=synchronous, opened=prepare)
        self.writer.every(HEARTBEAT_SECONDS, self._producers.heartbeat)
        self._reader = SqliteReader(self.path)

    async def open(self) -> None:
        """Make the folder, the file and the tables if there are none. Raises SqliteError, or NewerSchema.

        It is opened once: to go on after `close`, make another store.
        """
        if self._was_opened:
            raise SqliteError(self.path, "its store was opened before", "open a store once, and then make a new one")
        self._was_opened = True
        with suppress(OSError):  # SQLite itself says best what is wrong with a folder
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self.writer.start()
            await self._reader.start()
            self._locks.open()
        except BaseException:
            await self._shut()
            raise

    async def close(self) -> None:
        """Write what was accepted, and close the file. A second time, or if it is not open, do nothing."""
        try:
            with suppress(SqliteError):  # whoever cannot say that they leave is missed in time
                await self._leave(self._producers.ours())
        finally:
            await self._shut()

    def close_sync(self) -> None:
        """Do what `close` does from any thread, and wait."""
        try:
            with suppress(SqliteError):
                uuids = self._producers.ours()
                self.writer.run_sync(partial(self._producers.leave, uuids=uuids), is_durable=False)
                self._producers.left(uuids)
        finally:
            self._reader.close()
            self.writer.close()
            self._locks.close()

    # Enqueueing

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Insert jobs, but no duplicates of unique ones; return a result for each, in order. Durable at return."""
        inserted = await self.writer.run(prepared(jobs, self.now()))
        self._notify_inserted(jobs)
        return inserted

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Do the same from any thread, and wait."""
        inserted = self.writer.run_sync(prepared(jobs, self.now()))
        self._notify_inserted(jobs)
        return inserted

    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        """Insert a job of the crontab, unless `record_run` stands at `at` or later already: then return None."""
        insert = prepared([job], self.now())

        def work(connection: sqlite3.Connection) -> Inserted | None:
            is_first = connection.execute(query("mark"), (name, to_text(at))).rowcount > 0
            return insert(connection)[0] if is_first else None

        inserted = await self.writer.run(work)
        if inserted is not None:
            self._notify_inserted([job])
        return inserted

    async def record_run(self, name: str, at: datetime) -> None:
        """Let a mark stand at `at`, unless it stands there or later already: where an entry of the crontab begins."""
        await self._note(lambda connection: connection.execute(query("mark"), (name, to_text(at))))

    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        """Let a mark stand at `at` that stands at `seen`; return whether it did."""
        values = (to_text(at), name, to_text(seen))
        return await self._note(lambda connection: connection.execute(query("set_mark_back"), values).rowcount > 0)

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return at what time each mark of the crontab stands."""
        rows = await self._rows("marks")
        return {str(name): from_text(str(at)) for name, at in rows}

    # Running

    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        """Take at most `count` available jobs of the lease owner's queue, most urgent and oldest first; they execute.

        On cancellation what was taken is put back.
        """
        now, is_known = self.now(), self._producers.is_known(owner)

        def work(connection: sqlite3.Connection) -> list[Job]:
            if not is_known:
                self._producers.record_heartbeat(connection, owner, to_text(now))
            return running.claim_within(connection, owner, count, now, self._limited)

        jobs = await self.writer.run(work, is_durable=False, unwanted=lambda jobs: self._put_back(owner, jobs))
        if not is_known:
            self._producers.join(owner, now)
        return jobs

    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended; what concerns an attempt that is no longer the lease owner's is ignored."""
        now = self.now()
        is_returned = await self._note(lambda connection: running.acknowledge(connection, owner, acknowledgements, now))
        if is_returned:
            self.inserted(owner.queue)

    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended, from any thread, and wait."""
        now = self.now()
        self.writer.run_sync(
            lambda connection: running.acknowledge(connection, owner, acknowledgements, now), is_durable=False
        )

    async def merge(self, changes: Sequence[MetaChange]) -> None:
        """Merge into the meta of jobs that run. Raises TypeError or ValueError on what is no JSON."""
        rows = running.meta_rows(changes)
        await self._note(lambda connection: running.merge(connection, rows))

    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        """Return which of these are no longer the lease owner's: cancelled, deleted or rescued while they ran."""
        values = (to_json(list(job_ids)), running.signature(owner))
        return [row[0] for row in await self._reader.run(lambda c: c.execute(query("lost"), values).fetchall())]

    async def begin_stop(self, owner: LeaseOwner) -> None:
        """Say that the lease owner was asked to stop: from now on its death is no crash of its jobs."""
        await self._note(lambda connection: connection.execute(query("begin_stop"), (owner.uuid,)))

    async def leave(self, owner: LeaseOwner) -> None:
        """Say no longer that the lease owner lives. What it has not acknowledged is rescued in time."""
        await self._leave([owner.uuid])

    # Looking

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""
        jobs = await self.find(JobFilter(ids=frozenset({job_id})), 1)
        return jobs[0] if jobs else None

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the job that came in last among those that have what makes `job` unique, in whatever state it is."""
        return await self._reader.run(lambda connection: searching.conflict_of(connection, job))

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Do the same from any thread, and wait."""
        return self._reader.run_sync(lambda connection: searching.conflict_of(connection, job))

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        """Return at most `limit` jobs that fit, by id."""
        order = "desc" if is_newest_first else "asc"
        return await self._reader.run(lambda connection: searching.find(connection, which, limit, order))

    async def count(self, which: JobFilter) -> int:
        """Return how many jobs fit."""
        return await self._reader.run(lambda connection: searching.count(connection, which))

    async def has(self, which: JobFilter) -> bool:
        """Return whether any job fits."""
        return await self._reader.run(lambda connection: searching.has(connection, which))

    def has_changed(self) -> bool:
        """Return whether there may have been a commit, by any OS process, since it was asked before."""
        return self._changes.has_changed()

    async def available_queues(self) -> list[str]:
        """Return the queues in which jobs are available."""
        return [str(row[0]) for row in await self._rows("available_queues")]

    async def counts(self) -> list[JobCount]:
        """Return how many jobs there are, by queue and state; none of 0."""
        return await self._reader.run(lambda c: [JobCount(*row) for row in c.execute(query("counts"))])

    # Changing

    async def cancel(self, which: JobFilter) -> list[int]:
        """Call off what has not ended; what executes is cancelled at once, and its lease owner asks for that itself."""
        return await self._change("cancel", which)

    async def retry(self, which: JobFilter) -> list[int]:
        """Make available what neither is so nor executes, with one more attempt if it has none left."""
        return await self._change("retry", which)

    async def run_now(self, which: JobFilter) -> list[int]:
        """Make available what waits for its time."""
        return await self._change("run_now", which)

    async def release(self, which: JobFilter) -> list[int]:
        """Let go of what is suspended: available, or scheduled when its time is yet to come."""
        return await self._change("release", which)

    async def release_next(self, chain_id: str) -> list[int]:
        """Release the oldest suspended member of a chain unless another one may run; in one step."""
        values = {"chain": chain_id, "now": to_text(self.now())}
        released = await self._note(lambda connection: connection.execute(query("release_next"), values).fetchall())
        self._notify({queue for _, queue, state in released if state == "available"})
        return [job_id for job_id, _, _ in released]

    async def suspend(self, which: JobFilter) -> list[int]:
        """Hold back what does not execute, until it is released; what has ended may run once more."""
        return await self._change("suspend", which)

    async def delete(self, which: JobFilter) -> list[int]:
        """Delete what does not execute."""
        return await self._change("delete", which)

    # Maintenance

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due, at most `limit`; return the queues that have got any."""
        now = to_text(self.now())

        def work(connection: sqlite3.Connection) -> set[str]:
            staged = connection.execute(query("stage"), (now, limit)).fetchall()
            staged += connection.execute(query("stage_torn"), (limit,)).fetchall()
            return {row[0] for row in staged}

        return await self._note(work)

    async def due_at(self) -> datetime | None:
        """Return when the first job is due that waits for its time, be it past already; None when none waits."""
        rows = await self._rows("due_at")
        return from_text(str(rows[0][0])) if rows else None

    async def heartbeat(self) -> None:
        """Write our heartbeats, and read those of others; the store does so itself, every HEARTBEAT_SECONDS."""
        await self._note(self._producers.heartbeat)

    async def has_orphans(self) -> bool:
        """Return whether an OS process is known to be dead whose jobs were not taken back yet."""
        return bool(await self._reader.run(self._producers.orphans))

    async def rescue(self) -> list[Rescued]:
        """Take back what dead lease owners ran."""
        rescued = await self._note(self._producers.rescue)
        self._notify({one.queue for one in rescued if one.state == "available"})
        return rescued

    async def discard_exhausted(self, limit: int) -> list[int]:
        """Discard available jobs without an attempt left, at most `limit`; return their ids."""
        now = self.now()
        ids = await self._reader.run(lambda c: [row[0] for row in c.execute(query("exhausted"), (limit,))])
        return await self._note(lambda connection: discard_exhausted(connection, ids, now)) if ids else []

    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        """Delete what the rule says, at most `limit`; return how many. As many as the limit: there may be more."""
        now = self.now()
        ids = await self._reader.run(lambda connection: prunable(connection, rule, limit, now))
        return await self._note(lambda connection: prune(connection, rule, ids)) if ids else 0

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Make `node` the leader for so long, or for so long again, unless another one is; return whether it is.

        The time counts from its transaction, which a long write may keep waiting.
        """

        def work(connection: sqlite3.Connection) -> bool:
            now = self.now()
            values = {"name": name, "node": node, "now": to_text(now), "expires_at": to_text(after(now, seconds))}
            return connection.execute(query("lead"), values).rowcount > 0

        return await self._note(work)

    async def resign(self, name: str, node: str) -> None:
        """Let another one lead."""
        await self._note(lambda connection: connection.execute(query("resign"), (name, node)))

    async def queue_settings(self) -> list[QueueSettings]:
        """Return what is kept about queues; of a limit that is none, which a hand wrote, nothing is."""
        rows = await self._reader.run(lambda c: c.execute(query("queue_settings")).fetchall())
        return [
            QueueSettings(queue, limit if is_limit(limit) else None, bool(is_paused))
            for queue, limit, is_paused in rows
        ]

    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        """Keep what was said about a queue over restarts; None leaves it as it is."""
        values = (queue, limit, is_paused)
        await self.writer.run(lambda connection: connection.execute(query("change_queue"), values))

    async def forget_queue(self, queue: str) -> None:
        """Go back to what the config says."""
        await self.writer.run(lambda connection: connection.execute(query("forget_queue"), (queue,)))

    async def _leave(self, uuids: Sequence[str]) -> None:
        await self._note(partial(self._producers.leave, uuids=uuids))
        self._producers.left(uuids)

    async def _note(self, work: DatabaseWork[R]) -> R:
        """Write what may happen again after a power cut."""
        return await self.writer.run(work, is_durable=False)

    async def _rows(self, name: str) -> list[tuple[object, ...]]:
        return await self._reader.run(lambda connection: connection.execute(query(name)).fetchall())

    async def _change(self, what: StoreChange, which: JobFilter) -> list[int]:
        """Find what fits, then change it piece by piece, so that no claim waits for all of it."""
        now = self.now()
        found = await self._reader.run(lambda connection: searching.find_ids(connection, which))
        changed: list[ChangedJob] = []
        for begin in range(0, len(found), CHANGE_BATCH):
            ids = found[begin : begin + CHANGE_BATCH]
            changed += await self.writer.run(partial(change, what=what, ids=ids, which=which, now=now))
        self._notify({queue for _, queue, state in changed if state == "available"} if what != "delete" else ())
        return [job_id for job_id, _, _ in changed]

    def _put_back(self, owner: LeaseOwner, jobs: Sequence[Job]) -> None:
        """Put back what nobody runs, since whoever claimed it was cancelled meanwhile."""
        acks, now = [JobAck(job.id, job.attempt, AttemptReleased()) for job in jobs], self.now()
        if acks:
            self.writer.post(lambda connection: running.acknowledge(connection, owner, acks, now))

    def _notify_inserted(self, jobs: Sequence[NewJob]) -> None:
        self._notify({job.queue for job in jobs if job.scheduled_at is None and job.state in _AVAILABLE})

    def _notify(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self.inserted(queue)

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
