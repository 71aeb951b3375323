"""Who would have got an event that a stage had emitted, and that went no further."""

from typing import Final

from headrace.pipeline.dispatchers.partition import OutputsDispatcher, PartitionDispatcher
from headrace.pipeline.flow.accumulator import Accumulating
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.edges import Edges
from headrace.pipeline.topology.link import Emitting
from headrace.pipeline.topology.output_names import output_name

NOBODY: Final = "{}:out"
"""What the place of such an event is called when nobody would have got it; no stage of a config has such a name."""


def heirs(process: Emitting, edges: Edges, event: object) -> list[str]:
    """Return the consumers that would have got the event: one of them, or where it is broadcast, each that selects it.

    That of an output is the stage that the output is, or would be if anybody took it. `edges` are all that the run has
    ever had.
    """
    wishes = {edge.consumer: edge.to for edge in edges.from_producer(process.name)}
    dispatcher, nobody = process.outlet.dispatcher, NOBODY.format(process.name)
    if isinstance(dispatcher, Accumulating):
        dispatcher = dispatcher.inner
    if isinstance(dispatcher, PartitionDispatcher):
        partition = dispatcher.partition_of(event)
        found = [name for name, to in wishes.items() if to.partition == partition]
        if isinstance(dispatcher, OutputsDispatcher) and partition is not None:
            nobody = output_name(process.name, str(partition))
    else:
        found = [name for name, to in wishes.items() if _selects(to, event)]
    return (found[:1] if dispatcher.takes_back else found) or [nobody]


def _selects(to: SubscribeTo, event: object) -> bool:
    try:
        return to.selector is None or to.selector(event)
    except BaseException:  # noqa: BLE001 - whatever a user's function raises, the event is kept for this consumer
        return True
