"""A stage of a topology, as those outside of it hold it: whom to call, subscribe, pause, read."""

from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar, cast

from headrace.ground.errors import GraphError
from headrace.pipeline.demand.window import Window
from headrace.pipeline.process.process import Process
from headrace.pipeline.process.ref import Ref
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.stage.stream import read_stage
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.stage.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.taking_process import TakingProcess
from headrace.pipeline.topology.link import Emitting, StageProcess, emitting
from headrace.pipeline.topology.run import Run

G_co = TypeVar("G_co", bound=Stage, covariant=True)


class StageHandle(Generic[G_co]):
    """A stage by its name: what others subscribe to, and the words for it while it runs.

    All of them are for the thread of the loop on which the topology runs, and raise `ForeignThread` on another; they
    raise `NoProcess` when the topology was not started. A restart of the stage changes nothing about them.
    """

    def __init__(self, name: str, run: Callable[[str], Run]) -> None:
        self.name = name
        self._run = run

    def __repr__(self) -> str:
        return f"<stage {self.name!r}>"

    @property
    def ref(self) -> Ref[G_co]:
        """The reference of its process: call, cast and send info to the stage, which may emit as it answers."""
        return Ref(cast("Process[G_co]", self._process("ref")))

    @property
    def is_paused(self) -> bool:
        """Whether it hands its callbacks nothing for now."""
        return self._process("is_paused").is_paused

    def pause(self) -> None:
        """Hand its callbacks no more events and no more demand, until `resume`; what they are at goes on.

        What a stage has buffered still goes to those who ask; mail and subscriptions are handled. A drain resumes it.
        """
        self._process("pause").pause()

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._process("resume").resume()

    def subscribe(self, to: "SubscribeTo | StageHandle[Stage] | str") -> SubscriptionHandle:
        """Subscribe the stage to another one while both run; return a handle to ask, change and cancel with.

        Raises `GraphError` for what cannot be (an unknown stage, a producer that subscribes, a consumer that is
        subscribed to, a second subscription to the same stage, a circle), `DemandError` for bounds that do not fit, and
        `NoProcess` when either has ended or is about to.
        """
        return self._started("subscribe").subscribe(self.name, target(self.name, to))

    def subscriptions(self) -> list[SubscriptionHandle]:
        """Return the stage's subscriptions to others that have not ended, in no order."""
        process = self._process("subscriptions")
        if not isinstance(process, TakingProcess):
            return []
        living = (subscription for subscription in process.inlet.subscriptions if subscription.ended is None)
        return [SubscriptionHandle(subscription, process) for subscription in living]

    def stream(self, max_demand: int = 1000, min_demand: int | None = None) -> AsyncGenerator[object, None]:
        """Read the stage's events under back-pressure: it is asked for more only as they are read.

        The reader is one more subscriber from its first `anext` on, until it is closed or the stage has completed.
        What it had not read then goes to others. Works with aiostream's pipes. Raises `GraphError` for a consumer,
        `DemandError` for bounds that do not fit.
        """
        return read_stage(self._emitting("stream", "read"), Window(max_demand, min_demand))

    def estimate_buffered_count(self) -> int:
        """Return how many events the stage holds because nobody has asked for them."""
        return self._emitting("estimate_buffered_count", "count").estimate_buffered_count()

    def _process(self, word: str) -> StageProcess:
        return self._started(word).processes[self.name]

    def _emitting(self, word: str, verb: str) -> Emitting:
        return emitting(self._process(word), f"{verb} the stage that feeds it")

    def _started(self, word: str) -> Run:
        return self._run(f"{word} of stage {self.name!r}")


Target = SubscribeTo | StageHandle[Stage] | str
"""What names a stage to subscribe to: its name, its handle, or the full form."""


def target(stage: str, to: Target) -> SubscribeTo:
    """Return the full form of what `stage` subscribes to. Raises `GraphError` for what names no stage."""
    if isinstance(to, SubscribeTo):
        return to
    if isinstance(to, StageHandle):
        return SubscribeTo(to.name)
    if isinstance(to, str):
        return SubscribeTo(to)
    raise GraphError(stage, f"subscribes to {to!r}, which names no stage: give a name, a handle or a SubscribeTo")
