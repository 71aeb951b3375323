"""A job: one durable unit of work, with the columns and the states of Oban's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

State = Literal["available", "suspended", "scheduled", "executing", "retryable", "completed", "discarded", "cancelled"]
"""Where a job stands (Oban's states).

It may be run; it is held back by a workflow; it waits for its time; it runs; it failed and waits to be tried again; and
three ends: done, given up, called off.
"""

STATES: Final[tuple[State, ...]] = (
    "available",
    "suspended",
    "scheduled",
    "executing",
    "retryable",
    "completed",
    "discarded",
    "cancelled",
)

INCOMPLETE: Final[frozenset[State]] = frozenset(STATES[:5])
"""The states from which a job may still run."""

MAX_ATTEMPTS: Final = 20
"""How often a job is tried unless its worker says otherwise (Oban's default)."""

PRIORITIES: Final = range(10)
"""0 is the most urgent (Oban's)."""


@dataclass(frozen=True, slots=True)
class JobError:
    """One failed attempt: which one, when (aware UTC), and what was raised, as text."""

    attempt: int
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be inserted. `args` and `meta` are JSON objects; `scheduled_at` None is at once."""

    worker: str
    args: Mapping[str, object] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    max_attempts: int = MAX_ATTEMPTS
    tags: Sequence[str] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
    scheduled_at: datetime | None = None
    state: State | None = None
    """None is `available`, or `scheduled` when it has a time; `suspended` is for what waits for other jobs."""


@dataclass(slots=True)
class Job:
    """A job as its store has it. Times are aware UTC; `attempted_by` is the node and the producer that claimed it last.

    `attempt` counts the claims, the present one included.
    """

    id: int
    state: State
    queue: str
    worker: str
    args: dict[str, object]
    meta: dict[str, object]
    tags: list[str]
    errors: list[JobError]
    attempt: int
    max_attempts: int
    priority: int
    inserted_at: datetime
    scheduled_at: datetime
    attempted_at: datetime | None = None
    attempted_by: list[str] = field(default_factory=list)
    cancelled_at: datetime | None = None
    completed_at: datetime | None = None
    discarded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt succeeded; `meta` is merged into the job's (a recorded result, a checkpoint)."""

    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed with `error`; the job is tried again after `retry_seconds`, or given up when that is None."""

    error: str
    retry_seconds: float | None
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The job asked to be cancelled, for `error`."""

    error: str
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The attempt does not count, and the job runs again after `seconds`."""

    seconds: float
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """The attempt was broken off by no fault of the job: it does not count, and the job is available again at once."""

    meta: Mapping[str, object] | None = None


Outcome = Completed | Failed | CalledOff | Snoozed | Returned
"""How one attempt ended."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """How the attempt numbered `attempt` of job `id` ended; it holds for that attempt alone."""

    id: int
    attempt: int
    outcome: Outcome


def to_text(time: datetime) -> str:
    """Return a time as Oban's Lite engine writes it.

    >>> to_text(datetime(2026, 11, 24, 2, 55, 4, 123456, UTC))
    '2026-11-24T02:55:04.123456Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Return a time that Oban's Lite engine, or SQLite itself, has written: with T or a blank, with Z or without.

    >>> from_text("2026-11-24 02:55:04") == from_text("2026-11-24T02:55:04.000000Z")
    True
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def after(now: datetime, seconds: float) -> datetime:
    """Return the time that is `seconds` after `now`."""
    return now + timedelta(seconds=seconds)
