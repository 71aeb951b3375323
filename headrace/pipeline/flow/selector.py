"""Asks a subscription's selector about each event that is broadcast."""

from collections.abc import Callable

from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome


class Selector:
    """A selector that sees data, and that fails one event alone when it raises: the producer and all others go on.

    The event counts as failed at the consumer whose subscription it is.
    """

    __slots__ = ("_counts", "_is_acknowledged", "selects")

    def __init__(self, selects: Callable[[object], bool], counts: StageCounts, *, is_acknowledged: bool) -> None:
        self.selects = selects
        self._counts = counts
        self._is_acknowledged = is_acknowledged

    def __call__(self, event: object) -> bool:
        """Tell whether the event is for this consumer."""
        message = event if self._is_acknowledged and isinstance(event, Message) else None
        try:
            return self.selects(event if message is None else message.data)
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises, it fails this event alone
            self._counts.fail(error)
            if message is not None:
                message.acknowledgement.add(1)
                message.acknowledgement.end(Outcome.FAILED)
            return False
