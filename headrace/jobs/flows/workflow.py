"""`Workflow`: jobs that depend on each other; their results, and their retries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import ClassVar, Final, Literal, Protocol
from uuid import uuid4

from headrace.jobs.errors import BadWorkflow, did_you_mean
from headrace.jobs.flows.advance import MEMBER_LIMIT, SUSPENDED, AdvancerStore, advance_all, steps_of
from headrace.jobs.job import ENDED, STATES, Inserted, Job, JobState, NewJob
from headrace.jobs.rules.flows import (
    CALLBACK_META,
    DEPS,
    IGNORES,
    NAME,
    GroupKey,
    JobGroups,
    deps_of,
    duplicates_of,
    followers,
    groups_of,
    name_of,
    suspended_again,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.outcomes import RECORDED, RESULT
from headrace.jobs.running_job import RESULTS
from headrace.jobs.stores.store import CHANGE_BATCH, Finds, JobStore

OnFailure = Literal["cancel", "ignore"]
"""Whether a step is cancelled when a step before it was cancelled, discarded or deleted, or runs nevertheless."""

WORKFLOW_NAME: Final = "workflow_name"


class KeepsJobs(Protocol):
    """The service that workflows and batches use: `Jobs`."""

    @property
    def store(self) -> JobStore:
        """The store of its jobs."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs in one transaction."""

    async def cancel(self, which: JobFilter) -> list[int]:
        """Cancel jobs that have not ended, also running ones."""


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """A step of a plan: its job, and the names of the steps before it."""

    name: str
    job: NewJob
    after: tuple[str, ...]
    on_failure: OnFailure


