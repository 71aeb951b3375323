"""Which jobs an assertion is about, and in what others differ from them (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final, TypedDict, cast

from headrace.jobs.errors import BadJobsTest
from headrace.jobs.job import Job, State

TOLERANCE_SECONDS: Final = 1.0
"""How far from the time that is said a job's own may be, unless a test says otherwise."""


class JobWants(TypedDict, total=False):
    """What a test may say about a job; what it leaves out is not looked at.

    `args` and `meta`: these keys and values are in them, inside of objects, too; values may be those of JSON, or what
    the worker's annotations make of them. `tags`: all of these are tags of it. A time fits within `tolerance_seconds`.
    """

    args: Mapping[str, object]
    meta: Mapping[str, object]
    queue: str
    tags: Sequence[str]
    priority: int
    state: State
    scheduled_at: datetime
    scheduled_in_seconds: float
    tolerance_seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A job as an assertion sees it: its args in clear, and what its worker's annotations make of them."""

    job: Job
    values: Mapping[str, object]
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a job: the name of its worker, or None for any, and the rest."""

    worker: str | None
    wants: JobWants
    now: datetime

    def __post_init__(self) -> None:
        """Refuse what would be overlooked."""
        for word in self.wants:
            if word not in JobWants.__optional_keys__:
                like = get_close_matches(word, JobWants.__optional_keys__, 1)
                known = ", ".join(sorted(JobWants.__optional_keys__))
                what = f"{word} is nothing that a test says about a job"
                raise BadJobsTest(what, f"did you mean {like[0]}?" if like else f"it may say {known}")
        at = self.wants.get("scheduled_at")
        if at is not None and at.tzinfo is None:
            what = f"the scheduled_at of a test is {at}, which has no time zone"
            raise BadJobsTest(what, "add one, as in datetime.now(UTC)")

    def __str__(self) -> str:
        said = [f"worker {self.worker}"] if self.worker is not None else []
        said += [f"{word} {value!r:.300}" for word, value in self.wants.items() if word != "tolerance_seconds"]
        return ", ".join(said) or "any job"

    def differences(self, kept: Kept) -> list[str]:
        """Return in what a job is not what is wanted, each as a few words; nothing for one that fits."""
        return list(self._differences(kept))

    def _differences(self, kept: Kept) -> Iterator[str]:
        job, wants = kept.job, self.wants
        if self.worker is not None and job.worker != self.worker:
            yield f"its worker is {job.worker}"
        for name, value in wants.get("args", {}).items():
            if name not in kept.values or kept.values[name] != value:
                differs = _differs(f"args.{name}", job.args.get(name, _NONE), value)
                yield from ([f"args.{name} differs"] if kept.is_secret and differs else differs)
        for name, value in wants.get("meta", {}).items():
            yield from _differs(f"meta.{name}", job.meta.get(name, _NONE), value)
        for word in ("queue", "priority", "state"):
            if word in wants and getattr(job, word) != wants[word]:
                yield f"its {word} is {getattr(job, word)}"
        lacks = [tag for tag in wants.get("tags", ()) if tag.strip().lower() not in job.tags]
        if lacks:
            yield f"it lacks the tags {', '.join(lacks)}"
        yield from self._time_differs(job)

    def _time_differs(self, job: Job) -> Iterator[str]:
        tolerance = self.wants.get("tolerance_seconds", TOLERANCE_SECONDS)
        at, seconds = self.wants.get("scheduled_at"), self.wants.get("scheduled_in_seconds")
        if seconds is not None:
            at = self.now + timedelta(seconds=seconds)
        if at is not None and abs(off := (job.scheduled_at - at).total_seconds()) > tolerance:
            yield f"it is scheduled {abs(off):g} s too {'late' if off > 0 else 'early'}"


_NONE: Final = object()
"""Stands for a key that is not there."""


def _differs(path: str, found: object, wanted: object) -> list[str]:
    """Return in what a JSON value is not the wanted one; an object may have more keys than are wanted."""
    if found is _NONE:
        return [f"{path} is not there"]
    if isinstance(wanted, Mapping) and isinstance(found, dict):
        values = cast("dict[str, object]", found)
        named = cast("Mapping[str, object]", wanted)
        return [why for key, value in named.items() for why in _differs(f"{path}.{key}", values.get(key, _NONE), value)]
    as_json = list(wanted) if isinstance(wanted, tuple) else wanted
    is_same = found == as_json and isinstance(found, bool) == isinstance(as_json, bool)
    return [] if is_same else [f"{path} is {found!r:.200}"]
