"""`MemoryStore`."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from heapq import nsmallest
from typing import cast

from headrace.clock import utc_now
from headrace.jobs.errors import BadStore
from headrace.jobs.job import (
    DUPLICATES,
    INCOMPLETE,
    KEEP_SECONDS,
    AttemptReleased,
    Inserted,
    Job,
    JobAck,
    MetaChange,
    NewJob,
    ReplacedField,
    after,
)
from headrace.jobs.rules.flows import JobGroups, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import Capacity, QueueLimits, partition_of, within
from headrace.jobs.rules.unique import ExistingJob, is_conflicting, key_of
from headrace.jobs.stores import transitions
from headrace.jobs.stores.store import CHANGE_BATCH, JobCount, LeaseOwner, PruneRule, QueueSettings, Rescued
from headrace.jobs.stores.transitions import merged, texts_of, tidy, to_json


class MemoryStore:
    """A store in memory. All who claim live in this OS process, so that only those are dead who have left."""

    change_seconds: float | None = None

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self.inserted: Callable[[str], None] = lambda _: None
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._unique: dict[str, int] = {}
        self._left: set[str] = set()
        self._stopping: set[str] = set()
        self._last_runs: dict[str, datetime] = {}
        self._leaders: dict[str, tuple[str, datetime]] = {}
        self._buckets: dict[str, dict[str, float]] = {}
        self._queues: dict[str, QueueSettings] = {}

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def close(self) -> None:
        """Do nothing: what it keeps goes with it."""

    def close_sync(self) -> None:
        """Do nothing: what it keeps goes with it."""

    # Enqueueing

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Insert jobs, but no duplicates of unique ones; return a result for each, in order."""
        return self.insert_sync(jobs)

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Do the same from any thread."""
        now = self.now()
        made = [_made(job, now) for job in jobs]
        with self._lock:
            duplicates: dict[str, int] = {}
            inserted = [self._insert(new, job, duplicates, now) for new, job in zip(jobs, made, strict=True)]
        self._notify(job.queue for job in made if job.state == "available")
        return inserted

    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        """Insert a job of the crontab, unless `record_run` stands at `at` or later already: then return None."""
        if name in self._last_runs and self._last_runs[name] >= at:
            return None
        (inserted,) = self.insert_sync([job])
        self._last_runs[name] = at
        return inserted

    async def record_run(self, name: str, at: datetime) -> None:
        """Let a mark stand at `at`, unless it stands there or later already: where an entry of the crontab begins."""
        self._last_runs[name] = max(at, self._last_runs.get(name, at))

    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        """Let a mark stand at `at` that stands at `seen`; return whether it did."""
        stands = self._last_runs.get(name) == seen
        if stands:
            self._last_runs[name] = at
        return stands

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return at what time each mark of the crontab stands."""
        return dict(self._last_runs)

    # Running

    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        """Take at most `count` available jobs of the owner's queue, most urgent and oldest first; they execute."""
        with self._lock:
            self._left.discard(owner.uuid)
            fit = (job for job in self._jobs.values() if _is_for(job, owner))
            jobs = nsmallest(count, fit, key=_urgency) if owner.limits is None else self._within(owner, fit, count)
            for job in jobs:
                transitions.claim(job, owner, self.now())
            return deepcopy(jobs)

    def take(self, owner: LeaseOwner, job_id: int) -> Job | None:
        """Take that one job, if it waits for a slot or for its time: for tests, which run jobs in their own order."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state not in {"available", "scheduled", "retryable"}:
                return None
            transitions.claim(job, owner, self.now())
            return deepcopy(job)

    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended; what concerns an attempt that is no longer the lease owner's is ignored."""
        self.acknowledge_sync(owner, acknowledgements)

    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended, from any thread."""
        now, is_returned = self.now(), False
        with self._lock:
            for one in acknowledgements:
                to_json(one.outcome.meta or {})
                job = self._jobs.get(one.id)
                if job is not None and transitions.acknowledge(job, owner, one, now):
                    is_returned = is_returned or isinstance(one.outcome, AttemptReleased)
        if is_returned:
            self.inserted(owner.queue)

    async def merge(self, changes: Sequence[MetaChange]) -> None:
        """Merge into the meta of jobs that run. Raises TypeError or ValueError on what is no JSON."""
        for change in changes:
            job, meta = self._jobs.get(change.id), json.loads(to_json(change.meta))
            if job is not None and transitions.is_of(job, change.attempt, change.by) and job.state == "executing":
                job.meta = merged(job.meta, meta)

    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        """Return which of these are no longer the lease owner's: cancelled, deleted or rescued while they ran."""
        by = [owner.node, owner.uuid]
        executing = {job.id for job in self._jobs.values() if job.state == "executing" and job.attempted_by == by}
        return [job_id for job_id in job_ids if job_id not in executing]

    async def begin_stop(self, owner: LeaseOwner) -> None:
        """Say that the lease owner was asked to stop: from now on its death is no crash of its jobs."""
        self._stopping.add(owner.uuid)

    async def leave(self, owner: LeaseOwner) -> None:
        """Say no longer that the lease owner lives. What it has not acknowledged is rescued in time."""
        self._left.add(owner.uuid)

    # Looking

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""
        return deepcopy(self._jobs.get(job_id))

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the job that came in last among those that have what makes `job` unique, in whatever state it is."""
        return self.conflict_of_sync(job)

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Do the same from any thread."""
        with self._lock:
            return (
                None if job.unique is None else deepcopy(self._jobs.get(self._unique.get(key_of(job, job.unique), 0)))
            )

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        """Return at most `limit` jobs that fit, by id."""
        found = self._fitting(which)
        return deepcopy((found[::-1] if is_newest_first else found)[:limit])

    async def count(self, which: JobFilter) -> int:
        """Return how many jobs fit."""
        return len(self._fitting(which))

    async def has(self, which: JobFilter) -> bool:
        """Return whether any job fits."""
        return any(map(which.matches, self._jobs.values()))

    def has_changed(self) -> bool:
        """Return False: nobody else can change anything."""
        return False

    async def available_queues(self) -> list[str]:
        """Return the queues in which jobs are available."""
        return sorted({job.queue for job in self._jobs.values() if job.state == "available"})

    async def counts(self) -> list[JobCount]:
        """Return how many jobs there are, by queue and state; none of 0."""
        counts = Counter((job.queue, job.state) for job in self._jobs.values())
        return [JobCount(queue, state, count) for (queue, state), count in counts.items()]

    # Changing

    async def cancel(self, which: JobFilter) -> list[int]:
        """Call off what has not ended; what executes is cancelled at once, and its lease owner asks for that itself."""
        return self._change("cancel", which)

    async def retry(self, which: JobFilter) -> list[int]:
        """Make available what neither is so nor executes, with one more attempt if it has none left."""
        return self._change("retry", which)

    async def run_now(self, which: JobFilter) -> list[int]:
        """Make available what waits for its time."""
        return self._change("run_now", which)

    async def release(self, which: JobFilter) -> list[int]:
        """Let go of what is suspended: available, or scheduled when its time is yet to come."""
        return self._change("release", which)

    async def release_next(self, chain_id: str) -> list[int]:
        """Release the oldest suspended member of a chain unless another one may run; in one step."""
        with self._lock:
            members = self._fitting(JobFilter(states=INCOMPLETE, meta={"chain_id": chain_id}))
            first = min((job.id for job in members), default=None)
            if first is None or any(job.state != "suspended" for job in members):
                return []
        return self._change("release", JobFilter(ids=frozenset({first})))

    async def suspend(self, which: JobFilter) -> list[int]:
        """Hold back what does not execute, until it is released; what has ended may run once more."""
        return self._change("suspend", which)

    async def delete(self, which: JobFilter) -> list[int]:
        """Delete what does not execute."""
        with self._lock:
            ids = [job.id for job in self._fitting(which) if job.state != "executing"]
            self._delete(ids)
        return ids

    # Maintenance

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due, at most `limit`; return the queues that have got any."""
        now = self.now()
        waiting = (job for job in self._jobs.values() if job.state in {"scheduled", "retryable"})
        due = nsmallest(limit, (job for job in waiting if job.scheduled_at <= now), key=lambda job: job.scheduled_at)
        for job in due:
            job.state = "available"
        return {job.queue for job in due}

    async def due_at(self) -> datetime | None:
        """Return when the first job is due that waits for its time, be it past already; None when none waits."""
        waiting = (job.scheduled_at for job in self._jobs.values() if job.state in {"scheduled", "retryable"})
        return min(waiting, default=None)

    async def heartbeat(self) -> None:
        """Do nothing: who lives in this OS process does so as long as the store."""

    async def has_orphans(self) -> bool:
        """Return False: what dies with this OS process is gone."""
        return False

    async def rescue(self) -> list[Rescued]:
        """Take back what lease owners ran that have left."""
        executing = [
            job for job in self._jobs.values() if job.state == "executing" and job.attempted_by[1] in self._left
        ]
        for job in executing:
            transitions.rescue(job, self.now(), is_crash=job.attempted_by[1] not in self._stopping)
        self._notify(job.queue for job in executing if job.state == "available")
        return [
            Rescued(job.id, job.queue, "available" if job.state == "available" else "discarded") for job in executing
        ]

    async def discard_exhausted(self, limit: int) -> list[int]:
        """Discard available jobs without an attempt left, at most `limit`; return their ids."""
        with self._lock:
            exhausted = [job for job in self._jobs.values() if transitions.is_exhausted(job)][:limit]
            for job in exhausted:
                transitions.discard_exhausted(job, self.now())
        return [job.id for job in exhausted]

    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        """Delete what the rule says, at most `limit`; return how many. As many as the limit: there may be more."""
        now, going = self.now(), self._going()
        ended = [job for job in self._jobs.values() if job.state == rule.state]
        surplus = [] if rule.keep is None else ended[: max(0, len(ended) - rule.keep)]
        old = [job for job in ended if rule.ended_before is not None and _ended_at(job) <= rule.ended_before]
        ids = [job.id for job in {job.id: job for job in (*old, *surplus)}.values() if _is_prunable(job, going, now)]
        ids = ids[:limit]
        self._delete(ids)
        return len(ids)

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Make `node` the leader for so long, or for so long again, unless another one is; return whether it is."""
        now = self.now()
        leader, until = self._leaders.get(name, (node, now))
        if leader != node and now < until <= after(now, seconds):
            return False
        self._leaders[name] = (node, after(now, seconds))
        return True

    async def resign(self, name: str, node: str) -> None:
        """Let another one lead."""
        if self._leaders.get(name, ("", None))[0] == node:
            del self._leaders[name]

    async def queue_settings(self) -> list[QueueSettings]:
        """Return what is kept about queues."""
        return [self._queues[queue] for queue in sorted(self._queues)]

    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        """Keep what was said about a queue; None leaves it as it is."""
        now = self._queues.get(queue, QueueSettings(queue))
        self._queues[queue] = QueueSettings(
            queue, now.limit if limit is None else limit, now.is_paused if is_paused is None else is_paused
        )

    async def forget_queue(self, queue: str) -> None:
        """Go back to what the config says."""
        self._queues.pop(queue, None)

    def _insert(self, new: NewJob, job: Job, duplicates: dict[str, int], now: datetime) -> Inserted:
        key = None if new.unique is None else key_of(new, new.unique)
        there = None if key is None else self._jobs.get(self._unique.get(key, 0))
        if there is not None and new.unique is not None and is_conflicting(new.unique, _holder(there), now):
            _take_over(there, job, new.unique.replace.get(there.state, frozenset()))
            if new.label is not None:
                duplicates[new.label] = there.id
            return Inserted(there.id, is_conflict=True)
        awaited = {label: duplicates[label] for label in new.awaits if label in duplicates}
        if awaited:
            job.meta[DUPLICATES] = awaited
        self._last_id += 1
        job.id = self._last_id
        self._jobs[job.id] = job
        if key is not None:
            self._unique[key] = job.id
        return Inserted(job.id)

    def _going(self) -> set[JobGroups]:
        """Return the workflows and batches of which a member has not ended: their other members are needed yet."""
        going = (group for job in self._jobs.values() if job.state in INCOMPLETE for group in groups_of(job.meta))
        return {group for group in going if group.key != "chain_id"}

    def _within(self, owner: LeaseOwner, fit: Iterable[Job], count: int) -> list[Job]:
        """Choose what the limits of the queue let start, and take the tokens for it."""
        limits, queue = owner.limits or QueueLimits(), owner.queue
        executing = [job for job in self._jobs.values() if job.state == "executing" and job.queue == queue]
        partition = limits.global_limit.partition if limits.global_limit is not None else None
        running = Counter(partition_of(job, partition) for job in executing)
        now, buckets = self.now().timestamp(), self._buckets.get(queue, {})
        room = Capacity(limits, running, buckets, now)
        in_order = [(partition_of(job, limits.partition), job.id) for job in sorted(fit, key=_urgency)]
        chosen = within(room, in_order, count)
        if changed := room.changed():
            self._buckets[queue] = {key: at for key, at in {**buckets, **changed}.items() if at > now}
        return [self._jobs[job_id] for job_id in chosen]

    def _fitting(self, which: JobFilter) -> list[Job]:
        return [job for job in self._jobs.values() if which.matches(job)]

    def _change(self, what: str, which: JobFilter) -> list[int]:
        now, change = self.now(), transitions.CHANGES[what]
        with self._lock:
            changed = [job for job in self._fitting(which) if change(job, now)]
        self._notify(job.queue for job in changed if job.state == "available")
        return [job.id for job in changed]

    def _delete(self, ids: Iterable[int]) -> None:
        for job_id in ids:
            del self._jobs[job_id]
        self._unique = {key: job_id for key, job_id in self._unique.items() if job_id in self._jobs}

    def _notify(self, queues: Iterable[str]) -> None:
        for queue in dict.fromkeys(queues):
            self.inserted(queue)


