"""Inserts jobs, but no duplicates of unique ones, in a transaction that has begun."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from headrace.database.sqlite_file import DatabaseWork
from headrace.jobs.job import DUPLICATES, Inserted, NewJob, Unique, from_text, to_text
from headrace.jobs.rules.unique import ExistingJob, is_conflicting, key_of
from headrace.jobs.stores.sql.rows import LARGE_ARGS, from_new, warn_of_large_args
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.transitions import from_json, to_json

_COLUMNS: Final = ("queue", "worker", "args", "meta", "tags", "max_attempts", "priority", "inserted_at", "scheduled_at")
"""What the values of `insert` are, after the state."""

BULK: Final = 20
"""From how many jobs on it is worth a look whether one statement inserts them all."""


@dataclass(slots=True)
class NewRow:
    """A job that is ready to be inserted: nothing about it can fail any more but the file."""

    values: tuple[object, ...]
    job: NewJob
    key: str


def new_rows(jobs: Sequence[NewJob], now: datetime) -> list[NewRow]:
    """Return the rows of jobs. Raises NotJson."""
    time = to_text(now)
    return [NewRow(from_new(job, time), job, "" if job.unique is None else key_of(job, job.unique)) for job in jobs]


def insert_rows(connection: sqlite3.Connection, rows: Sequence[NewRow], now: datetime) -> list[Inserted]:
    """Insert the rows, and say of each, in order, what became of it.

    Whoever writes to the file holds its only lock, so nobody can come between the look and the leap; in a transaction
    that has only read so far SQLite itself refuses the leap then.
    """
    if len(rows) > 1 and all(row.job.unique is None and not row.job.awaits for row in rows):
        return _insert_plain(connection, rows)
    execute, text = connection.execute, query("insert")
    duplicates: dict[str, int] = {}
    return [
        Inserted(execute(text, row.values).lastrowid or 0)
        if row.job.unique is None and not row.job.awaits
        else _insert(connection, row, duplicates, now)
        for row in rows
    ]


def _insert_plain(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> list[Inserted]:
    """Insert rows that are no duplicates."""
    connection.executemany(query("insert"), [row.values for row in rows])
    return _inserted(connection, len(rows))


def _inserted(connection: sqlite3.Connection, count: int) -> list[Inserted]:
    """Return what became of the last rows: nobody else writes meanwhile, so that their ids follow one another."""
    (last_id,) = connection.execute("select last_insert_rowid()").fetchone()
    return [Inserted(job_id) for job_id in range(last_id - count + 1, last_id + 1)]


def prepared(jobs: Sequence[NewJob], now: datetime) -> DatabaseWork[list[Inserted]]:
    """Return what inserts the jobs; nothing can fail any more but the file. Raises NotJson.

    Many that differ in their args alone, as those of one worker mostly do, go in by one statement.
    """
    if len(jobs) == 1 and jobs[0].unique is None and not jobs[0].awaits:
        return partial(_insert_one, values=from_new(jobs[0], to_text(now)))
    if len(jobs) >= BULK and _are_alike(jobs):
        try:
            args = to_json([job.args for job in jobs])
        except (TypeError, ValueError):
            pass  # the sentence is about the one that is none: see below
        else:
            if len(args) > LARGE_ARGS and (largest := max(len(to_json(job.args)) for job in jobs)) > LARGE_ARGS:
                warn_of_large_args(jobs[0].worker, largest)
            values = from_new(replace(jobs[0], args={}), to_text(now))
            return partial(_insert_alike, values=(*values[:3], args, *values[4:]), count=len(jobs))
    return partial(insert_rows, rows=new_rows(jobs, now), now=now)


def _insert_one(connection: sqlite3.Connection, values: tuple[object, ...]) -> list[Inserted]:
    return [Inserted(connection.execute(query("insert"), values).lastrowid or 0)]


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


def _insert_alike(connection: sqlite3.Connection, values: tuple[object, ...], count: int) -> list[Inserted]:
    connection.execute(query("insert_alike"), values)
    return _inserted(connection, count)


def insert_in(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: datetime) -> list[Inserted]:
    """Insert jobs through somebody's own connection, in their transaction, which they commit. Raises NotJson."""
    return prepared(jobs, now)(connection)


def _insert(connection: sqlite3.Connection, row: NewRow, duplicates: dict[str, int], now: datetime) -> Inserted:
    """Insert a row that may be a duplicate, or awaits one; `duplicates` are those before it, by their labels."""
    holder = None if row.job.unique is None else _holder(connection, row.key, row.job.unique, now)
    if holder is not None:
        _replace(connection, row, holder)
        if row.job.label is not None:
            duplicates[row.job.label] = holder.id
        return Inserted(holder.id, is_conflict=True)
    job_id = connection.execute(query("insert"), _values(row, duplicates)).lastrowid or 0
    if row.job.unique is not None:
        connection.execute(query("unique_hold"), (row.key, job_id))
    return Inserted(job_id)


def _holder(connection: sqlite3.Connection, key: str, unique: Unique, now: datetime) -> ExistingJob | None:
    """Return the job that keeps others out, if there is one."""
    found = connection.execute(query("unique_holder"), (key,)).fetchone()
    if found is None:
        return None
    completed_at = None if found[4] is None else from_text(found[4])
    holder = ExistingJob(found[0], found[1], from_text(found[2]), from_text(found[3]), completed_at)
    return holder if is_conflicting(unique, holder, now) else None


def _values(row: NewRow, duplicates: Mapping[str, int]) -> tuple[object, ...]:
    """Return the values of `insert`, with what the job awaits and was there already."""
    awaited = {label: duplicates[label] for label in row.job.awaits if label in duplicates}
    if not awaited:
        return row.values
    position = 1 + _COLUMNS.index("meta")
    meta = {**from_json(str(row.values[position]), {}), DUPLICATES: awaited}
    return (*row.values[:position], to_json(meta), *row.values[position + 1 :])


def _replace(connection: sqlite3.Connection, row: NewRow, holder: ExistingJob) -> None:
    """Let the job that is there take over what is to be replaced in its state."""
    taken = frozenset() if row.job.unique is None else row.job.unique.replace.get(holder.state, frozenset())
    if taken:
        values = dict(zip(_COLUMNS, row.values[1:], strict=True))
        values = {name: value if name in taken else None for name, value in values.items()}
        connection.execute(query("replace"), values | {"id": holder.id})
