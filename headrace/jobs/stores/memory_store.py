"""`MemoryStore`: jobs in memory, for tests and for work that need not survive its OS process."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from typing import cast

from typing_extensions import override

from headrace.clock import utc_now
from headrace.database.heartbeat import Heartbeats
from headrace.jobs.errors import BadStore, NotSqlite
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
    after,
)
from headrace.jobs.rules.flows import JobGroups, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import Capacity, QueueLimits, partition_of, within
from headrace.jobs.rules.unique import ExistingJob, is_conflicting, key_of
from headrace.jobs.stores import transitions
from headrace.jobs.stores.store import (
    CHANGE_BATCH,
    JobCount,
    JobStore,
    LeaseOwner,
    Listeners,
    PruneRule,
    QueueSettings,
    Rescued,
    StoreChange,
)
from headrace.jobs.stores.transitions import merged, texts_of, tidy, to_json, urgency


class MemoryStore(JobStore):
    """A store in memory. All lease owners live in this OS process, so an owner is dead once it has left."""

    is_shared: bool = False

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self._listeners = Listeners()
        self._lock = threading.RLock()
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._unique: dict[str, int] = {}
        self._owners = Heartbeats[None]()
        self._stopping: set[str] = set()
        self._last_runs: dict[str, datetime] = {}
        self._leaders: dict[str, tuple[str, datetime]] = {}
        self._buckets: dict[str, dict[str, float]] = {}
        self._queues: dict[str, QueueSettings] = {}

    @override
    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        self._listeners.add(inserted)

    @override
    async def close(self) -> None: ...

    @override
    def close_sync(self) -> None: ...

    # Inserts

    @override
    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        return self.insert_sync(jobs)

    @override
    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        now = self.now()
        made = [_made(job, now) for job in jobs]
        with self._lock:
            duplicates: dict[str, int] = {}
            inserted = [self._insert(new, job, duplicates, now) for new, job in zip(jobs, made, strict=True)]
        self._listeners.inserted(jobs)
        return inserted

    @override
    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted]:
        raise NotSqlite(type(self).__name__)

    @override
    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        if name in self._last_runs and self._last_runs[name] >= at:
            return None
        (inserted,) = self.insert_sync([job])
        self._last_runs[name] = at
        return inserted

    @override
    async def record_run(self, name: str, at: datetime) -> None:
        self._last_runs[name] = max(at, self._last_runs.get(name, at))

    @override
    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        is_seen = self._last_runs.get(name) == seen
        if is_seen:
            self._last_runs[name] = at
        return is_seen

    @override
    async def last_runs(self) -> Mapping[str, datetime]:
        return dict(self._last_runs)

    # Claims

    @override
    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        with self._lock:
            fit = (job for job in self._jobs.values() if _is_for(job, owner))
            jobs = nsmallest(count, fit, key=urgency) if owner.limits is None else self._within(owner, fit, count)
            return self._claim(owner, jobs)

    def take(self, owner: LeaseOwner, job_id: int) -> Job | None:
        """Claim one job that is available, scheduled or retryable: for tests, which run jobs in their own order."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state not in {"available", "scheduled", "retryable"}:
                return None
            return self._claim(owner, [job])[0]

    def _claim(self, owner: LeaseOwner, jobs: list[Job]) -> list[Job]:
        self._owners.join(owner.uuid, None)
        for job in jobs:
            transitions.claim(job, owner, self.now())
        return [_copied(job) for job in jobs]

    @override
    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        self.acknowledge_sync(owner, acknowledgements)

    @override
    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        now, is_released = self.now(), False
        with self._lock:
            for one in acknowledgements:
                to_json(one.outcome.meta or {})
                job = self._jobs.get(one.id)
                if job is not None and transitions.acknowledge(job, owner, one, now):
                    is_released = is_released or isinstance(one.outcome, AttemptReleased)
        if is_released:
            self._listeners.available([owner.queue])

    @override
    async def merge(self, changes: Sequence[MetaChange]) -> None:
        for change in changes:
            job, meta = self._jobs.get(change.id), json.loads(to_json(change.meta))
            if job is not None and transitions.is_of(job, change.attempt, change.by) and job.state == "executing":
                job.meta = merged(job.meta, meta)

    @override
    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        by = [owner.node, owner.uuid]
        executing = {job.id for job in self._jobs.values() if job.state == "executing" and job.attempted_by == by}
        return [job_id for job_id in job_ids if job_id not in executing]

    @override
    async def begin_stop(self, owner: LeaseOwner) -> None:
        self._stopping.add(owner.uuid)

    @override
    async def leave(self, owner: LeaseOwner) -> None:
        self._owners.leave(owner.uuid)

    @override
    async def heartbeat(self) -> None: ...

    # Finds

    @override
    async def get(self, job_id: int) -> Job | None:
        found = self._jobs.get(job_id)
        return None if found is None else _copied(found)

    @override
    async def conflict_of(self, job: NewJob) -> Job | None:
        return self.conflict_of_sync(job)

    @override
    def conflict_of_sync(self, job: NewJob) -> Job | None:
        if job.unique is None:
            return None
        with self._lock:
            found = self._jobs.get(self._unique.get(key_of(job, job.unique), 0))
            return None if found is None else _copied(found)

    @override
    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        found = self._matching(which)
        return [_copied(job) for job in (found[::-1] if is_newest_first else found)[:limit]]

    @override
    async def count(self, which: JobFilter) -> int:
        return len(self._matching(which))

    @override
    async def has(self, which: JobFilter) -> bool:
        return any(map(which.matches, self._jobs.values()))

    @override
    async def counts(self) -> list[JobCount]:
        counts = Counter((job.queue, job.state) for job in self._jobs.values())
        return [JobCount(queue, state, count) for (queue, state), count in counts.items()]

    @override
    async def available_queues(self) -> list[str]:
        return sorted({job.queue for job in self._jobs.values() if job.state == "available"})

    # Changes

    @override
    async def change(self, what: StoreChange, which: JobFilter) -> list[int]:
        now = self.now()
        with self._lock:
            changed = [job for job in self._matching(which) if transitions.change(job, what, now)]
            if what == "delete":
                self._delete(job.id for job in changed)
        if what != "delete":
            self._listeners.available(job.queue for job in changed if job.state == "available")
        return [job.id for job in changed]

    @override
    async def release_next(self, chain_id: str) -> list[int]:
        with self._lock:
            members = self._matching(JobFilter(states=INCOMPLETE, meta={"chain_id": chain_id}))
            first = min((job.id for job in members), default=None)
            if first is None or any(job.state != "suspended" for job in members):
                return []
        return await self.release(JobFilter(ids=frozenset({first})))

    # Maintains

    @override
    async def stage(self, limit: int) -> set[str]:
        now = self.now()
        due = nsmallest(limit, (job for job in self._waiting() if job.scheduled_at <= now), key=_scheduled_at)
        for job in due:
            job.state = "available"
        return {job.queue for job in due}

    @override
    async def due_at(self) -> datetime | None:
        return min(map(_scheduled_at, self._waiting()), default=None)

    @override
    async def has_orphans(self) -> bool:
        return False

    @override
    async def rescue(self) -> list[Rescued]:
        executing = [job for job in self._jobs.values() if job.state == "executing"]
        rescued = [job for job in executing if job.attempted_by[1] not in self._owners]
        for job in rescued:
            transitions.rescue(job, self.now(), is_crash=job.attempted_by[1] not in self._stopping)
        self._listeners.available(job.queue for job in rescued if job.state == "available")
        return [Rescued(job.id, job.queue, "available" if job.state == "available" else "discarded") for job in rescued]

    @override
    async def discard_exhausted(self, limit: int) -> list[int]:
        with self._lock:
            exhausted = [job for job in self._jobs.values() if transitions.is_exhausted(job)][:limit]
            for job in exhausted:
                transitions.discard_exhausted(job, self.now())
        return [job.id for job in exhausted]

    @override
    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        now, unfinished = self.now(), self._unfinished()
        ended = [job for job in self._jobs.values() if job.state == rule.state]
        surplus = [] if rule.keep is None else ended[: max(0, len(ended) - rule.keep)]
        old = [job for job in ended if rule.ended_before is not None and _ended_at(job) <= rule.ended_before]
        found = {job.id: job for job in (*old, *surplus)}
        ids = [job.id for job in found.values() if _is_prunable(job, unfinished, now)][:limit]
        self._delete(ids)
        return len(ids)

    @override
    async def lead(self, name: str, node: str, seconds: float) -> bool:
        now = self.now()
        leader, until = self._leaders.get(name, (node, now))
        if leader != node and now < until <= after(now, seconds):
            return False
        self._leaders[name] = (node, after(now, seconds))
        return True

    @override
    async def resign(self, name: str, node: str) -> None:
        if self._leaders.get(name, ("", None))[0] == node:
            del self._leaders[name]

    # Queue controls

    @override
    async def queue_settings(self) -> list[QueueSettings]:
        return [self._queues[queue] for queue in sorted(self._queues)]

    @override
    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        now = self._queues.get(queue, QueueSettings(queue))
        self._queues[queue] = QueueSettings(
            queue, now.limit if limit is None else limit, now.is_paused if is_paused is None else is_paused
        )

    @override
    async def forget_queue(self, queue: str) -> None:
        self._queues.pop(queue, None)

    def _insert(self, new: NewJob, job: Job, duplicates: dict[str, int], now: datetime) -> Inserted:
        key = None if new.unique is None else key_of(new, new.unique)
        there = None if key is None else self._jobs.get(self._unique.get(key, 0))
        if there is not None and new.unique is not None and is_conflicting(new.unique, _existing(there), now):
            for name in new.unique.replace.get(there.state, frozenset()):
                setattr(there, name, getattr(job, name))
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

    def _waiting(self) -> Iterable[Job]:
        return (job for job in self._jobs.values() if job.state in {"scheduled", "retryable"})

    def _unfinished(self) -> set[JobGroups]:
        """Return the workflows and batches with a member that has not ended: their other members are still needed."""
        found = (group for job in self._jobs.values() if job.state in INCOMPLETE for group in groups_of(job.meta))
        return {group for group in found if group.key != "chain_id"}

    def _within(self, owner: LeaseOwner, fit: Iterable[Job], count: int) -> list[Job]:
        """Choose the jobs that may start within the limits of the queue, and take their tokens."""
        limits, queue = owner.limits or QueueLimits(), owner.queue
        executing = [job for job in self._jobs.values() if job.state == "executing" and job.queue == queue]
        partition = limits.global_limit.partition if limits.global_limit is not None else None
        running = Counter(partition_of(job, partition) for job in executing)
        now, buckets = self.now().timestamp(), self._buckets.get(queue, {})
        capacity = Capacity(limits, running, buckets, now)
        in_order = [(partition_of(job, limits.partition), job.id) for job in sorted(fit, key=urgency)]
        chosen = within(capacity, in_order, count)
        if changed := capacity.changed():
            self._buckets[queue] = {key: at for key, at in {**buckets, **changed}.items() if at > now}
        return [self._jobs[job_id] for job_id in chosen]

    def _matching(self, which: JobFilter) -> list[Job]:
        return [job for job in self._jobs.values() if which.matches(job)]

    def _delete(self, ids: Iterable[int]) -> None:
        for job_id in ids:
            del self._jobs[job_id]
        self._unique = {key: job_id for key, job_id in self._unique.items() if job_id in self._jobs}


