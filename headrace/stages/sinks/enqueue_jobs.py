"""Enqueues a job for each event."""

from collections.abc import Awaitable
from typing import Annotated

from pydantic import Field
from typing_extensions import override

from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.functions import Each
from headrace.stages.jobs import ArgsField, JobMaker, UniqueOptions, WorkerField, job_options, no_args
from headrace.stages.options import CountField, DurationField, Options, StageType


class EnqueueJobsOptions(Options):
    """The worker, its arguments, and options of the jobs."""

    worker: WorkerField = Field(description="The name of the worker.")
    args: ArgsField = Field(
        default_factory=no_args, description="The worker's arguments by name, as expressions over the event."
    )
    unique: UniqueOptions | None = Field(
        default=None,
        description="When a job is a duplicate and not inserted, as in {keys: [sku]}. Default: the worker's.",
    )
    schedule_in: DurationField | None = Field(default=None, description="How long the jobs wait, as in 10m.")
    queue: str | None = Field(
        default=None, min_length=1, max_length=127, description="The queue. Default: the worker's."
    )
    priority: Annotated[CountField, Field(ge=0, le=9)] | None = Field(
        default=None, description="From 0, the most urgent, to 9. Default: the worker's."
    )
    tags: tuple[str, ...] = Field(default=(), description="Tags of the jobs. Default: the worker's.")


class EnqueueJobs(Consumer[object], StageType):
    """Inserts the jobs of a batch in one transaction; the batch is handled once they are durable.

    An event whose arguments do not fit the worker fails alone; a store that cannot be written crashes the stage.
    """

    Options = EnqueueJobsOptions
    takes_messages = True
    needs_jobs = True

    def __init__(self, options: EnqueueJobsOptions, jobs: Jobs) -> None:
        """Raises `BadWorker` for options that the worker does not allow."""
        self._jobs = jobs
        self._args = options.args
        unique = options.unique.unique() if options.unique else None
        given = job_options(queue=options.queue, priority=options.priority, tags=options.tags, unique=unique)
        self._maker = JobMaker(jobs, options.worker, given, options.schedule_in)

    @override
    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        made = Each(lambda event: self._maker.new(self._args(event)), events, self.fail_event).outputs
        return self._insert(made) if made else None

    async def _insert(self, made: list[NewJob]) -> None:
        await self._jobs.insert(made)
