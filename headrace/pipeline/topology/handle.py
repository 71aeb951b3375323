"""`StageHandle`; reading a stage as an async iterator (`StageReader`)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast, get_args, overload

from typing_extensions import override

from headrace.errors import DemandError, GraphError, ProcessDown, ReaderTooSlow
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import check_seconds
from headrace.otp.ref import Ref
from headrace.otp.scheduler import IDLE, TurnTimes
from headrace.pipeline.demand.buffer import KeepPolicy
from headrace.pipeline.demand.window import Window, is_whole
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import DemandMode, StageOutput
from headrace.pipeline.flow.subscription import Marker, MarkerKind, SubscribeTo, Subscription
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import Stage, events_given
from headrace.pipeline.topology.link import checked_target, ingress_of, input_of, output_of
from headrace.pipeline.topology.run import Run

E_co = TypeVar("E_co", covariant=True)
R = TypeVar("R")


class EventStream(AsyncGenerator[E_co, None]):
    """A stage's events as an async generator that takes aiostream's operators: `stream | pipe.map(f) | pipe.take(5)`.

    The stream that an operator returns closes this one when it is left itself.
    """

    def __init__(self, events: AsyncGenerator[E_co, None]) -> None:
        self._events = events

    def __or__(self, operator: Callable[[AsyncIterable[E_co]], R]) -> R:
        """Return the stream that an operator makes of the events."""
        return operator(self)

    @override
    def __anext__(self) -> Coroutine[object, object, E_co]:
        return self._events.__anext__()

    @override
    def asend(self, value: None) -> Coroutine[object, object, E_co]:
        return self._events.asend(value)

    @override
    def athrow(self, *error: object) -> Coroutine[object, object, E_co]:
        return self._events.athrow(*error)  # type: ignore[call-overload, no-any-return] # as a generator

    @override
    async def aclose(self) -> None:
        await self._events.aclose()


class StageReader:
    """The consumer of a subscription that a coroutine reads."""

    def __init__(self, producer: StageProcess, stage_output: StageOutput, window: Window, to: SubscribeTo) -> None:
        self.name = f"{producer.name}.stream"
        self._output = stage_output
        self.input = StageInput(StageCounts(self.name, undelivered=self), is_by_delivery=False)
        self.input.is_acknowledged = stage_output.is_acknowledged
        self.read = 0
        self.is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._loop = producer.scheduler.loop
        self.turns = TurnTimes(self, self._turn)
        subscription = Subscription(producer, self, window, to, producer.scheduler)
        self.input.subscribe(subscription)
        stage_output.subscribe(subscription)
        self.input.open(subscription)

    def undelivered(self, counts: StageCounts, events: Sequence[object], reason: str, *, is_output: bool) -> None:
        """Count events that were left unread at the stage that emitted them."""
        self._output.lose_unread(events, reason)

    def _turn(self) -> int:
        """Wake the coroutine that reads: a batch or a marker waits."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        return IDLE

    def fail_turn(self, error: BaseException) -> None:
        """Do nothing: this turn raises nothing."""

    def report_slow_callback(self, seconds: float) -> None:
        """Do nothing: this turn takes no time."""

    async def next_batch(self) -> list[object] | None:
        """Wait for a batch, which becomes the current batch; return None when the stage has ended.

        Raises the reason if the stage crashed, or `ProcessDown` where that reason would cancel or interrupt the reader.
        """
        while True:
            taken = self.input.next_batch()
            if isinstance(taken, list):
                self.read = 0
                return taken
            if isinstance(taken, Marker):
                self.input.end(self.input.source, taken)
                if taken.kind is MarkerKind.DOWN:
                    _raise_crash(self.input.source.producer.name, taken.reason)
                return None
            self._arrival = self._loop.create_future()
            await self._arrival

    def watch(self, timeout_seconds: float | None) -> None:
        """Leave after a batch without progress for `timeout_seconds`, or for twice that at most."""
        if timeout_seconds is not None:
            self._timer = self._loop.call_later(timeout_seconds, self._check_progress, timeout_seconds, None, 0)

    def _check_progress(self, timeout_seconds: float, batch: list[object] | None, read: int) -> None:
        current = self.input.current_batch
        if current is not None and current is batch and self.read == read:
            self.is_late = True
            self.leave()
        else:
            self._timer = self._loop.call_later(
                timeout_seconds, self._check_progress, timeout_seconds, current, self.read
            )

    def redeliver(self, message: Message[object]) -> None:
        """Deliver the last message again, since the reader did not ask for the next one.

        Where the subscription has ended, no other consumer can receive the message, and it has failed.
        """
        batch = self.input.current_batch
        if batch is None:
            message.acknowledgement.end(Outcome.FAILED)
        else:
            self.read -= 1
            batch[self.read] = message.redeliver()

    def leave(self) -> None:
        """End the subscription, and put back the events of the current batch behind the first `read`."""
        if self._timer is not None:
            self._timer.cancel()
        batch, self.input.current_batch = self.input.current_batch, None
        if batch is not None and self.read < len(batch):
            self.input.source.put_back(batch[self.read :], self.input.ingested_at)
        self.input.leave()


