"""Named outputs: a stage says of each event by which output it goes, and each output has its own subscribers."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.errors import UnknownOutput
from headrace.pipeline.dispatchers.dispatcher import S
from headrace.pipeline.dispatchers.partition import PartitionDispatcher

MAX_QUEUE: Final = 1000
"""Events of one output that wait for it, at most; then the stage waits, too."""


@dataclass(slots=True)
class Output:
    """An event, and the output of its stage by which it goes; subscribers of that output get the bare event.

    Treat it as frozen: it is no frozen dataclass only because one of those takes three times as long to make.
    """

    name: str
    event: object


def bare(event: object) -> object:
    """Return an event without the name of its output.

    >>> bare(Output("eu", 7)), bare(8)
    (7, 8)
    """
    return event.event if isinstance(event, Output) else event


class OutputsDispatcher(PartitionDispatcher[S]):
    """Each output is a partition: bounded, so that a slow one stops the stage for all once it is full, and is named.

    An event without an output, or with one that the stage does not have, fails alone.
    """

    __slots__ = ()

    called = "output"

    def __init__(self, names: Sequence[str], max_queue: int = MAX_QUEUE) -> None:
        """Raises `DispatcherError` when two have one name."""
        known = frozenset(names)

        def output_of(event: object) -> Hashable:
            if isinstance(event, Output) and event.name in known:
                return event.name
            raise UnknownOutput(event.name if isinstance(event, Output) else None, names)

        super().__init__(names, hash=output_of, max_queue=max_queue)
