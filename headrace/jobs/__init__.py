"""Durable work: jobs that outlive the process that enqueued them, on a store, run by workers in limited queues.

The names below are what most programs need; each but `worker` is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# At once, and here: a room that was loaded by then would be found in the place of the function of the same name.
from headrace.jobs.worker import worker

if TYPE_CHECKING:
    from headrace.jobs.errors import JobsError
    from headrace.jobs.flows.batch import Batch
    from headrace.jobs.flows.chunk import chunk_worker
    from headrace.jobs.flows.workflow import Workflow
    from headrace.jobs.handle import Handle
    from headrace.jobs.job import Cancel, Discard, Job, NewJob, Snooze, Unique
    from headrace.jobs.jobs import Jobs
    from headrace.jobs.results import JobRegistry
    from headrace.jobs.rules.job_filter import JobFilter
    from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
    from headrace.jobs.running.worker_catalogue import WorkerCatalogue
    from headrace.jobs.running_job import RunningJob, current_job
    from headrace.jobs.settings import JobsSettings, QueueOptions
    from headrace.jobs.stores.store import store_of

__all__ = [
    "Batch",
    "Cancel",
    "Discard",
    "GlobalLimit",
    "Handle",
    "Job",
    "JobFilter",
    "JobRegistry",
    "Jobs",
    "JobsError",
    "JobsSettings",
    "NewJob",
    "QueueLimits",
    "QueueOptions",
    "RateLimit",
    "RunningJob",
    "Snooze",
    "Unique",
    "WorkerCatalogue",
    "Workflow",
    "chunk_worker",
    "current_job",
    "store_of",
    "worker",
]

_ROOMS = {
    "Batch": "flows.batch",
    "Cancel": "job",
    "Discard": "job",
    "GlobalLimit": "rules.limits",
    "Handle": "handle",
    "Job": "job",
    "JobFilter": "rules.job_filter",
    "JobRegistry": "results",
    "Jobs": "jobs",
    "JobsError": "errors",
    "JobsSettings": "settings",
    "NewJob": "job",
    "QueueLimits": "rules.limits",
    "QueueOptions": "settings",
    "RateLimit": "rules.limits",
    "RunningJob": "running_job",
    "Snooze": "job",
    "Unique": "job",
    "WorkerCatalogue": "running.worker_catalogue",
    "Workflow": "flows.workflow",
    "chunk_worker": "flows.chunk",
    "current_job": "running_job",
    "store_of": "stores.store",
}


def __getattr__(name: str) -> object:
    """Load a name of the face when it is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"headrace.jobs has no {name!r}; it has: {', '.join(__all__)}")  # noqa: TRY003 - Python's own
    found: object = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