def _raise_crash(stage: str, reason: ExitReason | None) -> None:
    """Raise the reason of a crash; as `ProcessDown` where it is no `Exception`."""
    if isinstance(reason, BaseException):
        raise reason if isinstance(reason, Exception) else ProcessDown(stage, reason)


async def read_stage(
    producer: StageProcess,
    stage_output: StageOutput,
    window: Window,
    to: SubscribeTo,
    timeout_seconds: float | None = None,
) -> AsyncGenerator[object, None]:
    """Subscribe to a stage and yield its events; ask for more after each batch; leave when closed.

    Of a message the data are yielded, and it is done when the reader asks for the next event. When the reader is closed
    before that, for example because its body raised, the message is delivered again. A reader that asks for the next
    event only after `timeout_seconds` has been unsubscribed, and gets `ReaderTooSlow`. Raises the error of a stage that
    has crashed for good.
    """
    if producer.state is ProcessStatus.ENDED:
        _raise_crash(producer.name, producer.reason)
        return
    reader = StageReader(producer, stage_output, window, to)
    reader.watch(timeout_seconds)
    is_acknowledged = stage_output.is_acknowledged
    try:
        while (batch := await reader.next_batch()) is not None:
            for reader.read, event in enumerate(batch, 1):
                if is_acknowledged and isinstance(event, Message):
                    try:
                        yield event.data
                    except BaseException:
                        reader.redeliver(event)
                        raise
                    event.acknowledgement.end(Outcome.DONE)
                else:
                    yield event
                if reader.is_late:
                    raise ReaderTooSlow(producer.name, timeout_seconds or 0.0)
            reader.input.finish_batch()
    finally:
        reader.leave()


In = TypeVar("In")
Out = TypeVar("Out")
G_co = TypeVar("G_co", bound=Stage, covariant=True)


