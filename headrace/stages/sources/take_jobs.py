"""Takes the jobs of a queue into a pipeline, whose acknowledgements complete or fail them."""

import asyncio
import random
from collections.abc import Mapping

from pydantic import Field
from typing_extensions import override

from headrace.jobs.errors import torn_args
from headrace.jobs.job import AttemptCompleted, AttemptFailed, AttemptReleased, Job, TornArgs
from headrace.jobs.job import JobOutcome as JobResult
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.retry import oban_seconds
from headrace.jobs.running.queue import JobQueue
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.stages.jobs import QueueField
from headrace.stages.options import Options, StageType


class TakeJobsOptions(Options):
    """Which jobs to take."""

    queue: QueueField = Field(
        default="default", description="The queue whose jobs are taken, for all workers; `jobs` must not run it."
    )


class TakeJobs(Producer[Message[object]], StageType):
    """Emits as many jobs as there is demand for. An expression reads `event.id`, `event.args.key`, `event.attempt`.

    A job is completed when all its events are done. When one fails, the job is retried after Oban's back-off while it
    has attempts left. A job that has not ended when the run ends is released, which costs no attempt.
    """

    Options = TakeJobsOptions
    needs_jobs = True
    emits_messages = True

    def __init__(self, options: TakeJobsOptions, jobs: Jobs) -> None:
        self._options = options
        self._jobs = jobs
        self._owed = 0
        self._out = 0
        self._is_stopped = False
        self._queue: JobQueue

    @override
    def init(self) -> None:
        self._queue = self._jobs.take(self._options.queue, self._pass_on)

    @override
    def handle_demand(self, demand: int) -> list[Message[object]]:
        self._owed += demand
        self._queue.scale(self._out + self._owed)
        return []

    @override
    def handle_drain(self) -> None:
        self._queue.pause()

    @override
    def terminate(self, reason: object) -> None:
        self._is_stopped = reason != "normal"
        self._queue.pause()

    async def _pass_on(self, job: Job) -> JobResult:
        """Emit a job, and wait for its outcome."""
        if type(job.args) is TornArgs:
            raise torn_args(job.worker)
        acknowledged: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._owed -= 1
        self._out += 1
        try:
            await self.resumed()
            self.emit_nowait([_message(job, acknowledged)])
            outcome = await acknowledged
        finally:
            self._out -= 1
            self._queue.limit = self._out + self._owed  # before its slot is free: there is no demand for another job
        if outcome is Outcome.DONE:
            return AttemptCompleted()
        return AttemptReleased() if self._is_stopped else _failed(job)


def _message(job: Job, acknowledged: "asyncio.Future[Outcome]") -> Message[object]:
    def acknowledge(outcome: Outcome) -> None:
        if not acknowledged.done():
            acknowledged.set_result(outcome)

    metadata: Mapping[str, object] = {"job": job.id, "attempt": job.attempt}
    return Message(job, metadata, Acknowledgement(acknowledge))


def _failed(job: Job) -> AttemptFailed:
    is_last = job.attempt >= job.max_attempts
    seconds = None if is_last else float(oban_seconds(job.attempt, job.max_attempts, random.random))
    return AttemptFailed("a stage failed an event of this job: see the log of the pipeline", seconds)
