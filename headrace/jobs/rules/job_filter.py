"""`JobFilter`: selects the jobs of a list, a count or a change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import cast

from headrace.jobs.errors import BadFilter
from headrace.jobs.job import STATES, Job, JobState

Scalar = str | int | float | bool | None
"""A value to compare with one in the args."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A job matches when every given field does. An empty collection matches no job; None is no condition.

    `tags`: at least one of them is a tag of the job. `args`: the value at each path, such as "customer" or
    "customer.id", is that text, number, true, false or null; 1 is 1.0, and neither "1" nor true. Raises `BadFilter`.
    """

    ids: frozenset[int] | None = None
    states: frozenset[JobState] | None = None
    queues: frozenset[str] | None = None
    workers: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    args: Mapping[str, Scalar] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
    """The text under each of these keys of the meta; the members of a group such as a workflow are found fast."""
    before_id: int | None = None
    """Only jobs that were inserted before that one: where the next page of a list begins."""
    leaves_out_exhausted: bool = False
    """Without available jobs that have no attempt left, which another program may write: no queue ever claims them."""

    def __post_init__(self) -> None:
        """Raise `BadFilter` for values that no job can have."""
        _check_all("ids", self.ids, int)
        for name, found in (("queues", self.queues), ("workers", self.workers), ("tags", self.tags)):
            _check_all(name, found, str)
        _check_all("states", self.states, str)
        for state in self.states or ():
            if state not in STATES:
                like = get_close_matches(state, STATES, 1)
                advice = f"did you mean {like[0]!r}?" if like else f"there are {', '.join(STATES)}"
                raise BadFilter(state, "no job is ever in the state", advice)

    @classmethod
    def of(cls, which: "JobFilter | int") -> "JobFilter":
        """Return the filter itself, or for a job's number a filter of that job. Raises `BadFilter`."""
        if isinstance(which, cls):
            return which
        if isinstance(which, int) and not isinstance(which, bool):
            return cls(ids=frozenset({which}))
        raise BadFilter(which, "no jobs are meant by", "hand in a job's number, or a JobFilter(...)")

    def matches(self, job: Job) -> bool:
        """Return whether a job matches."""
        return (
            (self.ids is None or job.id in self.ids)
            and (self.before_id is None or job.id < self.before_id)
            and (self.states is None or job.state in self.states)
            and not (self.leaves_out_exhausted and job.state == "available" and job.attempt >= job.max_attempts)
            and (self.queues is None or job.queue in self.queues)
            and (self.workers is None or job.worker in self.workers)
            and (self.tags is None or not self.tags.isdisjoint(job.tags))
            and all(_is_at(job.args, path, value) for path, value in self.args.items())
            and all(job.meta.get(key) == text for key, text in self.meta.items())
        )


def _check_all(name: str, found: object, kind: type) -> None:
    """Raise `BadFilter` unless the value is a collection of that type; a text does not count as one."""
    if found is None:
        return
    many = None if isinstance(found, str | bytes) or not isinstance(found, Collection) else found
    if many is None or not all(isinstance(one, kind) and not isinstance(one, bool) for one in many):
        allowed = "{17, 18}" if kind is int else "{'available'}" if name == "states" else "{'default'}"
        raise BadFilter(found, f"a JobFilter cannot have {name} of", f"hand in a set, such as {allowed}")


def _is_at(args: object, path: str, value: Scalar) -> bool:
    found = args
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return False
        found = cast("dict[str, object]", found)[key]
    return isinstance(found, bool) == isinstance(value, bool) and found == value
