"""Runs one attempt of a job in an OS process of its own: imports its worker there, and brings back what it noted."""

import asyncio
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import cast

from headrace.errors import describe
from headrace.jobs.job import Job
from headrace.jobs.running_job import RUNNING_JOB, RunningJob
from headrace.jobs.worker import AnyWorker


class ChildFailed(Exception):
    """What a worker raised that cannot be brought to another OS process, as text."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """What came of an attempt: its answer, or what it raised; and what it noted down."""

    answer: object
    error: Exception | None
    notes: Mapping[str, object]


def run_in_child(reference: str, job: Job) -> ChildResult:
    """Run the worker at `reference`, a `module:name`, on the args of the job.

    What it notes down is written when it ends, and not while it runs.
    """
    running = RunningJob(job)
    RUNNING_JOB.set(running)
    try:
        answer = _call(reference, running)
    except Exception as error:  # noqa: BLE001 - whatever it raises is brought to who asked
        return ChildResult(None, _portable(error), running.take_changes())
    return ChildResult(answer, None, running.take_changes())


def _call(reference: str, running: RunningJob) -> object:
    module, _, name = reference.partition(":")
    worker = cast("AnyWorker", attrgetter(name)(import_module(module)))
    args, kwargs = worker.arguments.restored(running.args, running)
    result = worker.function(*args, **kwargs)
    return asyncio.run(_awaited(result)) if inspect.iscoroutine(result) else result


async def _awaited(work: object) -> object:
    return await work  # type: ignore[misc] # it is a coroutine


def _portable(error: Exception) -> Exception:
    """Return the error, or one that says the same and can be brought to another OS process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, to see whether they can be read
    except Exception:  # noqa: BLE001 - whatever its class does to be pickled
        return ChildFailed(describe(error))
    return error
