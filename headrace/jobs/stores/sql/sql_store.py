"""`SqlStore`: the method bodies that all SQL stores share."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Generic

from typing_extensions import override

from headrace.clock import utc_now
from headrace.database.owner_locks import OwnerLocks
from headrace.jobs.job import AttemptReleased, Inserted, Job, JobAck, MetaChange, NewJob, after
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import is_limit
from headrace.jobs.rules.unique import key_of
from headrace.jobs.stores.sql.claim import LimitedClaims, acknowledge
from headrace.jobs.stores.sql.dialect import COLUMNS, Body, Dialect, R, Row, S, finish
from headrace.jobs.stores.sql.insert import inserting
from headrace.jobs.stores.sql.lease_owners import LeaseOwners
from headrace.jobs.stores.store import (
    CHANGE_BATCH,
    EXHAUSTED_REASON,
    JobCount,
    JobStore,
    LeaseOwner,
    Listeners,
    PruneRule,
    QueueSettings,
    Rescued,
    StoreChange,
)
from headrace.jobs.stores.transitions import to_json

_TIMED: Final = frozenset({"cancel", "retry", "run_now", "release"})
"""The changes whose queries take the present time as their third value."""


class SqlStore(JobStore, Generic[S]):
    """A store in a SQL database, over its dialect. A subclass opens and closes it."""

    def __init__(
        self, dialect: Dialect[S], *, now: Callable[[], datetime] = utc_now, locks: OwnerLocks | None = None
    ) -> None:
        """`locks` show at once which lease owners of this machine are dead."""
        self.now = now
        self._dialect = dialect
        self._query = dialect.query
        self._owners = LeaseOwners(dialect.query, now, locks)
        self._claims = LimitedClaims(dialect)
        self._listeners = Listeners()

    @override
    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        inserted = await self._dialect.run(inserting(self._dialect, jobs, self.now()))
        self._listeners.inserted(jobs)
        return inserted

    @override
    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        inserted = self._dialect.run_sync(inserting(self._dialect, jobs, self.now()))
        self._listeners.inserted(jobs)
        return inserted

    @override
    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted]:
        if not jobs:
            return []
        body = inserting(self._dialect, jobs, self.now())
        with self._dialect.in_transaction(connection, jobs[0].worker) as session:
            return finish(body(session))

    @override
    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        insert = inserting(self._dialect, [job], self.now())

        async def body(session: S) -> Inserted | None:
            is_first = await session.change(self._query("record_run"), name, at) > 0
            return (await insert(session))[0] if is_first else None

        inserted = await self._dialect.run(body)
        if inserted is not None:
            self._listeners.inserted([job])
        return inserted

    @override
    async def record_run(self, name: str, at: datetime) -> None:
        await self._change("record_run", name, at)

    @override
    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        return await self._change("set_last_run_back", at, name, seen) > 0

    @override
    async def last_runs(self) -> Mapping[str, datetime]:
        return {name: self._dialect.time(at) for name, at in await self._rows("last_runs")}

    # Claims

    @override
    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        now, is_known = self.now(), self._owners.is_known(owner)

        async def body(session: S) -> list[Job]:
            if not is_known:
                await self._owners.write_heartbeat(session, owner, now)
            return await self._claims.claim(session, owner, count, now)

        jobs = await self._dialect.run(body, is_durable=False, unwanted=lambda jobs: self._put_back(owner, jobs))
        if not is_known:
            self._owners.join(owner, now)
        return jobs

    def _put_back(self, owner: LeaseOwner, jobs: Sequence[Job]) -> None:
        """Release jobs whose claim was cancelled meanwhile."""
        acks = [JobAck(job.id, job.attempt, AttemptReleased()) for job in jobs]
        if acks:
            self._dialect.post(self._acknowledging(owner, acks))

    @override
    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        if await self._write(self._acknowledging(owner, acknowledgements)):
            self._listeners.available([owner.queue])

    @override
    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        self._dialect.run_sync(self._acknowledging(owner, acknowledgements), is_durable=False)

    def _acknowledging(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> Body[S, bool]:
        return partial(
            acknowledge, dialect=self._dialect, owner=owner, acknowledgements=acknowledgements, now=self.now()
        )

    @override
    async def merge(self, changes: Sequence[MetaChange]) -> None:
        values = [(to_json(change.meta), change.id, change.attempt, list(change.by)) for change in changes]

        async def body(session: S) -> None:
            for one in values:
                await session.change(self._query("merge"), *one)

        await self._write(body)

    @override
    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        return [row[0] for row in await self._rows("lost", list(job_ids), [owner.node, owner.uuid])]

    @override
    async def begin_stop(self, owner: LeaseOwner) -> None:
        await self._change("begin_stop", owner.uuid)

    @override
    async def leave(self, owner: LeaseOwner) -> None:
        await self._leave([owner.uuid])

    async def _leave(self, uuids: Sequence[str]) -> None:
        await self._write(partial(self._owners.leave, uuids=uuids))
        self._owners.left(uuids)

    @override
    async def heartbeat(self) -> None:
        await self._write(self._owners.heartbeat)

    # Finds

    @override
    async def get(self, job_id: int) -> Job | None:
        rows = await self._rows("get", job_id)
        return self._dialect.job(rows[0]) if rows else None

    @override
    async def conflict_of(self, job: NewJob) -> Job | None:
        return await self._dialect.read(lambda session: self._conflict_of(session, job))

    @override
    def conflict_of_sync(self, job: NewJob) -> Job | None:
        return self._dialect.read_sync(lambda session: self._conflict_of(session, job))

    async def _conflict_of(self, session: S, job: NewJob) -> Job | None:
        if job.unique is None:
            return None
        rows = await session.rows(self._query("unique_job"), key_of(job, job.unique))
        return self._dialect.job(rows[0]) if rows else None

    @override
    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        order = "desc" if is_newest_first else "asc"
        rows = await self._select(COLUMNS, which, f"order by id {order} limit {limit:d}", has_limit=True)
        return [self._dialect.job(row) for row in rows]

    @override
    async def count(self, which: JobFilter) -> int:
        return int((await self._select("count(*)", which))[0][0])

    @override
    async def has(self, which: JobFilter) -> bool:
        return bool(await self._select("1", which, "limit 1"))

    async def _select(self, what: str, which: JobFilter, end: str = "", *, has_limit: bool = False) -> list[Row]:
        async def body(session: S) -> list[Row]:
            where, values = await self._dialect.condition(session, which, has_limit=has_limit)
            text = f"select {what} from oban_jobs where {where} {end}"  # noqa: S608 - all constants, and one number
            return await session.rows(text, *values)

        return await self._dialect.read(body)

    @override
    async def counts(self) -> list[JobCount]:
        return [JobCount(*row) for row in await self._rows("counts")]

    @override
    async def available_queues(self) -> list[str]:
        return [queue for (queue,) in await self._rows("available_queues")]

    # Changes

    @override
    async def change(self, what: StoreChange, which: JobFilter) -> list[int]:
        # a batch leaves out jobs whose state no longer matches, since the search is a transaction of its own
        found = [row[0] for row in await self._select("id", which, "order by id")]
        states = None if which.states is None else sorted(which.states)
        times = [self.now()] if what in _TIMED else []

        async def body(session: S, ids: list[int]) -> list[Row]:
            changed = await session.rows(self._query(what), ids, states, *times)
            if what == "delete" and changed:
                await session.change(self._query("delete_unique"), [row[0] for row in changed])
            return changed

        changed: list[Row] = []
        for begin in range(0, len(found), CHANGE_BATCH):
            changed += await self._dialect.run(partial(body, ids=found[begin : begin + CHANGE_BATCH]))
        return [row[0] for row in changed] if what == "delete" else self._changed(changed)

    @override
    async def release_next(self, chain_id: str) -> list[int]:
        async def body(session: S) -> list[Row]:
            await self._dialect.lock(session, f"chain {chain_id}")
            return await session.rows(self._query("release_next"), chain_id, self.now())

        return self._changed(await self._write(body))

    def _changed(self, changed: Sequence[Row]) -> list[int]:
        """Call the listeners for jobs that are available now; return all ids."""
        self._listeners.available(queue for _, queue, state in changed if state == "available")
        return [job_id for job_id, _, _ in changed]

    # Maintains

    @override
    async def stage(self, limit: int) -> set[str]:
        now = self.now()

        async def body(session: S) -> set[str]:
            staged = await session.rows(self._query("stage"), now, limit)
            staged += await session.rows(self._query("stage_torn"), limit)
            return {row[0] for row in staged}

        return await self._write(body)

    @override
    async def due_at(self) -> datetime | None:
        rows = await self._rows("due_at")
        return self._dialect.time(rows[0][0]) if rows else None

    @override
    async def has_orphans(self) -> bool:
        return bool(await self._dialect.read(self._owners.orphans))

    @override
    async def rescue(self) -> list[Rescued]:
        rescued = await self._write(self._owners.rescue)
        self._listeners.available(one.queue for one in rescued if one.state == "available")
        return rescued

    @override
    async def discard_exhausted(self, limit: int) -> list[int]:
        text, now = self._query("discard_exhausted"), self.now()
        ids = [row[0] for row in await self._rows("exhausted", limit)]
        rows = await self._write(lambda session: session.rows(text, ids, now, EXHAUSTED_REASON)) if ids else []
        return [row[0] for row in rows]

    @override
    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        now = self.now()

        async def find(session: S) -> list[int]:  # it may take long, so it is no part of the transaction that writes
            rows: list[Row] = []
            if rule.ended_before is not None:
                rows += await session.rows(self._query(f"prune_{rule.state}"), rule.ended_before, now, limit)
            if rule.keep is not None and len(rows) < limit:
                rows += await session.rows(self._query("prune_many"), rule.state, now, limit, rule.keep)
            return list(dict.fromkeys(row[0] for row in rows))[:limit]

        async def prune(session: S) -> int:
            pruned = await session.rows(self._query("prune"), ids, rule.state)
            await session.change(self._query("delete_unique"), [row[0] for row in pruned])
            return len(pruned)

        ids = await self._dialect.read(find)
        return await self._write(prune) if ids else 0

    @override
    async def lead(self, name: str, node: str, seconds: float) -> bool:
        async def body(session: S) -> bool:
            now = self.now()
            return await session.change(self._query("lead"), name, node, now, after(now, seconds)) > 0

        return await self._write(body)

    @override
    async def resign(self, name: str, node: str) -> None:
        await self._change("resign", name, node)

    # Queue controls

    @override
    async def queue_settings(self) -> list[QueueSettings]:
        return [
            QueueSettings(
                queue, limit if is_limit(limit) else None, bool(is_paused)
            )  # a hand may have written a bad one
            for queue, limit, is_paused in await self._rows("queue_settings")
        ]

    @override
    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        await self._change("change_queue", queue, limit, is_paused, is_durable=True)

    @override
    async def forget_queue(self, queue: str) -> None:
        await self._change("forget_queue", queue, is_durable=True)

    def _write(self, body: Body[S, R]) -> Coroutine[object, object, R]:
        """Run a body that writes, and that may run again after a power cut."""
        return self._dialect.run(body, is_durable=False)

    async def _change(self, name: str, *values: object, is_durable: bool = False) -> int:
        text = self._query(name)
        return await self._dialect.run(lambda session: session.change(text, *values), is_durable=is_durable)

    async def _rows(self, name: str, *values: object) -> list[Row]:
        text = self._query(name)
        return await self._dialect.read(lambda session: session.rows(text, *values))
