"""Row to job, job to row, filter to SQL.

It reads what Elixir writes, and what a hand at a SQL prompt does: errors that are text within the list, one item in
`attempted_by`, times with or without T and Z, nulls, and JSON that is none.
"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast

from headrace.jobs.job import Job, JobError, JobState, NewJob, TornArgs, from_text, to_text
from headrace.jobs.rules.flows import GROUP_KEYS
from headrace.jobs.rules.job_filter import JobFilter, Scalar
from headrace.jobs.rules.unique import key_of
from headrace.jobs.stores.sql.sql_store import condition, query
from headrace.jobs.stores.transitions import from_json, merged, texts_of, tidy, to_json
from headrace.telemetry.events import LOG

COLUMNS: Final = (
    "id, state, queue, worker, args, meta, tags, errors, attempt, max_attempts, priority, "
    "inserted_at, scheduled_at, attempted_at, attempted_by, cancelled_at, completed_at, discarded_at"
)
"""In the order in which `to_job` reads them."""

_TORN: Final = dict[str, object]()
"""What `from_json` gives for args that are no JSON object; known by its identity."""

LARGE_ARGS: Final = 2**20
"""Characters of JSON from which on the log says so; Oban and Sidekiq advise to keep args small, too."""

_named: Final[set[str]] = set()
"""The workers whose large args the log has named in this OS process, whichever store they went to."""

Text = str | None
JobRow = tuple[int, str, str, str, Text, Text, Text, Text, int, int, int, str, str, Text, Text, Text, Text, Text]


def to_job(row: JobRow) -> Job:
    """Return the job of a row."""
    return Job(
        id=row[0],
        state=cast("JobState", row[1]),
        queue=row[2],
        worker=row[3],
        args=_args(row[4]),
        meta={} if row[5] == "{}" else from_json(row[5], {}),
        tags=[] if row[6] == "[]" else [str(tag) for tag in from_json(row[6], [])],
        errors=[] if row[7] == "[]" else [_to_error(entry) for entry in from_json(row[7], [])],
        attempt=row[8],
        max_attempts=row[9],
        priority=row[10],
        inserted_at=_time(row[11]),
        scheduled_at=_time(row[12]),
        attempted_at=_to_time(row[13]),
        attempted_by=[] if row[14] == "[]" else list(_names(row[14])),
        cancelled_at=_to_time(row[15]),
        completed_at=_to_time(row[16]),
        discarded_at=_to_time(row[17]),
    )


def object_text(text: Text) -> str:
    """Return JSON text of an object, or that of none where a hand wrote something else: `headrace_object` in SQL."""
    return to_json(from_json(text, {}))


def list_text(text: Text) -> str:
    """Return JSON text of a list, or that of an empty one: `headrace_list` in SQL."""
    return to_json(from_json(text, list[object]()))


def to_claimed(row: JobRow, now: datetime, by: list[str]) -> Job:
    """Return the job of a row that was available, and is executed from now on."""
    inserted_at = _time(row[11])
    return Job(  # by place, which is quicker, and in the order of the columns but for the four that change
        row[0],
        "executing",
        row[2],
        row[3],
        {} if row[4] == "{}" else _args(row[4]),
        {} if row[5] == "{}" else from_json(row[5], {}),
        [] if row[6] == "[]" else [str(tag) for tag in from_json(row[6], [])],
        [] if row[7] == "[]" else [_to_error(entry) for entry in from_json(row[7], [])],
        row[8] + 1,
        row[9],
        row[10],
        inserted_at,
        inserted_at if row[12] == row[11] else _time(row[12]),
        now,
        by.copy(),
        None if row[15] is None else _time(row[15]),
        None if row[16] is None else _time(row[16]),
        None if row[17] is None else _time(row[17]),
    )


def warn_of_large_args(worker: str, size: int) -> None:
    """Log, once for each worker, that args are large: each claim and each look at the job reads all of them."""
    if worker not in _named:
        _named.add(worker)
        text = "a job of worker %r has args of %.1f MiB: keep large data in a file or a table, and its name in the args"
        LOG.warning(text, worker, size / 2**20)


def from_new(job: NewJob, time: str) -> tuple[object, ...]:
    """Return the values of `insert`, `time` being now. Raises NotJson."""
    state = job.state or ("available" if job.scheduled_at is None else "scheduled")
    args, meta = texts_of(job)
    if len(args) > LARGE_ARGS:
        warn_of_large_args(job.worker, len(args))
    return (
        state,
        job.queue,
        job.worker,
        args,
        meta,
        to_json(tidy(job.tags)) if job.tags else "[]",
        job.max_attempts,
        job.priority,
        time,
        time if job.scheduled_at is None else to_text(job.scheduled_at),
    )


def merged_text(meta: str | None, change: str) -> str:
    """Return the meta with a change merged in, both as JSON text: what SQL calls `headrace_merge`."""
    return (meta or "{}") if change == "{}" else to_json(merged(from_json(meta, {}), from_json(change, {})))


def _args(text: Text) -> dict[str, object]:
    found = {} if text == "{}" else from_json(text, _TORN)
    return TornArgs() if found is _TORN else found


def error_text(error: str, attempt: int, now: datetime) -> str:
    """Return the entry of one failed attempt, as Oban writes it; what is no text in it is replaced."""
    text = error if error.isascii() else error.encode(errors="replace").decode()
    return json.dumps({"attempt": attempt, "at": to_text(now), "error": text}, ensure_ascii=False)


@lru_cache(maxsize=64)
def _names(text: Text) -> tuple[str, ...]:
    """Read who claimed a job: the same ones claim many."""
    return tuple(str(name) for name in from_json(text, []))


def _to_error(entry: object) -> JobError:
    """Read an entry; the Lite engine writes it as text within the list."""
    found = from_json(entry, {}) if isinstance(entry, str) else entry
    if not isinstance(found, dict):
        found = {}
    at, attempt = found.get("at"), found.get("attempt")
    return JobError(
        attempt if isinstance(attempt, int) else 0,
        _to_time(at if isinstance(at, str) else None) or datetime.fromtimestamp(0, UTC),
        str(found.get("error", "")),
    )


def _time(text: object) -> datetime:
    """Return a time; where a hand at a SQL prompt wrote what is none, long ago: one row must not stop a queue."""
    try:
        return from_text(str(text))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _to_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


Condition = tuple[str, list[object]]

COMMON_COUNT: Final = 5000
"""From so many jobs in its states on, a filter looks through the table from its end."""


def find(connection: sqlite3.Connection, which: JobFilter, limit: int, order: str) -> list[Job]:
    """Return at most `limit` jobs that fit, by id; `order` is "asc" or "desc"."""
    where, values = _where(which, is_common=_is_common(connection, which))
    text = f"select {COLUMNS} from oban_jobs where {where} order by id {order} limit ?"  # noqa: S608 - all constants
    return [to_job(row) for row in connection.execute(text, (*values, limit))]


def conflict_of(connection: sqlite3.Connection, new: NewJob) -> Job | None:
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
    if which.leaves_out_exhausted:
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