def _made(new: NewJob, now: datetime) -> Job:
    """Return the job that a new one becomes, but for its id. Raises NotJson."""
    args, meta = texts_of(new)
    return Job(
        id=0,
        state=new.state or ("available" if new.scheduled_at is None else "scheduled"),
        queue=new.queue,
        worker=new.worker,
        args=json.loads(args),
        meta=json.loads(meta),
        tags=tidy(new.tags),
        errors=[],
        attempt=0,
        max_attempts=new.max_attempts,
        priority=new.priority,
        inserted_at=now,
        scheduled_at=new.scheduled_at or now,
    )


def _holder(job: Job) -> ExistingJob:
    return ExistingJob(job.id, job.state, job.inserted_at, job.scheduled_at, job.completed_at)


def _take_over(there: Job, job: Job, fields: Iterable[ReplacedField]) -> None:
    for name in fields:
        setattr(there, name, getattr(job, name))


def _urgency(job: Job) -> tuple[int, datetime, int]:
    return (job.priority, job.scheduled_at, job.id)


def _is_for(job: Job, owner: LeaseOwner) -> bool:
    return (
        job.state == "available"
        and job.queue == owner.queue
        and job.attempt < job.max_attempts
        and (owner.workers is None or job.worker in owner.workers)
    )


def _is_prunable(job: Job, going: set[JobGroups], now: datetime) -> bool:
    seconds = job.meta.get(KEEP_SECONDS)
    kept = seconds if isinstance(seconds, int | float) else 0.0
    if job.completed_at is not None and after(job.completed_at, kept) > now:
        return False
    return going.isdisjoint(groups_of(job.meta))


def _ended_at(job: Job) -> datetime:
    times = {"completed": job.completed_at, "cancelled": job.cancelled_at, "discarded": job.discarded_at}
    return cast("datetime", times[job.state])


def make(url: str) -> MemoryStore:
    """Return a store in memory. Raises `BadStore`."""
    if url.removeprefix("memory:").strip("/"):
        raise BadStore("memory", "has neither a path nor options: write memory: alone")
    return MemoryStore()
