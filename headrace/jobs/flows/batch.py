"""Batches: jobs with common callbacks, which run when all jobs have ended, or as soon as one has failed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from headrace.jobs.errors import BadBatch
from headrace.jobs.flows.workflow import FlowRun, KeepsJobs
from headrace.jobs.job import INCOMPLETE, STATES, JobState, NewJob
from headrace.jobs.rules.flows import CALLBACK, CALLBACK_META, MEMBER_META, Callback
from headrace.jobs.rules.job_filter import JobFilter

BATCH_NAME: Final = "batch_name"


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How many members of a batch are in each state; states without members are left out."""

    states: Mapping[JobState, int]

    @property
    def total(self) -> int:
        """The number of members."""
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        """The number of members that have ended."""
        return sum(count for state, count in self.states.items() if state not in INCOMPLETE)

    @property
    def failed(self) -> int:
        """The number of members that were discarded or cancelled."""
        return self.states.get("discarded", 0) + self.states.get("cancelled", 0)


class Batch:
    """Jobs that are not inserted yet, and their callbacks, which are jobs as well.

    Callbacks are inserted as suspended, together with the members. So each runs once, also after a crash, and also if
    there are no members. If a member is a duplicate of a unique job, the callbacks wait for that job. A callback finds
    the id of the batch in `current_job().meta["batch_id"]`.
    """

    def __init__(
        self,
        name: str = "batch",
        *,
        on_ended: NewJob | None = None,
        on_completed: NewJob | None = None,
        on_failed: NewJob | None = None,
    ) -> None:
        """`on_ended` runs when all members have ended, `on_completed` when all have completed.

        `on_failed` runs as soon as one member was discarded or cancelled.
        """
        self.name = name
        self.id = str(uuid4())
        self._members: list[NewJob] = []
        due: dict[Callback, NewJob | None] = {"ended": on_ended, "completed": on_completed, "failed": on_failed}
        self._callbacks = {when: job for when, job in due.items() if job is not None}

    def add(self, *jobs: NewJob) -> None:
        """Add members. Raises `BadBatch` for a job of another batch."""
        for job in jobs:
            if "batch_id" in job.meta:
                raise BadBatch(self.name, f"cannot have the job of worker {job.worker!r}, which is in another one")
        self._members.extend(jobs)

    def jobs(self) -> list[NewJob]:
        """Return the jobs to insert, members first."""
        shared: dict[str, object] = {"batch_id": self.id, BATCH_NAME: self.name}
        members = [
            replace(job, meta={**job.meta, **shared, **MEMBER_META}, label=str(position))
            for position, job in enumerate(self._members)
        ]
        awaits = tuple(str(member.label) for member in members if member.unique is not None)
        callbacks = [
            replace(
                job,
                meta={**job.meta, **shared, **CALLBACK_META, CALLBACK: when},
                state="suspended",
                awaits=awaits,
                unique=None,
            )
            for when, job in self._callbacks.items()
        ]
        return [*members, *callbacks]

    async def start(self, service: KeepsJobs) -> "BatchRun":
        """Insert all jobs in one transaction; return the handle of the run."""
        jobs = self.jobs()
        if jobs:
            await service.insert(jobs)
        run = BatchRun(self.id, service)
        await run.advance()
        return run


class BatchRun(FlowRun):
    """The handle of a batch."""

    _key = "batch_id"

    async def progress(self) -> BatchProgress:
        """Return the states of the members; duplicates of other jobs are not counted."""
        counts = {state: await self._service.store.count(self._members(state)) for state in STATES}
        return BatchProgress({state: count for state, count in counts.items() if count})

    async def cancel(self) -> list[int]:
        """Cancel the members that have not ended; return their ids. The callbacks run as usual."""
        cancelled = await self._service.cancel(self._members(*INCOMPLETE))
        await self.advance()
        return cancelled

    def _members(self, *states: JobState) -> JobFilter:
        return JobFilter(states=frozenset(states), meta={**self._group.meta, **MEMBER_META})
