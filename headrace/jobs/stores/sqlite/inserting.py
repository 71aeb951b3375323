"""Inserts jobs, but doubles of unique ones, in a transaction that has begun."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.jobs.job import Inserted, NewJob, Unique, from_text
from headrace.jobs.stores.sqlite.queries import query
from headrace.jobs.stores.sqlite.rows import from_new
from headrace.jobs.unique import Holder, is_held, key_of

_COLUMNS: Final = ("queue", "worker", "args", "meta", "tags", "max_attempts", "priority", "inserted_at", "scheduled_at")
"""What the values of `insert` are, after the state."""


@dataclass(frozen=True, slots=True)
class NewRow:
    """A job that is ready to be inserted: nothing about it can fail any more but the file."""

    values: tuple[object, ...]
    unique: Unique | None
    key: str

    @property
    def queue(self) -> str:
        """Return its queue."""
        return str(self.values[1])

    @property
    def is_available(self) -> bool:
        """Return whether it may run at once."""
        return self.values[0] == "available"


def new_rows(jobs: Sequence[NewJob], now: datetime) -> list[NewRow]:
    """Return the rows of jobs. Raises NotJson."""
    return [
        NewRow(from_new(job, now), job.unique, "" if job.unique is None else key_of(job, job.unique)) for job in jobs
    ]


def insert_rows(connection: sqlite3.Connection, rows: Sequence[NewRow], now: datetime) -> list[Inserted]:
    """Insert the rows, and say of each, in order, what became of it.

    Whoever writes to the file holds its only lock, so nobody can come between the look and the leap; in a transaction
    that has only read so far SQLite itself refuses the leap then.
    """
    execute, text = connection.execute, query("insert")
    return [
        Inserted(execute(text, row.values).lastrowid or 0) if row.unique is None else _insert(connection, row, now)
        for row in rows
    ]


def insert_in(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: datetime) -> list[Inserted]:
    """Insert jobs through somebody's own connection, in their transaction, which they commit. Raises NotJson."""
    return insert_rows(connection, new_rows(jobs, now), now)


def _insert(connection: sqlite3.Connection, row: NewRow, now: datetime) -> Inserted:
    unique = row.unique
    found = connection.execute(query("unique_holder"), (row.key,)).fetchone()
    if found is not None and unique is not None:
        holder = Holder(found[0], found[1], from_text(found[2]), from_text(found[3]))
        if is_held(unique, holder, now):
            _replace(connection, row, holder)
            return Inserted(holder.id, is_conflict=True)
    job_id = connection.execute(query("insert"), row.values).lastrowid or 0
    connection.execute(query("unique_hold"), (row.key, job_id))
    return Inserted(job_id)


def _replace(connection: sqlite3.Connection, row: NewRow, holder: Holder) -> None:
    """Let the job that is there take over what is to be replaced in its state."""
    taken = frozenset() if row.unique is None else row.unique.replace.get(holder.state, frozenset())
    if taken:
        values = dict(zip(_COLUMNS, row.values[1:], strict=True))
        values = {name: value if name in taken else None for name, value in values.items()}
        connection.execute(query("replace"), values | {"id": holder.id})
