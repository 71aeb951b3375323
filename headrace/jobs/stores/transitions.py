"""Pure: how a job changes; merged JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Final, TypeVar

from headrace.jobs.errors import NotJson
from headrace.jobs.job import (
    INCOMPLETE,
    STATES,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    Job,
    JobAck,
    JobError,
    JobOutcome,
    JobState,
    NewJob,
    after,
)
from headrace.jobs.stores.store import CRASH_LIMIT, CRASH_REASON, EXHAUSTED_REASON, LeaseOwner, StoreChange

T = TypeVar("T", dict[str, object], list[object])

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
"""What contains itself is found by the depth, and so costs nothing where nothing does."""


def _encoding() -> Callable[[object], str]:
    """Return a function that encodes by one C encoder; `_ENCODER.encode` makes one for each text, at twice the cost."""
    make = getattr(json.encoder, "c_make_encoder", None)  # no other Python has it
    if make is None:
        return _ENCODER.encode
    parts = make(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(parts(value, 0))


_ENCODE: Final = _encoding()

_DECODER: Final = json.JSONDecoder()


def to_json(value: object) -> str:
    """Return JSON text; an empty object or list, the usual case, at no cost.

    Raises TypeError or ValueError for values that JSON cannot hold, also for numbers that are not finite, and for half
    a surrogate pair, which no database takes.
    """
    if not value:
        return "[]" if isinstance(value, list) else "{}"
    try:
        text = _ENCODE(value)
    except RecursionError:
        raise ValueError("it contains itself, or is too deep") from None  # noqa: TRY003 - as json itself says it
    if not text.isascii():
        text.encode()
    return text


def from_json(text: str | None, otherwise: T) -> T:
    """Return the value of JSON text, or `otherwise` when the text is no JSON or of another type."""
    try:
        found, end = _DECODER.raw_decode(text or "null")  # as json.loads, in a third of the time
    except (TypeError, ValueError):
        end = 0
    if text and end != len(text):  # it begins or ends with blanks, is bytes, or is no JSON
        try:
            found = json.loads(text)
        except ValueError:
            return otherwise
    return found if isinstance(found, type(otherwise)) else otherwise


def texts_of(job: NewJob) -> tuple[str, str]:
    """Return the args and the meta of a job as JSON. Raises NotJson."""
    try:
        return to_json(job.args), to_json(job.meta)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(job.worker, str(error)) from error


def merged(values: Mapping[str, object], change: Mapping[str, object]) -> dict[str, object]:
    """Return the values with a change merged in: keys are replaced whole, and None removes one.

    >>> merged({"cursor": {"page": 1}, "note": "x"}, {"cursor": {"line": 5}, "note": None})
    {'cursor': {'line': 5}}
    """
    return {key: value for key, value in {**values, **change}.items() if value is not None or key not in change}


def tidy(tags: Sequence[str]) -> list[str]:
    """Return tags as Oban stores them: in lower case, trimmed, each once."""
    return list(dict.fromkeys(tag.strip().lower() for tag in tags))


def urgency(job: Job) -> tuple[int, datetime, int]:
    """Return the sort key of claims: most urgent and oldest first."""
    return (job.priority, job.scheduled_at, job.id)


def claim(job: Job, owner: LeaseOwner, now: datetime) -> None:
    """Claim a job for the lease owner."""
    job.state, job.attempt = "executing", job.attempt + 1
    job.attempted_at, job.attempted_by = now, [owner.node, owner.uuid]


def is_of(job: Job, attempt: int, by: Sequence[str]) -> bool:
    """Return whether it is the job's last attempt; after a rescue another owner's attempt has the same number."""
    return job.attempt == attempt and job.attempted_by == list(by)


def acknowledge(job: Job, owner: LeaseOwner, one: JobAck, now: datetime) -> bool:
    """Write how an attempt ended, if the lease owner still holds it; return whether it does."""
    is_off = isinstance(one.outcome, AttemptCancelled) and job.state == "cancelled"
    is_its = is_of(job, one.attempt, [owner.node, owner.uuid])
    if not is_its or not (job.state == "executing" or is_off):
        return False
    job.meta = merged(job.meta, deepcopy(dict(one.outcome.meta or {})))
    _end(job, one.outcome, now)
    return True


def _end(job: Job, outcome: JobOutcome, now: datetime) -> None:
    if isinstance(outcome, AttemptCompleted):
        job.state, job.completed_at = "completed", now
    elif isinstance(outcome, AttemptReleased):
        job.state, job.attempt = "available", job.attempt - 1
    elif isinstance(outcome, AttemptSnoozed):
        job.state, job.attempt, job.scheduled_at = "scheduled", job.attempt - 1, after(now, outcome.seconds)
        job.meta = {**job.meta, "snoozed": _number(job.meta, "snoozed") + 1}
    else:
        _fail(job, outcome, now)


def _fail(job: Job, outcome: AttemptFailed | AttemptCancelled, now: datetime) -> None:
    job.errors = [*job.errors, JobError(job.attempt, now, outcome.error)]
    if isinstance(outcome, AttemptCancelled):
        job.state, job.cancelled_at = "cancelled", job.cancelled_at or now
    elif outcome.retry_seconds is None:
        job.state, job.discarded_at = "discarded", now
    else:
        job.state, job.scheduled_at = "retryable", after(now, outcome.retry_seconds)


def change(job: Job, what: StoreChange, now: datetime) -> bool:
    """Change a job if its state allows it; return whether it does. The caller deletes a job."""
    if job.state not in _ALLOWED[what]:
        return False
    if what == "cancel":
        job.state, job.cancelled_at = "cancelled", now
    elif what in {"retry", "run_now"}:
        job.state, job.scheduled_at = "available", now
    elif what == "release":
        job.state = "scheduled" if job.scheduled_at > now else "available"
    elif what == "suspend":
        job.state = "suspended"
    if what in {"retry", "suspend"}:  # it may have ended, and runs once more
        job.max_attempts = max(job.max_attempts, job.attempt + 1)
        job.completed_at = job.cancelled_at = job.discarded_at = None
        job.meta = merged(job.meta, {"crashes": None})
    return True


_ALLOWED: Final[Mapping[StoreChange, frozenset[JobState]]] = {
    "cancel": INCOMPLETE,
    "retry": frozenset(STATES) - {"available", "executing"},
    "run_now": frozenset({"scheduled", "retryable"}),
    "release": frozenset({"suspended"}),
    "suspend": frozenset(STATES) - {"suspended", "executing"},
    "delete": frozenset(STATES) - {"executing"},
}


def rescue(job: Job, now: datetime, *, is_crash: bool) -> None:
    """Rescue a job whose lease owner is dead; `is_crash` counts the death as a crash of the job."""
    crashes = _number(job.meta, "crashes") + 1
    if is_crash:
        job.meta = {**job.meta, "crashes": crashes}
    if is_crash and crashes >= CRASH_LIMIT:
        _discard(job, CRASH_REASON, now)
    else:
        job.state, job.attempt = "available", max(job.attempt - 1, 0)


def is_exhausted(job: Job) -> bool:
    """Return whether a job is available without an attempt left, so that no claim takes it."""
    return job.state == "available" and job.attempt >= job.max_attempts


def discard_exhausted(job: Job, now: datetime) -> None:
    """Discard a job without an attempt left."""
    _discard(job, EXHAUSTED_REASON, now)


def _discard(job: Job, reason: str, now: datetime) -> None:
    job.errors = [*job.errors, JobError(job.attempt, now, reason)]
    job.state, job.discarded_at = "discarded", now


def _number(meta: Mapping[str, object], key: str) -> int:
    found = meta.get(key)
    return found if isinstance(found, int) else 0
