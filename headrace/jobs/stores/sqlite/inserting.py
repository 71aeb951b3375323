"""Inserts jobs, but doubles of unique ones, in a transaction that has begun."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.jobs.job import DOUBLES, Inserted, NewJob, Unique, from_text, to_text
from headrace.jobs.stores.json_text import from_json, to_json
from headrace.jobs.stores.sqlite.queries import query
from headrace.jobs.stores.sqlite.rows import from_new
from headrace.jobs.unique import Holder, is_held, key_of

_COLUMNS: Final = ("queue", "worker", "args", "meta", "tags", "max_attempts", "priority", "inserted_at", "scheduled_at")
"""What the values of `insert` are, after the state."""


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
    doubles: dict[str, int] = {}
    return [
        Inserted(execute(text, row.values).lastrowid or 0)
        if row.job.unique is None and not row.job.awaits
        else _insert(connection, row, doubles, now)
        for row in rows
    ]


def _insert_plain(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> list[Inserted]:
    """Insert rows that are no doubles; nobody else writes meanwhile, so their ids follow one another."""
    connection.executemany(query("insert"), [row.values for row in rows])
    (last_id,) = connection.execute("select last_insert_rowid()").fetchone()
    return [Inserted(job_id) for job_id in range(last_id - len(rows) + 1, last_id + 1)]


def insert_in(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: datetime) -> list[Inserted]:
    """Insert jobs through somebody's own connection, in their transaction, which they commit. Raises NotJson."""
    return insert_rows(connection, new_rows(jobs, now), now)


def _insert(connection: sqlite3.Connection, row: NewRow, doubles: dict[str, int], now: datetime) -> Inserted:
    """Insert a row that may be a double, or awaits what may be one; `doubles` are those before it, by their labels."""
    holder = None if row.job.unique is None else _holder(connection, row.key, row.job.unique, now)
    if holder is not None:
        _replace(connection, row, holder)
        if row.job.label is not None:
            doubles[row.job.label] = holder.id
        return Inserted(holder.id, is_conflict=True)
    job_id = connection.execute(query("insert"), _values(row, doubles)).lastrowid or 0
    if row.job.unique is not None:
        connection.execute(query("unique_hold"), (row.key, job_id))
    return Inserted(job_id)


def _holder(connection: sqlite3.Connection, key: str, unique: Unique, now: datetime) -> Holder | None:
    """Return the job that keeps others out, if there is one."""
    found = connection.execute(query("unique_holder"), (key,)).fetchone()
    if found is None:
        return None
    completed_at = None if found[4] is None else from_text(found[4])
    holder = Holder(found[0], found[1], from_text(found[2]), from_text(found[3]), completed_at)
    return holder if is_held(unique, holder, now) else None


def _values(row: NewRow, doubles: Mapping[str, int]) -> tuple[object, ...]:
    """Return the values of `insert`, with what the job awaits and was there already."""
    awaited = {label: doubles[label] for label in row.job.awaits if label in doubles}
    if not awaited:
        return row.values
    place = 1 + _COLUMNS.index("meta")
    meta = {**from_json(str(row.values[place]), {}), DOUBLES: awaited}
    return (*row.values[:place], to_json(meta), *row.values[place + 1 :])


def _replace(connection: sqlite3.Connection, row: NewRow, holder: Holder) -> None:
    """Let the job that is there take over what is to be replaced in its state."""
    taken = frozenset() if row.job.unique is None else row.job.unique.replace.get(holder.state, frozenset())
    if taken:
        values = dict(zip(_COLUMNS, row.values[1:], strict=True))
        values = {name: value if name in taken else None for name, value in values.items()}
        connection.execute(query("replace"), values | {"id": holder.id})
