"""Producer-consumers: stages in the middle of a graph, which make events of events."""

import inspect
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.errors import BadOption, MissingCallback
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.stage import Emitter, Receiver, Runtime, Stage, events_given

In = TypeVar("In")
Out = TypeVar("Out")


class SideEmitter(Protocol):
    """The runtime's side of a stage's side outputs."""

    async def put(self, name: str, events: Sequence[object]) -> int:
        """Emit events by an output as there is room; return how many it took."""


@dataclass(frozen=True, slots=True)
class ProducerConsumerRuntime(Runtime):
    """The runtime's side of a producer-consumer."""

    emitter: Emitter
    receiver: Receiver
    side_outputs: SideEmitter


class ProducerConsumer(Stage, Generic[In, Out]):
    """A stage that takes events in and emits events. Subclass it and return its outputs from `handle_events`.

    It works only while its own subscribers have unmet demand.
    """

    _runtime: ProducerConsumerRuntime

    def handle_events(self, events: list[In]) -> Iterable[Out] | Awaitable[Iterable[Out]]:
        """Return what comes of a batch, any number of events, in order. The batch is yours; the events are shared.

        A list that is returned is given away: its receiver may change it.
        May be `async def`. An exception is a crash: the batch is discarded, or redelivered where it carries messages.
        """
        raise MissingCallback(self, "handle_events(self, events)")

    def handle_each(self, events: list[In]) -> Iterable[Sequence[Out]] | Awaitable[Iterable[Sequence[Out]]]:
        """Return a sequence of outputs for each event of a batch, in their order; an empty one for each that failed.

        Optional, for stages with `per_event` that are not `one_to_one`. Without it they get one event at a time where
        the outputs of each event must be known.
        """
        return ()

    def handle_demand(self, demand: int) -> Iterable[Out] | Awaitable[Iterable[Out]]:
        """Called when subscribers ask for `demand` more events than before; return events, say from a cache.

        Optional. The returned events go out first; events from upstream meet the rest of the demand.
        """
        return ()

    def emit_nowait(self, events: list[Out]) -> None:
        """Emit events at any time, in the loop's thread, beside the outputs of `handle_events`."""
        self._runtime.emitter.check_loop("emit_nowait")
        self._runtime.emitter.emit_nowait(events_given(events))

    def emit_to(self, output: str, events: Sequence[object]) -> Awaitable[int]:
        """Emit events by one of the `side_outputs`, as there is room; return how many went, from the first.

        The others found no subscriber of the output: the stage counts them, `discard(count, reason)`.
        For an `async def handle_events` that handles batches as a whole; one that takes messages derives outputs of
        their message.
        Raises `BadOption` for an output that is none of them.
        """
        self._runtime.emitter.check_loop("emit_to")
        if output not in self.side_outputs:
            known = ", ".join(map(repr, self.side_outputs)) or "it has none"
            raise BadOption("output", output, f"one of the stage's side_outputs: {known}")
        return self._runtime.side_outputs.put(output, self._runtime.failures.owned(events))

    def format_discarded(self, count: int) -> bool:
        """Called when the buffer was full and `count` events were discarded; return whether to log it.

        They are counted either way, and logged once.
        """
        return True

    def info(self, message: object) -> None:
        """Send a message to `handle_info` of this stage, behind all events that it holds now (GenStage's `async_info`).

        So a finite producer emits its last events, sends itself word, and ends when that comes.
        """
        self._runtime.emitter.check_loop("info")
        self._runtime.emitter.info(message)

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""
        return self._runtime.emitter.estimate_buffered_count()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return who misses events now, by name, and how many."""
        return self._runtime.emitter.demand_by_consumer()

    @override
    def awaits(self) -> bool:
        return inspect.iscoroutinefunction(self.handle_events)

    @property
    def source(self) -> SubscriptionHandle:
        """The subscription of the current batch of `handle_events` (GenStage's `from`)."""
        return self._runtime.receiver.source()

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage of the same pipeline, or anew to the same one.

        Raises `GraphError` for a stage that there is not, that emits nothing, or that is upstream of itself then,
        `NoProcess` for one that has ended.
        """
        self._runtime.receiver.check_loop("subscribe")
        return self._runtime.receiver.subscribe(to)