def _made(new: NewJob, now: datetime) -> Job:
    """Return the stored form of a new job, except for its id. Raises NotJson."""
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


def _copied(job: Job) -> Job:
    """Return a copy that shares nothing that can change; a plain deepcopy takes three times as many calls."""
    return replace(
        job,
        args=deepcopy(job.args),
        meta=deepcopy(job.meta),
        tags=job.tags.copy(),
        errors=job.errors.copy(),
        attempted_by=job.attempted_by.copy(),
    )


def _existing(job: Job) -> ExistingJob:
    return ExistingJob(job.id, job.state, job.inserted_at, job.scheduled_at, job.completed_at)


def _is_for(job: Job, owner: LeaseOwner) -> bool:
    return (
        job.state == "available"
        and job.queue == owner.queue
        and job.attempt < job.max_attempts
        and (owner.workers is None or job.worker in owner.workers)
    )


def _scheduled_at(job: Job) -> datetime:
    return job.scheduled_at


def _is_prunable(job: Job, unfinished: set[JobGroups], now: datetime) -> bool:
    seconds = job.meta.get(KEEP_SECONDS)
    kept = seconds if isinstance(seconds, int | float) else 0.0
    if job.completed_at is not None and after(job.completed_at, kept) > now:
        return False
    return unfinished.isdisjoint(groups_of(job.meta))


def _ended_at(job: Job) -> datetime:
    times = {"completed": job.completed_at, "cancelled": job.cancelled_at, "discarded": job.discarded_at}
    return cast("datetime", times[job.state])


def make(url: str) -> MemoryStore:
    """Return a store in memory. Raises `BadStore`."""
    if url.removeprefix("memory:").strip("/"):
        raise BadStore("memory", "has neither a path nor options: write memory: alone")
    return MemoryStore()
