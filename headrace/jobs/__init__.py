"""Durable jobs: they outlive the OS process that enqueued them, on a store, and run in limited queues.

Each name but `worker` is loaded on first use.
"""

from typing import TYPE_CHECKING

# At once: the module of the same name, once loaded, would stand in the place of the function.
from headrace.jobs.worker import worker
from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.jobs.errors import JobCancelled, JobDiscarded, JobExpired, JobsError, NotBound, ResultTimeout
    from headrace.jobs.flows.batch import Batch, BatchRun
    from headrace.jobs.flows.chunk import chunk_worker
    from headrace.jobs.flows.workflow import Workflow, WorkflowRun
    from headrace.jobs.handle import Handle
    from headrace.jobs.job import Cancel, Discard, Job, NewJob, Snooze, Unique
    from headrace.jobs.jobs import Jobs
    from headrace.jobs.maintenance.crontab import CronEntry, Crontab
    from headrace.jobs.results import FailedResult, Found, JobRegistry, NotFound, Pending
    from headrace.jobs.rules.job_filter import JobFilter
    from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
    from headrace.jobs.running.encryption import ArgsCipher, new_key
    from headrace.jobs.running.enqueue import NextCall
    from headrace.jobs.running.failures import JobFailure
    from headrace.jobs.running.worker_catalogue import WorkerCatalogue
    from headrace.jobs.running_job import RunningJob, current_job
    from headrace.jobs.settings import JobsSettings, QueueOptions
    from headrace.jobs.stores.store import store_of

__all__ = [
    "ArgsCipher",
    "Batch",
    "BatchRun",
    "Cancel",
    "CronEntry",
    "Crontab",
    "Discard",
    "FailedResult",
    "Found",
    "GlobalLimit",
    "Handle",
    "Job",
    "JobCancelled",
    "JobDiscarded",
    "JobExpired",
    "JobFailure",
    "JobFilter",
    "JobRegistry",
    "Jobs",
    "JobsError",
    "JobsSettings",
    "NewJob",
    "NextCall",
    "NotBound",
    "NotFound",
    "Pending",
    "QueueLimits",
    "QueueOptions",
    "RateLimit",
    "ResultTimeout",
    "RunningJob",
    "Snooze",
    "Unique",
    "WorkerCatalogue",
    "Workflow",
    "WorkflowRun",
    "chunk_worker",
    "current_job",
    "new_key",
    "store_of",
    "worker",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ArgsCipher": "jobs.running.encryption",
        "Batch": "jobs.flows.batch",
        "BatchRun": "jobs.flows.batch",
        "Cancel": "jobs.job",
        "CronEntry": "jobs.maintenance.crontab",
        "Crontab": "jobs.maintenance.crontab",
        "Discard": "jobs.job",
        "FailedResult": "jobs.results",
        "Found": "jobs.results",
        "GlobalLimit": "jobs.rules.limits",
        "Handle": "jobs.handle",
        "Job": "jobs.job",
        "JobCancelled": "jobs.errors",
        "JobDiscarded": "jobs.errors",
        "JobExpired": "jobs.errors",
        "JobFailure": "jobs.running.failures",
        "JobFilter": "jobs.rules.job_filter",
        "JobRegistry": "jobs.results",
        "Jobs": "jobs.jobs",
        "JobsError": "jobs.errors",
        "JobsSettings": "jobs.settings",
        "NewJob": "jobs.job",
        "NextCall": "jobs.running.enqueue",
        "NotBound": "jobs.errors",
        "NotFound": "jobs.results",
        "Pending": "jobs.results",
        "QueueLimits": "jobs.rules.limits",
        "QueueOptions": "jobs.settings",
        "RateLimit": "jobs.rules.limits",
        "ResultTimeout": "jobs.errors",
        "RunningJob": "jobs.running_job",
        "Snooze": "jobs.job",
        "Unique": "jobs.job",
        "WorkerCatalogue": "jobs.running.worker_catalogue",
        "Workflow": "jobs.flows.workflow",
        "WorkflowRun": "jobs.flows.workflow",
        "chunk_worker": "jobs.flows.chunk",
        "current_job": "jobs.running_job",
        "new_key": "jobs.running.encryption",
        "store_of": "jobs.stores.store",
    },
)
