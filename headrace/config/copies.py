"""A stage with `partition_by`: copies of it, each of which gets all events of its share of the keys, in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.config.config import ConfiguredStage
from headrace.config.disk_buffers import has_disk_buffer, read_name
from headrace.ground.expressions import Expression
from headrace.pipeline.dispatchers.hashing import stable_hash
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.subscription import SubscribeTo, Subscription


class Split(ProducerConsumer[object, object]):
    """Passes on what it gets; its dispatcher deals it out by key."""

    def handle_events(self, events: list[object]) -> list[object]:
        """Return them as they are."""
        return events


def copy_names(stage: ConfiguredStage) -> list[str]:
    """Return which stages emit what a stage of the config does: itself, its copies, or what reads its buffer."""
    if has_disk_buffer(stage):
        return [read_name(stage.name)]
    if stage.keys.partition_by is None:
        return [stage.name]
    return [f"{stage.name}.{number}" for number in range(1, stage.keys.concurrency + 1)]


def split_settings(by: Expression, count: int) -> StageSettings:
    """Return the settings of what deals events out to `count` copies."""

    def share(event: object) -> int:
        return stable_hash(by(event)) % count

    def dispatcher() -> PartitionDispatcher[Subscription]:
        return PartitionDispatcher(count, hash=share)

    return StageSettings(dispatcher)


def share_of(name: str, position: int) -> SubscribeTo:
    """Return the subscription of the copy at `position`, from 0, to what deals events out."""
    return SubscribeTo(name, partition=position, cancel="temporary")


def to_all_copies(to: SubscribeTo, copies: Mapping[str, Sequence[str]]) -> list[SubscribeTo]:
    """Return the same subscription to each copy of its producer."""
    return [replace(to, producer=name) for name in copies[to.producer]]
