"""A checked config becomes stages, jobs and dead letters."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Final

from typing_extensions import override

from headrace.config.check.config import Config, ConfiguredStage
from headrace.config.check.jobs import ConfiguredJobs
from headrace.config.check.stage_names import expanded_names, has_disk_buffer, keep_name, read_name
from headrace.config.keys.jobs import CronKeys, JobsKeys, KeepKeys, KeptKeys, QueueKeys
from headrace.config.keys.pipeline import DeadLettersKeys, SubscriptionKeys
from headrace.config.keys.stage import BufferKeys, DispatcherKeys
from headrace.dead_letters.sqlite_store import dead_letters_of
from headrace.dead_letters.store import DeadLetterLimits, DeadLetterStore
from headrace.expressions import Expression
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
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher, stable_hash
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from headrace.stages.edges.edge_stages import ReadEdge, WriteEdge
from headrace.stages.edges.sqlite_log import EventLog
from headrace.stages.jobs import registry_over
from headrace.stages.sources.receive_http import ReceiveHttp

MOST_AHEAD: Final = 10_000
"""Events that a source holds in memory at most while its buffer takes no more: of those a crash loses all."""


def add_buffered(
    topology: Topology, stage: ConfiguredStage, make: Callable[[], Stage], settings: StageSettings
) -> None:
    """Add a source, the stage that writes its buffer, and the one that reads it, which has the source's dispatcher."""
    buffer = stage.keys.buffer
    log = EventLog(buffer.path or "", buffer.bounds())
    ahead = min(buffer.max_events or MOST_AHEAD, MOST_AHEAD)
    topology.add(stage.name, partial(_source, make), settings=replace(settings, dispatcher="demand", buffer_size=ahead))
    topology.add(keep_name(stage.name), partial(WriteEdge, log, buffer.when_full or "block"), subscribe_to=stage.name)
    topology.add(read_name(stage.name), partial(ReadEdge, log), settings=StageSettings(settings.dispatcher))


def _source(make: Callable[[], Stage]) -> Stage:
    source = make()
    if isinstance(source, ReceiveHttp):
        source.answer_when_kept()
    return source


class Split(ProducerConsumer[object, object]):
    """Passes on what it gets; its dispatcher deals it out by key."""

    takes_messages: ClassVar[bool] = True

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        return events


def split_settings(by: Expression, count: int) -> StageSettings:
    """Return the settings of what deals events out to `count` copies."""

    def part(event: object) -> int:
        return stable_hash(by(event)) % count

    def dispatcher() -> PartitionDispatcher[Subscription]:
        return PartitionDispatcher(count, hash=part)

    return StageSettings(dispatcher)


def part_of(name: str, position: int) -> SubscribeTo:
    """Return the subscription of the copy at `position`, from 0, to what deals events out."""
    return SubscribeTo(name, partition=position, cancel="temporary")


def to_all_copies(to: SubscribeTo, copies: Mapping[str, Sequence[str]]) -> list[SubscribeTo]:
    """Return the same subscription to each copy of its producer."""
    return [replace(to, producer=name) for name in copies[to.producer]]


def build(config: Config, topology: Topology, jobs: Jobs | None = None) -> None:
    """Add the stages of a config to a topology, in the order of the file; those that need jobs get `jobs`."""
    copies = {stage.name: expanded_names(stage) for stage in config.stages}
    for stage in config.stages:
        keys_given = [_subscription(keys) for keys in stage.keys.subscribe_to]
        subscriptions = [one for to in keys_given for one in to_all_copies(to, copies)]
        arguments = (stage.options, jobs) if stage.type.needs_jobs else (stage.options,)
        make, settings = partial(stage.type.make, *arguments), _settings(stage)
        if has_disk_buffer(stage):
            add_buffered(topology, stage, make, settings)
            continue
        by, names = stage.keys.partition_by, copies[stage.name]
        if by is None:
            topology.add(stage.name, make, subscribe_to=subscriptions, settings=settings)
            continue
        topology.add(stage.name, Split, subscribe_to=subscriptions, settings=split_settings(by, len(names)))
        for position, name in enumerate(names):
            topology.add(name, make, subscribe_to=part_of(stage.name, position), settings=settings)


def _subscription(keys: SubscriptionKeys) -> SubscribeTo:
    selector = keys.selector
    return SubscribeTo(
        keys.stage,
        max_demand=keys.max_demand,
        min_demand=keys.min_demand,
        cancel=keys.cancel,
        selector=None if selector is None else lambda event: bool(selector(event)),
        partition=keys.partition,
        weight=keys.weight,
        output=keys.output,
    )


def _settings(stage: ConfiguredStage) -> StageSettings:
    keys_given = stage.keys.buffer
    buffer = BufferKeys(max_events=keys_given.max_events) if has_disk_buffer(stage) else keys_given
    dispatcher = _dispatcher(stage.keys.dispatcher)
    retry = stage.keys.retry
    return StageSettings(
        dispatcher,
        buffer_size=buffer.max_events,
        buffer_keep=buffer.keep,
        buffer_bytes=buffer.max_bytes,
        overflow_fails=buffer.when_full == "error",
        retry=None if retry is None else retry.retry(),
        timeout_seconds=stage.keys.timeout,
        dead_letters=stage.keys.dead_letters,
        concurrency=stage.keys.how(),
    )


def _dispatcher(keys: DispatcherKeys) -> str | Callable[[], Dispatcher[Subscription]]:
    if keys.partitions is not None:
        return partial(PartitionDispatcher, keys.partitions, hash=_hash(keys), max_queue=keys.max_queue)
    if keys.shuffle_demands_on_first_dispatch:
        return partial(DemandDispatcher, shuffle_demands_on_first_dispatch=True)
    return keys.type


def _hash(keys: DispatcherKeys) -> Callable[[object], Hashable | None] | None:
    """Return what names an event's partition: the value of `by`, or its hash where partitions are numbers."""
    by, count = keys.by, keys.partitions
    if by is None:
        return None
    if isinstance(count, int):
        return lambda event: stable_hash(by(event)) % count
    return by


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
        settings = replace(settings, periodic_tasks=[lambda store: crontab(keys, workers, store, settings)])
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
    """Return the job of an entry as its worker would keep it, in the queue that the entry names."""
    worker = workers.get(entry.worker)
    if worker is None:
        return plain_job(entry)
    job = worker.new(**entry.args)
    if cipher is not None and worker.options.encrypted:
        job = cipher.sealed(job)
    return job if entry.queue is None else replace(job, queue=entry.queue)


def _kept(keys: KeepKeys) -> list[Retention]:
    """Return how long ended jobs stay; what the file does not speak of stays as it always does."""
    own: Mapping[str, KeptKeys | None] = dict(keys)
    return [
        one if (keys_given := own[one.state]) is None else Retention(one.state, keys_given.age, keys_given.count)
        for one in KEPT
    ]


def build_dead_letters(keys: DeadLettersKeys) -> DeadLetterStore:
    """Return the store, not open yet."""
    return dead_letters_of(keys.store, DeadLetterLimits(keys.max_age, keys.max_size, keys.max_events))
