"""Inserts jobs, but no duplicates of unique ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from headrace.jobs.job import DUPLICATES, Inserted, NewJob, Unique
from headrace.jobs.rules.unique import ExistingJob, is_conflicting, key_of
from headrace.jobs.stores.sql.dialect import INSERT_COLUMNS, Body, Dialect, Row, S
from headrace.jobs.stores.transitions import from_json, to_json

BULK: Final = 20
"""From so many jobs on it is checked whether one statement can insert them all."""

_META: Final = INSERT_COLUMNS.index("meta")


def inserting(dialect: Dialect[S], jobs: Sequence[NewJob], now: datetime) -> Body[S, list[Inserted]]:
    """Return the body that inserts the jobs; only the database can make it fail. Raises NotJson."""
    if len(jobs) >= BULK and _are_alike(jobs):
        alike = dialect.insert_alike(jobs, now)
        if alike is not None:
            return alike
    rows = dialect.rows(jobs, now)
    for job in jobs:  # `all` would cost 0.4 µs more, 5 % of a single insert without its commit
        if job.unique is not None or job.awaits:
            break
    else:
        return partial(dialect.insert, rows=rows)
    keys = ["" if job.unique is None else key_of(job, job.unique) for job in jobs]
    return partial(_insert_unique, dialect=dialect, new=list(zip(jobs, rows, keys, strict=True)), now=now)


def _are_alike(jobs: Sequence[NewJob]) -> bool:
    first = jobs[0]
    worker, queue, priority, most = first.worker, first.queue, first.priority, first.max_attempts
    return all(
        job.worker == worker
        and job.queue == queue
        and job.priority == priority
        and job.max_attempts == most
        and job.unique is None
        and not job.awaits
        and job.scheduled_at == first.scheduled_at
        and job.state == first.state
        and job.tags == first.tags
        and job.meta == first.meta
        for job in jobs
    )


async def _insert_unique(
    session: S, dialect: Dialect[S], new: Sequence[tuple[NewJob, Row, str]], now: datetime
) -> list[Inserted]:
    """Insert jobs one by one, each unless a job that is there keeps it out.

    No other writer comes between the check and the insert: it would need the locks of the keys. In SQLite a transaction
    that writes holds the only lock, and in one that has only read so far SQLite refuses the insert.
    """
    await dialect.lock_unique(session, sorted({key for job, _, key in new if job.unique is not None}))
    duplicates: dict[str, int] = {}
    results = []
    for job, row, key in new:
        existing = None if job.unique is None else await _existing(session, dialect, key, job.unique, now)
        if existing is None:
            (inserted,) = await dialect.insert(session, [_with_duplicates(row, job, duplicates)])
            if job.unique is not None:
                await session.change(dialect.query("set_unique"), key, inserted.id)
        else:
            await _replace(session, dialect, job, row, existing)
            inserted = Inserted(existing.id, is_conflict=True)
            if job.label is not None:
                duplicates[job.label] = existing.id
        results.append(inserted)
    return results


async def _existing(session: S, dialect: Dialect[S], key: str, unique: Unique, now: datetime) -> ExistingJob | None:
    """Return the job that keeps others out, if there is one."""
    rows = await session.rows(dialect.query("unique_existing"), key)
    if not rows:
        return None
    job_id, state, inserted_at, scheduled_at, completed_at = rows[0]
    existing = ExistingJob(
        job_id,
        state,
        dialect.time(inserted_at),
        dialect.time(scheduled_at),
        None if completed_at is None else dialect.time(completed_at),
    )
    return existing if is_conflicting(unique, existing, now) else None


def _with_duplicates(row: Row, job: NewJob, duplicates: Mapping[str, int]) -> Row:
    """Return the row with the ids of the jobs that it awaits and that were there before, by their labels."""
    awaited = {label: duplicates[label] for label in job.awaits if label in duplicates}
    if not awaited:
        return row
    meta = {**from_json(str(row[_META]), {}), DUPLICATES: awaited}
    return (*row[:_META], to_json(meta), *row[_META + 1 :])


async def _replace(session: S, dialect: Dialect[S], job: NewJob, row: Row, existing: ExistingJob) -> None:
    """Overwrite the columns of the existing job that its state lets the new job replace."""
    replaced = frozenset[str]() if job.unique is None else job.unique.replace.get(existing.state, frozenset())
    if replaced:
        columns = zip(INSERT_COLUMNS, row, strict=True)
        values = [value if name in replaced else None for name, value in columns]
        await session.change(dialect.query("replace"), *values, existing.id)
