"""Makes jobs of the rows of the table, and rows of jobs: JSON in text, times in text.

It reads what Elixir writes, and what a hand at a SQL prompt does: errors that are text within the list, one item in
`attempted_by`, times with or without T and Z, nulls, and JSON that is none.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast

from headrace.jobs.job import Job, JobError, NewJob, State, TornArgs, from_text, to_text
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
Row = tuple[int, str, str, str, Text, Text, Text, Text, int, int, int, str, str, Text, Text, Text, Text, Text]


def to_job(row: Row) -> Job:
    """Return the job of a row."""
    return Job(
        id=row[0],
        state=cast("State", row[1]),
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


def to_claimed(row: Row, now: datetime, by: list[str]) -> Job:
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
