"""A checked config becomes stages."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Final

from typing_extensions import override

from headrace.config.check.config import Config, ConfiguredStage
from headrace.config.check.stage_names import expanded_names, has_disk_buffer, keep_name, read_name
from headrace.config.keys.pipeline import SubscriptionKeys
from headrace.config.keys.stage import BufferKeys, DispatcherKeys
from headrace.expressions import Expression
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher, stable_hash
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from headrace.stages.options import StageType

MOST_AHEAD: Final = 10_000
"""Events that a source holds in memory at most while its buffer on disk is full: a crash loses them."""


def add_buffered(
    topology: Topology, stage: ConfiguredStage, make: Callable[[], Stage], settings: StageSettings
) -> None:
    """Add a source and the two stages around its buffer on disk; the reading one has the dispatcher of the source."""
    from headrace.stages.edges.edge_stages import ReadEdge, WriteEdge
    from headrace.stages.edges.sqlite_log import EventLog

    buffer = stage.keys.buffer
    log = EventLog(buffer.path or "", buffer.bounds())
    ahead = min(buffer.max_events or MOST_AHEAD, MOST_AHEAD)
    topology.add(stage.name, partial(_source, make), settings=replace(settings, dispatcher="demand", buffer_size=ahead))
    topology.add(keep_name(stage.name), partial(WriteEdge, log, buffer.when_full or "block"), subscribe_to=stage.name)
    topology.add(read_name(stage.name), partial(ReadEdge, log), settings=StageSettings(settings.dispatcher))


def _source(make: Callable[[], Stage]) -> Stage:
    source = make()
    if isinstance(source, StageType):
        source.acknowledge_when_stored()
    return source


class Split(ProducerConsumer[object, object]):
    """Passes its events on; its dispatcher distributes them by key."""

    takes_messages: ClassVar[bool] = True

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        return events


def split_settings(by: Expression, count: int) -> StageSettings:
    """Return the settings of the stage that distributes events to `count` copies."""

    def part(event: object) -> int:
        return stable_hash(by(event)) % count

    def dispatcher() -> PartitionDispatcher[Subscription]:
        return PartitionDispatcher(count, hash=part)

    return StageSettings(dispatcher)


def part_of(name: str, position: int) -> SubscribeTo:
    """Return the subscription of the copy at `position`, from 0, to the distributing stage."""
    return SubscribeTo(name, partition=position, cancel="temporary")


def to_all_copies(to: SubscribeTo, copies: Mapping[str, Sequence[str]]) -> list[SubscribeTo]:
    """Return the same subscription to each copy of its producer."""
    return [replace(to, producer=name) for name in copies[to.producer]]


def build(config: Config, topology: Topology, jobs: object = None) -> None:
    """Add the stages of a config to a topology, in the order of the file.

    Stage types that need jobs get `jobs`.
    """
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
    """Return a function for an event's partition: the value of `by`, or its hash where partitions are numbers."""
    by, count = keys.by, keys.partitions
    if by is None:
        return None
    if isinstance(count, int):
        return lambda event: stable_hash(by(event)) % count
    return by
