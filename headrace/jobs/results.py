"""Results of jobs: `ResultWaiter` waits for them, `JobRegistry` finds them by key."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast

from headrace.errors import HeadraceError
from headrace.jobs.errors import BadWorker, JobCancelled, JobDiscarded, JobExpired, NoJob, NotRecorded, ResultTimeout
from headrace.jobs.handle import Handle
from headrace.jobs.job import ENDED, INCOMPLETE, SUCCESSFUL, Job, NewJob, Unique, in_seconds
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.retry import LONGEST_DURATION_SECONDS, check_timeout, is_duration
from headrace.jobs.running.outcomes import EXPIRED, RECORDED, RESULT
from headrace.jobs.running.queue import EndedAttempt, JobQueue, attach_to_ends
from headrace.jobs.running_job import PROGRESS
from headrace.jobs.stores.store import Finds
from headrace.jobs.worker import Worker
from headrace.telemetry.events import LOG, Telemetry, log_failure

P = ParamSpec("P")
T = TypeVar("T")

FOR_EVER_SECONDS: Final = LONGEST_DURATION_SECONDS
"""The number of seconds for which a result without an expiry is kept."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The progress of a job: the done fraction, from 0 to 1, and a note."""

    fraction: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A result, and the time at which it was recorded (aware UTC)."""

    value: T
    at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """The work has started, and has no result yet; `progress` is the latest, if any."""

    progress: JobProgress | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The work was not started, or its result has expired."""


@dataclass(frozen=True, slots=True)
class FailedResult:
    """The work was discarded or cancelled because of `error`; `add` starts it again."""

    error: str


KeyedResult: TypeAlias = Found[T] | Pending | NotFound | FailedResult
"""The answer for a key."""


