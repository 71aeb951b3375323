"""Looks at the jobs of a test: those that were enqueued and have not run, and the others."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from headrace.jobs.errors import BadArguments, BadJobsTest
from headrace.jobs.job import Job, State
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.enqueue import Admission
from headrace.jobs.running.worker_catalogue import Catalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.testing.driving import at_once
from headrace.jobs.testing.wanted import JobWants, Kept, Wanted
from headrace.jobs.worker import AnyWorker

ENQUEUED: Final[frozenset[State]] = frozenset({"available", "scheduled", "suspended"})
"""The states of what was enqueued and has not run (Oban's, and what waits for other jobs)."""

ALL: Final = 1_000_000_000
"""More jobs than any test has."""


class Looking:
    """Of one store, whose workers are those of a catalogue."""

    def __init__(self, store: MemoryStore, catalogue: Catalogue, admission: Admission) -> None:
        self._store = store
        self._catalogue = catalogue
        self._admission = admission

    def wanted(self, worker: AnyWorker | str | None, wants: JobWants) -> Wanted:
        """Return what is wanted. Raises `BadJobsTest` for what no job could ever be."""
        if worker is None or isinstance(worker, str):
            known = None if worker is None else self._catalogue.get(worker)
        else:
            known = self.known(worker)
        if known is not None:
            _check_names(known, wants.get("args", {}))
        name = worker if isinstance(worker, str) else None if known is None else known.name
        return Wanted(name, wants, self._store.now())

    def known(self, worker: AnyWorker) -> AnyWorker:
        """Return the worker itself of a variant. Raises `BadJobsTest` for one that the test does not list."""
        if self._catalogue.get(worker.name) is not worker.original:
            listed = ", ".join(self._catalogue.names) or "none"
            advice = f"list its module, or itself, in the marker headrace_jobs; listed are {listed}"
            what = f"worker {worker.name!r} is none of this test"
            raise BadJobsTest(what, advice)
        return worker.original

    def enqueued(self, wanted: Wanted) -> tuple[list[Kept], list[Kept], list[Kept]]:
        """Return, oldest first, what is enqueued and fits, what is and does not, and what is not so any more.

        A state that is wanted counts as enqueued.
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
        self._admission.open(job)
        return Kept(job, _values(worker, job), worker.options.encrypted)


def _values(worker: AnyWorker, job: Job) -> Mapping[str, object]:
    """Return what the annotations make of the args; nothing of args that do not fit."""
    try:
        places, values = worker.arguments.restored(job.args, None)
    except BadArguments:
        return {}
    parameters = inspect.signature(worker.function).parameters.values()
    by_place = (one.name for one in parameters if one.kind is one.POSITIONAL_ONLY)
    return {**dict(zip(by_place, places, strict=False)), **values}


def _check_names(worker: AnyWorker, args: Mapping[str, object]) -> None:
    parameters = inspect.signature(worker.function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for name in args:
        if name not in parameters:
            like = get_close_matches(name, parameters, 1)
            advice = f"did you mean {like[0]!r}?" if like else f"it has {', '.join(parameters) or 'none'}"
            what = f"{name!r} is no parameter of worker {worker.name!r}"
            raise BadJobsTest(what, advice)
