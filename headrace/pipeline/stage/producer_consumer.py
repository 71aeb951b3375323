"""Producer-consumers: stages in the middle of a graph, which turn events into events."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.errors import BadOption, MissingCallback
from headrace.pipeline.stage.consumer import HandlingRuntime, HandlingStage
from headrace.pipeline.stage.stage import Emitter, events_given

In = TypeVar("In")
Out = TypeVar("Out")


class SideEmitter(Protocol):
    """The part of a runtime through which a stage emits to side outputs."""

    async def put(self, name: str, events: Sequence[object]) -> int:
        """Emit events to an output as there is room; return how many it took."""


@dataclass(frozen=True, slots=True)
class ProducerConsumerRuntime(HandlingRuntime):
    """The parts of the runtime that a producer-consumer calls."""

    emitter: Emitter
    side_outputs: SideEmitter


class ProducerConsumer(HandlingStage, Generic[In, Out]):
    """A stage that takes events in and emits events. Subclass it and return its outputs from `handle_events`.

    It works only while its own subscribers have unmet demand.
    """

    _runtime: ProducerConsumerRuntime

    @override
    def handle_events(self, events: list[In]) -> Iterable[Out] | Awaitable[Iterable[Out]]:
        """Return the outputs of a batch: any number of events, in order.

        The batch is yours; the events are shared and must not be changed. Do not use a list again that you returned:
        its receiver may change it.
        May be `async def`. An exception is a crash: the batch is discarded, or delivered again if it carries messages.
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
        """Emit events to one of the `side_outputs`, as there is room; return how many it took, from the first.

        The output has no subscriber for the others: count them with `discard(count, reason)`.
        For an `async def handle_events` that handles batches as a whole. A stage with `takes_messages` derives the
        events from their message. Raises `BadOption` for an unknown output.
        """
        self._runtime.emitter.check_loop("emit_to")
        if output not in self.side_outputs:
            known = ", ".join(map(repr, self.side_outputs)) or "it has none"
            raise BadOption("output", output, f"one of the stage's side_outputs: {known}")
        return self._runtime.side_outputs.put(output, self._runtime.failures.owned(events))

    def format_discarded(self, count: int) -> bool:
        """Called when the buffer was full and `count` events were discarded; return whether to log that.

        They are counted in any case, and logged once.
        """
        return True

    def info(self, message: object) -> None:
        """Send a message to `handle_info` of this stage, behind all events that it holds now (GenStage's `async_info`).

        So a finite producer can emit its last events, send itself a message, and end when that arrives.
        """
        self._runtime.emitter.check_loop("info")
        self._runtime.emitter.info(message)

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""
        return self._runtime.emitter.estimate_buffered_count()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""
        return self._runtime.emitter.demand_by_consumer()
