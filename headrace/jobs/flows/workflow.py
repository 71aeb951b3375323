"""`Workflow`; passing results on; retrying steps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Final, Literal, Protocol
from uuid import uuid4

from headrace.jobs.errors import BadWorkflow
from headrace.jobs.flows.advance import MEMBER_LIMIT, AdvancerStore, advance_all
from headrace.jobs.job import INCOMPLETE, STATES, Inserted, Job, JobState, NewJob
from headrace.jobs.rules.flows import (
    CALLBACK_META,
    DEPS,
    IGNORES,
    NAME,
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
"""Whether a step is cancelled when one before it was cancelled, discarded or deleted, or runs all the same."""

WORKFLOW_NAME: Final = "workflow_name"


class KeepsJobs(Protocol):
    """What workflows and batches need of a service (`Jobs` is one)."""

    @property
    def store(self) -> JobStore:
        """Where its jobs are kept."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs in one transaction."""

    async def cancel(self, which: JobFilter) -> list[int]:
        """Call off jobs that have not ended, also those that run."""


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """A job of a workflow that is not started yet, and the names of those before it."""

    name: str
    job: NewJob
    after: tuple[str, ...]
    on_failure: OnFailure


class Workflow:
    """A plan of jobs, each of which runs when all those have ended well that it comes after.

    It knows no store until it is started. A step finds the results of those that it came after, by their names, in
    `current_job().results`.
    """

    def __init__(self, name: str = "workflow", *, on_failure: OnFailure = "cancel") -> None:
        """`on_failure` is for all steps that say nothing else."""
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
        """Add a step; `after` are steps, or names of steps that may be yet to come.

        Its name is that of its worker's function unless given. Raises `BadWorkflow` for a name that is taken.
        """
        if name is not None and name in self._steps:
            raise BadWorkflow(self.name, f"has two steps of the name {name!r}: give each its own")
        names = tuple(dict.fromkeys(one if isinstance(one, str) else one.name for one in after))
        step = WorkflowStep(name or self._free_name(job), job, names, on_failure or self._on_failure)
        self._steps[step.name] = step
        return step

    def jobs(self) -> list[NewJob]:
        """Return the jobs as they are to be inserted, those before others first.

        Raises `BadWorkflow` for steps that wait for each other in a circle, for none at all, and for unknown names.
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
        """Insert all of it in one transaction; return what to follow and change it by. Raises `BadWorkflow`."""
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
            like = get_close_matches(name, self._steps, 1)
            advice = f"did you mean {like[0]!r}?" if like else f"it has {', '.join(self._steps)}"
            raise BadWorkflow(self.name, f"has no step {name!r} for {step.name!r} to come after: {advice}")

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


class WorkflowRun:
    """A workflow that was started: in this process or another, now or long ago."""

    def __init__(self, workflow_id: str, service: KeepsJobs) -> None:
        self.id = workflow_id
        self._service = service
        self._group = JobGroups("workflow_id", workflow_id)

    async def jobs(self) -> dict[str, Job]:
        """Return its jobs by the names of their steps, in the order in which they were inserted."""
        return {name_of(job): job for job in await self._steps()}

    async def states(self) -> Mapping[str, JobState]:
        """Return the states of its steps by their names."""
        return {name: job.state for name, job in (await self.jobs()).items()}

    async def cancel(self, name: str | None = None) -> list[int]:
        """Call off a step and all that comes after it, or all steps; return the ids of those that had not ended.

        Raises `BadWorkflow` for a step that it has not.
        """
        steps = await self._steps()
        branch = steps if name is None else [self._step(steps, name), *followers(steps, name)]
        return await self._service.cancel(JobFilter(ids=frozenset(step.id for step in branch)))

    async def retry(self, name: str) -> list[int]:
        """Run a step once more, and all that comes after it once it is done; return the ids of those.

        What runs at this moment goes on. Raises `BadWorkflow` for a step that it has not.
        """
        steps, store = await self._steps(), self._service.store
        first = self._step(steps, name)
        suspended = frozenset(step.id for step in followers(steps, name))
        # In this order: were the others held back first, they could be called off again before it has begun.
        changed = await store.retry(JobFilter(ids=frozenset({first.id})))
        changed += await store.suspend(JobFilter(ids=suspended)) if suspended else []
        await self.advance()
        return changed

    async def advance(self) -> None:
        """Let go of what need wait no longer. It is done by itself, too; to do it again changes nothing."""
        await advance_all(self._service.store, [self._group])

    async def _steps(self) -> list[Job]:
        which = JobFilter(meta=self._group.meta)
        return await self._service.store.find(which, MEMBER_LIMIT, is_newest_first=False)

    def _step(self, steps: Sequence[Job], name: str) -> Job:
        for step in steps:
            if name_of(step) == name:
                return step
        raise BadWorkflow(self.id, f"has no step {name!r}: it has {', '.join(map(name_of, steps)) or 'none'}")


FEW: Final = 8
"""So many steps are looked for one by one; for more, all steps of the workflow are read at once."""

_ALL: Final = 100_000
"""Steps that are read."""


_DONE: Final[frozenset[JobState]] = frozenset({"completed"})


async def pass_results(store: Finds, job: Job) -> None:
    """Put the recorded results of what a claimed step came after into its meta, here and not in the store.

    Each is under the name of its step; steps that recorded nothing are left out.
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
        found = await store.find(JobFilter(states=_DONE, meta=group.meta), _ALL)
        return {name_of(step): step for step in found if name_of(step) in wanted}
    which = [JobFilter(states=_DONE, meta={**group.meta, NAME: name}) for name in names]
    steps = [step for one in which for step in await store.find(one, 1)]
    return {name_of(step): step for step in steps}


