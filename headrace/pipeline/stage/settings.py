"""What is said about a stage beside its class: how it dispatches and how much it buffers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from headrace.pipeline.demand.buffer import Buffer, Keep
from headrace.pipeline.dispatchers.broadcast import BroadcastDispatcher
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.process.restart import Restart
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.outlet import Outlet
from headrace.pipeline.stage.subscription import Subscription

DispatcherName = Literal["demand", "broadcast"]

DISPATCHERS: Final[dict[DispatcherName, Callable[[], Dispatcher[Subscription]]]] = {
    "demand": DemandDispatcher,
    "broadcast": BroadcastDispatcher,
}

PRODUCER_BUFFER_SIZE: Final = 10_000
"""Events that a producer buffers before it discards (GenStage's default)."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How a stage dispatches, buffers and restarts.

    `buffer_size` counts events; None is the kind's default: 10,000 for a producer, no limit for a producer-consumer,
    whose overshoot is at most one delivery's outputs. `buffer_keep` says which end survives an overflow.
    """

    dispatcher: DispatcherName = "demand"
    buffer_size: int | None = None
    buffer_keep: Keep = "last"
    restart: Restart = "transient"
    shutdown_seconds: float = 5.0

    def outlet(self, default_buffer_size: int | None, counts: StageCounts) -> Outlet:
        """Return a new producer's side as the settings say."""
        limit = default_buffer_size if self.buffer_size is None else self.buffer_size
        return Outlet(DISPATCHERS[self.dispatcher](), Buffer(limit, self.buffer_keep), counts)
