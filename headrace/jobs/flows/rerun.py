"""Runs jobs once more by hand, in the order of their workflows, batches and chains."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from headrace.jobs.flows.advance import MEMBER_LIMIT, Settles, settle_all
from headrace.jobs.job import INCOMPLETE, STATES, Job, State
from headrace.jobs.rules.flows import CALLBACK_META, Group, groups_of, held_again
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import PIECE

_RERUN: Final[frozenset[State]] = frozenset(STATES) - {"available", "executing"}
"""The states of what a retry changes at all."""

_ENDED: Final[frozenset[State]] = frozenset(STATES) - INCOMPLETE

_CANCELLED: Final[frozenset[State]] = frozenset({"cancelled"})

_SUSPENDED: Final[frozenset[State]] = frozenset({"suspended"})


class Reruns(Settles, Protocol):
    """What it needs of a store; see `JobStore`."""

    async def retry(self, which: JobFilter) -> list[int]:
        """Make available what neither is so nor executes."""

    async def suspend(self, which: JobFilter) -> list[int]:
        """Hold back what does not execute."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """The jobs that are run once more, by how."""

    plain: set[int] = field(default_factory=set)
    in_chains: set[int] = field(default_factory=set)
    """Members of chains that wait to be tried again; one that ends meanwhile is left alone, for the next may run."""
    steps: dict[Group, set[int]] = field(default_factory=lambda: defaultdict(set))
    in_turn: dict[Group, set[int]] = field(default_factory=lambda: defaultdict(set))
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


async def rerun(store: Reruns, which: JobFilter) -> list[int]:
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
    while jobs := await store.find(replace(which, states=states, before_id=before_id), PIECE):
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
    await settle_all(store, selection.in_turn)
    return sorted(changed)


async def _rerun_steps(store: Reruns, group: Group, ids: frozenset[int], states: frozenset[State]) -> list[int]:
    steps = await store.find(JobFilter(meta=group.meta), MEMBER_LIMIT, is_newest_first=False)
    held = frozenset(step.id for step in held_again(steps, ids))
    first = JobFilter(ids=ids - held, states=states)
    # In this order: were the others held back first, they could be called off again before these have begun.
    changed = await store.retry(first)
    changed += await store.suspend(JobFilter(ids=held, states=states | _CANCELLED)) if held else []
    await settle_all(store, [group])
    return changed


def _has_turns(group: Group, job: Job) -> bool:
    """Return whether the members of a group, such as the job, wait for each other."""
    if group.key == "batch_id":
        return all(job.meta.get(key) == value for key, value in CALLBACK_META.items())
    return group.key == "chain_id"
