"""`JobQueue`: claims jobs, runs them, acknowledges them, and emits their telemetry events."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple, cast

from headrace.errors import class_and_message
from headrace.jobs.job import AttemptCancelled, AttemptFailed, AttemptReleased, Job, JobAck, JobOutcome, final
from headrace.jobs.running.failures import FailureReport, LateEnds
from headrace.jobs.running.task_pool import Attempts, QueueSlot, TaskPool, close_within
from headrace.jobs.stores.store import Claims, LeaseOwner
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import LOG, EventName, Measurements, Metadata, Telemetry, log_failure

POLL_SECONDS: Final = 1.0
"""How often a queue claims without a sign of new jobs, since another OS process may have inserted some."""

IDLE_POLL_SECONDS: Final = 5.0
"""How often a queue claims if the store shows the commits of other processes: 200 idle queues use 0.8 % of a core
less."""

LEFT_SECONDS: Final = 5.0
"""How long a stop waits for cancelled jobs before it leaves them behind."""

ACKNOWLEDGE_SECONDS: Final = 5.0
"""How long a stop waits for the store to write acknowledgements; jobs without one run again after their lease."""

RETRY_SECONDS: Final = 1.0
"""How long the queue waits before it tries again, after an error of the store."""


JOB_EVENTS: Final = ("headrace", "job")
"""The prefix of the telemetry events of jobs. Each event covers a group of jobs of one queue."""

JOB_START: Final = (*JOB_EVENTS, "start")
"""Emitted before claimed jobs run; measurement `count`, metadata `queue` and `jobs`."""

JOB_STOP: Final = (*JOB_EVENTS, "stop")
"""Emitted once the store has the acknowledgements; measurement `count`, metadata `queue` and `attempts`."""

JOB_EXCEPTION: Final = (*JOB_EVENTS, "exception")
"""Emitted in place of `JOB_STOP` for failed attempts, with the same fields."""


class EndedAttempt(NamedTuple):  # each job makes one: 0.4 µs less than a frozen dataclass
    """An attempt with its outcome; `seconds` is how long it ran, None if it did not begin."""

    job: Job
    outcome: JobOutcome
    seconds: float | None


def attach_to_ends(telemetry: Telemetry, handler: Callable[[Sequence[EndedAttempt]], None]) -> None:
    """Call `handler` with the attempts of each stop event and each exception event."""

    def handle(_: EventName, __: Measurements, metadata: Metadata) -> None:
        handler(cast("Sequence[EndedAttempt]", metadata["attempts"]))

    for name in (JOB_STOP, JOB_EXCEPTION):
        telemetry.attach(f"{handler!r} {name[-1]}", name, handle)


@dataclass(frozen=True, slots=True)
class QueueContext:
    """The parts that all queues of one service share."""

    store: Claims
    scheduler: Scheduler
    telemetry: Telemetry = field(default_factory=Telemetry)
    report: FailureReport = field(default_factory=FailureReport)
    late: LateEnds | None = None
    """Writes the outcomes of jobs that run in threads and outlast the stop."""


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """The slots of a queue, how many are in use, and whether it claims jobs."""

    limit: int
    running: int
    is_paused: bool
    unacknowledged: int
    store_error: str | None = None
    """The error of the last claim or acknowledgement; None if it succeeded."""
    claimed: int = 0
    """Jobs that the queue has started."""


class JobQueue:
    """Runs at most `limit` jobs at a time.

    It claims jobs whenever a slot is free and there may be work, one job for each free slot. Slots that become free
    during a claim wait for the next one, so claims grow with the load. Acknowledgements go to the store in batches, and
    are kept until the store has written them. The queue emits one telemetry event for each claim, and one or two for
    each such batch.
    """

    def __init__(
        self,
        owner: LeaseOwner,
        limit: int,
        attempts: Attempts,
        context: QueueContext,
        poll_seconds: float | None = None,
    ) -> None:
        """`poll_seconds` is POLL_SECONDS when it is None."""
        self.owner = owner
        self.limit = limit
        self.poll_seconds = POLL_SECONDS if poll_seconds is None else poll_seconds
        self.is_paused = False
        self._store_errors: dict[str, str] = {}
        self._store = context.store
        self._scheduler = context.scheduler
        self._telemetry = context.telemetry
        self._report = context.report
        self._late = context.late
        self._attempts = attempts
        self._runners = TaskPool(context.scheduler, f"jobs of {owner.queue}", attempts, self._slot_ended)
        self._claimed = 0
        self._running: dict[int, QueueSlot] = {}
        self._after: dict[int, Job] = {}
        """Jobs that were cancelled, retried and claimed again while their former attempt still runs here."""
        self._ended: list[EndedAttempt] = []
        self._acknowledging: list[EndedAttempt] = []
        self._may_have_work = True
        self._is_stopping = False
        self._may_be_last = False
        """Whether no more attempts will end: no claim is under way, and no job runs."""
        self._check = asyncio.Event()
        self._check_at = 0.0
        self._has_acks = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._goes_on = asyncio.Event()
        """Set when a stop can continue: no job runs, or the grace was stopped."""
        self._is_grace_stopped = False

    def statistics(self) -> QueueStatistics:
        """Return its statistics."""
        unacknowledged = len(self._ended) + len(self._acknowledging)
        store_error = next(iter(self._store_errors.values()), None)
        return QueueStatistics(
            self.limit, len(self._running), self.is_paused, unacknowledged, store_error, self._claimed
        )

    def start(self) -> None:
        """Start to claim, on the running loop."""
        self._check_in(self.poll_seconds)
        name = f"queue {self.owner.queue}"
        for work in (self._claim_on(), self._acknowledge_on()):
            self._tasks.append(self._scheduler.start_task(work, copy_context(), name))

    def has_work(self) -> None:
        """Claim soon: jobs may have become available."""
        self._may_have_work = True
        self._check.set()

    def pause(self) -> None:
        """Claim no more jobs; running jobs continue."""
        self.is_paused = True

    def resume(self) -> None:
        """Claim jobs again after a pause."""
        self.is_paused = False
        self.has_work()

    def scale(self, limit: int) -> None:
        """Run at most `limit` jobs at a time from now on; no running job is ended."""
        self.limit = limit
        self.has_work()

    def cancel(self, job_id: int, reason: str) -> bool:
        """Cancel a job if it runs here; return whether it does."""
        self._after.pop(job_id, None)
        return self._end(job_id, AttemptCancelled(reason))

    async def check_running(self) -> None:
        """End the jobs that another process cancelled, deleted or rescued. It is called every second."""
        for job_id in await self._store.lost(self.owner, list(self._running)) if self._running else ():
            self._end(job_id, AttemptCancelled("it was cancelled while it ran"))

    def stop_grace(self) -> None:
        """End and release the running jobs, which costs no attempt; end a running grace period.

        A job in a thread is asked to end. It is released if it read `is_cancelled` before it returned.
        """
        for job_id in list(self._running):
            if not self._attempts.ask_to_end(job_id):
                self._end(job_id, AttemptReleased())
        self._put_back(list(self._after.values()))
        self._after.clear()
        self._is_grace_stopped = True
        self._goes_on.set()

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more jobs, give running jobs `grace_seconds`, then put the rest back, which costs no attempt.

        Jobs that do not end within `LEFT_SECONDS` more are left behind; `LateEnds` acknowledges those in threads.
        Return when the store has written all acknowledgements, or has failed to for `ACKNOWLEDGE_SECONDS`: then the
        log names the jobs, and they run again after their lease.
        """
        self._is_stopping = True
        self._check.set()
        claiming, acknowledging = self._tasks
        await close_within(ACKNOWLEDGE_SECONDS, claiming)
        await self._wait_for_slots(grace_seconds, is_grace=True)
        self.stop_grace()
        await self._wait_for_slots(LEFT_SECONDS)
        self._leave_behind()
        self._may_be_last = True
        self._has_acks.set()
        await close_within(ACKNOWLEDGE_SECONDS, acknowledging)
        self._log_unacknowledged()

    def _log_unacknowledged(self) -> None:
        """Log the jobs whose acknowledgements the store has not written, also in a write that hangs."""
        job_ids = ", ".join(str(one.job.id) for one in (*self._acknowledging, *self._ended))
        if job_ids:
            text = "queue %r could not write how jobs ended; they run again when their lease is out: %s"
            LOG.error(text, self.owner.queue, job_ids)

    async def _wait_for_slots(self, seconds: float, *, is_grace: bool = False) -> None:
        """Wait until no job runs, at most `seconds`; `stop_grace` ends a grace earlier."""
        try:
            async with asyncio.timeout(seconds):
                while self._running and not (is_grace and self._is_grace_stopped):
                    self._goes_on.clear()
                    await self._goes_on.wait()
        except TimeoutError:
            pass

    def _leave_behind(self) -> None:
        """Stop waiting for the jobs that do not end; those in threads keep their lease."""
        threaded, others = list[str](), list[str]()
        for job_id, slot in list(self._running.items()):
            is_left = self._late is not None and self._late.expect(
                self.owner, slot.job, partial(self._attempts.leave, job_id)
            )
            (threaded if is_left else others).append(f"{job_id} ({slot.job.worker})")
            slot.early_outcome = slot.early_outcome or AttemptReleased()
            if slot.task is not None and is_left:
                slot.task.cancel()
        self._running.clear()
        if threaded:
            text = "queue %r leaves jobs behind in threads, which cannot be ended; they keep their lease: %s"
            LOG.error(text, self.owner.queue, ", ".join(threaded))
        if others:
            text = "queue %r leaves jobs behind that do not end when they are cancelled: %s"
            LOG.error(text, self.owner.queue, ", ".join(others))

    def _end(self, job_id: int, outcome: JobOutcome) -> bool:
        slot = self._running.get(job_id)
        if slot is None:
            return False
        if slot.early_outcome is None:
            slot.early_outcome = outcome
            if slot.task is not None:
                slot.task.cancel()
        return True

    def _free(self) -> int:
        return 0 if self.is_paused else self.limit - len(self._running) - len(self._after)

    async def _claim_on(self) -> None:
        """Claim whenever a slot is free and there may be work, until the queue stops."""
        while not self._is_stopping:
            count = self._free()
            if count > 0 and self._may_have_work:
                await self._claim(count)
            else:
                await self._wait_to_check()

    async def _wait_to_check(self) -> None:
        self._check.clear()
        try:  # jobs that end meanwhile do not postpone it
            async with asyncio.timeout_at(self._check_at):
                await self._check.wait()
        except TimeoutError:
            self._may_have_work = True
            self._check_in(self.poll_seconds)

    def _check_in(self, seconds: float) -> None:
        self._check_at = self._scheduler.loop.time() + seconds

    async def _claim(self, count: int) -> None:
        self._may_have_work = False
        try:
            jobs = await self._store.claim(self.owner, count)
        except Exception as error:  # noqa: BLE001 - a queue that ended here would run no more jobs
            self._store_errors["claim"] = class_and_message(error)
            log_failure(error, "queue %r cannot claim jobs, and tries again", self.owner.queue)
            await self._wait_to_check()
            return
        self._store_errors.pop("claim", None)
        if len(jobs) == count:
            self._may_have_work = True
        elif jobs and self.owner.limits is not None:
            self._check_in(min(self.owner.limits.poll_seconds, self.poll_seconds))
        if self._is_stopping:
            self._put_back(jobs)
        elif jobs:
            self._begin(jobs if self._running.keys().isdisjoint([job.id for job in jobs]) else self._superseded(jobs))

    def _begin(self, jobs: Sequence[Job]) -> None:
        self._claimed += len(jobs)
        self._telemetry.execute(JOB_START, {"count": len(jobs)}, {"queue": self.owner.queue, "jobs": jobs})
        slots = [QueueSlot(job) for job in jobs]
        self._running.update({slot.job.id: slot for slot in slots})
        self._runners.begin(slots)

    def _superseded(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that may begin; the others wait for the end of their former attempt, which is cancelled."""
        for job in jobs:
            if job.id in self._running:
                self._after[job.id] = job
                self._end(job.id, AttemptCancelled("it was cancelled while it ran"))
        return [job for job in jobs if job.id not in self._after]

    def _put_back(self, jobs: Sequence[Job]) -> None:
        self._ended += [EndedAttempt(job, AttemptReleased(), None) for job in jobs]
        if jobs:
            self._has_acks.set()

    def _slot_ended(self, slot: QueueSlot, outcome: JobOutcome | None, seconds: float | None) -> None:
        """Free the slot, and keep the acknowledgement for the store."""
        job = slot.job
        if self._running.pop(job.id, None) is None:  # it was left behind
            return
        if outcome is None:
            outcome = self._outcome_of_interrupted(slot)
        outcome = final(job, outcome)
        if type(outcome) is AttemptFailed:
            self._report(job, outcome)
        self._ended.append(EndedAttempt(job, outcome, seconds))
        if self._after and (again := self._after.pop(job.id, None)) is not None:
            if self._is_stopping:
                self._put_back([again])
            else:
                self._begin([again])
        if not self._has_acks.is_set():
            self._has_acks.set()
        if not self._check.is_set():
            self._check.set()
        if self._is_stopping and not self._running:
            self._goes_on.set()

    def _outcome_of_interrupted(self, slot: QueueSlot) -> JobOutcome:
        outcome = slot.early_outcome or AttemptFailed(
            "the attempt was interrupted before its outcome was known", RETRY_SECONDS
        )
        notes = self._attempts.progress_of(slot.job.id)
        return outcome if notes is None else replace(outcome, meta=notes)

    async def _acknowledge_on(self) -> None:
        """Acknowledge ended attempts, all at a time, until the queue has stopped and the store has them all."""
        while self._ended or not self._may_be_last:
            if not self._ended:
                self._has_acks.clear()
                await self._has_acks.wait()
            elif not await self._acknowledge():
                await asyncio.sleep(RETRY_SECONDS)

    async def _acknowledge(self) -> bool:
        ended, self._ended = self._ended, []
        self._acknowledging = ended
        try:
            await self._store.acknowledge(
                self.owner, [JobAck(one.job.id, one.job.attempt, one.outcome) for one in ended]
            )
        except BaseException as error:
            self._ended = ended + self._ended
            if not isinstance(error, Exception):
                raise
            self._store_errors["acknowledge"] = class_and_message(error)
            text = "queue %r cannot write how %d jobs ended, and tries again"
            log_failure(error, text, self.owner.queue, len(ended))
            return False
        finally:
            self._acknowledging = []
        self._store_errors.pop("acknowledge", None)
        failed = [one for one in ended if type(one.outcome) is AttemptFailed]
        others = [one for one in ended if type(one.outcome) is not AttemptFailed] if failed else ended
        for name, attempts in ((JOB_STOP, others), (JOB_EXCEPTION, failed)):
            if attempts:
                metadata = {"queue": self.owner.queue, "attempts": attempts}
                self._telemetry.execute(name, {"count": len(attempts)}, metadata)
        if self.owner.limits is not None:  # ended jobs have made room
            self.has_work()
        return True
