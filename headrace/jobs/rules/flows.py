"""Decides which suspended steps, callbacks and chains become available.

The meta of a step has Oban Pro's keys: its `workflow_id`, its `name`, in `deps` the names of the steps before it, and
`ignore_cancelled`, `ignore_discarded`, `ignore_deleted` when it runs even after such an end of one of them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast, get_args

from headrace.jobs.job import DUPLICATES, Job, JobState, NewJob

GroupKey = Literal["workflow_id", "batch_id", "chain_id"]
"""The keys of a job's meta for its groups; stores find the members of a group fast."""

GROUP_KEYS: Final[tuple[GroupKey, ...]] = get_args(GroupKey)


@dataclass(frozen=True, slots=True)
class JobGroups:
    """A workflow, a batch or a chain: the key of the meta, and its text in the meta of all members."""

    key: GroupKey
    id: str

    @property
    def meta(self) -> Mapping[str, str]:
        """The meta of a filter that finds its members."""
        return {self.key: self.id}


def groups_of(meta: Mapping[str, object]) -> list[JobGroups]:
    """Return the groups of a job with this meta."""
    return [JobGroups(key, cast("str", meta[key])) for key in GROUP_KEYS if isinstance(meta.get(key), str)]


def chain_id_of(name: str, args: Mapping[str, object], keys: Sequence[str]) -> str:
    """Return the id that all jobs of a chain share: 32 hexadecimal digits.

    >>> keys = ["customer"]
    >>> chain_id_of("bill", {"customer": 7, "sum": 1}, keys) == chain_id_of("bill", {"customer": 7}, keys)
    True
    """
    values = [name, {key: args[key] for key in keys if key in args}]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def chained(job: NewJob, keys: Sequence[str] = (), name: str | None = None) -> NewJob:
    """Return the job as a member of the chain with that name, its worker's unless given, and equal `keys` of args.

    It is suspended until the members before it have ended, well or not; a retryable member holds up the rest.
    """
    chain_id = chain_id_of(name or job.worker, job.args, keys)
    return replace(job, meta={**job.meta, "chain_id": chain_id}, state="suspended")


@dataclass(frozen=True, slots=True)
class AdvanceDecision:
    """Ids of jobs to release, and of jobs to cancel since they can never run."""

    release: Sequence[int] = field(default_factory=list)
    cancel: Sequence[int] = field(default_factory=list)


def duplicates_of(job: Job) -> dict[str, int]:
    """Return the ids of the awaited jobs that existed before a job, by their labels."""
    found = job.meta.get(DUPLICATES)
    if not isinstance(found, dict):
        return {}
    return {label: job_id for label, job_id in cast("Mapping[str, object]", found).items() if isinstance(job_id, int)}


ROLE: Final = "batch_role"
MEMBER_META: Final[Mapping[str, str]] = {ROLE: "member"}
CALLBACK_META: Final[Mapping[str, str]] = {ROLE: "callback"}
"""The meta of members and of callbacks beside the `batch_id` that they share."""

CALLBACK: Final = "callback"
"""The key of a callback's meta for its `Callback`."""

Callback = Literal["ended", "completed", "failed"]
"""When a callback is due: all members have ended; all have completed; one was discarded or cancelled."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The state of the members of a batch: whether all have ended, and whether any was discarded or cancelled."""

    is_over: bool
    has_failed: bool


def decide_callbacks(callbacks: Sequence[Job], status: BatchStatus) -> AdvanceDecision:
    """Decide which suspended callbacks of one batch to release or cancel."""
    release, cancel = [], []
    for callback in callbacks:
        if _is_due(callback, status):
            release.append(callback.id)
        elif status.is_over:
            cancel.append(callback.id)
    return AdvanceDecision(release, cancel)


def _is_due(callback: Job, status: BatchStatus) -> bool:
    when = callback.meta.get(CALLBACK)
    if when == "failed":
        return status.has_failed
    return status.is_over and not (when == "completed" and status.has_failed)


NAME: Final = "name"
DEPS: Final = "deps"
IGNORES: Final[Mapping[JobState | None, str]] = {
    "cancelled": "ignore_cancelled",
    "discarded": "ignore_discarded",
    None: "ignore_deleted",
}
"""By the end of a preceding step, the key of the meta that lets a step run nevertheless; None is a deleted step."""

