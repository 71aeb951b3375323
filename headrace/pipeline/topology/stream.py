"""Reads a stage as an async iterator, under back-pressure."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from typing import TypeVar

from headrace.errors import ProcessDown, ReaderTooSlow
from headrace.otp.process.process import ExitReason, State
from headrace.otp.scheduler import IDLE, Turns
from headrace.pipeline.demand.window import Window
from headrace.pipeline.engine.producer_consumer_process import ProducerConsumerProcess
from headrace.pipeline.engine.producer_process import ProducerProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.input import Inlet
from headrace.pipeline.flow.subscription import Mark, MarkKind, SubscribeTo, Subscription
from headrace.pipeline.message import Message, Outcome

E_co = TypeVar("E_co", covariant=True)
R = TypeVar("R")


class EventStream(AsyncGenerator[E_co, None]):
    """A stage's events as an async generator that takes aiostream's operators: `stream | pipe.map(f) | pipe.take(5)`.

    What an operator makes of it closes it when it is left itself.
    """

    def __init__(self, events: AsyncGenerator[E_co, None]) -> None:
        self._events = events

    def __or__(self, operator: Callable[[AsyncIterable[E_co]], R]) -> R:
        """Return what an operator makes of the events."""
        return operator(self)

    def __anext__(self) -> Coroutine[object, object, E_co]:
        return self._events.__anext__()

    def asend(self, value: None) -> Coroutine[object, object, E_co]:
        """Return the next event, as `anext` does."""
        return self._events.asend(value)

    def athrow(self, *error: object) -> Coroutine[object, object, E_co]:
        """Raise an error where the reader is, which ends it."""
        return self._events.athrow(*error)  # type: ignore[call-overload, no-any-return] # as a generator

    async def aclose(self) -> None:
        """Leave the stage."""
        await self._events.aclose()


class Reader:
    """The consumer's side of a subscription that a coroutine reads."""

    def __init__(self, producer: ProducerProcess | ProducerConsumerProcess, window: Window, to: SubscribeTo) -> None:
        self.name = f"{producer.name}.stream"
        self.inlet = Inlet(StageCounts(self.name), is_by_delivery=False)
        self.inlet.counts.keep_left = producer.outlet.lose_unread
        self.inlet.is_acknowledged = producer.outlet.is_acknowledged
        self.read = 0
        self.is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._loop = producer.scheduler.loop
        self.turns = Turns(self, self._turn)
        subscription = Subscription(producer, self, window, to, producer.scheduler)
        self.inlet.subscribe(subscription)
        producer.outlet.subscribe(subscription)
        self.inlet.open(subscription)

    def _turn(self) -> int:
        """Wake the coroutine that reads: something waits."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        return IDLE

    def fail_turn(self, error: BaseException) -> None:
        """Do nothing: this turn raises nothing."""

    def held_the_loop(self, seconds: float) -> None:
        """Do nothing: this turn takes no time."""

    async def next_batch(self) -> list[object] | None:
        """Wait for a batch, which is then in hand.

        None when the stage has ended. Raises the reason if that was a crash; `ProcessDown` where raising it would
        cancel or interrupt whoever reads.
        """
        while True:
            taken = self.inlet.take()
            if isinstance(taken, list):
                self.read = 0
                return taken
            if isinstance(taken, Mark):
                self.inlet.end(self.inlet.source, taken)
                if taken.kind is MarkKind.DOWN:
                    _raise_crash(self.inlet.source.producer.name, taken.reason)
                return None
            self._arrival = self._loop.create_future()
            await self._arrival

    def watch(self, patience_seconds: float | None) -> None:
        """Leave once whoever reads has stood still on a batch for `patience_seconds`, and twice that at most."""
        if patience_seconds is not None:
            self._timer = self._loop.call_later(patience_seconds, self._look_after, patience_seconds, None, 0)

    def _look_after(self, patience_seconds: float, batch: list[object] | None, read: int) -> None:
        in_hand = self.inlet.hand
        if in_hand is not None and in_hand is batch and self.read == read:
            self.is_late = True
            self.leave()
        else:
            self._timer = self._loop.call_later(
                patience_seconds, self._look_after, patience_seconds, in_hand, self.read
            )

    def give_up(self, message: Message[object]) -> None:
        """Have the message that was read last delivered again: its reader did not ask for the next one.

        Where the place is lost already nobody else can get it, and it has failed.
        """
        batch = self.inlet.hand
        if batch is None:
            message.acknowledgement.end(Outcome.FAILED)
        else:
            self.read -= 1
            batch[self.read] = message.again()

    def leave(self) -> None:
        """End the subscription; what was not read, `read` events into the batch in hand, goes back with the rest."""
        if self._timer is not None:
            self._timer.cancel()
        batch, self.inlet.hand = self.inlet.hand, None
        if batch is not None and self.read < len(batch):
            self.inlet.source.put_back(batch[self.read :], self.inlet.born)
        self.inlet.leave()


def _raise_crash(stage: str, reason: ExitReason | None) -> None:
    """Raise the reason with which a stage ended, if that was a crash: as `ProcessDown` if it is no `Exception`."""
    if isinstance(reason, BaseException):
        raise reason if isinstance(reason, Exception) else ProcessDown(stage, reason)


async def read_stage(
    producer: ProducerProcess | ProducerConsumerProcess,
    window: Window,
    to: SubscribeTo,
    patience_seconds: float | None = None,
) -> AsyncGenerator[object, None]:
    """Subscribe to a stage and yield its events; ask for more once a batch has been read; leave when closed.

    A message is yielded as its data, and is done when the next event is asked for. A reader that is closed before that,
    say because its body raised, gives the message back to be delivered again.
    A reader that asks for the next event only after `patience_seconds` has lost its place, and gets `ReaderTooSlow`.
    Raises the crash of a stage that has ended by one, or ends by one.
    """
    if producer.state is State.ENDED:
        _raise_crash(producer.name, producer.reason)
        return
    reader = Reader(producer, window, to)
    reader.watch(patience_seconds)
    is_acknowledged = producer.outlet.is_acknowledged
    try:
        while (batch := await reader.next_batch()) is not None:
            for reader.read, event in enumerate(batch, 1):
                if is_acknowledged and isinstance(event, Message):
                    try:
                        yield event.data
                    except BaseException:
                        reader.give_up(event)
                        raise
                    event.acknowledgement.end(Outcome.DONE)
                else:
                    yield event
                if reader.is_late:
                    raise ReaderTooSlow(producer.name, patience_seconds or 0.0)
            reader.inlet.settle_hand()
    finally:
        reader.leave()
