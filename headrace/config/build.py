"""A checked config becomes stages of a topology."""

from collections.abc import Callable, Hashable
from functools import partial

from headrace.config.buffered import add_buffered
from headrace.config.check.config import Config, ConfiguredStage
from headrace.config.check.disk_buffers import has_disk_buffer
from headrace.config.check.emitters import copy_names
from headrace.config.copies import Split, share_of, split_settings, to_all_copies
from headrace.config.keys.buffer_keys import BufferKeys
from headrace.config.keys.dispatch import DispatcherKeys
from headrace.config.keys.model import SubscriptionKeys
from headrace.jobs.jobs import Jobs
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher, stable_hash
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology


def build(config: Config, topology: Topology, jobs: Jobs | None = None) -> None:
    """Add the stages of a config to a topology, in the order of the file; those that need jobs get `jobs`."""
    copies = {stage.name: copy_names(stage) for stage in config.stages}
    for stage in config.stages:
        said = [_subscription(keys) for keys in stage.keys.subscribe_to]
        subscriptions = [one for to in said for one in to_all_copies(to, copies)]
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
            topology.add(name, make, subscribe_to=share_of(stage.name, position), settings=settings)


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
    said = stage.keys.buffer
    buffer = BufferKeys(max_events=said.max_events) if has_disk_buffer(stage) else said
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