class JobRegistry(Generic[P, T]):
    """The results of one worker by key: the key is the arguments of a call.

    Each key has one job of the worker. So all processes on one store share the registry, and it outlives them. Results
    are not pruned before they expire. Its methods raise the errors of the worker's `enqueue`.
    """

    def __init__(self, worker: "Worker[P, Any, T]", *, expires_in_seconds: float | timedelta | None = None) -> None:
        """`find` returns a result until `expires_in_seconds` after it was recorded; None means without a limit.

        Raises `BadWorker` for a worker that records no results, and for a bad number of seconds.
        """
        expires_in_seconds = in_seconds(expires_in_seconds)
        if not worker.options.record:
            why = "a registry answers with its results, and it records none: give it record=True"
            raise BadWorker(worker.name, why)
        if expires_in_seconds is not None and not (is_duration(expires_in_seconds) and expires_in_seconds > 0):
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
        """Return the job that makes the result of a key; it is not inserted. Raises `BadArguments`."""
        return self.worker.new(*args, **kwargs)

    async def add(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Start the work of a key, without a wait, unless it runs or has a result that has not expired."""
        return await self.worker.enqueue(*args, **kwargs)

    def add_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Thread-safe version of `add` that blocks until the disk has the job."""
        return self.worker.enqueue_sync(*args, **kwargs)

    async def find(self, /, *args: P.args, **kwargs: P.kwargs) -> KeyedResult[T]:
        """Return the answer for a key."""
        return self._answer(await self.worker.conflict_of(*args, **kwargs))

    def find_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> KeyedResult[T]:
        """Thread-safe version of `find` that blocks."""
        return self._answer(self.worker.conflict_of_sync(*args, **kwargs))

    def _answer(self, job: Job | None) -> KeyedResult[T]:
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
        return seconds is not None and made_at + timedelta(seconds=seconds) < self.worker.binding.now()


def progress_of(job: Job) -> JobProgress | None:
    """Return the progress of a job, if it has any."""
    found = job.meta.get(PROGRESS)
    if not isinstance(found, dict):
        return None
    values = cast("dict[str, object]", found)
    fraction = values.get("fraction")
    return JobProgress(float(fraction), str(values.get("note", ""))) if isinstance(fraction, int | float) else None


CHECK_SECONDS: Final = 1.0
"""How often a waiting caller reads its job, in case no event shows its end."""

BRIEF_CHECK_SECONDS: Final = 0.04
"""How often a caller reads its job that no event can reach: a thread of a web server, or a forked child."""


class ResultWaiter:
    """Waits for jobs to end, in this process or in another one."""

    def __init__(self, store: Finds, telemetry: Telemetry, check_seconds: float = CHECK_SECONDS) -> None:
        self._store = store
        self._check_seconds = check_seconds
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self.awaited = asyncio.Event()
        """Set when a caller begins to wait; `ChangeWatch` clears it."""
        attach_to_ends(telemetry, self._ended)

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits."""
        return bool(self._waiting)

    def _ended(self, attempts: Sequence[EndedAttempt]) -> None:
        """Wake the callers that wait for jobs whose attempts ended here."""
        if self._waiting:
            for one in attempts:
                self._wake(one.job.id)

    async def check(self) -> None:
        """Wake the callers whose jobs have ended in any process. Raises the errors of the store."""
        if ids := frozenset(self._waiting):
            for job in await self._store.find(JobFilter(ids=ids, states=ENDED), len(ids)):
                self._wake(job.id)

    def _wake(self, job_id: int) -> None:
        for waiter in self._waiting.get(job_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def result(self, job_id: int, timeout: float | timedelta | None) -> object:
        """Wait for a job to end, and return its recorded result as JSON. On cancellation the job continues.

        Raises `ResultTimeout`, `NoJob` for a deleted job, `JobDiscarded`, `JobCancelled`, `NotRecorded`, and `BadTime`
        for a bad timeout.
        """
        timeout_seconds = in_seconds(timeout)
        check_timeout(timeout_seconds)
        seen: list[Job] = []
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                return result_of(job_id, await self._wait(job_id, seen))
        except TimeoutError:
            if timeout_seconds is None or not limit.expired():
                raise
            worker, state = (seen[-1].worker, seen[-1].state) if seen else (None, None)
            late = ResultTimeout(job_id, timeout_seconds, worker, state)
        raise late

    async def _wait(self, job_id: int, seen: list[Job]) -> Job | None:
        """Return a job once it has ended, or None if it was deleted; `seen` gets each version before that."""
        while True:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(job_id, set()).add(waiter)
            self.awaited.set()
            try:
                job = await self._store.get(job_id)
                if job is None or job.state not in INCOMPLETE:
                    return job
                seen[:] = [job]
                await asyncio.wait({waiter}, timeout=self._check_seconds)
            finally:
                self._leave(job_id, waiter)

    def _leave(self, job_id: int, waiter: "asyncio.Future[None]") -> None:
        waiters = self._waiting[job_id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiting[job_id]


def result_of(job_id: int, job: Job | None) -> object:
    """Return the recorded result of an ended job. Raises the error of its end, or `NoJob` for None."""
    if job is None:
        raise NoJob(job_id)
    error = job.errors[-1].error if job.errors else ""
    if job.state == "discarded":
        raise (JobExpired if job.meta.get(EXPIRED) else JobDiscarded)(job_id, job.worker, error)
    if job.state == "cancelled":
        raise JobCancelled(job_id, job.worker, error)
    if not job.meta.get(RECORDED):
        raise NotRecorded(job_id, job.worker)
    return job.meta.get(RESULT)


REST: Final = 4
"""The pause after a check, as a multiple of its duration: a file that always changes leaves time for other work."""


class ChangeWatch:
    """Asks the store 25 times a second whether it has changed; after a change it wakes queues and waiting callers.

    It asks nothing while no queue runs and no caller waits.
    """

    def __init__(self, store: Finds, queues: Mapping[str, JobQueue], results: ResultWaiter) -> None:
        self._store = store
        self._queues = queues
        self._results = results
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Ask the store again, because a queue runs now."""
        self._results.awaited.set()

    async def run(self) -> None:
        """Watch until cancelled; return at once for a store that no other process can change."""
        seconds = self._store.change_seconds
        while seconds is not None:
            if not self._queues and not self._results.is_awaited:
                self._results.awaited.clear()
                await self._results.awaited.wait()
            await self._change(seconds)
            await asyncio.sleep(await self._check())

    async def _change(self, seconds: float) -> None:
        """Wait until the store has changed. A timer asks, which costs half as much as a coroutine that sleeps."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ask_in(seconds, changed)
        try:
            await changed
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _ask_in(self, seconds: float, changed: "asyncio.Future[None]") -> None:
        self._timer = changed.get_loop().call_later(seconds, self._ask, seconds, changed)

    def _ask(self, seconds: float, changed: "asyncio.Future[None]") -> None:
        if self._store.has_changed():
            changed.set_result(None)
        else:
            self._ask_in(seconds, changed)

    async def _check(self) -> float:
        """Wake queues with available jobs and callers with ended jobs; return the seconds to pause."""
        began = perf_counter()
        try:
            for name in await self._store.available_queues() if self._queues else ():
                if name in self._queues:
                    self._queues[name].has_work()
            await self._results.check()
        except HeadraceError as error:  # queues and callers get the same error, and report it
            LOG.debug("the store cannot be asked what has changed: %s", error)
        except Exception as error:  # noqa: BLE001 - without the watch, jobs of other processes would start late
            log_failure(error, "the store cannot be asked what has changed")
        return REST * (perf_counter() - began)