_Readiness = Literal["ready", "waits", "lost"]


def decide_steps(steps: Sequence[Job], duplicates: Mapping[int, JobState]) -> AdvanceDecision:
    """Decide which suspended steps of one workflow to release or cancel; a cancellation may cause others.

    `duplicates` are the states of jobs outside of the workflow that existed before its steps; a deleted one counts as
    completed.
    """
    states = {name_of(step): step.state for step in steps}
    suspended = [step for step in steps if step.state == "suspended"]
    cancel: list[int] = []
    is_changed = True
    while is_changed:
        lost = [step for step in suspended if step.id not in cancel and _readiness(step, states, duplicates) == "lost"]
        cancel += [step.id for step in lost]
        states.update((name_of(step), "cancelled") for step in lost)
        is_changed = bool(lost)
    release = [
        step.id for step in suspended if step.id not in cancel and _readiness(step, states, duplicates) == "ready"
    ]
    return AdvanceDecision(release, cancel)


def decide_next(suspended: Sequence[Job], before: Sequence[Job]) -> AdvanceDecision | None:
    """Decide about these suspended steps, where `before` are the steps right before them.

    None: one of them can never run, so that `decide_steps` has to see the whole workflow.
    """
    states = {name_of(step): step.state for step in before}
    found = [(_readiness(step, states, {}), step.id) for step in suspended]
    if any(readiness == "lost" for readiness, _ in found):
        return None
    return AdvanceDecision([step_id for readiness, step_id in found if readiness == "ready"])


def name_of(step: Job) -> str:
    """Return the name of a step within its workflow."""
    return str(step.meta.get(NAME))


def deps_of(step: Job) -> list[str]:
    """Return the names of the steps right before a step."""
    found = step.meta.get(DEPS)
    return [str(name) for name in found] if isinstance(found, list) else []


def followers(steps: Sequence[Job], name: str) -> list[Job]:
    """Return all steps after the one of that name, directly or not."""
    return _reached(steps, [name], lambda _: True)


def suspended_again(steps: Sequence[Job], retried: frozenset[int]) -> list[Job]:
    """Return the steps to suspend when the steps with the ids `retried` run once more.

    They are steps after one of `retried`, directly or through others of them, that are in `retried` or cancelled.
    """
    names = [name_of(step) for step in steps if step.id in retried]
    return _reached(steps, names, lambda step: step.id in retried or step.state == "cancelled")


def _reached(steps: Sequence[Job], names: Iterable[str], is_meant: Callable[[Job], bool]) -> list[Job]:
    """Return the steps after these names, each once, found through steps with `is_meant` only."""
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


def _readiness(step: Job, states: Mapping[str, JobState], duplicates: Mapping[int, JobState]) -> _Readiness:
    before = duplicates_of(step)
    readiness: _Readiness = "ready"
    for name in deps_of(step):
        state = duplicates.get(before[name], "completed") if name in before else states.get(name)
        if state == "completed" or (state in IGNORES and step.meta.get(IGNORES[state])):
            continue
        if state in IGNORES:
            return "lost"
        readiness = "waits"
    return readiness


@dataclass(frozen=True, slots=True)
class StepGraph:
    """For each step the steps after it, and for each step with predecessors the steps before it."""

    after: Mapping[int, Sequence[int]]
    before: Mapping[int, frozenset[int]]

    @property
    def size(self) -> int:
        """Return how many steps have steps before them."""
        return len(self.before)

    def followers(self, ids: Iterable[int]) -> set[int]:
        """Return the ids of all steps right after one of these."""
        return {follower for one in ids for follower in self.after.get(one, ())}


def graph_of(steps: Sequence[Job]) -> StepGraph | None:
    """Return the graph of all steps of one workflow.

    None where a step comes after a job that is no step of it: a duplicate, or a deleted step.
    """
    ids = {name_of(step): step.id for step in steps}
    after: dict[int, list[int]] = {}
    before: dict[int, frozenset[int]] = {}
    for step in steps:
        names = deps_of(step)
        if duplicates_of(step) or not ids.keys() >= set(names):
            return None
        if names:
            before[step.id] = frozenset(ids[name] for name in names)
        for name in names:
            after.setdefault(ids[name], []).append(step.id)
    return StepGraph(after, before)
