"""Makes the conditions of a filter, and finds jobs."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from headrace.jobs.job import Job, NewJob
from headrace.jobs.rules.flows import GROUP_KEYS
from headrace.jobs.rules.job_filter import JobFilter, Scalar
from headrace.jobs.rules.unique import key_of
from headrace.jobs.stores.sql.rows import COLUMNS, to_job
from headrace.jobs.stores.sql.sql_store import condition, query
from headrace.jobs.stores.transitions import to_json

Condition = tuple[str, list[object]]

COMMON_COUNT: Final = 5000
"""From so many jobs in its states on, a filter looks through the table from its end."""


def find(connection: sqlite3.Connection, which: JobFilter, limit: int, order: str) -> list[Job]:
    """Return at most `limit` jobs that fit, by id; `order` is "asc" or "desc"."""
    where, values = _where(which, is_common=_is_common(connection, which))
    text = f"select {COLUMNS} from oban_jobs where {where} order by id {order} limit ?"  # noqa: S608 - all constants
    return [to_job(row) for row in connection.execute(text, (*values, limit))]


def double_of(connection: sqlite3.Connection, new: NewJob) -> Job | None:
    """Return the job that holds the key of a unique one, or None."""
    if new.unique is None:
        return None
    text = f"select {COLUMNS} from oban_jobs where id = ({query('unique_id')})"  # noqa: S608 - all constants
    row = connection.execute(text, (key_of(new, new.unique),)).fetchone()
    return None if row is None else to_job(row)


def find_ids(connection: sqlite3.Connection, which: JobFilter) -> list[int]:
    """Return the ids of all that fit, oldest first."""
    where, values = _where(which)
    text = f"select id from oban_jobs where {where} order by id"  # noqa: S608 - all constants
    return [row[0] for row in connection.execute(text, values)]


def count(connection: sqlite3.Connection, which: JobFilter) -> int:
    """Return how many fit."""
    where, values = _where(which)
    text = f"select count(*) from oban_jobs where {where}"  # noqa: S608 - all constants
    (found,) = connection.execute(text, values).fetchone()
    return int(found)


def has(connection: sqlite3.Connection, which: JobFilter) -> bool:
    """Return whether any fits, without a look at the others."""
    where, values = _where(which)
    text = f"select exists (select 1 from oban_jobs where {where})"  # noqa: S608 - all constants
    (found,) = connection.execute(text, values).fetchone()
    return bool(found)


def _is_common(connection: sqlite3.Connection, which: JobFilter) -> bool:
    """Return whether so many jobs are in the states that an index of these would not help to find a few of them."""
    if which.states is None or _is_of_group(which):
        return False
    values = (to_json(sorted(which.states)), COMMON_COUNT)
    return bool(connection.execute(query("states_count"), values).fetchone()[0] == COMMON_COUNT)


def _is_of_group(which: JobFilter) -> bool:
    """Return whether it asks for members of a group, which have an index."""
    return not which.meta.keys().isdisjoint(GROUP_KEYS)


def _where(which: JobFilter, *, is_common: bool = False) -> tuple[str, list[object]]:
    """Return the condition; `is_common` and ids speak against the index of states."""
    texts, values = ["true"], list[object]()
    if which.states is not None and len(which.states) == 1 and _is_of_group(which):
        texts.append(condition("state"))  # so that what is found in the group's index is in the order of ids
        values.extend(which.states)
    elif which.states is not None:
        name = "common_states" if is_common or which.ids is not None else "states"
        texts.append(condition(name))
        values.append(to_json(sorted(which.states)))
    for text, of_it in _conditions(which):
        texts.append(f"({text})")
        values.extend(of_it)
    return " and ".join(texts), values


def _conditions(which: JobFilter) -> Iterator[Condition]:
    for name in ("ids", "queues", "workers", "tags"):
        found = getattr(which, name)
        if found is not None:
            yield condition(name), [to_json(sorted(found))]
    if which.before_id is not None:
        yield condition("before_id"), [which.before_id]
    if which.leaves_out_spent:
        yield condition("not_spent"), []
    for path, value in which.args.items():
        yield _of_args("$" + "".join(f'."{key}"' for key in path.split(".")), value)
    for key, text in which.meta.items():
        yield _of_meta(key, text)


def _of_meta(key: str, text: str) -> Condition:
    """Return the condition of a key of the meta, in the very words of its index if it has one."""
    if key in GROUP_KEYS or key == "name":
        return condition(f"meta_{key}"), [text]
    path = f'$."{key}"'
    return condition("meta_text"), [path, path, text]


def _of_args(path: str, value: Scalar) -> Condition:
    if value is None:
        return condition("args_null"), [path]
    if isinstance(value, bool):
        return condition("args_true" if value else "args_false"), [path]
    return condition("args_text" if isinstance(value, str) else "args_number"), [path, path, value]
