"""Jobs as tables for people, and as plain values."""

import json
from collections.abc import Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from headrace.jobs.job import Job

_ARGS_LENGTH = 60  # characters of args in a line of a list
_ERROR_LENGTH = 60  # characters of the last error in a line of a list


def table_of(headings: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """Return a table of texts; columns in `right` are set to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table


def job_table(jobs: Sequence[Job]) -> Table:
    """Return a line for each job."""
    rows = [
        (
            job.id,
            job.state,
            job.queue,
            job.worker,
            _short(json.dumps(job.args, ensure_ascii=False), _ARGS_LENGTH),
            f"{job.attempt}/{job.max_attempts}",
            _when(job),
            _short(last_error(job), _ERROR_LENGTH),
        )
        for job in jobs
    ]
    headings = ("job", "state", "queue", "worker", "args", "attempt", "since or at", "last error")
    return table_of(headings, rows, ("job", "attempt"))


def last_error(job: Job) -> str:
    """Return the line of a job's last error that names what was raised: the first, or the first below the traceback."""
    lines = job.errors[-1].error.splitlines() if job.errors else []
    if lines and lines[0].startswith("Traceback "):
        frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
        lines = lines[frames[-1] + 1 :] if frames else lines
    return lines[0] if lines else ""


def job_lines(job: Job) -> Table:
    """Return all there is about one job."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in job_values(job).items():
        if name != "errors" and value not in (None, [], {}):
            table.add_row(Text(name), Text(_text(value)))
    for error in job.errors:
        table.add_row(Text(f"error of attempt {error.attempt}"), Text(f"{_iso(error.at)} {error.error}"))
    return table


def job_values(job: Job) -> dict[str, object]:
    """Return a job as plain values, times as ISO 8601."""
    return {
        "id": job.id,
        "state": job.state,
        "queue": job.queue,
        "worker": job.worker,
        "args": job.args,
        "meta": job.meta,
        "tags": job.tags,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "priority": job.priority,
        "inserted_at": _iso(job.inserted_at),
        "scheduled_at": _iso(job.scheduled_at),
        "attempted_at": _iso(job.attempted_at),
        "completed_at": _iso(job.completed_at),
        "cancelled_at": _iso(job.cancelled_at),
        "discarded_at": _iso(job.discarded_at),
        "attempted_by": job.attempted_by,
        "errors": [{"attempt": one.attempt, "at": _iso(one.at), "error": one.error} for one in job.errors],
    }


def _when(job: Job) -> str:
    ended = job.completed_at or job.cancelled_at or job.discarded_at
    at = ended or (job.attempted_at if job.state == "executing" else job.scheduled_at)
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
