"""What stages that gather events do with them: one of many, by the data that they carry."""

from collections.abc import Sequence

from headrace.pipeline.message import Message
from headrace.stages.batches import data_of


def gathered(events: Sequence[object], data: object) -> object:
    """Return `data` as what came of all of `events`, of which there is one at least: a message of messages."""
    first, *others = events
    if not isinstance(first, Message):
        return data
    return first.derive(data, *(other for other in others if isinstance(other, Message)))


def data_of_all(events: Sequence[object]) -> list[object]:
    """Return what the events carry."""
    return list(map(data_of, events))
