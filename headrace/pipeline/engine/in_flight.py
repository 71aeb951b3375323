"""The set of running units and their owner."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from headrace.errors import CannotRetain
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message, Outcome

SOURCE: Final[ContextVar[Subscription | None]] = ContextVar("source", default=None)
"""The subscription of the events whose callback runs, in a task of its own."""

HANDLER: Final[ContextVar["asyncio.Task[object] | None"]] = ContextVar("handler", default=None)
"""The task that handles events side by side with others; tasks that a callback begins there have another."""


class Interrupted(Exception):
    """Carries a KeyboardInterrupt or SystemExit out of a task, for asyncio would raise them through the event loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class InFlightOwner(Protocol):
    """The process of the handler: it gives more events while there is room, and takes the finished ones."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether it takes in messages."""

    def more(self) -> list[object] | None:
        """Take one more batch, and return it; None when there is none for now, or something else is due."""

    def started_from(self) -> Subscription:
        """Return the subscription of the batch that was taken last, or is just being taken."""

    def over(self, positions: Sequence[int], outputs: list[object], seconds: float) -> None:
        """Emit outputs, and account for the events at `positions`, the last of which took `seconds`."""

    def measured(self, begin: Callable[[], Coroutine[object, object, None]]) -> Coroutine[object, object, None]:
        """Return a coroutine for a task of its own whose steps count as work of the stage."""

    def clock(self) -> float:
        """Return the time in seconds."""


class InFlight(ABC):
    """Begins the waiting units, a task each, and takes more while any of them runs.

    A crash of one ends the others: they are still in flight. Events that are delivered again after a crash are handled
    alone (`is_alone`), so that the next crash hits no other.
    """

    def __init__(self, owner: InFlightOwner, counts: StageCounts, *, emits: bool) -> None:
        self._owner = owner
        self._counts = counts
        self._emits = emits
        self._running = 0
        self._is_alone = False
        self._group: asyncio.TaskGroup | None = None
        self._cancelled: asyncio.CancelledError | None = None
        self._task: asyncio.Task[object] | None = None
        self._has_crashed = False

    def __call__(self, events: list[object]) -> object:
        """Return a coroutine that handles a batch and any that come meanwhile; outputs are passed on as they come."""
        self._cancelled = None
        self._is_alone = False
        self.begin(events)
        return self._run()

    @abstractmethod
    def begin(self, events: list[object]) -> None:
        """Prepare for the first batch, whose events have the positions from 0 on."""

    @abstractmethod
    def fill(self, group: asyncio.TaskGroup) -> None:
        """Begin tasks, each by `start`, as long as there is room and anything to do."""

    async def _run(self) -> list[object] | None:
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.fill(group)
        except BaseExceptionGroup as errors:
            for error in errors.exceptions:
                if isinstance(error, Interrupted):
                    raise error.error from None
            raise errors.exceptions[0] from None
        finally:
            self._group = None
        if self._cancelled is not None:
            raise self._cancelled
        return [] if self._emits else None

    def is_stopping(self) -> bool:
        """Whether one has crashed, or all are cancelled: what is begun now would be lost with them."""
        is_cancelled = self._cancelled is not None or (self._task is not None and self._task.cancelling() > 0)
        return is_cancelled or self._has_crashed

    def start(self, group: asyncio.TaskGroup, handle: Callable[[], Coroutine[object, object, None]]) -> None:
        """Begin a task that handles events and then takes up what there is room for."""
        self._running += 1
        group.create_task(self._owner.measured(partial(self._guarded, handle)))

    async def _guarded(self, handle: Callable[[], Coroutine[object, object, None]]) -> None:
        HANDLER.set(asyncio.current_task())
        try:
            await handle()
        except asyncio.CancelledError as error:
            self._cancelled = error
            raise
        except BaseException as error:
            self._has_crashed = True
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise Interrupted(error) from error
            raise
        finally:
            self._running -= 1
        self.fill_up()

    def arrived(self) -> None:
        """Take the events that have come meanwhile, as far as there is room."""
        if self._running:
            self.fill_up()

    def is_current(self) -> bool:
        """Whether the present task is one of those in which callbacks run."""
        return self._group is not None and HANDLER.get() is asyncio.current_task()

    def fill_up(self) -> None:
        """Begin as many units as there is room for, if it runs."""
        if self._group is not None:
            self.fill(self._group)

    @abstractmethod
    def failed_at(self, position: int, error: BaseException) -> None:
        """Called when one of the events of the running callback failed."""

    @abstractmethod
    def failed(self, event: object, error: BaseException) -> None:
        """Called when one of the events of the running callback failed."""

    def failed_some(self, error: BaseException, count: int) -> None:
        """Count some events."""
        self._counts.fail(error, count)

    def retain(self, events: Sequence[object]) -> None:
        """Refuse: a stage can retain events only of one batch after another. Raises `CannotRetain`."""
        raise CannotRetain(self._counts.stage)

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return the events: events emitted beside those returned are no output of a unit."""
        return events

    def release(self, events: Sequence[object]) -> None:  # noqa: B027 - there is nothing to do, here or below
        """Do nothing: nothing is retained."""

    def returned(self) -> None:  # noqa: B027 - as above
        """Do nothing: nothing was released."""

    def requeue(self, *, has_current_batch: bool) -> list[object]:
        """Return nothing: nothing is retained."""
        return []


@dataclass(slots=True, eq=False)
class InFlightEvent:
    """An event in flight, its position and subscription, its outputs, and its outcome once it `is_over`."""

    source: Subscription
    position: int
    event: object
    outputs: Sequence[object] = ()
    outcome: Outcome = Outcome.DONE
    error: BaseException | None = None
    is_over: bool = False

    @property
    def data(self) -> object:
        """The event as callbacks get it."""
        return self.event.data if isinstance(self.event, Message) else self.event

    @property
    def is_again(self) -> bool:
        """Whether a crash has delivered the event again."""
        return isinstance(self.event, Message) and self.event.attempt > 1

    def take_error(self) -> BaseException | None:
        """Return, once, the error that the callbacks reported for it."""
        error, self.error = self.error, None
        return error

    def finish_unit(self) -> list[object]:
        """Claim the outputs of a message, end it, and return the outputs."""
        message = self.event
        if not isinstance(message, Message):
            return list(self.outputs)
        outputs: list[object] = [message.derive(output) for output in self.outputs]
        if len(outputs) != 1 or self.outcome is not Outcome.DONE:  # else its output takes its count
            if outputs:
                message.acknowledgement.add(len(outputs))
            message.acknowledgement.end(self.outcome)
        return outputs


UNIT: Final[ContextVar[InFlightEvent]] = ContextVar("unit")
"""The event whose callback runs: in a task of its own, or in a thread that has a copy of its context."""
