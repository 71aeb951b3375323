"""Consumers: stages at the end of a graph, which handle batches of events."""

from collections.abc import Awaitable
from typing import Generic, TypeVar

from typing_extensions import override

from headrace.errors import MissingCallback
from headrace.pipeline.stage.stage import HandlingStage

In = TypeVar("In")


class Consumer(HandlingStage, Generic[In]):
    """A stage that takes events in. Subclass it and handle them in `handle_events`."""

    @override
    def handle_events(self, events: list[In]) -> Awaitable[None] | None:
        """Handle a batch, oldest first, at most `max_demand - min_demand` events.

        The list is yours; the events are shared and must not be changed.
        May be `async def`. An exception is a crash: the batch is discarded, or delivered again if it carries messages.
        """
        raise MissingCallback(self, "handle_events(self, events)")
