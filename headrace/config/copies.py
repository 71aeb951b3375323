"""A stage with `partition_by`: copies of it, each of which gets all events of its share of the keys, in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from headrace.expressions import Expression
from headrace.pipeline.dispatchers.partition import PartitionDispatcher, stable_hash
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings


class Split(ProducerConsumer[object, object]):
    """Passes on what it gets; its dispatcher deals it out by key."""

    takes_messages: ClassVar[bool] = True

    def handle_events(self, events: list[object]) -> list[object]:
        """Return them as they are."""
        return events


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
