"""Which steps of a workflow come after which, by their ids (pure): so that the end of one leads to those that wait."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.jobs.job import Job
from headrace.jobs.rules.verdict import doubles_of
from headrace.jobs.rules.workflow_rules import deps_of, name_of


@dataclass(frozen=True, slots=True)
class StepGraph:
    """The steps after each, and the steps before each that has any."""

    after: Mapping[int, Sequence[int]]
    before: Mapping[int, frozenset[int]]

    @property
    def size(self) -> int:
        """Return how many steps come after others."""
        return len(self.before)

    def followers(self, ids: Iterable[int]) -> set[int]:
        """Return the ids of all steps that come right after one of these."""
        return {follower for one in ids for follower in self.after.get(one, ())}


def graph_of(steps: Sequence[Job]) -> StepGraph | None:
    """Return the graph of all steps of one workflow.

    It is None where a step comes after something that is none of them: it was there before, or was deleted.
    """
    ids = {name_of(step): step.id for step in steps}
    after: dict[int, list[int]] = {}
    before: dict[int, frozenset[int]] = {}
    for step in steps:
        names = deps_of(step)
        if doubles_of(step) or not ids.keys() >= set(names):
            return None
        if names:
            before[step.id] = frozenset(ids[name] for name in names)
        for name in names:
            after.setdefault(ids[name], []).append(step.id)
    return StepGraph(after, before)
