"""Claims jobs and writes how attempts ended, in a transaction that has begun."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from headrace.jobs.job import (
    Acknowledgement,
    CalledOff,
    Completed,
    Failed,
    Job,
    MetaChange,
    Returned,
    Snoozed,
    after,
    to_text,
)
from headrace.jobs.rules.limits import NO_PARTITION
from headrace.jobs.stores.sql.limits import Limited
from headrace.jobs.stores.sql.rows import error_text, to_claimed, to_job
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import Claimant
from headrace.jobs.stores.transitions import to_json


def signature(claimant: Claimant) -> str:
    """Return what stands in `attempted_by` of what the claimant runs."""
    return to_json([claimant.node, claimant.uuid])


def claim_within(
    connection: sqlite3.Connection, claimant: Claimant, count: int, now: datetime, limited: Limited
) -> list[Job]:
    """Take jobs, most urgent and oldest first, as far as the limits of the queue let them start."""
    limits = claimant.limits
    if limits is None:
        return claim(connection, claimant, count, now)
    room = limited.room(connection, claimant.queue, limits, now)
    if limits.partition is None:
        jobs = claim(connection, claimant, room.at_most(count), now)
        room.take(NO_PARTITION, len(jobs))
    else:
        ids = limited.choose(connection, claimant, limits.partition, room, count)
        rows = connection.execute(query("claim_ids"), (to_text(now), signature(claimant), to_json(ids)))
        jobs = sorted(map(to_job, rows), key=_urgency)
    limited.keep(connection, claimant.queue, room, now)
    return jobs


def claim(connection: sqlite3.Connection, claimant: Claimant, count: int, now: datetime) -> list[Job]:
    """Take jobs, most urgent and oldest first.

    Two statements are quicker than one that returns what it has changed; the transaction keeps others out meanwhile.
    """
    if claimant.workers is None:
        rows = connection.execute(query("available"), (claimant.queue, count)).fetchall()
    else:
        values = (claimant.queue, to_json(list(claimant.workers)), count)
        rows = connection.execute(query("available_known"), values).fetchall()
    if rows:
        ids = to_json([row[0] for row in rows])
        connection.execute(query("take"), (to_text(now), signature(claimant), ids))
    by = [claimant.node, claimant.uuid]
    return [to_claimed(row, now, by) for row in rows]


def acknowledge(
    connection: sqlite3.Connection, claimant: Claimant, told: Sequence[Acknowledgement], now: datetime
) -> bool:
    """Write how attempts ended; return whether any job is available again."""
    by = signature(claimant)
    plain: dict[int, list[int]] = {}
    others = []
    for one in told:
        if type(one.outcome) is Completed and one.outcome.meta is None:
            plain.setdefault(one.attempt, []).append(one.id)
        else:
            others.append(one)
    for attempt, ids in plain.items():
        connection.execute(query("complete"), (to_text(now), to_json(ids), attempt, by))
    for one in others:
        _acknowledge(connection, by, one, now)
    return any(isinstance(one.outcome, Returned) for one in others)


def merge(connection: sqlite3.Connection, changes: Sequence[tuple[str, int, int, str]]) -> None:
    """Merge into the meta of jobs that run."""
    connection.executemany(query("merge"), changes)


def meta_rows(changes: Sequence[MetaChange]) -> list[tuple[str, int, int, str]]:
    """Return the values of `merge`. Raises TypeError or ValueError on what is no JSON."""
    return [(to_json(change.meta), change.id, change.attempt, to_json(list(change.by))) for change in changes]


def _urgency(job: Job) -> tuple[int, datetime, int]:
    return (job.priority, job.scheduled_at, job.id)


def _acknowledge(connection: sqlite3.Connection, by: str, one: Acknowledgement, now: datetime) -> None:
    outcome = one.outcome
    meta, whose = to_json(outcome.meta or {}), (one.id, one.attempt, by)
    if isinstance(outcome, Completed):
        connection.execute(query("complete_with_meta"), (to_text(now), meta, *whose))
    elif isinstance(outcome, Returned):
        connection.execute(query("put_back"), (meta, *whose))
    elif isinstance(outcome, Snoozed):
        connection.execute(query("snooze"), (to_text(after(now, outcome.seconds)), meta, *whose))
    else:
        _end(connection, by, one, outcome, now)


def _end(
    connection: sqlite3.Connection, by: str, one: Acknowledgement, outcome: Failed | CalledOff, now: datetime
) -> None:
    """Write an attempt that failed, or that was called off: it may be cancelled by somebody else already."""
    time = to_text(now)
    retry = outcome.retry_seconds if isinstance(outcome, Failed) else None
    is_off = isinstance(outcome, CalledOff)
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
