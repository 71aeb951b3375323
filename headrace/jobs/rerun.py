"""Runs jobs once more by hand, and the steps of workflows in their order: what came after one waits for it again."""

from dataclasses import replace
from typing import Final, Protocol

from headrace.jobs.groups import Group, groups_of
from headrace.jobs.job import STATES, Job, State
from headrace.jobs.job_filter import JobFilter
from headrace.jobs.settling import MEMBER_LIMIT, Settles, settle_all
from headrace.jobs.stores.store import PIECE
from headrace.jobs.workflow_rules import held_again

_RERUN: Final[frozenset[State]] = frozenset(STATES) - {"available", "executing"}
"""The states of what a retry changes at all."""

_CANCELLED: Final[frozenset[State]] = frozenset({"cancelled"})


class Reruns(Settles, Protocol):
    """What it needs of a store; see `JobStore`."""

    async def retry(self, which: JobFilter) -> list[int]:
        """Make available what neither is so nor executes."""

    async def suspend(self, which: JobFilter) -> list[int]:
        """Hold back what does not execute."""


async def rerun(store: Reruns, which: JobFilter) -> list[int]:
    """Make available what neither is so nor executes, with one more attempt if it has none left; return its ids.

    Of the steps of a workflow those begin that come after none of the others. These are held back until it is their
    turn, and so are steps that were called off after one of them; their ids are returned, too. It is done in pieces,
    as all changes of many are.
    """
    states = _RERUN if which.states is None else _RERUN & which.states
    changed: list[int] = []
    steps: dict[Group, set[int]] = {}
    before_id = which.before_id
    while jobs := await store.find(replace(which, states=states, before_id=before_id), PIECE):
        before_id = jobs[-1].id
        plain = set[int]()
        for job in jobs:
            group = _workflow_of(job)
            (plain if group is None else steps.setdefault(group, set())).add(job.id)
        changed += await store.retry(JobFilter(ids=frozenset(plain), states=states)) if plain else []
    for group, ids in steps.items():
        changed += await _rerun_steps(store, group, frozenset(ids), states)
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


def _workflow_of(job: Job) -> Group | None:
    return next((group for group in groups_of(job.meta) if group.key == "workflow_id"), None) if job.meta else None
