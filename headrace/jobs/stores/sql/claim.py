"""Claims within limits; acknowledgements."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Generic

from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptReleased,
    AttemptSnoozed,
    Job,
    JobAck,
    after,
    to_text,
)
from headrace.jobs.rules.limits import NO_PARTITION, Capacity, QueueLimits, partition_key, within
from headrace.jobs.stores.sql.dialect import Dialect, S, Session
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.stores.transitions import to_json, urgency

WALKED: Final = 1000
"""Jobs that a claim reads in order before it searches each partition with capacity; mostly they are enough."""

PARTITIONS: Final = 1000
"""Partitions that one claim searches at most; with more of them each claim goes on where the one before ended."""


class LimitedClaims(Generic[S]):
    """Claims of one store; for each queue with very many partitions it remembers the one searched last."""

    def __init__(self, dialect: Dialect[S]) -> None:
        self._dialect = dialect
        self._after: dict[str, object] = {}

    async def claim(self, session: S, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
        """Claim jobs, most urgent and oldest first, as far as the limits of the queue let them start."""
        limits, dialect = owner.limits, self._dialect
        if limits is None:
            return await dialect.claim(session, owner, count, now)
        await dialect.lock(session, f"limits of {owner.queue}")
        capacity = await self._capacity(session, owner.queue, limits, now)
        if limits.partition is None:
            jobs = await dialect.claim(session, owner, capacity.at_most(count), now)
            capacity.take(NO_PARTITION, len(jobs))
        else:
            ids = await self._choose(session, owner, limits.partition, capacity, count)
            rows = await session.rows(dialect.query("claim_ids"), now, [owner.node, owner.uuid], ids)
            jobs = sorted(map(dialect.job, rows), key=urgency)
        await self._save(session, owner.queue, capacity, now)
        return jobs

    async def _capacity(self, session: S, queue: str, limits: QueueLimits, now: datetime) -> Capacity:
        """Return the capacity that the limits leave at the beginning of a claim."""
        running: Mapping[str, int] = {}
        if limits.global_limit is not None:
            partition = limits.global_limit.partition
            if partition is None:
                rows = await session.rows(self._dialect.query("limit_all_running"), queue)
                running = {NO_PARTITION: rows[0][0]}
            else:
                rows = await session.rows(self._query("limit_running", queue, partition))
                counts = Counter[str]()  # true, 1 and 1.0 are one partition
                for value, count in rows:
                    counts[self._key(value)] += count
                running = counts
        full_at: dict[str, float] = {}
        if limits.rate_limit is not None:
            full_at = dict(await session.rows(self._dialect.query("limit_buckets"), queue, now.timestamp()))
        return Capacity(limits, running, full_at, now.timestamp())

    async def _choose(self, session: S, owner: LeaseOwner, partition: str, capacity: Capacity, count: int) -> list[int]:
        """Choose at most `count` jobs, most urgent and oldest first, whose partition has capacity."""
        count = capacity.at_most(count)
        if count == 0:
            return []
        workers = None if owner.workers is None else list(owner.workers)
        text = self._query("limit_oldest", owner.queue, partition)
        oldest = await session.rows(text, owner.queue, workers, WALKED)
        chosen = within(capacity, [(self._key(value), job_id) for value, job_id in oldest], count)
        if len(chosen) < count and len(oldest) == WALKED:
            later = await self._by_partition(session, owner.queue, partition, (workers, count), capacity)
            taken = set(chosen)
            chosen += within(capacity, [one for one in later if one[1] not in taken], count - len(chosen))
        return chosen

    async def _by_partition(
        self, session: S, queue: str, partition: str, values: tuple[object, ...], capacity: Capacity
    ) -> list[tuple[str, int]]:
        """Return the oldest jobs of each partition with capacity, in order.

        The first such claim makes the index: the other queues pay nothing for it.
        """
        await session.change(self._query("limit_index", queue, partition))
        text = self._query("limit_within", queue, partition)
        found: list[tuple[int, str, int, str]] = []
        for value in (None, *await self._next_partitions(session, queue, partition)):
            key = self._key(value)
            if capacity.of(key) > 0:
                rows = await session.rows(text, value, *values)
                found += [(priority, at, job_id, key) for priority, at, job_id in rows]
        return [(key, job_id) for _, _, job_id, key in sorted(found)]

    async def _next_partitions(self, session: S, queue: str, partition: str) -> list[object]:
        """Return the partitions to search, each found by a step in the index: all, or the next of very many."""
        text = self._query("limit_next", queue, partition)
        before_all = self._dialect.before_partitions
        start = self._after.pop(queue, before_all)
        found: list[object] = []
        for begin, until in ((start, None), (before_all, start)):
            last = begin
            while len(found) < PARTITIONS and (rows := await session.rows(text, last, until)):
                last = rows[0][0]
                found.append(last)
        if len(found) == PARTITIONS:
            self._after[queue] = found[-1]
        return found

    async def _save(self, session: S, queue: str, capacity: Capacity, now: datetime) -> None:
        """Write the tokens taken out of buckets; delete the buckets that are full again."""
        changed = capacity.changed()
        if changed:
            await session.change(self._dialect.query("limit_forget"), queue, now.timestamp())
        for key, full_at in changed.items():
            await session.change(self._dialect.query("limit_fill"), queue, key, full_at)

    def _key(self, value: object) -> str:
        """Return the key of a partition by its value in a row."""
        return partition_key(self._dialect.partition_value(value))

    def _query(self, name: str, queue: str, partition: str) -> str:
        """Return a query about a partitioned queue; an index on an expression is found by the very text of it."""
        return self._dialect.query(name).format(**self._dialect.partition(queue, partition))


async def acknowledge(
    session: Session, dialect: Dialect[S], owner: LeaseOwner, acknowledgements: Sequence[JobAck], now: datetime
) -> bool:
    """Write how attempts ended; return whether any job is available again."""
    by = [owner.node, owner.uuid]
    plain: dict[int, list[int]] = {}
    others = []
    for one in acknowledgements:
        if type(one.outcome) is AttemptCompleted and one.outcome.meta is None:
            plain.setdefault(one.attempt, []).append(one.id)
        else:
            others.append(one)
    for attempt, ids in plain.items():
        await session.change(dialect.query("complete"), now, ids, attempt, by)
    for one in others:
        name, values = _written(one, now)
        await session.change(dialect.query(name), *values, one.id, one.attempt, by)
    return any(isinstance(one.outcome, AttemptReleased) for one in others)


def _written(one: JobAck, now: datetime) -> tuple[str, tuple[object, ...]]:
    """Return the query that writes the end of one attempt, and its values before the attempt's own."""
    outcome, meta = one.outcome, to_json(one.outcome.meta or {})
    if isinstance(outcome, AttemptCompleted):
        return "complete_with_meta", (now, meta)
    if isinstance(outcome, AttemptReleased):
        return "put_back", (meta,)
    if isinstance(outcome, AttemptSnoozed):
        return "snooze", (after(now, outcome.seconds), meta)
    error = _error_text(outcome.error, one.attempt, now)
    if isinstance(outcome, AttemptCancelled):  # it may have been cancelled from outside before
        return "end", ("cancelled", None, now, None, error, meta, "cancelled")
    if outcome.retry_seconds is None:
        return "end", ("discarded", None, None, now, error, meta, "executing")
    return "end", ("retryable", after(now, outcome.retry_seconds), None, None, error, meta, "executing")


def _error_text(error: str, attempt: int, now: datetime) -> str:
    """Return the entry of one failed attempt, as Oban writes it; half surrogate pairs in it are replaced."""
    text = error if error.isascii() else error.encode(errors="replace").decode()
    return json.dumps({"attempt": attempt, "at": to_text(now), "error": text}, ensure_ascii=False)
