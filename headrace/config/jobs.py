"""The block `jobs:` becomes the jobs of a run; imported only where a config has that block."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from headrace.config.check.jobs import ConfiguredJobs
from headrace.config.files import load_parts
from headrace.config.keys.jobs import CronKeys, JobsKeys, KeepKeys, KeptKeys, QueueKeys
from headrace.errors import HeadraceError
from headrace.jobs.errors import BadJobs
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.crontab import CronEntry, Crontab, plain_job
from headrace.jobs.maintenance.maintenance import KEPT, Retention
from headrace.jobs.results import JobRegistry
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings, QueueOptions
from headrace.jobs.stores.store import Inserts, store_of
from headrace.pipeline.topology.run import Run
from headrace.stages.jobs import registry_over
from headrace.stages.options import StageType
from headrace.telemetry.events import LOG, Telemetry

CLOSE_SECONDS: Final = 60.0
"""How long the jobs of a run may take to close beyond the grace of running jobs."""


class JobsService:
    """Runs jobs beside the stages of a run, as a `Service`."""

    name = "jobs"
    has_own_work = True
    dead_letter_handler = None

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.failure: HeadraceError | None = None
        self._are_awaited = False
        self._is_open = False
        self._has_logged = False
        self._close_lock = asyncio.Lock()

    @property
    def close_seconds(self) -> float:
        """How long `close` may take: the grace of running jobs, and some time to write their states."""
        return self.jobs.settings.grace_seconds + CLOSE_SECONDS

    async def open(self) -> None:
        """Open the store and run the queues. Raises the errors of the store, and nothing is open then."""
        await self.jobs.open()
        self._is_open = True

    async def attach(self, run: Run) -> None:
        """Find out whether stages of the run wait for jobs."""
        callbacks: Iterable[object] = (process.first for process in run.processes.values())
        self._are_awaited = any(isinstance(one, StageType) and one.awaits_jobs for one in callbacks)

    def drain(self) -> None:
        """Claim no more jobs. Where stages wait for jobs, they are claimed until the stages have ended."""
        if not self._are_awaited:
            self.jobs.pause_claiming()

    async def is_idle(self) -> bool:
        """Return whether no job is left that could run now; False while the store cannot be read."""
        try:
            return await self.jobs.is_idle()
        except HeadraceError as error:
            if not self._has_logged:
                LOG.error("the store cannot tell whether any job is left, and is read again: %s", error)
            self._has_logged = True
            return False

    async def close(self) -> None:
        """Give running jobs their grace, put back unfinished ones, and close the store.

        The error of a store that fails meanwhile becomes `failure`; the store is closed all the same.
        """
        self.jobs.pause_claiming()
        async with self._close_lock:
            if not self._is_open:
                return
            try:
                await self.jobs.close()
            except HeadraceError as error:
                LOG.error("the jobs could not be closed properly: %s", error)
                self.failure = error
            self._is_open = False

    async def stop(self) -> None:
        """Put running jobs back at once, and close the store. This also ends a grace period that has begun."""
        self.jobs.pause_claiming()
        self.jobs.stop_grace()
        await self.close()


def build_jobs(
    configured: ConfiguredJobs,
    *,
    is_running: bool = True,
    redact: Callable[[str], str] = str,
    telemetry: Telemetry | None = None,
) -> Jobs:
    """Return the service, not open yet; unless `is_running` it runs no queue and no crontab, and only enqueues.

    `redact` hides secrets in the errors of jobs; `telemetry` gets the events of the jobs.
    """
    keys, workers = configured.keys, configured.workers
    settings = JobsSettings(
        grace_seconds=keys.grace,
        kept=_kept(keys.keep),
        cipher=keys.cipher(),
        logs_failures=keys.log_failures,
        redact=redact,
    )
    if keys.cron and is_running:
        settings = replace(settings, periodic_tasks=[lambda store: crontab(keys, workers, store, settings)])
    queues = {name: _queue(queue) for name, queue in keys.queues.items()} if is_running else {}
    return Jobs(store_of(keys.store), workers, queues, settings, telemetry)


def jobs_from_file(path: Path, *, runs_queues: bool) -> Jobs:
    """Return the service of the block `jobs:` of a file, not open yet; other blocks are not checked.

    Raises `ConfigError`, and `BadJobs` for a file without that block.
    """
    config = load_parts(path, ["jobs"], imports=True)
    if config.jobs is None:
        raise BadJobs(str(path), "config", "a file with the block `jobs:`")
    return build_jobs(config.jobs, is_running=runs_queues, redact=config.redactor)


def registries_of(configured: ConfiguredJobs) -> dict[str, JobRegistry[..., object]]:
    """Return registries by name: the ones that the file names, and one for every worker that records results."""
    found = {one.name: registry_over(one) for one in configured.workers if one.options.record}
    for name, keys in configured.keys.registries.items():
        worker = configured.workers.get(keys.worker)
        if worker is not None:
            found[name] = registry_over(worker, keys.expires_in)
    return found


def _queue(keys: QueueKeys) -> QueueOptions:
    rate, at_once = keys.rate_limit, keys.global_limit
    if rate is None and at_once is None:
        return QueueOptions(keys.limit)
    limits = QueueLimits(
        None if at_once is None else GlobalLimit(at_once.count, at_once.partition),
        None if rate is None else RateLimit(rate.rate.events, rate.rate.period_seconds, rate.burst, rate.partition),
    )
    return QueueOptions(keys.limit, limits)


def crontab(keys: JobsKeys, workers: WorkerCatalogue, store: Inserts, settings: JobsSettings) -> Crontab:
    """Return the crontab of a config."""
    entries = [_entry(entry) for entry in keys.cron]
    return Crontab(store, entries, settings.now, lambda entry: _job(entry, workers, settings.cipher))


def _entry(keys: CronKeys) -> CronEntry:
    return CronEntry(
        schedule=keys.schedule,
        worker=keys.worker,
        args=keys.args,
        queue=keys.queue,
        timezone=keys.timezone,
        name=keys.known_as,
        catch_up=keys.catch_up,
        catch_up_limit=keys.catch_up_limit,
    )


def _job(entry: CronEntry, workers: WorkerCatalogue, cipher: ArgsCipher | None) -> NewJob:
    """Return the job of an entry, prepared by its worker, in the queue that the entry names."""
    worker = workers.get(entry.worker)
    if worker is None:
        return plain_job(entry)
    job = worker.new(**entry.args)
    if cipher is not None and worker.options.encrypted:
        job = cipher.sealed(job)
    return job if entry.queue is None else replace(job, queue=entry.queue)


def _kept(keys: KeepKeys) -> list[Retention]:
    """Return how long ended jobs stay, with the defaults for states that the file leaves out."""
    own: Mapping[str, KeptKeys | None] = dict(keys)
    return [
        one if (keys_given := own[one.state]) is None else Retention(one.state, keys_given.age, keys_given.count)
        for one in KEPT
    ]
