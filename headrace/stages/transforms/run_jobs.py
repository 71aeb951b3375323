"""Runs a job for each event, and emits its result."""

import asyncio

from pydantic import Field
from typing_extensions import override

from headrace.jobs.errors import NotRecorded
from headrace.jobs.job import Inserted, NewJob
from headrace.jobs.jobs import Jobs
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import Each, derived
from headrace.stages.jobs import ArgsField, JobMaker, WorkerField, job_options, no_args
from headrace.stages.options import Options, StageType


class RunJobsOptions(Options):
    """The worker, its arguments, and its queue."""

    worker: WorkerField = Field(description="The name of the worker; its recorded results are emitted.")
    args: ArgsField = Field(
        default_factory=no_args, description="The worker's arguments by name, as expressions over the event."
    )
    queue: str | None = Field(
        default=None, min_length=1, max_length=127, description="The queue. Default: the worker's."
    )


class RunJobs(ProducerConsumer[object, object], StageType):
    """Enqueues the jobs of a batch, waits until they end, retries included, and emits their results, in order.

    A result that the worker does not record is emitted as None. A discarded or cancelled job fails its event alone. One
    batch runs at a time, or `concurrency` batches. A batch has `max_demand - min_demand` jobs, and the limit of the
    queue says how many run at once. The next run continues jobs that have not ended with this one.
    """

    Options = RunJobsOptions
    takes_messages = True
    needs_jobs = True
    awaits_jobs = True

    def __init__(self, options: RunJobsOptions, jobs: Jobs) -> None:
        """Raises `BadWorker` for an invalid queue."""
        self._jobs = jobs
        self._args = options.args
        self._maker = JobMaker(jobs, options.worker, job_options(queue=options.queue))
        worker = jobs.catalogue.get(options.worker)
        self._restored = (lambda result: result) if worker is None else worker.restored

    @override
    async def handle_events(self, events: list[object]) -> list[object]:
        made = Each[NewJob](lambda event: self._maker.new(self._args(event)), events, self.fail_event)
        inserted = await self._jobs.insert(made.outputs) if made.outputs else []
        results: dict[int, object] = {}
        async with asyncio.TaskGroup() as group:
            for position, (event, one) in enumerate(zip(made.events, inserted, strict=True)):
                if one is not None:
                    group.create_task(self._wait(position, event, one, results))
        return [results[position] for position in sorted(results)]

    async def _wait(self, position: int, event: object, inserted: Inserted, results: dict[int, object]) -> None:
        try:
            result = self._restored(await self._jobs.result(inserted.id, None))
        except NotRecorded:
            result = None
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            self.fail_event(event, error)
            return
        results[position] = derived(event, result)
