"""Batches: many jobs, and jobs that are run once when all of those have ended, or as soon as one has failed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from headrace.jobs.errors import BadBatch
from headrace.jobs.flows.advance import advance_all
from headrace.jobs.flows.workflow import KeepsJobs
from headrace.jobs.job import INCOMPLETE, STATES, JobState, NewJob
from headrace.jobs.rules.flows import CALLBACK, CALLBACK_META, MEMBER_META, Callback, JobGroups
from headrace.jobs.rules.job_filter import JobFilter

BATCH_NAME: Final = "batch_name"


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How many members of a batch are in each state; of none of 0."""

    states: Mapping[JobState, int]

    @property
    def total(self) -> int:
        """Return how many there are."""
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        """Return how many have ended, well or not."""
        return sum(count for state, count in self.states.items() if state not in INCOMPLETE)

    @property
    def failed(self) -> int:
        """Return how many were discarded or cancelled."""
        return self.states.get("discarded", 0) + self.states.get("cancelled", 0)


class Batch:
    """Jobs that are not inserted yet, and what is to run after them: jobs as well, so that no crash loses them.

    Callbacks are inserted together with the members, and held back; so each runs once, whatever dies meanwhile, also
    when there are no members. A member that is the double of a unique job is waited for where it is. The id of the
    batch is in the callback's `current_job().meta["batch_id"]`.
    """

    def __init__(
        self,
        name: str = "batch",
        *,
        on_ended: NewJob | None = None,
        on_completed: NewJob | None = None,
        on_failed: NewJob | None = None,
    ) -> None:
        """`on_ended` runs when all members have ended, `on_completed` only if all did so well.

        `on_failed` runs as soon as one was discarded or cancelled.
        """
        self.name = name
        self.id = str(uuid4())
        self._members: list[NewJob] = []
        due: dict[Callback, NewJob | None] = {"ended": on_ended, "completed": on_completed, "failed": on_failed}
        self._callbacks = {when: job for when, job in due.items() if job is not None}

    def add(self, *jobs: NewJob) -> None:
        """Add members. Raises `BadBatch` for one that is of another batch."""
        for job in jobs:
            if "batch_id" in job.meta:
                raise BadBatch(self.name, f"cannot have the job of worker {job.worker!r}, which is in another one")
        self._members.extend(jobs)

    def jobs(self) -> list[NewJob]:
        """Return the jobs as they are to be inserted, members first."""
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
        """Insert all of it in one transaction; return what to follow and call it off by."""
        jobs = self.jobs()
        if jobs:
            await service.insert(jobs)
        run = BatchRun(self.id, service)
        await run.advance()
        return run


class BatchRun:
    """A batch that was started: in this process or another, now or long ago."""

    def __init__(self, batch_id: str, service: KeepsJobs) -> None:
        self.id = batch_id
        self._service = service
        self._group = JobGroups("batch_id", batch_id)

    async def progress(self) -> BatchProgress:
        """Return how its members stand; duplicates of other jobs are not counted."""
        counts = {state: await self._service.store.count(self._members(state)) for state in STATES}
        return BatchProgress({state: count for state, count in counts.items() if count})

    async def cancel(self) -> list[int]:
        """Call off the members that have not ended; return their ids. The callbacks are run as after any other end."""
        cancelled = await self._service.cancel(self._members(*INCOMPLETE))
        await self.advance()
        return cancelled

    async def advance(self) -> None:
        """Let go of the callbacks that are due. It is done by itself, too; to do it again changes nothing."""
        await advance_all(self._service.store, [self._group])

    def _members(self, *states: JobState) -> JobFilter:
        return JobFilter(states=frozenset(states), meta={**self._group.meta, **MEMBER_META})
