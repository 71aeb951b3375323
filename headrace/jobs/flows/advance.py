"""Advances groups: releases the next steps of workflows, the next jobs of chains, and the callbacks of batches.

Each decision is made from the jobs in the store alone. So a group may be advanced twice, late, or by several processes
at the same time, and a process that is killed in between loses nothing: the next one makes the same decision.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice
from typing import Final, Protocol

from headrace.errors import HeadraceError
from headrace.jobs.job import INCOMPLETE, AttemptCancelled, AttemptCompleted, Job, JobState, NewJob
from headrace.jobs.rules.flows import (
    CALLBACK_META,
    MEMBER_META,
    AdvanceDecision,
    BatchStatus,
    JobGroups,
    StepGraph,
    decide_callbacks,
    decide_next,
    decide_steps,
    duplicates_of,
    graph_of,
    groups_of,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.outcomes import is_discarded
from headrace.jobs.running.queue import EndedAttempt, attach_to_ends
from headrace.jobs.stores.store import Changes, Finds
from headrace.telemetry.events import Telemetry, log_failure

MEMBER_LIMIT: Final = 100_000
"""The number of jobs of one workflow that are read at most."""

CALLBACK_LIMIT: Final = 10
"""The number of callbacks of one batch that are read; there are at most three."""

AT_ONCE: Final = 100
"""The number of groups that are advanced at the same time: their queries reach the store together."""

AGAIN_SECONDS: Final = 1.0
"""How long the advancer waits after an error, before it tries again."""

FEW: Final = 8
"""If a step has more predecessors than this, the store is first asked whether one of them has not ended."""

KEPT_STEPS: Final = 20_000
"""Steps in the cached graphs of all workflows, about 300 bytes each; one graph may be larger."""

SUSPENDED: Final[frozenset[JobState]] = frozenset({"suspended"})
_FAILED: Final[frozenset[JobState]] = frozenset({"cancelled", "discarded"})


class AdvancerStore(Finds, Changes, Protocol):
    """The roles of a store that an advancer needs."""


def groups_to_advance(jobs: Iterable[NewJob | None]) -> list[JobGroups]:
    """Return the groups of jobs that are inserted as suspended."""
    return groups_of_all(job for job in jobs if job is not None and job.state == "suspended")


def groups_of_all(jobs: Iterable[Job | NewJob]) -> list[JobGroups]:
    """Return the groups of jobs, each once."""
    return list(dict.fromkeys(group for job in jobs for group in groups_of(job.meta)))


async def advance(store: AdvancerStore, group: JobGroups) -> set[JobGroups]:
    """Release the jobs of a group whose predecessors have ended, and cancel the jobs that can no longer run.

    Return the other groups that this has changed. On cancellation, a part of the changes may be made.
    """
    if group.key == "chain_id":
        await _advance_chain(store, group)
        return set()
    if not await store.has(JobFilter(states=SUSPENDED, meta=group.meta)):
        return set()
    return await (_advance_workflow if group.key == "workflow_id" else _advance_batch)(store, group)


async def advance_all(store: AdvancerStore, groups: Iterable[JobGroups]) -> None:
    """Advance groups, and all groups that this changes, many at a time. Raises the first error of the store."""
    await _advance_each(groups, partial(advance, store))


async def _advance_each(
    groups: Iterable[JobGroups], advance_one: Callable[[JobGroups], Coroutine[None, None, set[JobGroups]]]
) -> None:
    waiting = set(groups)
    while waiting:
        some = list(islice(waiting, AT_ONCE))
        waiting.difference_update(some)
        if len(some) == 1:
            waiting |= await advance_one(some[0])
            continue
        failed: HeadraceError | None = None
        tasks: list[asyncio.Task[set[JobGroups]]] = []
        try:
            async with asyncio.TaskGroup() as together:
                tasks += [together.create_task(advance_one(group)) for group in some]
        except* HeadraceError as errors:
            failed = next(error for error in errors.exceptions if isinstance(error, HeadraceError))
        if failed is not None:
            raise failed
        waiting.update(*(task.result() for task in tasks))


async def _advance_workflow(store: AdvancerStore, group: JobGroups) -> set[JobGroups]:
    return await _advance_steps(store, group, await steps_of(store, group))


async def steps_of(store: Finds, group: JobGroups) -> list[Job]:
    """Return the jobs of a group, in the order of their insertion."""
    return await store.find(JobFilter(meta=group.meta), MEMBER_LIMIT, is_newest_first=False)


async def _advance_steps(store: AdvancerStore, group: JobGroups, steps: Sequence[Job]) -> set[JobGroups]:
    decision = decide_steps(steps, await _duplicate_states(store, steps))
    await _apply(store, decision)
    cancelled = set(decision.cancel)
    return {other for step in steps if step.id in cancelled for other in groups_of(step.meta)} - {group}


async def _advance_batch(store: AdvancerStore, group: JobGroups) -> set[JobGroups]:
    which = JobFilter(states=SUSPENDED, meta={**group.meta, **CALLBACK_META})
    callbacks = await store.find(which, CALLBACK_LIMIT)
    duplicates = set((await _duplicate_states(store, callbacks)).values())
    members = {**group.meta, **MEMBER_META}
    status = BatchStatus(
        is_over=duplicates.isdisjoint(INCOMPLETE) and not await store.has(JobFilter(states=INCOMPLETE, meta=members)),
        has_failed=not duplicates.isdisjoint(_FAILED) or await store.has(JobFilter(states=_FAILED, meta=members)),
    )
    await _apply(store, decide_callbacks(callbacks, status))
    return set()


async def _advance_chain(store: AdvancerStore, group: JobGroups) -> None:
    """Release the oldest suspended job of a chain, unless one may run already; write nothing otherwise."""
    if not await store.has(JobFilter(states=SUSPENDED, meta=group.meta)):
        return
    if not await store.has(JobFilter(states=INCOMPLETE - SUSPENDED, meta=group.meta)):
        await store.release_next(group.id)


async def _duplicate_states(store: AdvancerStore, jobs: Sequence[Job]) -> dict[int, JobState]:
    """Return the states, by id, of the existing jobs that these jobs await."""
    ids = frozenset(job_id for job in jobs for job_id in duplicates_of(job).values())
    found = await store.find(JobFilter(ids=ids), len(ids)) if ids else []
    return {job.id: job.state for job in found}


async def _apply(store: AdvancerStore, decision: AdvanceDecision) -> None:
    """Apply a decision to the jobs that are still suspended."""
    for ids, change in ((decision.cancel, store.cancel), (decision.release, store.release)):
        if ids:
            await change(JobFilter(ids=frozenset(ids), states=SUSPENDED))


class _Graphs:
    """Caches the graphs of workflows whose steps end here, so that an ended step needs few reads."""

    def __init__(self, store: AdvancerStore) -> None:
        self._store = store
        self._graphs: dict[JobGroups, StepGraph] = {}
        self._size = 0

    async def advance(self, group: JobGroups, ended: AbstractSet[int] | None) -> set[JobGroups]:
        """Advance a group in which only the jobs `ended` have completed; None means that any job may have changed."""
        graph = self._graphs.pop(group, None)
        self._size -= 0 if graph is None else graph.size
        if ended is None or group.key != "workflow_id":
            return await advance(self._store, group)
        if graph is not None:
            self._keep(group, graph)
            return set() if await self._follow(graph, ended) else await advance(self._store, group)
        if not await self._store.has(JobFilter(states=SUSPENDED, meta=group.meta)):
            return set()
        steps = await steps_of(self._store, group)
        graph = graph_of(steps)
        if graph is not None:
            self._keep(group, graph)
        return await _advance_steps(self._store, group, steps)

    def _keep(self, group: JobGroups, graph: StepGraph) -> None:
        self._graphs[group] = graph
        self._size += graph.size
        while self._size > KEPT_STEPS and len(self._graphs) > 1:
            self._size -= self._graphs.pop(next(iter(self._graphs))).size

    async def _follow(self, graph: StepGraph, ended: AbstractSet[int]) -> bool:
        """Release the steps right after the ended ones; return False if the whole workflow must be read."""
        ids = frozenset(graph.followers(ended))
        suspended = await self._store.find(JobFilter(ids=ids, states=SUSPENDED), len(ids)) if ids else []
        needs = {graph.before.get(step.id, frozenset()) for step in suspended}
        unfinished = {
            one for one in needs if len(one) > FEW and await self._store.has(JobFilter(ids=one, states=INCOMPLETE))
        }
        suspended = [step for step in suspended if graph.before.get(step.id, frozenset()) not in unfinished]
        if not suspended:
            return True
        before = frozenset().union(*(graph.before.get(step.id, frozenset()) for step in suspended))
        decision = decide_next(suspended, await self._store.find(JobFilter(ids=before), len(before)))
        if decision is not None:
            await _apply(self._store, decision)
        return decision is not None


class Advancer:
    """Advances the groups of the jobs that end in this process, as soon as they end."""

    def __init__(self, store: AdvancerStore, telemetry: Telemetry) -> None:
        self._graphs = _Graphs(store)
        self._changed: dict[JobGroups, set[int] | None] = {}
        """The changed groups, each with its completed jobs; None means that any job may have changed."""
        self._is_at_work = False
        self._wake = asyncio.Event()
        attach_to_ends(telemetry, self._ended)

    @property
    def is_at_rest(self) -> bool:
        """Whether every changed group was advanced."""
        return not (self._changed or self._is_at_work)

    def _ended(self, attempts: Sequence[EndedAttempt]) -> None:
        for one in attempts:
            if one.job.meta and (groups := groups_of(one.job.meta)):
                if isinstance(one.outcome, AttemptCompleted):
                    self._completed(groups, one.job.id)
                elif isinstance(one.outcome, AttemptCancelled) or is_discarded(one.outcome):
                    self.changed(groups)

    def changed(self, groups: Iterable[JobGroups]) -> None:
        """Advance groups soon, whose jobs were inserted or have ended. Call it on the loop."""
        for group in groups:
            self._changed[group] = None
            self._wake.set()

    def _completed(self, groups: Iterable[JobGroups], job_id: int) -> None:
        for group in groups:
            ended = self._changed.setdefault(group, set())
            if ended is not None:
                ended.add(job_id)
        self._wake.set()

    async def _advance(self, changed: dict[JobGroups, set[int] | None], group: JobGroups) -> set[JobGroups]:
        """Advance a group. If a group is passed a second time, another group has changed it."""
        return await self._graphs.advance(group, changed.pop(group, None))

    async def run(self) -> None:
        """Advance the changed groups, all at a time, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._is_at_work = True
            try:
                await self.advance()
            except Exception as error:  # noqa: BLE001 - without the advancer no workflow would continue
                log_failure(error, "workflows, batches and chains of jobs cannot continue, and are tried again")
                await asyncio.sleep(AGAIN_SECONDS)
            self._is_at_work = False

    async def advance(self) -> None:
        """Advance the changed groups, all at a time; after an error they count as changed again."""
        changed, self._changed = self._changed, {}
        try:
            await _advance_each(changed, partial(self._advance, dict(changed)))
        except BaseException:
            self.changed(changed)
            raise
