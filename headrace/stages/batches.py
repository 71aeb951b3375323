"""Batches that may be plain events or messages, handled as a whole, in which an event may fail alone."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import Message
from headrace.stages.application import Fail

T = TypeVar("T")


def data_of(event: object) -> object:
    """Return an event itself, of a message what it carries."""
    return event.data if isinstance(event, Message) else event


def derived(event: object, data: object) -> object:
    """Return `data` as what came of an event: a message of a message."""
    return event.derive(data) if isinstance(event, Message) else data


def fail_alone(event: object, error: BaseException, fail: Fail) -> None:
    """Count an event as failed; the source of a message hears of it, whatever becomes of the others of its batch."""
    fail(error)
    if isinstance(event, Message):
        event.acknowledgement.add(1)
        event.acknowledgement.end(Outcome.FAILED)


class Each(Generic[T]):
    """What a function made of the events of a batch, in their order, without those that failed."""

    def __init__(self, function: Callable[[object], T], events: Sequence[object], fail: Fail) -> None:
        self.events: list[object] = []
        self.outputs: list[T] = []
        for event in events:
            try:
                output = function(data_of(event))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                fail_alone(event, error, fail)
            else:
                self.events.append(event)
                self.outputs.append(output)
