"""A stage of a topology, as those outside of it hold it: whom to call, subscribe, pause, read."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar, cast, get_args, overload

from headrace.errors import DemandError, GraphError
from headrace.otp.process.process import Process
from headrace.otp.process.state import check_seconds
from headrace.otp.ref import Ref
from headrace.pipeline.demand.buffer import Keep
from headrace.pipeline.demand.window import Window, is_whole
from headrace.pipeline.engine.stage_process import TakingProcess
from headrace.pipeline.flow.output import DemandMode
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.message import Message
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import Stage, events_given
from headrace.pipeline.topology.link import Emitting, StageProcess, emitting, taking
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.stream import EventStream, read_stage
from headrace.pipeline.topology.target import full_target

In = TypeVar("In")
Out = TypeVar("Out")
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
        """Give its callbacks no more events and no more demand until `resume`. Work in progress continues.

        What a stage has buffered still goes to those who ask; mail and subscriptions are handled. A drain resumes it,
        and lets nothing pause.
        """
        run = self._started("pause")
        if not run.is_draining:
            run.processes[self.name].pause()

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

    @overload
    def stream(
        self: "StageHandle[Producer[Message[Out]]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        patience_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self: "StageHandle[Producer[Out]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        patience_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self: "StageHandle[ProducerConsumer[In, Out]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        patience_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self,
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        patience_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[object]: ...

    def stream(
        self,
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        patience_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Any]:
        """Read the stage's events under back-pressure: it is asked for more only as they are read.

        The reader is one more subscriber from its first `anext` on, until it is closed or the stage has completed.
        What it had not read then goes to others. A message is done when the next event is asked for: where the body of
        the loop raises, or leaves it, the message is delivered again. The stream takes aiostream's operators: `stream |
        pipe.map(f)`. A reader that stands still holds up whatever shares the stage with it: with `patience_seconds` it
        loses its place after that time (twice at most), and gets `ReaderTooSlow` when it goes on. Of a partitioned
        stage it reads one `partition`. A stage that crashed for good raises its crash. Raises `GraphError` for a
        consumer, `DemandError` for bounds that do not fit, `BadOption` for a patience that is no time.
        """
        if patience_seconds is not None:
            check_seconds("patience_seconds", patience_seconds, ", or None for ever")
        to = SubscribeTo(self.name, max_demand, min_demand, "temporary", partition=partition)
        window = Window(max_demand, min_demand)
        return EventStream(read_stage(self._emitting("stream", "read"), window, to, patience_seconds))

    async def emit(self, events: Iterable[object]) -> None:
        """Emit events from the stage, beside its own, as soon as there is room: asked for, or in its buffer.

        First come, first served; a list no longer than the buffer goes in as a whole, a longer one piece by piece.
        Cancelled, what has not gone in is not emitted. Raises `GraphError` for a consumer, and `NoProcess` when the
        stage ends, completes or is drained before all is in, `BadOption` for what is one event and no list.
        """
        await self._emitting("emit", "emit from").entrance.put(events_given(events))

    def emit_nowait(self, events: Iterable[object]) -> None:
        """Emit all of the events from the stage, or none: raises `BufferFull` when there is no room.

        Raises `GraphError` for a consumer, `NoProcess` when the stage has ended, or takes in nothing more, and
        `BadOption` for what is one event and no list.
        """
        self._emitting("emit_nowait", "emit from").entrance.put_nowait(events_given(events))

    def info(self, message: object) -> None:
        """Send a message that waits behind all events the stage holds now; its `handle_info` gets it.

        A consumer's comes at once; a producer's behind what it has buffered; a producer-consumer's behind what waits to
        be handled, and then behind what it has buffered (GenStage's `async_info`). `ref.info` waits for no event.
        """
        self._process("info").info(message)

    def demand(self, mode: DemandMode) -> None:
        """Hold all asks and events from now on ("accumulate"), or replay and hear them ("forward").

        A drain forwards, and lets nothing accumulate. Raises `GraphError` for a consumer.
        """
        if mode not in get_args(DemandMode):
            raise DemandError("demand", mode, '"forward" or "accumulate"')
        process = self._emitting("demand", "accumulate at")
        if mode == "forward" or not self._started("demand").is_draining:
            process.demand(mode)

    def resize(self, buffer_size: int | None, keep: Keep | None = None) -> None:
        """Buffer at most `buffer_size` events from now on, None for no limit; what no longer fits is discarded.

        `keep` says which end survives, or that all does; None leaves that as it is. Raises `GraphError` for a consumer,
        `DemandError` below 0.
        """
        if buffer_size is not None and (not is_whole(buffer_size) or buffer_size < 0):
            raise DemandError("buffer_size", buffer_size, "a whole number, 0 or more, or None for no limit")
        if keep is not None and keep not in get_args(Keep):
            raise DemandError("keep", keep, '"first", "last" or "all"')
        self._emitting("resize", "resize").outlet.resize(buffer_size, keep)

    def scale(self, concurrency: int) -> None:
        """Have at most so many events of the stage under way from now on; those that are go on.

        Raises `GraphError` for a stage that handles batches one after another: whether it does is said before the
        start. Raises `DemandError` below 1.
        """
        if not is_whole(concurrency) or concurrency < 1:
            raise DemandError("concurrency", concurrency, "a whole number, 1 or more")
        process = taking(self._process("scale"))
        if process.several is None:
            why = "handles batches one after another: give it a concurrency above 1, or an executor, before the start"
            raise GraphError(self.name, why)
        process.scale(concurrency)

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
    return full_target(stage, to.name if isinstance(to, StageHandle) else to)
