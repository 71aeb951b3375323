"""Makes jobs of the rows of the table, and rows of jobs: JSON in text, times in text."""

import json
from datetime import UTC, datetime
from typing import Final, cast

from headrace.jobs.job import Job, JobError, NewJob, State, from_text, to_text

COLUMNS: Final = (
    "id, state, queue, worker, args, meta, tags, errors, attempt, max_attempts, priority, "
    "inserted_at, scheduled_at, attempted_at, attempted_by, cancelled_at, completed_at, discarded_at"
)
"""In the order in which `to_job` reads them."""

Row = tuple[
    int, str, str, str, str, str, str, str, int, int, int, str, str, str | None, str, str | None, str | None, str | None
]


def to_job(row: Row) -> Job:
    """Return the job of a row; what Oban writes is read as well as what we write."""
    return Job(
        id=row[0],
        state=cast("State", row[1]),
        queue=row[2],
        worker=row[3],
        args={} if row[4] == "{}" else json.loads(row[4]),
        meta={} if row[5] == "{}" else json.loads(row[5]),
        tags=[] if row[6] == "[]" else json.loads(row[6]),
        errors=[] if row[7] == "[]" else [_to_error(entry) for entry in json.loads(row[7])],
        attempt=row[8],
        max_attempts=row[9],
        priority=row[10],
        inserted_at=from_text(row[11]),
        scheduled_at=from_text(row[12]),
        attempted_at=_to_time(row[13]),
        attempted_by=[] if row[14] == "[]" else json.loads(row[14]),
        cancelled_at=_to_time(row[15]),
        completed_at=_to_time(row[16]),
        discarded_at=_to_time(row[17]),
    )


def from_new(job: NewJob, now: datetime) -> tuple[object, ...]:
    """Return the values of `insert`."""
    time = to_text(now)
    state = job.state or ("available" if job.scheduled_at is None else "scheduled")
    return (
        state,
        job.queue,
        job.worker,
        to_json(job.args),
        to_json(job.meta),
        to_json(list(job.tags)),
        job.max_attempts,
        job.priority,
        time,
        time if job.scheduled_at is None else to_text(job.scheduled_at),
    )


def to_json(value: object) -> str:
    """Return JSON text; an empty object or list, which most are, at no cost."""
    if not value:
        return "[]" if isinstance(value, list) else "{}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def error_text(error: str, attempt: int, now: datetime) -> str:
    """Return the entry of one failed attempt, as Oban writes it."""
    return json.dumps({"attempt": attempt, "at": to_text(now), "error": error}, ensure_ascii=False)


def _to_error(entry: object) -> JobError:
    """Read an entry; the Lite engine writes it as text within the list."""
    found = cast("dict[str, object]", json.loads(entry) if isinstance(entry, str) else entry)
    at = found.get("at")
    time = from_text(at) if isinstance(at, str) else datetime.fromtimestamp(0, UTC)
    attempt = found.get("attempt")
    return JobError(attempt if isinstance(attempt, int) else 0, time, str(found.get("error", "")))


def _to_time(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
