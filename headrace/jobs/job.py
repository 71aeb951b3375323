"""`Job`, `NewJob`, `JobState`, `JobAck` and the attempt outcomes, `Snooze`, `Cancel`, `Discard`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from headrace.jobs.errors import BadAnswer, BadUnique

JobState = Literal[
    "available", "suspended", "scheduled", "executing", "retryable", "completed", "discarded", "cancelled"
]
"""Where a job stands (Oban's states).

It may be run; it is held back by a workflow; it waits for its time; it runs; it failed and waits to be tried again; and
three ends: completed, discarded, cancelled.
"""

STATES: Final[tuple[JobState, ...]] = (
    "available",
    "suspended",
    "scheduled",
    "executing",
    "retryable",
    "completed",
    "discarded",
    "cancelled",
)

INCOMPLETE: Final[frozenset[JobState]] = frozenset(STATES[:5])
ENDED: Final[frozenset[JobState]] = frozenset(STATES[5:])
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


UniqueField = Literal["args", "meta", "queue", "worker"]
"""What may be compared of two jobs."""

ReplacedField = Literal["args", "max_attempts", "meta", "priority", "queue", "scheduled_at", "tags", "worker"]
"""What a job that is there may take over from one that would be its double."""

SUCCESSFUL: Final[frozenset[JobState]] = INCOMPLETE | {"completed"}
"""The states of what may still run, or has done so with success."""

StateGroup = Literal["all", "incomplete", "scheduled", "successful"]
"""Oban's names of groups of states."""

STATE_GROUPS: Final[Mapping[StateGroup, frozenset[JobState]]] = {
    "all": frozenset(STATES),
    "incomplete": INCOMPLETE,
    "scheduled": frozenset({"scheduled"}),
    "successful": SUCCESSFUL,
}


@dataclass(frozen=True, slots=True)
class Unique:
    """When a job is the double of one that is there, and so is not inserted (Oban's options).

    Two jobs are one when their `fields` are equal (of args and meta only the `keys`, if any are named), the one that is
    there is in one of the `states`, and its `timestamp` is at most `period_seconds` ago (None: however long). When they
    are, the one that is there takes over the fields that `replace` names for its state. It is the last one
    inserted that is asked; a job that is retried by hand asks nobody.

    A `key` stands in for the values of args and meta, for whoever keeps them unreadable. A job that completed more than
    `result_seconds` ago keeps nobody out: its result is too old.
    """

    fields: frozenset[UniqueField] = frozenset({"args", "queue", "worker"})
    keys: frozenset[str] = frozenset()
    period_seconds: float | None = 60.0
    timestamp: Literal["inserted_at", "scheduled_at"] = "inserted_at"
    states: frozenset[JobState] = SUCCESSFUL
    replace: Mapping[JobState, frozenset[ReplacedField]] = field(default_factory=dict)
    key: str | None = None
    result_seconds: float | None = None

    def __post_init__(self) -> None:
        for option, found, known in (
            ("fields", self.fields, get_args(UniqueField)),
            ("states", self.states, STATES),
            ("replace", self.replace.keys(), STATES),
            ("replace", frozenset().union(*self.replace.values()), get_args(ReplacedField)),
            ("timestamp", {self.timestamp}, ("inserted_at", "scheduled_at")),
        ):
            if unknown := sorted(set(found) - set(known)):
                raise BadUnique(option, unknown[0], f"one of {', '.join(known)}")
        if not self.fields:
            raise BadUnique("fields", [], "at least one of args, meta, queue, worker")
        if self.keys and not self.fields & {"args", "meta"}:
            raise BadUnique("fields", sorted(self.fields), "with args or meta, since keys of them are named")
        if self.period_seconds is not None and self.period_seconds <= 0:
            raise BadUnique("period_seconds", self.period_seconds, "above 0, or None for ever")
        if self.result_seconds is not None and self.result_seconds <= 0:
            raise BadUnique("result_seconds", self.result_seconds, "above 0, or None for ever")


@dataclass(slots=True)  # not frozen: a bulk makes very many, and that is a third of what each costs
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
    state: JobState | None = None
    """None is `available`, or `scheduled` when it has a time; `suspended` is for what waits for other jobs."""
    unique: Unique | None = None
    label: str | None = None
    """What it is called among those that are inserted together with it."""
    awaits: Sequence[str] = ()
    """Labels of jobs before it. Its meta has those that turn out to be duplicates, with the ids of existing jobs."""


KEEP_SECONDS: Final = "keep_seconds"
"""The key of a job's meta that says how long it is kept after it completed, whatever is pruned."""

DUPLICATES: Final = "doubles"
"""The key of a job's meta that holds `{label: id}` of what it awaits and was there already."""


@dataclass(slots=True)
class Inserted:
    """What became of a new job: the id it has, or, on a conflict, that of the job whose double it would have been."""

    id: int
    is_conflict: bool = False


class TornArgs(dict[str, object]):
    """The args of a job where its store found no JSON object: empty, and none with which a worker may run."""


@dataclass(slots=True)
class Job:
    """A job as its store has it. Times are aware UTC; `attempted_by` is the node and the producer that claimed it last.

    `attempt` counts the claims, the present one included.
    """

    id: int
    state: JobState
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
class AttemptCompleted:
    """The attempt succeeded; `meta` is merged into the job's (a recorded result, a checkpoint)."""

    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt failed with `error`; the job is tried again after `retry_seconds`, or discarded when that is None."""

    error: str
    retry_seconds: float | None
    meta: Mapping[str, object] | None = None
    cause: BaseException | None = field(default=None, compare=False, repr=False)
    """The exception that failed it, for the log of this process; no store keeps it."""


@dataclass(frozen=True, slots=True)
class AttemptCancelled:
    """The job asked to be cancelled, for `error`."""

    error: str
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AttemptSnoozed:
    """The attempt does not count, and the job runs again after `seconds`."""

    seconds: float
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AttemptReleased:
    """A stop of the process ended the attempt: it does not count, and the job is available again at once."""

    meta: Mapping[str, object] | None = None


JobOutcome = AttemptCompleted | AttemptFailed | AttemptCancelled | AttemptSnoozed | AttemptReleased
"""How one attempt ended."""


@dataclass(frozen=True, slots=True)
class JobAck:
    """How the attempt numbered `attempt` of job `id` ended; it holds for that attempt alone."""

    id: int
    attempt: int
    outcome: JobOutcome

    @classmethod
    def of(cls, job: Job, outcome: JobOutcome) -> "JobAck":
        """Return how the present attempt of a job ended, by `final`."""
        return cls(job.id, job.attempt, final(job, outcome))


def final(job: Job, outcome: JobOutcome) -> JobOutcome:
    """Return the outcome of an attempt; one that failed and was the last discards the job: no claim takes it again."""
    if type(outcome) is AttemptFailed and outcome.retry_seconds is not None and job.attempt >= job.max_attempts:
        return replace(outcome, retry_seconds=None)
    return outcome


@dataclass(frozen=True, slots=True)
class MetaChange:
    """What is merged into the meta of a job while its attempt numbered `attempt` runs: how far it is, where to go on.

    Each key replaces the one that is there, whole; a value of None removes it. `by` is who claimed it, as
    `attempted_by` says of the job: a number alone is no attempt, for one that was rescued is not counted.
    """

    id: int
    attempt: int
    by: Sequence[str]
    meta: Mapping[str, object]


def to_text(time: datetime) -> str:
    """Return a time as Oban's Lite engine writes it.

    >>> to_text(datetime(2026, 11, 24, 2, 55, 4, 123456, UTC))
    '2026-11-24T02:55:04.123456Z'
    """
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def from_text(text: str) -> datetime:
    """Return a time that Oban's Lite engine, or SQLite itself, has written: with T or a blank, with Z or without.

    >>> from_text("2026-11-24 02:55:04") == from_text("2026-11-24T02:55:04.000000Z")
    True
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def after(now: datetime, seconds: float) -> datetime:
    """Return the time that is `seconds` after `now`, or the last or the first one there is.

    >>> to_text(after(datetime(9999, 12, 31, tzinfo=UTC), 1e6))
    '9999-12-31T23:59:59.999999Z'
    """
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)


LONGEST_SECONDS: Final = timedelta(days=3650).total_seconds()
"""How far off the next run of a job may be: ten years, so that no date overflows."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Run the job again after `seconds`; this attempt does not count."""

    seconds: float

    def __post_init__(self) -> None:
        """Refuse what is no span of time, where the worker still sees it."""
        if not 0 <= self.seconds <= LONGEST_SECONDS:
            allowed = "is no time to wait for: give seconds from 0 to ten years"
            raise BadAnswer(f"Snooze({self.seconds!r})", allowed)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Call the job off: it ends as cancelled, for this reason, and is not tried again."""

    reason: str = "the worker called it off"


@dataclass(frozen=True, slots=True)
class Discard:
    """Give the job up: it ends as discarded, for this reason, whatever attempts it has left."""

    reason: str = "the worker gave it up"
