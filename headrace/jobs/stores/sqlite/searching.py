"""Makes the conditions of a filter, and finds jobs."""

import sqlite3
from collections.abc import Iterator

from headrace.jobs.groups import GROUP_KEYS
from headrace.jobs.job import Job
from headrace.jobs.job_filter import JobFilter, Scalar
from headrace.jobs.stores.json_text import to_json
from headrace.jobs.stores.sqlite.queries import condition
from headrace.jobs.stores.sqlite.rows import COLUMNS, to_job

Condition = tuple[str, list[object]]


def find(connection: sqlite3.Connection, which: JobFilter, limit: int, order: str) -> list[Job]:
    """Return at most `limit` jobs that fit, by id; `order` is "asc" or "desc"."""
    where, values = _where(which)
    text = f"select {COLUMNS} from oban_jobs where {where} order by id {order} limit ?"  # noqa: S608 - all constants
    return [to_job(row) for row in connection.execute(text, (*values, limit))]


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


def _where(which: JobFilter) -> tuple[str, list[object]]:
    texts, values = ["true"], list[object]()
    for text, of_it in _conditions(which):
        texts.append(f"({text})")
        values.extend(of_it)
    return " and ".join(texts), values


def _conditions(which: JobFilter) -> Iterator[Condition]:
    for name in ("ids", "states", "queues", "workers", "tags"):
        found = getattr(which, name)
        if found is not None:
            yield condition(name), [to_json(sorted(found))]
    if which.before_id is not None:
        yield condition("before_id"), [which.before_id]
    for path, value in which.args.items():
        yield _of_args("$" + "".join(f'."{key}"' for key in path.split(".")), value)
    for key, text in which.meta.items():
        yield _of_meta(key, text)


def _of_meta(key: str, text: str) -> Condition:
    """Return the condition of a key of the meta, in the very words of its index if it has one."""
    if key in GROUP_KEYS:
        return condition(f"meta_{key}"), [text]
    path = f'$."{key}"'
    return condition("meta_text"), [path, path, text]


def _of_args(path: str, value: Scalar) -> Condition:
    if value is None:
        return condition("args_null"), [path]
    if isinstance(value, bool):
        return condition("args_true" if value else "args_false"), [path]
    return condition("args_text" if isinstance(value, str) else "args_number"), [path, path, value]