_RERUN: Final[frozenset[JobState]] = frozenset(STATES) - {"available", "executing"}
"""The states of what a retry changes at all."""

_ENDED: Final[frozenset[JobState]] = frozenset(STATES) - INCOMPLETE

_CANCELLED: Final[frozenset[JobState]] = frozenset({"cancelled"})

_SUSPENDED: Final[frozenset[JobState]] = frozenset({"suspended"})


@dataclass(frozen=True, slots=True)
class _Selection:
    """The jobs that are run once more, by how."""

    plain: set[int] = field(default_factory=set)
    in_chains: set[int] = field(default_factory=set)
    """Members of chains that wait to be tried again; one that ends meanwhile is left alone, for the next may run."""
    steps: dict[JobGroups, set[int]] = field(default_factory=lambda: defaultdict(set))
    in_turn: dict[JobGroups, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Ended members of chains and ended callbacks of batches: each waits for its turn once more."""

    def add(self, job: Job) -> None:
        """Add a job, unless it is suspended in a group: the jobs before it have not ended."""
        groups = groups_of(job.meta) if job.meta else []
        workflow = next((group for group in groups if group.key == "workflow_id"), None)
        turn = next((group for group in groups if _has_turns(group, job)), None)
        if groups and job.state == "suspended":
            return
        if workflow is not None:
            self.steps[workflow].add(job.id)
        elif turn is not None and job.state in _ENDED:
            self.in_turn[turn].add(job.id)
        elif turn is not None:
            self.in_chains.add(job.id)
        else:
            self.plain.add(job.id)


async def retry_flow(store: AdvancerStore, which: JobFilter) -> list[int]:
    """Make available what neither is so nor executes, with one more attempt if it has none left; return its ids.

    Suspended jobs of workflows, chains and batches are left alone. Of the steps of a workflow those begin that come
    after none of the others; these are held back until it is their turn, and so are steps that were called off after
    one of them; their ids are returned, too. Ended members of a chain wait for their turn in it, ended callbacks for
    the end of their batch. It is done in pieces, as all changes of many are.
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
        for ids, wanted in ((selection.plain, states), (selection.in_chains, states - _ENDED)):
            changed += await store.retry(JobFilter(ids=frozenset(ids), states=wanted)) if ids else []
    for group, steps in selection.steps.items():
        changed += await _rerun_steps(store, group, frozenset(steps), states - _SUSPENDED)
    for members in selection.in_turn.values():
        changed += await store.suspend(JobFilter(ids=frozenset(members), states=states & _ENDED))
    await advance_all(store, selection.in_turn)
    return sorted(changed)


async def _rerun_steps(
    store: AdvancerStore, group: JobGroups, ids: frozenset[int], states: frozenset[JobState]
) -> list[int]:
    steps = await store.find(JobFilter(meta=group.meta), MEMBER_LIMIT, is_newest_first=False)
    suspended = frozenset(step.id for step in suspended_again(steps, ids))
    first = JobFilter(ids=ids - suspended, states=states)
    # In this order: were the others held back first, they could be called off again before these have begun.
    changed = await store.retry(first)
    changed += await store.suspend(JobFilter(ids=suspended, states=states | _CANCELLED)) if suspended else []
    await advance_all(store, [group])
    return changed


def _has_turns(group: JobGroups, job: Job) -> bool:
    """Return whether the members of a group, such as the job, wait for each other."""
    if group.key == "batch_id":
        return all(job.meta.get(key) == value for key, value in CALLBACK_META.items())
    return group.key == "chain_id"
