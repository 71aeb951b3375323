"""Runs one attempt inside a worker process: imports the worker there, and returns its result and progress."""

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
    """The text of an error of a worker that cannot be pickled."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """The result or the error of an attempt, and the progress and checkpoint that it noted."""

    answer: object
    error: Exception | None
    notes: Mapping[str, object]


def run_in_child(reference: str, job: Job) -> ChildResult:
    """Run the worker at `reference`, a `module:name`, with the args of the job.

    Its progress and checkpoint are written when it ends, and not before.
    """
    running = RunningJob(job)
    RUNNING_JOB.set(running)
    try:
        answer = _call(reference, running)
    except Exception as error:  # noqa: BLE001 - the parent gets any error
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
    """Return the error if it can be pickled, else a `ChildFailed` with its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, read back as a check
    except Exception:  # noqa: BLE001 - the pickling code of a user's class may raise any error
        return ChildFailed(describe(error))
    return error
