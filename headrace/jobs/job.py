"""`Job`, `NewJob`, `JobState`, `JobAck` and the attempt outcomes, `Snooze`, `Cancel`, `Discard`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar, get_args

from headrace.jobs.errors import BadAnswer, BadUnique

JobState = Literal[
    "available", "suspended", "scheduled", "executing", "retryable", "completed", "discarded", "cancelled"
]
"""Oban's states of a job. `available`: a queue can claim it; `suspended`: it waits in a workflow, batch or chain;
`scheduled`: it waits for its time; `executing`: it runs; `retryable`: it failed and waits for its next attempt. The
other three are ends.
"""

STATES: Final[tuple[JobState, ...]] = get_args(JobState)

INCOMPLETE: Final[frozenset[JobState]] = frozenset(STATES[:5])
"""The states from which a job may still run."""

ENDED: Final[frozenset[JobState]] = frozenset(STATES[5:])

MAX_ATTEMPTS: Final = 20
"""The attempts of a job whose worker sets no other number (Oban's default)."""

PRIORITIES: Final = range(10)
"""0 is the most urgent (Oban's)."""


@dataclass(frozen=True, slots=True)
class JobError:
    """One failed attempt: its number, its time (aware UTC), and the traceback or reason."""

    attempt: int
    at: datetime
    error: str


UniqueField = Literal["args", "meta", "queue", "worker"]
"""The fields that a unique job compares."""

ReplacedField = Literal["args", "max_attempts", "meta", "priority", "queue", "scheduled_at", "tags", "worker"]
"""The fields that an existing job may take over from a conflicting new one."""

SUCCESSFUL: Final[frozenset[JobState]] = INCOMPLETE | {"completed"}
"""The states of jobs that may still run or have completed."""

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
    """The rule by which a new job is a duplicate of an existing one, and is not inserted (Oban's options).

    The new job is a duplicate when their `fields` are equal (of args and meta only the `keys`, if any are named), the
    existing job is in
    one of the `states`, and its `timestamp` is at most `period_seconds` ago (None: however long). Then the existing job
    takes over the fields that `replace` names for its state. The new job is compared with the newest of its key only; a
    retry from outside is compared with none.

    A `key` replaces the values of args and meta in the comparison, where those are encrypted. A job that completed more
    than `result_seconds` ago is no conflict: its result is too old.
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
    """A job before its insert. `args` and `meta` are JSON objects; `scheduled_at` None is at once."""

    worker: str
    args: Mapping[str, object] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    max_attempts: int = MAX_ATTEMPTS
    tags: Sequence[str] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
    scheduled_at: datetime | None = None
    state: JobState | None = None
    """None is `available`, or `scheduled` when it has a time; `suspended` is for jobs that wait for others."""
    unique: Unique | None = None
    label: str | None = None
    """Its name among the jobs of one insert."""
    awaits: Sequence[str] = ()
    """Labels of jobs before it in the same insert. Its meta lists those that were duplicates, with the existing ids."""


KEEP_SECONDS: Final = "keep_seconds"
"""The key of a job's meta for the seconds after its completion in which it is not pruned."""

DUPLICATES: Final = "doubles"
"""The key of a job's meta that holds `{label: id}` of the awaited jobs that existed before."""


@dataclass(slots=True)
class Inserted:
    """The result of one insert: the id of the new job, or, on a conflict, of the existing one."""

    id: int
    is_conflict: bool = False


class TornArgs(dict[str, object]):
    """The args of a job whose row has no JSON object: empty, and no worker may run with them."""


@dataclass(slots=True)
class Job:
    """A job in its store. Times are aware UTC; `attempted_by` is the node and the uuid of its last lease owner.

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
    """The attempt failed with `error`; the next one comes after `retry_seconds`; None discards the job."""

    error: str
    retry_seconds: float | None
    meta: Mapping[str, object] | None = None
    cause: BaseException | None = field(default=None, compare=False, repr=False)
    """The exception, for the log of this OS process; no store keeps it."""


@dataclass(frozen=True, slots=True)
class AttemptCancelled:
    """The job asked to be cancelled, for `error`."""

    error: str
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AttemptSnoozed:
    """The attempt does not count; the job runs again after `seconds`."""

    seconds: float
    meta: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AttemptReleased:
    """A stop of the OS process ended the attempt: it does not count, and the job is available again at once."""

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
        """Return the acknowledgement of a job's present attempt, its outcome by `final`."""
        return cls(job.id, job.attempt, final(job, outcome))


def final(job: Job, outcome: JobOutcome) -> JobOutcome:
    """Return the outcome of an attempt; a failure of the last one discards the job, since no claim takes it again."""
    if type(outcome) is AttemptFailed and outcome.retry_seconds is not None and job.attempt >= job.max_attempts:
        return replace(outcome, retry_seconds=None)
    return outcome


@dataclass(frozen=True, slots=True)
class MetaChange:
    """A change of a job's meta while its attempt numbered `attempt` runs: its progress and its checkpoint.

    Each key replaces the existing one, whole; a value of None removes it. `by` is the job's `attempted_by`: a number
    alone does not identify an attempt, since a rescued attempt is not counted.
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
    """Return the time in a text of Oban's Lite engine or of SQLite itself: with T or a blank, with Z or without.

    >>> from_text("2026-11-24 02:55:04") == from_text("2026-11-24T02:55:04.000000Z")
    True
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


V = TypeVar("V")


def in_seconds(value: V | timedelta) -> V | float:
    """Return the seconds of a timedelta, and any other value unchanged.

    >>> in_seconds(timedelta(minutes=2)), in_seconds(5), in_seconds(None)
    (120.0, 5, None)
    """
    return value.total_seconds() if isinstance(value, timedelta) else value


def after(now: datetime, seconds: float) -> datetime:
    """Return the time `seconds` after `now`, or the last or the first one there is.

    >>> to_text(after(datetime(9999, 12, 31, tzinfo=UTC), 1e6))
    '9999-12-31T23:59:59.999999Z'
    """
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)


LONGEST_SECONDS: Final = timedelta(days=3650).total_seconds()
"""The longest wait for the next run of a job: ten years, so that no date overflows."""


@dataclass(frozen=True, slots=True, init=False)
class Snooze:
    """Run the job again after `seconds`; this attempt does not count."""

    seconds: float

    def __init__(self, seconds: float | timedelta) -> None:
        """Raise BadAnswer for other values while the worker's code is in the traceback."""
        value = in_seconds(seconds)
        if not 0 <= value <= LONGEST_SECONDS:
            allowed = "is no time to wait for: give seconds from 0 to ten years"
            raise BadAnswer(f"Snooze({seconds!r})", allowed)
        object.__setattr__(self, "seconds", value)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the job: it ends as cancelled, for this reason, without another attempt."""

    reason: str = "the worker called it off"


@dataclass(frozen=True, slots=True)
class Discard:
    """Discard the job for this reason, even if it has attempts left."""

    reason: str = "the worker gave it up"
