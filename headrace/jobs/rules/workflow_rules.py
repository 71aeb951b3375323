"""The rules of workflows (pure): which steps may run, and which never will, by how those ended that they come after.

The meta of a step has Oban Pro's keys: its `workflow_id`, its `name`, in `deps` the names of the steps before it, and
`ignore_cancelled`, `ignore_discarded`, `ignore_deleted` when it runs all the same after such an end of one of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from headrace.jobs.job import Job, State
from headrace.jobs.rules.verdict import Verdict, doubles_of

NAME: Final = "name"
DEPS: Final = "deps"
IGNORES: Final[Mapping[State | None, str]] = {
    "cancelled": "ignore_cancelled",
    "discarded": "ignore_discarded",
    None: "ignore_deleted",
}
"""The key of the meta that lets a step run after one that ended so; None is one that is gone."""

_Outlook = Literal["ready", "waits", "lost"]


def verdict_on_steps(steps: Sequence[Job], doubles: Mapping[int, State]) -> Verdict:
    """Return which suspended steps of one workflow may run, and which are called off, with all that follows from that.

    `doubles` are the states of jobs outside of it that were there before its steps; one that is gone has been done.
    """
    states = {name_of(step): step.state for step in steps}
    held = [step for step in steps if step.state == "suspended"]
    cancel: list[int] = []
    is_changed = True
    while is_changed:
        lost = [step for step in held if step.id not in cancel and _outlook(step, states, doubles) == "lost"]
        cancel += [step.id for step in lost]
        states.update((name_of(step), "cancelled") for step in lost)
        is_changed = bool(lost)
    release = [step.id for step in held if step.id not in cancel and _outlook(step, states, doubles) == "ready"]
    return Verdict(release, cancel)


def verdict_on_next(held: Sequence[Job], before: Sequence[Job]) -> Verdict | None:
    """Return which of these suspended steps may run, where `before` are the steps that they come right after.

    None is that one of them never will: what follows from that, only a look at all steps says.
    """
    states = {name_of(step): step.state for step in before}
    outlooks = [(_outlook(step, states, {}), step.id) for step in held]
    if any(outlook == "lost" for outlook, _ in outlooks):
        return None
    return Verdict([step_id for outlook, step_id in outlooks if outlook == "ready"])


def name_of(step: Job) -> str:
    """Return the name of a step within its workflow."""
    return str(step.meta.get(NAME))


def deps_of(step: Job) -> list[str]:
    """Return the names of the steps that it comes after."""
    found = step.meta.get(DEPS)
    return [str(name) for name in found] if isinstance(found, list) else []


def followers(steps: Sequence[Job], name: str) -> list[Job]:
    """Return all steps that come after the one of that name, or after one of those."""
    return _reached(steps, [name], lambda _: True)


def held_again(steps: Sequence[Job], rerun: frozenset[int]) -> list[Job]:
    """Return the steps that wait once more when those of the ids `rerun` are run once more.

    They are those of `rerun` themselves, and those that were called off, which come after one of `rerun`, or after
    another that waits for one of them.
    """
    names = [name_of(step) for step in steps if step.id in rerun]
    return _reached(steps, names, lambda step: step.id in rerun or step.state == "cancelled")


def _reached(steps: Sequence[Job], names: Iterable[str], is_meant: Callable[[Job], bool]) -> list[Job]:
    """Return the steps that come after these names by way of such as are meant, each once."""
    after: dict[str, list[Job]] = {}
    for step in steps:
        for name in deps_of(step):
            after.setdefault(name, []).append(step)
    found: dict[int, Job] = {}
    waiting = list(names)
    while waiting:
        new = [step for step in after.get(waiting.pop(), ()) if step.id not in found and is_meant(step)]
        found.update((step.id, step) for step in new)
        waiting += map(name_of, new)
    return [step for step in steps if step.id in found]


def _outlook(step: Job, states: Mapping[str, State], doubles: Mapping[int, State]) -> _Outlook:
    before = doubles_of(step)
    outlook: _Outlook = "ready"
    for name in deps_of(step):
        state = doubles.get(before[name], "completed") if name in before else states.get(name)
        if state == "completed" or (state in IGNORES and step.meta.get(IGNORES[state])):
            continue
        if state in IGNORES:
            return "lost"
        outlook = "waits"
    return outlook
