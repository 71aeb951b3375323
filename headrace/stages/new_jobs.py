"""Makes jobs of arguments, as their worker would, or plain ones where the worker is another program's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from headrace.event_json import as_plain
from headrace.expressions import Expression, compile_template
from headrace.jobs.job import NewJob, Unique, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.worker_options import JobWords


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of jobs beside their worker; what is left out is as the worker says."""

    queue: str | None = None
    priority: int | None = None
    tags: Sequence[str] = ()
    unique: Unique | None = None
    delay_seconds: float | None = None


def no_args() -> Expression:
    """Return the arguments of a worker that needs none."""
    return compile_template({})


class JobMaker:
    """Makes the jobs of one worker."""

    def __init__(self, jobs: Jobs, worker: str, words: Words) -> None:
        """Raises `BadWorker` for words that jobs cannot have."""
        self._now = jobs.now
        self._delay_seconds = words.delay_seconds
        found = jobs.catalogue.get(worker)
        self._worker = None if found is None else found.with_options(**_job_words(words))
        queue, priority = words.queue or "default", words.priority or 0
        self._plain = NewJob(worker, queue=queue, priority=priority, tags=words.tags, unique=words.unique)

    def new(self, args: object) -> NewJob:
        """Return the job of some arguments, a mapping of them. Raises `BadArguments` where they do not fit the worker.

        Where the worker is not known here, the store says whether they are JSON.
        """
        named = cast("Mapping[str, object]", args)
        job = self._plain_job(named) if self._worker is None else self._worker.new(**named)
        if self._delay_seconds is None:
            return job
        return replace(job, scheduled_at=after(self._now(), self._delay_seconds))

    def _plain_job(self, named: Mapping[str, object]) -> NewJob:
        """Return the job of a worker that is not known here: its arguments as any program reads them."""
        return replace(self._plain, args=cast("dict[str, object]", as_plain(dict(named))))


def _job_words(words: Words) -> JobWords:
    said: JobWords = {}
    if words.queue is not None:
        said["queue"] = words.queue
    if words.priority is not None:
        said["priority"] = words.priority
    if words.tags:
        said["tags"] = words.tags
    if words.unique is not None:
        said["unique"] = words.unique
    return said
