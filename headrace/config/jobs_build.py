"""The checked block `jobs:` becomes the service that keeps and runs jobs."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from headrace.config.check.jobs import ConfiguredJobs
from headrace.config.keys.jobs import CronKeys, JobsKeys, KeepKeys, KeptKeys, QueueKeys
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.crontab import CronEntry, Crontab, plain_job
from headrace.jobs.maintenance.maintenance import KEPT, Keep
from headrace.jobs.results import JobRegistry
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.worker_catalogue import Catalogue
from headrace.jobs.settings import JobsSettings, QueueOptions
from headrace.jobs.stores.store import JobStore, store_of
from headrace.stages.jobs import registry_over


def build_jobs(configured: ConfiguredJobs, *, is_running: bool = True, redact: Callable[[str], str] = str) -> Jobs:
    """Return the service, not open yet; unless `is_running` it runs no queue and no crontab, and only enqueues.

    `redact` hides in the errors of jobs what the store must not hold.
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
        settings = replace(settings, chores=[lambda store: crontab(keys, workers, store, settings)])
    queues = {name: _queue(queue) for name, queue in keys.queues.items()} if is_running else {}
    return Jobs(store_of(keys.store), workers, queues, settings)


def registries_of(configured: ConfiguredJobs) -> dict[str, JobRegistry[..., object]]:
    """Return registries by name: those that the file names, and of every worker that records, by its own name."""
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


def crontab(keys: JobsKeys, workers: Catalogue, store: JobStore, settings: JobsSettings) -> Crontab:
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


def _job(entry: CronEntry, workers: Catalogue, cipher: ArgsCipher | None) -> NewJob:
    """Return the job of an entry as its worker would keep it, in the queue that the entry names."""
    worker = workers.get(entry.worker)
    if worker is None:
        return plain_job(entry)
    job = worker.new(**entry.args)
    if cipher is not None and worker.options.encrypted:
        job = cipher.sealed(job)
    return job if entry.queue is None else replace(job, queue=entry.queue)


def _kept(keys: KeepKeys) -> list[Keep]:
    """Return how long ended jobs stay; what the file does not speak of stays as it always does."""
    own: Mapping[str, KeptKeys | None] = dict(keys)
    return [one if (said := own[one.state]) is None else Keep(one.state, said.age, said.count) for one in KEPT]
