"""Runs the jobs of a test: those that are kept, and those that are run without being kept."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, TypedDict

from headrace.jobs.errors import JobDropped
from headrace.jobs.flows.advance import settle_all
from headrace.jobs.flows.chunk import Party, chunk_size
from headrace.jobs.flows.workflow import hand_on
from headrace.jobs.job import Acknowledgement, Job, NewJob, Returned, State
from headrace.jobs.rules.flows import Group, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.attempt import Surroundings
from headrace.jobs.running.enqueue import Admission
from headrace.jobs.running.worker_catalogue import Catalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import Claimant
from headrace.jobs.testing.attempts import Attempt, Attempts
from headrace.jobs.testing.drained import Drained, became
from headrace.jobs.testing.looking import ALL

_CLAIMANT: Final = Claimant("test", "test", "test")

_WAITING: Final[frozenset[State]] = frozenset({"available", "scheduled", "retryable"})


class DrainWords(TypedDict, total=False):
    """The options of `JobsTester.drain_queue`, each of which may be left out."""

    with_scheduled: bool | datetime
    with_recursion: bool
    with_limit: int | None
    with_safety: bool


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """What is drained of a queue."""

    queue: str
    with_scheduled: bool | datetime = False
    with_recursion: bool = True
    with_limit: int | None = None
    with_safety: bool = True


class Runs:
    """Of one store; jobs run one at a time, in the task that asks for it."""

    def __init__(self, store: MemoryStore, catalogue: Catalogue, settings: JobsSettings) -> None:
        self._store = store
        self._catalogue = catalogue
        self._admission = Admission(catalogue, settings.enqueue_middleware, settings.cipher)
        surroundings = Surroundings(
            store.now, settings.run_middleware, opened=self._admission.open, hand_on=partial(hand_on, store)
        )
        self._attempts = Attempts(catalogue, surroundings)

    async def perform(self, new: NewJob, attempt: int) -> Attempt:
        """Run a job without keeping it. Raises what a middleware raises, and `JobDropped` when one drops it."""
        (admitted,) = self._admission.admitted([new])
        if admitted is None:
            raise JobDropped(new.worker)
        elsewhere = MemoryStore(now=self._store.now)
        (inserted,) = await elsewhere.insert([replace(admitted, state="available", unique=None)])
        job = elsewhere.take(_CLAIMANT, inserted.id)
        if job is None:
            raise JobDropped(new.worker)
        job.id, job.attempt = 0, attempt
        return await self._attempts.run(job)

    async def run(self, job_id: int) -> Attempt | None:
        """Run one attempt of a job that waits, and write how it ended; return None for one that does not wait.

        Broken off, the job is put back.
        """
        attempts = await self.run_together([job_id])
        return attempts.get(job_id)

    async def run_together(self, job_ids: Sequence[int]) -> dict[int, Attempt]:
        """Run one attempt of each job that waits, all at a time, and write how they ended; return those by the ids.

        Broken off, all of them are put back.
        """
        jobs = [job for job_id in job_ids if (job := self._store.take(_CLAIMANT, job_id)) is not None]
        groups = dict.fromkeys(group for job in jobs for group in groups_of(job.meta))
        try:
            attempts = await self._attempts_of(jobs)
        except BaseException:
            await self._store.acknowledge(_CLAIMANT, [Acknowledgement(job.id, job.attempt, Returned()) for job in jobs])
            raise
        ended = [Acknowledgement.of(job, attempts[job.id].outcome) for job in jobs]
        await self._store.acknowledge(_CLAIMANT, ended)
        await settle_all(self._store, groups)
        return attempts

    async def _attempts_of(self, jobs: Sequence[Job]) -> dict[int, Attempt]:
        if len(jobs) == 1:  # in the task of the test itself
            return {jobs[0].id: await self._attempts.run(jobs[0])}
        party = Party(job.id for job in jobs)
        async with asyncio.TaskGroup() as together:
            tasks = {job.id: together.create_task(self._attempts.run(job, party)) for job in jobs}
        return {job_id: task.result() for job_id, task in tasks.items()}

    async def settle(self, ids: Iterable[int]) -> None:
        """Let go of what of the groups of these jobs need wait no longer."""
        jobs = await self._store.find(JobFilter(ids=frozenset(ids)), ALL)
        await settle_all(self._store, dict.fromkeys(group for job in jobs for group in groups_of(job.meta)))

    async def run_inline(self, ids: Iterable[int]) -> None:
        """Run jobs, and what waited for them, whatever their time is; raise what a worker raises."""
        for job_id in ids:
            job = await self._store.get(job_id)
            groups = [] if job is None else groups_of(job.meta)
            attempt = await self.run(job_id)
            if attempt is not None and job is not None:
                attempt.check(job.worker)
            await self.run_inline(await self._released(groups, job_id))

    async def drain(self, options: DrainOptions) -> Drained:
        """Run what waits in a queue, each job once at most."""
        ran: Counter[str] = Counter()
        done: set[int] = set()
        while waiting := [job for job in await self._waiting(options) if job.id not in done]:
            for job in waiting:
                room = None if options.with_limit is None else options.with_limit - ran.total()
                if room is not None and room <= 0:
                    return Drained(**ran)
                ids = [] if job.id in done else self._chunk(job, [one for one in waiting if one.id not in done], room)
                done.update(ids)
                attempts = (await self.run_together(ids)).values()
                ran.update(became(attempt.outcome) for attempt in attempts)
                for attempt in () if options.with_safety else attempts:
                    attempt.check(job.worker)
            if not options.with_recursion:
                break
        return Drained(**ran)

    def _chunk(self, job: Job, waiting: Sequence[Job], room: int | None) -> list[int]:
        """Return the ids of jobs that are one call together with `job`, itself first: others of a chunk worker."""
        worker = self._catalogue.get(job.worker)
        size = (None if worker is None else chunk_size(worker)) or 1
        alike = [one.id for one in waiting if self._catalogue.get(one.worker) is worker] if size > 1 else [job.id]
        return alike[: size if room is None else min(size, room)]

    async def _waiting(self, options: DrainOptions) -> list[Job]:
        """Return what may run, as a queue would take it; then what waits for its time, if that is wanted, by that."""
        which = JobFilter(states=_WAITING, queues=frozenset({options.queue}), workers=frozenset(self._catalogue.names))
        now, until = self._store.now(), options.with_scheduled
        jobs = await self._store.find(which, ALL)
        due = [job for job in jobs if job.state == "available" or job.scheduled_at <= now]
        later = [job for job in jobs if job.state != "available" and job.scheduled_at > now]
        if isinstance(until, datetime):
            later = [job for job in later if job.scheduled_at <= until]
        due.sort(key=lambda job: (job.priority, job.scheduled_at, job.id))
        later.sort(key=lambda job: (job.scheduled_at, job.priority, job.id))
        return [*due, *later] if until else due

    async def _released(self, groups: Iterable[Group], after_id: int) -> list[int]:
        """Return the jobs of groups that may run by now, but the one that has just done so."""
        found: set[int] = set()
        for group in groups:
            which = JobFilter(states=frozenset({"available"}), meta=group.meta)
            found.update(job.id for job in await self._store.find(which, ALL))
        return sorted(found - {after_id})