class Workflow:
    """A plan of jobs. Each step runs when all steps before it have completed.

    It has no store until it starts. A step finds the results of the steps before it, by their names, in
    `current_job().results`.
    """

    def __init__(self, name: str = "workflow", *, on_failure: OnFailure = "cancel") -> None:
        """`on_failure` is the default of the steps."""
        self.name = name
        self.id = str(uuid4())
        self._on_failure = on_failure
        self._steps: dict[str, WorkflowStep] = {}

    def add(
        self,
        job: NewJob,
        name: str | None = None,
        *,
        after: Iterable[WorkflowStep | str] = (),
        on_failure: OnFailure | None = None,
    ) -> WorkflowStep:
        """Add a step. `after` are the steps before it, or their names, which may be added later.

        The default name is that of the worker's function. Raises `BadWorkflow` for a name that is taken.
        """
        if name is not None and name in self._steps:
            raise BadWorkflow(self.name, f"has two steps of the name {name!r}: give each its own")
        names = tuple(dict.fromkeys(one if isinstance(one, str) else one.name for one in after))
        step = WorkflowStep(name or self._free_name(job), job, names, on_failure or self._on_failure)
        self._steps[step.name] = step
        return step

    def jobs(self) -> list[NewJob]:
        """Return the jobs to insert, in an order in which each step follows the steps before it.

        Raises `BadWorkflow` for a cycle, for a workflow without steps, and for unknown names.
        """
        if not self._steps:
            raise BadWorkflow(self.name, "has no steps: add at least one")
        for step in self._steps.values():
            for name in step.after:
                self._check_known(step, name)
        graph = {step.name: step.after for step in self._steps.values()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " after ".join(map(repr, reversed(error.args[1])))
            why = f"goes in a circle: {circle}; take one of these away"
        else:
            return [self._job(self._steps[name]) for name in order]
        raise BadWorkflow(self.name, why)

    async def start(self, service: KeepsJobs) -> "WorkflowRun":
        """Insert all jobs in one transaction; return the handle of the run. Raises `BadWorkflow`."""
        await service.insert(self.jobs())
        run = WorkflowRun(self.id, service)
        await run.advance()
        return run

    def _free_name(self, job: NewJob) -> str:
        name = stem = job.worker.rpartition(".")[2]
        number = 2
        while name in self._steps:
            name = f"{stem}_{number}"
            number += 1
        return name

    def _check_known(self, step: WorkflowStep, name: str) -> None:
        if name not in self._steps:
            why = f"has no step {name!r} for {step.name!r} to come after: {did_you_mean(name, self._steps)}"
            raise BadWorkflow(self.name, why)

    def _job(self, step: WorkflowStep) -> NewJob:
        meta: dict[str, object] = {
            **step.job.meta,
            "workflow_id": self.id,
            WORKFLOW_NAME: self.name,
            NAME: step.name,
            DEPS: list(step.after),
        }
        if step.on_failure == "ignore":
            meta.update(dict.fromkeys(IGNORES.values(), True))
        state: JobState | None = "suspended" if step.after else step.job.state
        return replace(step.job, meta=meta, state=state, label=step.name, awaits=step.after)


class FlowRun:
    """The handle of a workflow or a batch that was started, in any process and at any time."""

    _key: ClassVar[GroupKey]

    def __init__(self, flow_id: str, service: KeepsJobs) -> None:
        self.id = flow_id
        self._service = service
        self._group = JobGroups(self._key, flow_id)

    async def advance(self) -> None:
        """Release the jobs whose predecessors have ended. headrace also does this without a call."""
        await advance_all(self._service.store, [self._group])


class WorkflowRun(FlowRun):
    """The handle of a workflow."""

    _key = "workflow_id"

    async def jobs(self) -> dict[str, Job]:
        """Return its jobs by the names of their steps, in the order in which they were inserted."""
        return {name_of(job): job for job in await self._steps()}

    async def states(self) -> Mapping[str, JobState]:
        """Return the states of its steps by their names."""
        return {name: job.state for name, job in (await self.jobs()).items()}

    async def cancel(self, name: str | None = None) -> list[int]:
        """Cancel a step and the steps after it, or all steps; return the ids of the cancelled jobs.

        Raises `BadWorkflow` for an unknown step.
        """
        steps = await self._steps()
        branch = steps if name is None else [self._step(steps, name), *followers(steps, name)]
        return await self._service.cancel(JobFilter(ids=frozenset(step.id for step in branch)))

    async def retry(self, name: str) -> list[int]:
        """Run a step again, and after it the steps that come after it; return the ids of these jobs.

        Running steps continue. Raises `BadWorkflow` for an unknown step.
        """
        steps, store = await self._steps(), self._service.store
        first = self._step(steps, name)
        suspended = frozenset(step.id for step in followers(steps, name))
        # In this order: if the others were suspended first, they could be cancelled again before it begins.
        changed = await store.retry(JobFilter(ids=frozenset({first.id})))
        changed += await store.suspend(JobFilter(ids=suspended)) if suspended else []
        await self.advance()
        return changed

    async def _steps(self) -> list[Job]:
        return await steps_of(self._service.store, self._group)

    def _step(self, steps: Sequence[Job], name: str) -> Job:
        for step in steps:
            if name_of(step) == name:
                return step
        raise BadWorkflow(self.id, f"has no step {name!r}: it has {', '.join(map(name_of, steps)) or 'none'}")


FEW: Final = 8
"""Up to this number, steps are read one by one; for more, all steps of the workflow are read at once."""

_DONE: Final[frozenset[JobState]] = frozenset({"completed"})


async def pass_results(store: Finds, job: Job) -> None:
    """Put the recorded results of the steps before a claimed step into its meta, in memory only.

    Each result has the name of its step as its key. Steps without a result are left out.
    """
    workflow, duplicates = job.meta.get("workflow_id"), duplicates_of(job)
    names = [name for name in deps_of(job) if name not in duplicates]
    steps = await _steps(store, JobGroups("workflow_id", str(workflow)), names) if names and workflow else {}
    ids = frozenset(duplicates.values())
    there = {one.id: one for one in await store.find(JobFilter(ids=ids), len(ids))} if ids else {}
    steps.update((label, there[job_id]) for label, job_id in duplicates.items() if job_id in there)
    job.meta[RESULTS] = {name: step.meta.get(RESULT) for name, step in steps.items() if step.meta.get(RECORDED)}


async def _steps(store: Finds, group: JobGroups, names: list[str]) -> dict[str, Job]:
    if len(names) > FEW:
        wanted = frozenset(names)
        found = await store.find(JobFilter(states=_DONE, meta=group.meta), MEMBER_LIMIT)
        return {name_of(step): step for step in found if name_of(step) in wanted}
    which = [JobFilter(states=_DONE, meta={**group.meta, NAME: name}) for name in names]
    steps = [step for one in which for step in await store.find(one, 1)]
    return {name_of(step): step for step in steps}


_RERUN: Final[frozenset[JobState]] = frozenset(STATES) - {"available", "executing"}
"""The states of jobs that a retry changes."""

_CANCELLED: Final[frozenset[JobState]] = frozenset({"cancelled"})


@dataclass(frozen=True, slots=True)
class _Selection:
    """The jobs that run again, by the way in which they are released."""

    plain: set[int] = field(default_factory=set)
    in_chains: set[int] = field(default_factory=set)
    """Retryable members of chains. A member that ends meanwhile is left alone, since the next one may run."""
    steps: dict[JobGroups, set[int]] = field(default_factory=lambda: defaultdict(set))
    in_turn: dict[JobGroups, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Ended members of chains and ended callbacks of batches: each waits for its turn again."""

    def add(self, job: Job) -> None:
        """Add a job, unless it is suspended in a group: then the jobs before it have not ended."""
        groups = groups_of(job.meta) if job.meta else []
        workflow = next((group for group in groups if group.key == "workflow_id"), None)
        turn = next((group for group in groups if _has_turns(group, job)), None)
        if groups and job.state == "suspended":
            return
        if workflow is not None:
            self.steps[workflow].add(job.id)
        elif turn is not None and job.state in ENDED:
            self.in_turn[turn].add(job.id)
        elif turn is not None:
            self.in_chains.add(job.id)
        else:
            self.plain.add(job.id)


async def retry_flow(store: AdvancerStore, which: JobFilter) -> list[int]:
    """Make matching jobs available unless they are available or executing; return the ids of the changed jobs.

    A job without an attempt left gets one more. Suspended jobs of workflows, chains and batches are left alone. Of the
    steps of a workflow, the first ones run; the steps after them, also if they were cancelled, are suspended until it
    is their turn, and count as changed. Ended members of a chain wait for their turn, ended callbacks for the end of
    their batch. Many jobs are changed in batches.
    """
    states = _RERUN if which.states is None else _RERUN & which.states
    changed: list[int] = []
    selection = _Selection()
    before_id = which.before_id
    while jobs := await store.find(replace(which, states=states, before_id=before_id), CHANGE_BATCH):
        before_id = jobs[-1].id
        selection.plain.clear()
        selection.in_chains.clear()
        for job in jobs:
            selection.add(job)
        for ids, wanted in ((selection.plain, states), (selection.in_chains, states - ENDED)):
            changed += await store.retry(JobFilter(ids=frozenset(ids), states=wanted)) if ids else []
    for group, steps in selection.steps.items():
        changed += await _rerun_steps(store, group, frozenset(steps), states - SUSPENDED)
    for members in selection.in_turn.values():
        changed += await store.suspend(JobFilter(ids=frozenset(members), states=states & ENDED))
    await advance_all(store, selection.in_turn)
    return sorted(changed)


async def _rerun_steps(
    store: AdvancerStore, group: JobGroups, ids: frozenset[int], states: frozenset[JobState]
) -> list[int]:
    steps = await steps_of(store, group)
    suspended = frozenset(step.id for step in suspended_again(steps, ids))
    first = JobFilter(ids=ids - suspended, states=states)
    # In this order: if the others were suspended first, they could be cancelled again before these begin.
    changed = await store.retry(first)
    changed += await store.suspend(JobFilter(ids=suspended, states=states | _CANCELLED)) if suspended else []
    await advance_all(store, [group])
    return changed


def _has_turns(group: JobGroups, job: Job) -> bool:
    """Return whether the job waits for other members of a group."""
    if group.key == "batch_id":
        return all(job.meta.get(key) == value for key, value in CALLBACK_META.items())
    return group.key == "chain_id"
