"""Compares the enqueued jobs with the expected ones."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final, TypedDict, TypeVar, cast

from typing_extensions import override

from headrace.jobs.errors import BadArguments, BadJobsTest, did_you_mean
from headrace.jobs.job import INCOMPLETE, Job, JobState
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.enqueue import EnqueuePipeline
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.worker import AnyWorker

TOLERANCE_SECONDS: Final = 1.0
"""By how much the time of a job may differ from the expected time, by default."""


class JobWants(TypedDict, total=False):
    """The expectations of a test about a job; all may be left out.

    `args` and `meta` must have these keys and values, also inside objects; a value may be JSON, or decoded by the
    worker's annotations. The job must have all `tags`. A time may differ by `tolerance_seconds`.
    """

    args: Mapping[str, object]
    meta: Mapping[str, object]
    queue: str
    tags: Sequence[str]
    priority: int
    state: JobState
    scheduled_at: datetime
    scheduled_in_seconds: float
    tolerance_seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A job with its args decrypted, and decoded by the annotations of its worker."""

    job: Job
    values: Mapping[str, object]
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The name of a worker, or None for any, and the expectations about a job."""

    worker: str | None
    wants: JobWants
    now: datetime

    def __post_init__(self) -> None:
        """Raises `BadJobsTest` for an unknown key, and for a time without a time zone."""
        for key in self.wants:
            if key not in JobWants.__optional_keys__:
                like = get_close_matches(key, JobWants.__optional_keys__, 1)
                known = ", ".join(sorted(JobWants.__optional_keys__))
                what = f"{key} is no expectation of a test about a job"
                raise BadJobsTest(what, f"did you mean {like[0]}?" if like else f"the keys are {known}")
        at = self.wants.get("scheduled_at")
        if at is not None and at.tzinfo is None:
            what = f"the scheduled_at of a test is {at}, which has no time zone"
            raise BadJobsTest(what, "add one, as in datetime.now(UTC)")

    @override
    def __str__(self) -> str:
        parts = [f"worker {self.worker}"] if self.worker is not None else []
        parts += [f"{key} {value!r:.300}" for key, value in self.wants.items() if key != "tolerance_seconds"]
        return ", ".join(parts) or "any job"

    def differences(self, kept: Kept) -> list[str]:
        """Return the differences of a job from the expectations, each as a few words; none if it fits."""
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
        for key in ("queue", "priority", "state"):
            if key in wants and getattr(job, key) != wants[key]:
                yield f"its {key} is {getattr(job, key)}"
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
"""Stands for a missing key."""


def _differs(path: str, found: object, wanted: object) -> list[str]:
    """Return the differences of a JSON value from the expected one; an object may have more keys."""
    if found is _NONE:
        return [f"{path} is not there"]
    if isinstance(wanted, Mapping) and isinstance(found, dict):
        values = cast("dict[str, object]", found)
        named = cast("Mapping[str, object]", wanted)
        return [why for key, value in named.items() for why in _differs(f"{path}.{key}", values.get(key, _NONE), value)]
    as_json = list(wanted) if isinstance(wanted, tuple) else wanted
    is_same = found == as_json and isinstance(found, bool) == isinstance(as_json, bool)
    return [] if is_same else [f"{path} is {found!r:.200}"]


SHOWN: Final = 10
"""Jobs that a message shows; it has only the number of further jobs."""


def missing(wanted: Wanted, enqueued: Sequence[Kept], others: Sequence[Kept]) -> str:
    """Return the message for no enqueued job that fits; `others` are jobs that are no longer enqueued."""
    lines = [f"no job is enqueued that fits: {wanted}"]
    near = sorted(enqueued, key=lambda kept: _distance(wanted, kept))
    if near:
        lines += [f"{len(near)} {'is' if len(near) == 1 else 'are'} enqueued, nearest first:"]
        lines += [f"{line_of(kept)}: {', '.join(wanted.differences(kept))}" for kept in near[:SHOWN]]
        lines += _more(near)
    else:
        lines += ["nothing is enqueued at all"]
    fitting = [kept for kept in others if not wanted.differences(kept)]
    if fitting:
        lines += ["these fit, but are no longer enqueued, because they ran or were cancelled:"]
        lines += [*map(line_of, fitting[:SHOWN]), *_more(fitting)]
    return "\n".join(lines)


def surplus(wanted: Wanted, fitting: Sequence[Kept], count: int = 0) -> str:
    """Return the message for a number of fitting jobs that is not `count`."""
    allowed = f"and {count} should" if count else "and none should"
    lines = [f"{len(fitting)} enqueued {'job fits' if len(fitting) == 1 else 'jobs fit'}, {allowed}: {wanted}"]
    return "\n".join([*lines, *map(line_of, fitting[:SHOWN]), *_more(fitting)])


def line_of(kept: Kept) -> str:
    """Return a job on one line, without secret args."""
    job = kept.job
    args = "secret" if kept.is_secret else f"{job.args!r:.300}"
    return f"    job {job.id} {job.worker} in queue {job.queue}, {_state_text(job)}, args {args}"


def _state_text(job: Job) -> str:
    if job.state in {"scheduled", "retryable"}:
        return f"{job.state} at {job.scheduled_at:%Y-%m-%d %H:%M:%S} UTC"
    if job.errors and job.state not in INCOMPLETE:
        return f"{job.state} ({job.errors[-1].error.splitlines()[-1]:.200})"
    return job.state


def _distance(wanted: Wanted, kept: Kept) -> tuple[bool, int, int]:
    """Return a sort key: jobs of the expected worker first, then jobs with few differences, then new jobs."""
    is_other = wanted.worker is not None and kept.job.worker != wanted.worker
    return (is_other, len(wanted.differences(kept)), -kept.job.id)


def _more(jobs: Sequence[Kept]) -> list[str]:
    return [f"    and {len(jobs) - SHOWN} more"] if len(jobs) > SHOWN else []


T = TypeVar("T")


def at_once(work: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine that never waits, such as a method of `MemoryStore`."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise RuntimeError(repr(work))


def apart(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run work on an event loop of its own, in another thread if a loop runs here; return its result.

    The call blocks, also a loop that runs here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    context = copy_context()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(context.run, lambda: asyncio.run(work())).result()


ENQUEUED: Final[frozenset[JobState]] = frozenset({"available", "scheduled", "suspended"})
"""The states of enqueued jobs that have not run: those of Oban, and suspended."""

ALL: Final = 1_000_000_000
"""A limit beyond the number of jobs in any test."""


class Inspection:
    """Compares the jobs of one store with expectations."""

    def __init__(self, store: MemoryStore, enqueue_pipeline: EnqueuePipeline) -> None:
        self._store = store
        self._catalogue = enqueue_pipeline.catalogue
        self._enqueue_pipeline = enqueue_pipeline

    def wanted(self, worker: AnyWorker | str | None, wants: JobWants) -> Wanted:
        """Return checked expectations. Raises `BadJobsTest` for one that no job could fulfil."""
        if worker is None or isinstance(worker, str):
            known = None if worker is None else self._catalogue.get(worker)
        else:
            known = self.known(worker)
        if known is not None:
            _check_names(known, wants.get("args", {}))
        name = worker if isinstance(worker, str) else None if known is None else known.name
        return Wanted(name, wants, self._store.now())

    def known(self, worker: AnyWorker) -> AnyWorker:
        """Return the worker of a variant. Raises `BadJobsTest` for a worker that the test does not list."""
        if self._catalogue.get(worker.name) is not worker.original:
            listed = ", ".join(self._catalogue.names) or "none"
            advice = f"list its module, or itself, in the marker headrace_jobs; listed are {listed}"
            what = f"worker {worker.name!r} is none of this test"
            raise BadJobsTest(what, advice)
        return worker.original

    def enqueued(self, wanted: Wanted) -> tuple[list[Kept], list[Kept], list[Kept]]:
        """Return the enqueued jobs that fit, the other enqueued jobs, and the jobs that are no longer enqueued.

        Each list is oldest first. An expected state counts as enqueued.
        """
        jobs = at_once(self._store.find(JobFilter(), ALL, is_newest_first=False))
        states = ENQUEUED | ({wanted.wants["state"]} if "state" in wanted.wants else set())
        kept = [self._kept(job) for job in jobs]
        enqueued = [one for one in kept if one.job.state in states]
        fits = [one for one in enqueued if not wanted.differences(one)]
        fit_ids = {one.job.id for one in fits}
        return (
            fits,
            [one for one in enqueued if one.job.id not in fit_ids],
            [one for one in kept if one.job.state not in states],
        )

    def _kept(self, job: Job) -> Kept:
        worker = self._catalogue.get(job.worker)
        if worker is None:
            return Kept(job, {})
        self._enqueue_pipeline.open(job)
        return Kept(job, _values(worker, job), worker.options.encrypted)


def _values(worker: AnyWorker, job: Job) -> Mapping[str, object]:
    """Decode args by the annotations; return nothing for args that do not fit."""
    try:
        positional, values = worker.arguments.restored(job.args, None)
    except BadArguments:
        return {}
    parameters = inspect.signature(worker.function).parameters.values()
    positional_names = (one.name for one in parameters if one.kind is one.POSITIONAL_ONLY)
    return {**dict(zip(positional_names, positional, strict=False)), **values}


def _check_names(worker: AnyWorker, args: Mapping[str, object]) -> None:
    parameters = inspect.signature(worker.function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for name in args:
        if name not in parameters:
            what = f"{name!r} is no parameter of worker {worker.name!r}"
            raise BadJobsTest(what, did_you_mean(name, parameters))
