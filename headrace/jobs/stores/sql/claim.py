"""Claims within limits; acknowledgements."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Final, cast

from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    Job,
    JobAck,
    MetaChange,
    after,
    to_text,
)
from headrace.jobs.rules.limits import NO_PARTITION, Capacity, QueueLimits, partition_key, within
from headrace.jobs.stores.sql.rows import error_text, to_claimed, to_job
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.stores.transitions import to_json

WALKED: Final = 1000
"""Jobs that are looked at in order, before it is looked for partitions that have room: mostly they are enough."""

PARTITIONS: Final = 1000
"""Partitions that one claim looks at, at most; of more than that each claim goes on where the one before ended."""

_BEFORE_ALL: Final = float("-inf")  # SQLite sorts null before it, and every other value after it

_Value = str | float | None


@dataclass(frozen=True, slots=True)
class _Partitioned:
    """The queries about one queue whose limits are partitioned."""

    queue: str
    partition: str

    def query(self, name: str) -> str:
        """Return a query; an index on an expression is found by the very text of it, so it is put in as such."""
        key_hash = hashlib.blake2b(f"{self.queue}\n{self.partition}".encode(), digest_size=6).hexdigest()
        text = query(name).replace("{index}", f"headrace_jobs_by_{key_hash}")
        return text.replace("{partition}", _expression(self.partition)).replace("{queue}", _quoted(self.queue))


class Limited:
    """What one store remembers of queues with limits: which partitions it has looked at last."""

    def __init__(self) -> None:
        self._after: dict[str, _Value] = {}

    def room(self, connection: sqlite3.Connection, queue: str, limits: QueueLimits, now: datetime) -> Capacity:
        """Return what the limits leave at the beginning of a claim."""
        running: dict[str, int] = {}
        if (at_once := limits.global_limit) is not None:
            text = _Partitioned(queue, at_once.partition).query("limit_running") if at_once.partition else None
            if text is None:
                running[NO_PARTITION] = connection.execute(query("limit_all_running"), (queue,)).fetchone()[0]
            else:
                running = {partition_key(value): count for value, count in connection.execute(text)}
        full_at: dict[str, float] = {}
        if limits.rate_limit is not None:
            full_at = dict(connection.execute(query("limit_buckets"), (queue, now.timestamp())).fetchall())
        return Capacity(limits, running, full_at, now.timestamp())

    def choose(
        self, connection: sqlite3.Connection, owner: LeaseOwner, partition: str, room: Capacity, count: int
    ) -> list[int]:
        """Choose at most `count` jobs, most urgent and oldest first, of those whose partition has room."""
        count = room.at_most(count)
        if count == 0:
            return []
        by = _Partitioned(owner.queue, partition)
        workers = None if owner.workers is None else to_json(list(owner.workers))
        values: dict[str, object] = {"queue": owner.queue, "workers": workers, "limit": WALKED}
        oldest = connection.execute(by.query("limit_oldest"), values).fetchall()
        chosen = within(room, [(partition_key(value), job_id) for value, job_id in oldest], count)
        if len(chosen) < count and len(oldest) == WALKED:
            values["limit"] = count
            later = self._by_partition(connection, by, values, room)
            taken = set(chosen)
            chosen += within(room, [one for one in later if one[1] not in taken], count - len(chosen))
        return chosen

    def keep(self, connection: sqlite3.Connection, queue: str, room: Capacity, now: datetime) -> None:
        """Write what was taken out of buckets; forget those that are full again."""
        changed = room.changed()
        if changed:
            connection.execute(query("limit_forget"), (queue, now.timestamp()))
            rows = [(queue, key, full_at) for key, full_at in changed.items()]
            connection.executemany(query("limit_fill"), rows)

    def _by_partition(
        self, connection: sqlite3.Connection, by: _Partitioned, values: dict[str, object], room: Capacity
    ) -> list[tuple[str, int]]:
        """Return the oldest jobs of each partition that has room, in order.

        The index is made when it is needed for the first time: the other queues pay nothing for it.
        """
        connection.execute(by.query("limit_index"))
        text = by.query("limit_within")
        found: list[tuple[int, str, int, str]] = []
        for value in chain([None], self._in_turn(connection, by)):
            key = partition_key(value)
            if room.of(key) > 0:
                rows = connection.execute(text, {**values, "partition": value})
                found += [(priority, at, job_id, key) for priority, at, job_id in rows]
        return [(key, job_id) for _, _, job_id, key in sorted(found)]

    def _in_turn(self, connection: sqlite3.Connection, by: _Partitioned) -> list[_Value]:
        """Return the partitions to look at: all, or, of very many, those that come next."""
        start = self._after.pop(by.queue, _BEFORE_ALL)
        values = list(
            islice(chain(_after(connection, by, start), _after(connection, by, _BEFORE_ALL, start)), PARTITIONS)
        )
        if len(values) == PARTITIONS:
            self._after[by.queue] = values[-1]
        return values


def _after(connection: sqlite3.Connection, by: _Partitioned, after: _Value, until: _Value = None) -> Iterator[_Value]:
    """Yield one partition after another, each found by a step in the index."""
    text = by.query("limit_next")
    while row := connection.execute(text, {"after": after, "until": until}).fetchone():
        after = cast("_Value", row[0])
        yield after


def _expression(partition: str) -> str:
    if partition == "worker":
        return partition
    column, *keys = partition.split(".")
    path = "$" + "".join(f'."{key}"' for key in keys)
    return f"json_extract({column}, {_quoted(path)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def signature(owner: LeaseOwner) -> str:
    """Return the `attempted_by` of the jobs that the lease owner runs."""
    return to_json([owner.node, owner.uuid])


def claim_within(
    connection: sqlite3.Connection, owner: LeaseOwner, count: int, now: datetime, limited: Limited
) -> list[Job]:
    """Take jobs, most urgent and oldest first, as far as the limits of the queue let them start."""
    limits = owner.limits
    if limits is None:
        return claim(connection, owner, count, now)
    room = limited.room(connection, owner.queue, limits, now)
    if limits.partition is None:
        jobs = claim(connection, owner, room.at_most(count), now)
        room.take(NO_PARTITION, len(jobs))
    else:
        ids = limited.choose(connection, owner, limits.partition, room, count)
        rows = connection.execute(query("claim_ids"), (to_text(now), signature(owner), to_json(ids)))
        jobs = sorted(map(to_job, rows), key=_urgency)
    limited.keep(connection, owner.queue, room, now)
    return jobs


def claim(connection: sqlite3.Connection, owner: LeaseOwner, count: int, now: datetime) -> list[Job]:
    """Take jobs, most urgent and oldest first.

    Two statements are quicker than one that returns what it has changed; the transaction keeps others out meanwhile.
    """
    if owner.workers is None:
        rows = connection.execute(query("available"), (owner.queue, count)).fetchall()
    else:
        values = (owner.queue, to_json(list(owner.workers)), count)
        rows = connection.execute(query("available_known"), values).fetchall()
    if rows:
        ids = to_json([row[0] for row in rows])
        connection.execute(query("take"), (to_text(now), signature(owner), ids))
    by = [owner.node, owner.uuid]
    return [to_claimed(row, now, by) for row in rows]


def acknowledge(
    connection: sqlite3.Connection, owner: LeaseOwner, acknowledgements: Sequence[JobAck], now: datetime
) -> bool:
    """Write how attempts ended; return whether any job is available again."""
    by = signature(owner)
    plain: dict[int, list[int]] = {}
    others = []
    for one in acknowledgements:
        if type(one.outcome) is AttemptCompleted and one.outcome.meta is None:
            plain.setdefault(one.attempt, []).append(one.id)
        else:
            others.append(one)
    for attempt, ids in plain.items():
        connection.execute(query("complete"), (to_text(now), to_json(ids), attempt, by))
    for one in others:
        _acknowledge(connection, by, one, now)
    return any(isinstance(one.outcome, AttemptReleased) for one in others)


def merge(connection: sqlite3.Connection, changes: Sequence[tuple[str, int, int, str]]) -> None:
    """Merge into the meta of jobs that run."""
    connection.executemany(query("merge"), changes)


def meta_rows(changes: Sequence[MetaChange]) -> list[tuple[str, int, int, str]]:
    """Return the values of `merge`. Raises TypeError or ValueError on what is no JSON."""
    return [(to_json(change.meta), change.id, change.attempt, to_json(list(change.by))) for change in changes]


def _urgency(job: Job) -> tuple[int, datetime, int]:
    return (job.priority, job.scheduled_at, job.id)


def _acknowledge(connection: sqlite3.Connection, by: str, one: JobAck, now: datetime) -> None:
    outcome = one.outcome
    meta, whose = to_json(outcome.meta or {}), (one.id, one.attempt, by)
    if isinstance(outcome, AttemptCompleted):
        connection.execute(query("complete_with_meta"), (to_text(now), meta, *whose))
    elif isinstance(outcome, AttemptReleased):
        connection.execute(query("put_back"), (meta, *whose))
    elif isinstance(outcome, AttemptSnoozed):
        connection.execute(query("snooze"), (to_text(after(now, outcome.seconds)), meta, *whose))
    else:
        _end(connection, by, one, outcome, now)


def _end(
    connection: sqlite3.Connection, by: str, one: JobAck, outcome: AttemptFailed | AttemptCancelled, now: datetime
) -> None:
    """Write an attempt that failed, or that was called off: it may be cancelled by somebody else already."""
    time = to_text(now)
    retry = outcome.retry_seconds if isinstance(outcome, AttemptFailed) else None
    is_off = isinstance(outcome, AttemptCancelled)
    state = "cancelled" if is_off else "discarded" if retry is None else "retryable"
    values = (
        state,
        None if retry is None else to_text(after(now, retry)),
        time if is_off else None,
        time if state == "discarded" else None,
        error_text(outcome.error, one.attempt, now),
        to_json(outcome.meta or {}),
    )
    also = "cancelled" if is_off else "executing"
    connection.execute(query("end"), (*values, one.id, one.attempt, also, by))
