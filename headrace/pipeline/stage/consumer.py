"""Consumers: stages at the end of a graph, and the base of all stages that handle events."""

import inspect
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from typing_extensions import override

from headrace.errors import MissingCallback
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.stage import Receiver, Runtime, Stage

In = TypeVar("In")


@dataclass(frozen=True, slots=True)
class HandlingRuntime(Runtime):
    """The parts of the runtime for stages that handle events."""

    receiver: Receiver


class HandlingStage(Stage):
    """The base of `ProducerConsumer` and `Consumer`, which handle events: subclass one of these."""

    _runtime: HandlingRuntime

    def handle_events(self, events: list[Any]) -> object:
        """Handle a batch, oldest first."""
        raise MissingCallback(self, "handle_events(self, events)")

    @override
    def awaits(self) -> bool:
        return inspect.iscoroutinefunction(self.handle_events)

    @property
    def source(self) -> SubscriptionHandle:
        """The subscription of the current batch of `handle_events` (GenStage's `from`)."""
        return self._runtime.receiver.source()

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage of the same pipeline, or anew to the same one.

        Raises `GraphError` for a stage that does not exist, that emits nothing, or that this stage feeds; `NoProcess`
        for a stage that has ended.
        """
        self._runtime.receiver.check_loop("subscribe")
        return self._runtime.receiver.subscribe(to)


class Consumer(HandlingStage, Generic[In]):
    """A stage that takes events in. Subclass it and handle them in `handle_events`."""

    @override
    def handle_events(self, events: list[In]) -> Awaitable[None] | None:
        """Handle a batch, oldest first, at most `max_demand - min_demand` events.

        The list is yours; the events are shared and must not be changed.
        May be `async def`. An exception is a crash: the batch is discarded, or delivered again if it carries messages.
        """
        raise MissingCallback(self, "handle_events(self, events)")
