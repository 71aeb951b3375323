"""Who would have got an event that a stage had emitted, and that went no further."""

from collections.abc import Sequence
from typing import Final

from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.stage.subscription import SubscribeTo, Subscription
from headrace.pipeline.topology.link import Emitting

NOBODY: Final = "{}:out"
"""What the place of such an event is called when nobody would have got it; no stage of a config has such a name."""


def heirs(process: Emitting, subscriptions: Sequence[Subscription], event: object) -> list[str]:
    """Return the consumers that would have got the event: one of them, or where it is broadcast, each that selects it.

    `subscriptions` are all that the stage has ever had.
    """
    wishes = {one.consumer.name: one.to for one in subscriptions if one.producer is process}
    dispatcher = process.outlet.dispatcher
    if isinstance(dispatcher, PartitionDispatcher):
        partition = dispatcher.partition_of(event)
        found = [name for name, to in wishes.items() if to.partition == partition]
    else:
        found = [name for name, to in wishes.items() if _selects(to, event)]
    return (found[:1] if dispatcher.takes_back else found) or [NOBODY.format(process.name)]


def _selects(to: SubscribeTo, event: object) -> bool:
    return to.selector is None or to.selector(event)