class StageHandle(Generic[G_co]):
    """A stage by its name: other stages subscribe to it, and its methods control the stage while it runs.

    The methods belong to the thread of the topology's loop, and raise `ForeignThread` on another one. They raise
    `NoProcess` before the start. A handle stays valid when its stage restarts.
    """

    def __init__(self, name: str, run: Callable[[str], Run]) -> None:
        self.name = name
        self._run = run

    @override
    def __repr__(self) -> str:
        return f"<stage {self.name!r}>"

    @property
    def ref(self) -> Ref[G_co]:
        """The reference of its process, for calls, casts and infos. The stage may emit events as it answers."""
        return Ref(cast("Process[G_co]", self._process("ref")))

    @property
    def is_paused(self) -> bool:
        """Whether its callbacks get no events and no demand for now."""
        return self._process("is_paused").is_paused

    def pause(self) -> None:
        """Give its callbacks no more events and no more demand until `resume`. Work in progress continues.

        Buffered events are still sent; mail and subscriptions are handled. A drain resumes the stage, and no stage
        can be paused during a drain.
        """
        run = self._started("pause")
        if not run.is_draining:
            run.processes[self.name].pause()

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._process("resume").resume()

    def subscribe(self, to: "SubscribeTo | StageHandle[Stage] | str") -> SubscriptionHandle:
        """Subscribe the stage to another one while both run. The handle asks, changes and cancels.

        Raises `GraphError` for an impossible edge (an unknown stage, a producer that subscribes, a subscription to a
        consumer, a second one to the same stage, a circle), `DemandError` for bounds that do not fit, and `NoProcess`
        when one of the stages has ended or is about to.
        """
        return self._started("subscribe").subscribe(self.name, target(self.name, to))

    def subscriptions(self) -> list[SubscriptionHandle]:
        """Return the stage's subscriptions to others that have not ended, in no order."""
        process = self._process("subscriptions")
        if process.input is None:
            return []
        active = (subscription for subscription in process.input.subscriptions if subscription.ended is None)
        return [SubscriptionHandle(subscription, process) for subscription in active]

    @overload
    def stream(
        self: "StageHandle[Producer[Message[Out]]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        timeout_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self: "StageHandle[Producer[Out]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        timeout_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self: "StageHandle[ProducerConsumer[In, Out]]",
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        timeout_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Out]: ...
    @overload
    def stream(
        self,
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        timeout_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[object]: ...

    def stream(
        self,
        max_demand: int = 1000,
        min_demand: int | None = None,
        *,
        timeout_seconds: float | None = None,
        partition: Hashable | None = None,
    ) -> EventStream[Any]:
        """Read the stage's events under back-pressure: the stage is asked for more only as events are read.

        The reader is one more subscriber, from its first `anext` until it is closed or the stage has completed. Events
        that it has not read then go to other subscribers. A message is done when the reader asks for the next event;
        when the body of the loop raises or leaves it, the message is delivered again. The stream takes aiostream's
        operators: `stream | pipe.map(f)`. A reader that reads nothing holds up the other subscribers: with
        `timeout_seconds` it is unsubscribed after that time (twice at most), and its next read raises `ReaderTooSlow`.
        From a partitioned stage it reads one `partition`. Raises the error of a stage that crashed for good,
        `GraphError` for a consumer, `DemandError` for bounds that do not fit, `BadOption` for an impossible timeout.
        """
        if timeout_seconds is not None:
            check_seconds("timeout_seconds", timeout_seconds, ", or None for ever")
        to = SubscribeTo(self.name, max_demand, min_demand, "temporary", partition=partition)
        window = Window(max_demand, min_demand)
        process = self._process("stream")
        stage_output = output_of(process, "read the stage that feeds it")
        return EventStream(read_stage(process, stage_output, window, to, timeout_seconds))

    async def emit(self, events: Iterable[object]) -> None:
        """Emit events from the stage, beside its own, as soon as consumers have asked for them or its buffer has room.

        First come, first served. A list no longer than the buffer is emitted as a whole, a longer one piece by piece.
        When cancelled, the rest is not emitted. Raises `GraphError` for a consumer, `NoProcess` when the stage ends,
        completes or is drained before all events are emitted, and `BadOption` for one event in place of a list.
        """
        await self._ingress("emit").put(events_given(events))

    def emit_nowait(self, events: Iterable[object]) -> None:
        """Emit all of the events from the stage, or none: raises `BufferFull` when there is no room.

        Raises `GraphError` for a consumer, `NoProcess` when the stage has ended or takes in nothing more, and
        `BadOption` for one event in place of a list.
        """
        self._ingress("emit_nowait").put_nowait(events_given(events))

    def info(self, message: object) -> None:
        """Call the stage's `handle_info` with a message, behind all events that the stage holds now.

        In a consumer it is called at once; in a producer, behind the buffered events; in a producer-consumer, behind
        the events that wait to be handled and then the buffered ones (GenStage's `async_info`). `ref.info` waits for
        no event.
        """
        self._process("info").info(message)

    def demand(self, mode: DemandMode) -> None:
        """Hold demand and events back from now on ("accumulate"), or serve the ones held back ("forward").

        A drain forwards, and ends the accumulation for good. Raises `GraphError` for a consumer.
        """
        if mode not in get_args(DemandMode):
            raise DemandError("demand", mode, '"forward" or "accumulate"')
        process = self._emitting("demand", "accumulate at")
        if mode == "forward" or not self._started("demand").is_draining:
            process.demand(mode)

    def resize(self, buffer_size: int | None, keep: KeepPolicy | None = None) -> None:
        """Buffer at most `buffer_size` events from now on, None for no limit, and discard the ones that do not fit.

        `keep` chooses the events that stay: the first, the last, or all. None changes nothing about that. Raises
        `GraphError` for a consumer, and `DemandError` below 0.
        """
        if buffer_size is not None and (not is_whole(buffer_size) or buffer_size < 0):
            raise DemandError("buffer_size", buffer_size, "a whole number, 0 or more, or None for no limit")
        if keep is not None and keep not in get_args(KeepPolicy):
            raise DemandError("keep", keep, '"first", "last" or "all"')
        output_of(self._process("resize"), "resize the stage that feeds it").resize(buffer_size, keep)

    def scale(self, concurrency: int) -> None:
        """Handle at most `concurrency` events at a time from now on. Events in flight are finished.

        Raises `GraphError` for a stage without concurrency, since only one that has it before the start can change it,
        and `DemandError` below 1.
        """
        if not is_whole(concurrency) or concurrency < 1:
            raise DemandError("concurrency", concurrency, "a whole number, 1 or more")
        process = self._process("scale")
        input_of(process)
        if not process.processing.is_concurrent:
            why = "handles batches one after another: give it a concurrency above 1, or an executor, before the start"
            raise GraphError(self.name, why)
        process.scale(concurrency)

    def estimate_buffered_count(self) -> int:
        """Return how many events the stage holds because no consumer has asked for them."""
        return self._emitting("estimate_buffered_count", "count").estimate_buffered_count()

    def _process(self, operation: str) -> StageProcess:
        return self._started(operation).processes[self.name]

    def _emitting(self, operation: str, verb: str) -> StageProcess:
        process = self._process(operation)
        output_of(process, f"{verb} the stage that feeds it")
        return process

    def _ingress(self, operation: str) -> Ingress:
        return ingress_of(self._process(operation), "emit from the stage that feeds it")

    def _started(self, operation: str) -> Run:
        return self._run(f"{operation} of stage {self.name!r}")


SubscribeTarget = SubscribeTo | StageHandle[Stage] | str
"""A stage to subscribe to: its name, its handle, or all options."""


def target(stage: str, to: SubscribeTarget) -> SubscribeTo:
    """Return the target of `stage` with all options. Raises `GraphError` where it names no stage."""
    return checked_target(stage, to.name if isinstance(to, StageHandle) else to)
