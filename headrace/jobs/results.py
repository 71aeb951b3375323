"""The registry of results: `add` starts the work of a key once, `find` answers with what came of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast

from headrace.jobs.errors import BadWorker
from headrace.jobs.handle import Handle
from headrace.jobs.job import INCOMPLETE, SUCCESSFUL, Job, NewJob, Unique
from headrace.jobs.rules.spans import LONGEST_DURATION_SECONDS, is_span
from headrace.jobs.running.outcomes import RECORDED, RESULT
from headrace.jobs.running_job import PROGRESS
from headrace.jobs.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")

FOR_EVER_SECONDS: Final = LONGEST_DURATION_SECONDS
"""How long a result is kept that does not expire."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a job is done, from 0 to 1, and what, in a few words."""

    fraction: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A result, and when it was made (aware UTC)."""

    value: T
    at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """The work was started, and has no result yet; `progress` is what it said last."""

    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """Nobody started the work, or its result is too old."""


@dataclass(frozen=True, slots=True)
class FailedResult:
    """The work was given up or called off, for `error`; to add it again starts it again."""

    error: str


Answer: TypeAlias = Found[T] | Pending | NotFound | FailedResult
"""What is known of a key."""


class JobRegistry(Generic[P, T]):
    """Results of one worker, by keys: a key is what the worker is called with, one argument or more.

    Each key has one job of the worker, so that all processes on one store share one registry, and it outlives them.
    Results are spared from pruning until they expire. The words raise what the worker's `enqueue` raises.
    """

    def __init__(self, worker: "Worker[P, Any, T]", *, expires_in_seconds: float | None = None) -> None:
        """A result is found for `expires_in_seconds` after it was made, or for good.

        Raises `BadWorker` for a worker that records no results, and for what is no time.
        """
        if not worker.options.record:
            why = "a registry answers with its results, and it records none: give it record=True"
            raise BadWorker(worker.name, why)
        if expires_in_seconds is not None and not (is_span(expires_in_seconds) and expires_in_seconds > 0):
            why = "must be seconds above 0, at most a hundred years, or None for never"
            raise BadWorker(
                worker.name, f"the expires_in_seconds of its registry is {expires_in_seconds!r:.100}, and {why}"
            )
        unique = Unique(
            frozenset({"worker", "args"}), period_seconds=None, states=SUCCESSFUL, result_seconds=expires_in_seconds
        )
        kept = FOR_EVER_SECONDS if expires_in_seconds is None else expires_in_seconds
        self.worker = worker.with_options(unique=unique, keep_seconds=kept)
        self.expires_in_seconds = expires_in_seconds

    def new(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job that makes the result of a key, not inserted yet. Raises `BadArguments`."""
        return self.worker.new(*args, **kwargs)

    async def add(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Start the work of a key, unless it was started and has not failed or expired; do not wait for it."""
        return await self.worker.enqueue(*args, **kwargs)

    def add_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Do the same from any thread."""
        return self.worker.enqueue_sync(*args, **kwargs)

    async def find(self, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Return what is known of a key by now."""
        return self._answer(await self.worker.double_of(*args, **kwargs))

    def find_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Do the same from any thread."""
        return self._answer(self.worker.double_of_sync(*args, **kwargs))

    def _answer(self, job: Job | None) -> Answer[T]:
        if job is None:
            return NotFound()
        if job.state in INCOMPLETE:
            return Pending(progress_of(job))
        if job.completed_at is None:
            return FailedResult(job.errors[-1].error if job.errors else "it was cancelled")
        if not job.meta.get(RECORDED) or self._is_expired(job.completed_at):
            return NotFound()
        return Found(self.worker.restored(job.meta.get(RESULT)), job.completed_at)

    def _is_expired(self, made_at: datetime) -> bool:
        seconds = self.expires_in_seconds
        return seconds is not None and made_at + timedelta(seconds=seconds) < self.worker.now()


def progress_of(job: Job) -> Progress | None:
    """Return how far a job said it was, if it did."""
    found = job.meta.get(PROGRESS)
    if not isinstance(found, dict):
        return None
    values = cast("dict[str, object]", found)
    fraction = values.get("fraction")
    return Progress(float(fraction), str(values.get("note", ""))) if isinstance(fraction, int | float) else None
