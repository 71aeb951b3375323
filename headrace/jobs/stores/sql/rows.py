"""Rows of SQLite's table to jobs and back, and filters to SQL.

It reads rows of Elixir, and rows that a user wrote at a SQL prompt: errors that are text within the list, one item in
`attempted_by`, times with or without T and Z, nulls, and text that is no JSON.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast

from headrace.jobs.job import Job, JobError, JobState, NewJob, TornArgs, from_text
from headrace.jobs.rules.flows import GROUP_KEYS
from headrace.jobs.rules.job_filter import JobFilter, Scalar
from headrace.jobs.stores.transitions import from_json, merged, texts_of, tidy, to_json
from headrace.telemetry.events import LOG

_TORN: Final = dict[str, object]()
"""The value of `from_json` for args that are no JSON object; known by its identity."""

LARGE_ARGS: Final = 2**20
"""Characters of JSON from which on the log warns; Oban and Sidekiq advise to keep args small, too."""

_named: Final[set[str]] = set()
"""The workers whose large args the log has named in this OS process, for all stores."""

Text = str | None
JobRow = tuple[int, str, str, str, Text, Text, Text, Text, int, int, int, str, str, Text, Text, Text, Text, Text]


def to_job(row: JobRow) -> Job:
    """Return the job of a row."""
    by = [] if row[14] == "[]" else list(_names(row[14]))
    return _job(row, cast("JobState", row[1]), row[8], _to_time(row[13]), by)


def to_claimed(row: JobRow, now: datetime, by: list[str]) -> Job:
    """Return the job of a row that was available, as it is once claimed."""
    return _job(row, "executing", row[8] + 1, now, by.copy())


def _job(row: JobRow, state: JobState, attempt: int, attempted_at: datetime | None, by: list[str]) -> Job:
    inserted_at = to_time(row[11])
    return Job(  # by position, which is quicker, and in the order of the columns
        row[0],
        state,
        row[2],
        row[3],
        {} if row[4] == "{}" else _args(row[4]),
        {} if row[5] == "{}" else from_json(row[5], {}),
        [] if row[6] == "[]" else [str(tag) for tag in from_json(row[6], [])],
        [] if row[7] == "[]" else [_to_error(entry) for entry in from_json(row[7], [])],
        attempt,
        row[9],
        row[10],
        inserted_at,
        inserted_at if row[12] == row[11] else to_time(row[12]),
        attempted_at,
        by,
        None if row[15] is None else to_time(row[15]),
        None if row[16] is None else to_time(row[16]),
        None if row[17] is None else to_time(row[17]),
    )


def object_text(text: Text) -> str:
    """Return JSON text of an object, that of an empty one for bad text: `headrace_object` in SQL."""
    return to_json(from_json(text, {}))


def list_text(text: Text) -> str:
    """Return JSON text of a list, that of an empty one for bad text: `headrace_list` in SQL."""
    return to_json(from_json(text, list[object]()))


def merged_text(meta: Text, change: str) -> str:
    """Return the meta with a change merged in, both as JSON text: `headrace_merge` in SQL."""
    return (meta or "{}") if change == "{}" else to_json(merged(from_json(meta, {}), from_json(change, {})))


def warn_of_large_args(worker: str, size: int) -> None:
    """Log, once for each worker, that args are large: each claim and each search reads all of them."""
    if worker not in _named:
        _named.add(worker)
        text = "a job of worker %r has args of %.1f MiB: keep large data in a file or a table, and its name in the args"
        LOG.warning(text, worker, size / 2**20)


def from_new(job: NewJob, now: object, encode: Callable[[datetime], object]) -> tuple[object, ...]:
    """Return the values of INSERT_COLUMNS; `now` is encoded, and `encode` is for other times. Raises NotJson."""
    args, meta = texts_of(job)
    if len(args) > LARGE_ARGS:
        warn_of_large_args(job.worker, len(args))
    return (
        job.state or ("available" if job.scheduled_at is None else "scheduled"),
        job.queue,
        job.worker,
        args,
        meta,
        to_json(tidy(job.tags)) if job.tags else "[]",
        job.max_attempts,
        job.priority,
        now,
        now if job.scheduled_at is None else encode(job.scheduled_at),
    )


def to_time(value: object) -> datetime:
    """Return a time; text that is none, from a SQL prompt, is long ago: one row must not stop a queue."""
    try:
        return from_text(str(value))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _to_time(text: Text) -> datetime | None:
    return None if text is None else to_time(text)


def _args(text: Text) -> dict[str, object]:
    found = {} if text == "{}" else from_json(text, _TORN)
    return TornArgs() if found is _TORN else found


@lru_cache(maxsize=64)
def _names(text: Text) -> tuple[str, ...]:
    """Return the node and the uuid of a lease owner: the same few claim many jobs."""
    return tuple(str(name) for name in from_json(text, []))


def _to_error(entry: object) -> JobError:
    """Return the error of an entry; the Lite engine writes it as text within the list."""
    found = from_json(entry, {}) if isinstance(entry, str) else entry
    if not isinstance(found, dict):
        found = {}
    at, attempt = found.get("at"), found.get("attempt")
    return JobError(
        attempt if isinstance(attempt, int) else 0,
        _to_time(at if isinstance(at, str) else None) or datetime.fromtimestamp(0, UTC),
        str(found.get("error", "")),
    )


def is_of_group(which: JobFilter) -> bool:
    """Return whether a filter names a group, whose members have an index."""
    return not which.meta.keys().isdisjoint(GROUP_KEYS)


def conditions(which: JobFilter, *, is_common: bool) -> Iterator[tuple[str, list[object]]]:
    """Yield the names of a filter's conditions, with their values; `is_common` avoids the index of states."""
    if which.states is not None and len(which.states) == 1 and is_of_group(which):
        yield "state", list(which.states)  # so that the rows of the group's index are in the order of ids
    elif which.states is not None:
        name = "common_states" if is_common or which.ids is not None else "states"
        yield name, [sorted(which.states)]
    for name in ("ids", "queues", "workers", "tags"):
        found = getattr(which, name)
        if found is not None:
            yield name, [sorted(found)]
    if which.before_id is not None:
        yield "before_id", [which.before_id]
    if which.leaves_out_exhausted:
        yield "not_exhausted", []
    for path, value in which.args.items():
        yield _of_args("$" + "".join(f'."{key}"' for key in path.split(".")), value)
    for key, text in which.meta.items():
        yield _of_meta(key, text)


def _of_meta(key: str, text: str) -> tuple[str, list[object]]:
    """Return the condition of a key of the meta, in the very words of its index if it has one."""
    if key in GROUP_KEYS or key == "name":
        return f"meta_{key}", [text]
    path = f'$."{key}"'
    return "meta_text", [path, path, text]


def _of_args(path: str, value: Scalar) -> tuple[str, list[object]]:
    if value is None:
        return "args_null", [path]
    if isinstance(value, bool):
        return "args_true" if value else "args_false", [path]
    return "args_text" if isinstance(value, str) else "args_number", [path, path, value]
