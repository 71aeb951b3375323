"""Batches that may be plain events or messages, handled as a whole, in which an event may fail alone."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headrace.pipeline.message import Message

T = TypeVar("T")

FailEvent = Callable[[object, BaseException], None]
"""Told of each event, a message where those flow, that failed, and with what."""


def data_of(event: object) -> object:
    """Return an event itself, of a message what it carries."""
    return event.data if isinstance(event, Message) else event


def derived(event: object, data: object) -> object:
    """Return `data` as what came of an event: a message of a message."""
    return event.derive(data) if isinstance(event, Message) else data


class Each(Generic[T]):
    """What a function made of the events of a batch, in their order, without those that failed."""

    def __init__(self, function: Callable[[object], T], events: Sequence[object], fail: FailEvent) -> None:
        self.events: list[object] = []
        self.outputs: list[T] = []
        for event in events:
            try:
                output = function(data_of(event))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                fail(event, error)
            else:
                self.events.append(event)
                self.outputs.append(output)
