"""Hands the results of a workflow's steps on to the step that comes after them, as it begins."""

from typing import Final, Protocol

from headrace.jobs.job import Job, State
from headrace.jobs.rules.flows import NAME, Group, deps_of, doubles_of, name_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.outcomes import RECORDED, RESULT
from headrace.jobs.running_job import RESULTS

FEW: Final = 8
"""So many steps are looked for one by one; for more, all steps of the workflow are read at once."""

_ALL: Final = 100_000
"""Steps that are read."""


_DONE: Final[frozenset[State]] = frozenset({"completed"})


class Finds(Protocol):
    """What handing on needs of a store; see `JobStore`."""

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        """Return at most `limit` jobs that fit, by id."""


async def hand_on(store: Finds, job: Job) -> None:
    """Put the recorded results of what a claimed step came after into its meta, here and not in the store.

    Each is under the name of its step; steps that recorded nothing are left out.
    """
    workflow, doubles = job.meta.get("workflow_id"), doubles_of(job)
    names = [name for name in deps_of(job) if name not in doubles]
    steps = await _steps(store, Group("workflow_id", str(workflow)), names) if names and workflow else {}
    ids = frozenset(doubles.values())
    there = {one.id: one for one in await store.find(JobFilter(ids=ids), len(ids))} if ids else {}
    steps.update((label, there[job_id]) for label, job_id in doubles.items() if job_id in there)
    job.meta[RESULTS] = {name: step.meta.get(RESULT) for name, step in steps.items() if step.meta.get(RECORDED)}


async def _steps(store: Finds, group: Group, names: list[str]) -> dict[str, Job]:
    if len(names) > FEW:
        wanted = frozenset(names)
        found = await store.find(JobFilter(states=_DONE, meta=group.meta), _ALL)
        return {name_of(step): step for step in found if name_of(step) in wanted}
    which = [JobFilter(states=_DONE, meta={**group.meta, NAME: name}) for name in names]
    steps = [step for one in which for step in await store.find(one, 1)]
    return {name_of(step): step for step in steps}
