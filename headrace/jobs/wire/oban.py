"""Rows of Oban's table in PostgreSQL to jobs and back, and Oban's notifications.

It reads rows of Oban for Elixir (migration 14) and of Oban for Python: there `errors` is one jsonb and not an array of
them, its times end with an offset and not with Z, and no column but the end times is null.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, cast

from headrace.jobs.job import Job, JobError, TornArgs, from_text, to_text

LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
"""What a text that is no time is read as: one row must not stop a queue."""

LARGEST_PAYLOAD: Final = 2**20
"""Bytes of a notification after unpacking; PostgreSQL sends fewer than 8,000 packed ones."""

COLUMNS: Final = (
    "id",
    "state",
    "queue",
    "worker",
    "args",
    "meta",
    "tags",
    "errors",
    "attempt",
    "max_attempts",
    "priority",
    "inserted_at",
    "scheduled_at",
    "attempted_at",
    "attempted_by",
    "cancelled_at",
    "completed_at",
    "discarded_at",
)
"""The columns of Oban's table, in the order of `to_job`."""

Row = Sequence[Any]  # a driver decides the types
Payload = Literal["text", "gzip", "short"]
"""How a notification is packed.

As JSON text; as base64 of gzip, as Oban for Python and Oban for Elixir until March 2026 send all but `insert`; or as
JSON text up to 512 bytes and as `Z:` with base64 of gzip beyond, as later versions for Elixir do.
"""

_SHORT: Final = 512
_PACKED: Final = "Z:"
_DIGITS: Final = 6  # of a second


def to_job(row: Row) -> Job:
    """Return the job of a row with the values of COLUMNS, as a driver decodes them."""
    args, errors, by = row[4], row[7], row[14]
    inserted_at = to_time(row[11])
    return Job(  # by position, which is quicker
        row[0],
        row[1],
        row[2],
        row[3],
        args if isinstance(args, dict) else TornArgs(),
        row[5] if isinstance(row[5], dict) else {},
        row[6] or [],
        [_error(entry) for entry in errors] if errors else [],
        row[8],
        row[9],
        row[10],
        inserted_at,
        inserted_at if row[12] == row[11] else to_time(row[12]),
        None if row[13] is None else to_time(row[13]),
        list(by) if by else [],
        None if row[15] is None else to_time(row[15]),
        None if row[16] is None else to_time(row[16]),
        None if row[17] is None else to_time(row[17]),
    )


def to_row(job: Job) -> dict[str, object]:
    """Return the row of a job as JSON, as `row_to_json` of PostgreSQL shows it."""
    values = (
        job.id,
        job.state,
        job.queue,
        job.worker,
        job.args,
        job.meta,
        job.tags,
        [{"attempt": one.attempt, "at": to_text(one.at), "error": one.error} for one in job.errors],
        job.attempt,
        job.max_attempts,
        job.priority,
        _time_text(job.inserted_at),
        _time_text(job.scheduled_at),
        _time_text(job.attempted_at),
        job.attempted_by or None,
        _time_text(job.cancelled_at),
        _time_text(job.completed_at),
        _time_text(job.discarded_at),
    )
    return dict(zip(COLUMNS, values, strict=True))


def from_row(row: Mapping[str, object]) -> Job:
    """Return the job of a row as JSON; unknown columns are ignored."""
    return to_job([row.get(name) for name in COLUMNS])


def to_time(value: object) -> datetime:
    """Return the time of a column: naive and in UTC in the table, and text in a JSON row.

    >>> to_time("2026-11-24T02:58:31.47641")
    datetime.datetime(2026, 11, 24, 2, 58, 31, 476410, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    try:
        return _from_text(str(value))
    except ValueError:
        return LONG_AGO


@lru_cache(maxsize=64)
def _from_text(text: str) -> datetime:
    whole, point, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    if point and 0 < digits < _DIGITS:  # PostgreSQL leaves out zeros at the end, which Python 3.11 demands
        text = f"{whole}.{rest[:digits]:0<{_DIGITS}}{rest[digits:]}"
    return from_text(text).astimezone(UTC)


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else to_text(time).removesuffix("Z")


def _error(entry: object) -> JobError:
    found = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    attempt, at = found.get("attempt"), found.get("at")
    return JobError(
        attempt if isinstance(attempt, int) else 0,
        to_time(at) if isinstance(at, str) else LONG_AGO,
        str(found.get("error", "")),
    )


def decode_notification(payload: str) -> dict[str, object]:
    """Return the message of a notification, however it is packed; an empty one for text that is none.

    >>> decode_notification('{"queue":"default"}')
    {'queue': 'default'}
    """
    try:
        found = json.loads(payload if payload.startswith("{") else _unpacked(payload.removeprefix(_PACKED)))
    except (ValueError, zlib.error, RecursionError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _unpacked(text: str) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(base64.b64decode(text), LARGEST_PAYLOAD)


def encode_notification(message: Mapping[str, object], payload: Payload = "text") -> str:
    """Return a message as the payload of a notification."""
    text = json.dumps(message, separators=(",", ":"))
    if payload == "text" or (payload == "short" and len(text) <= _SHORT):
        return text
    packer = zlib.compressobj(wbits=31)
    packed = base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode()
    return packed if payload == "gzip" else _PACKED + packed
