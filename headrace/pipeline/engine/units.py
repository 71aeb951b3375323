"""Units of work, a batch or one event: how the callbacks get it, and how its messages are acknowledged."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import ClassVar, Final, cast

from typing_extensions import override

from headrace.errors import BadReturn, HandlerTimeout
from headrace.pipeline.engine.offload import Offload
from headrace.pipeline.failure import FailurePolicy
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import (
    NO_METADATA,
    Acknowledgement,
    Message,
    Outcome,
    acknowledge,
    add_pending,
    as_messages,
)
from headrace.pipeline.stage.stage import as_list, check_nothing

EventHandler = Callable[[list[object]], object]
"""`handle_events` as the runtime calls it: it takes a batch, and returns outputs, None, or an awaitable of either."""

_DATA: Final = attrgetter("data")

_NO_OUTCOMES: Final[Mapping[int, Outcome]] = {}


@dataclass(frozen=True, slots=True)
class Handler:
    """The callbacks of a stage that handle events, and how to call them.

    `handle_each` is None if the stage has none, and `offload` is None if the callbacks run on the event loop.
    """

    stage: str
    policy: FailurePolicy
    handle_events: EventHandler
    handle_each: EventHandler | None
    one_to_one: bool
    takes_messages: bool
    is_acknowledged: bool
    emits: bool
    offload: Offload | None = None

    def is_crash(self, error: Exception) -> bool:
        """Return whether an exception of a callback crashes the stage, rather than fails its events."""
        is_alone = self.offload is not None and self.offload.fails_alone
        return isinstance(error, BadReturn) or (self.policy.is_plain and not is_alone)

    def outputs(self, returned: object, callback: str = "handle_events") -> list[object]:
        """Return the return value of a callback as a list of outputs; empty for a consumer. Raises `BadReturn`."""
        if self.emits:
            return returned if type(returned) is list else as_list(self.stage, callback, returned)
        check_nothing(self.stage, returned)
        return []

    async def in_time(self, returned: Awaitable[object]) -> object:
        """Await the result of a callback. Raises `HandlerTimeout` when it takes longer than the policy allows."""
        seconds = self.policy.timeout_seconds
        if seconds is None:
            return await returned
        try:
            async with asyncio.timeout(seconds) as limit:
                return await returned
        except TimeoutError:
            if not limit.expired():
                raise
        raise HandlerTimeout(self.stage, seconds)


class PendingResult(Coroutine[object, object, object]):
    """A coroutine that awaits the coroutine of a callback, and closes that, too, when it is closed before it began."""

    def __init__(self, awaited: Awaitable[object], work: Coroutine[object, object, object]) -> None:
        self._awaited = awaited
        self._work = work

    @override
    def __await__(self) -> Generator[object, object, object]:
        return self._work.__await__()

    @override
    def send(self, value: object) -> object:
        return self._work.send(value)

    @override
    def throw(self, *error: object) -> object:
        return self._work.throw(*error)  # type: ignore[call-overload] # it takes what the work itself takes

    @override
    def close(self) -> None:
        self._work.close()
        if isinstance(self._awaited, Coroutine):
            self._awaited.close()


class Unit(ABC):
    """Events that are handled together, and retried, dead-lettered and acknowledged independently of other units.

    The first attempt hands over all events, the later ones only the failed events. They are known by their positions:
    `failures` has the errors of the current attempt, `outcomes` the events that did not end as done.
    """

    __slots__ = (
        "events",
        "failures",
        "handler",
        "has_data_alone",
        "in_flight_positions",
        "is_over",
        "outcomes",
        "source",
    )

    is_timed_whole: ClassVar[bool] = True
    """Whether the time limit is for a whole attempt, rather than for each event in it."""

    source: Subscription
    """The subscription of the events. Set where units run side by side."""

    in_flight_positions: range
    """The positions of the events among all events in flight. Set where units run side by side."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.events: list[object] = []
        self.failures: dict[int, BaseException] = {}
        self.outcomes = _NO_OUTCOMES
        self.is_over = False
        self.has_data_alone = False
        """Whether the callbacks get only the data of a batch of messages, which could not be delivered again."""

    def start(self, events: list[object]) -> None:
        """Take new events, and forget all others."""
        self.events = events
        self.failures = {}
        self.outcomes = _NO_OUTCOMES

    @property
    def is_redelivered(self) -> bool:
        """Whether a crash delivered the first event again."""
        first = self.events[0] if self.events else None
        return isinstance(first, Message) and first.attempt > 1

    @abstractmethod
    def call(self, positions: Sequence[int]) -> object:
        """Hand the events at `positions` to the callbacks; return their result, or an awaitable of it."""

    @abstractmethod
    def take(self, positions: Sequence[int], returned: object) -> None:
        """Keep the outputs of the events at `positions`. Raises `BadReturn`."""

    @abstractmethod
    def finish(self) -> list[object]:
        """Return the outputs. Count them as descendants first, then end the events with their `outcomes`."""

    def fail_at(self, position: int, error: BaseException) -> None:
        """Fail one event of the current call."""
        self.failures.setdefault(position, error)

    def fail(self, event: object, error: BaseException) -> bool:
        """Fail an event, as the callbacks got it. Return False when it does not belong to this unit."""
        for position, one in enumerate(self.events):
            if (one is event or (isinstance(one, Message) and one.data is event)) and position not in self.failures:
                self.failures[position] = error
                return True
        return False

    def fail_some(self, error: BaseException, count: int) -> bool:
        """Fail the one event that is being handled. Return False when it is not known which events failed."""
        return False

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return events that a callback emits beside its return value, so that the unit waits for them."""
        return events


UNIT: Final[ContextVar[Unit | None]] = ContextVar("unit", default=None)
"""The unit whose callback runs, where units run side by side: in a task, or in a thread with a copy of its context."""


class BatchUnit(Unit):
    """A batch that is handled as a whole. A retry is a smaller batch.

    Where callbacks get only the data of messages, no output has a known parent: all messages wait for all outputs.
    """

    __slots__ = ("_outputs", "_parents", "_waiting")

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self.has_data_alone = handler.is_acknowledged and not handler.takes_messages
        self._outputs: list[object] = []
        self._waiting: Acknowledgement | None = None
        """Waits for all outputs, where their parents are not known."""
        self._parents: list[object] = []

    @override
    def start(self, events: list[object]) -> None:
        super().start(events)
        self._outputs = []
        if self.has_data_alone and self.handler.emits:
            self._parents = []
            self._waiting = Acknowledgement(partial(acknowledge, self._parents))

    @override
    def call(self, positions: Sequence[int]) -> object:
        events = [self.events[position] for position in positions]
        return self.handler.handle_events(list(map(_DATA, events)) if self.has_data_alone else events)

    @override
    def take(self, positions: Sequence[int], returned: object) -> None:
        self._outputs += self.handler.outputs(returned)

    @override
    def owned(self, events: Sequence[object]) -> Sequence[object]:
        waiting = self._waiting
        if waiting is None:
            return events
        metadata = cast("Message[object]", self.events[0]).metadata if len(self.events) == 1 else NO_METADATA
        return [event if isinstance(event, Message) else Message(event, metadata, waiting) for event in events]

    @override
    def finish(self) -> list[object]:
        outputs, self._outputs = self._outputs, []
        if not self.handler.is_acknowledged:
            return outputs
        outputs = as_messages(list(self.owned(outputs)))
        add_pending(outputs)
        waiting, self._waiting = self._waiting, None
        for position, message in enumerate(cast("list[Message[object]]", self.events)):
            outcome = self.outcomes.get(position, Outcome.DONE)
            if waiting is not None and outcome is Outcome.DONE:
                self._parents.append(message)
            else:
                message.acknowledgement.end(outcome)
        if waiting is not None:
            waiting.end(Outcome.DONE)
        return outputs


Outputs = list[Sequence[object]]
"""The outputs of each event, in the order of the events."""


def finish_events(events: Sequence[object], outputs: Outputs, outcomes: Mapping[int, Outcome]) -> list[object]:
    """End messages, after the outputs of each are counted as its descendants; return the outputs of all.

    A message with exactly one output does not end: the output replaces it.
    """
    derived: list[object] = []
    for position, (message, made) in enumerate(zip(cast("Sequence[Message[object]]", events), outputs, strict=True)):
        acknowledgement = message.acknowledgement
        derived += [Message(output, message.metadata, acknowledgement) for output in made]
        outcome = outcomes.get(position, Outcome.DONE) if outcomes else Outcome.DONE
        if len(made) != 1 or outcome is not Outcome.DONE:
            if made:
                acknowledgement.add(len(made))
            acknowledgement.end(outcome)
    return derived


class EachUnit(Unit):
    """A batch whose events are handled each on its own: by one call if that returns outputs per event, else singly."""

    __slots__ = ("_at", "_data", "_flat", "_handed", "_is_single", "_outputs")

    is_timed_whole: ClassVar[bool] = False

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        is_known = handler.one_to_one or handler.handle_each is not None
        self._is_single = handler.policy.timeout_seconds is not None or not is_known
        self._data: list[object] = []
        self._outputs: Outputs = []
        self._flat: list[object] | None = None
        """One output for each event, when all succeeded in the first attempt."""
        self._handed: Sequence[int] = ()
        self._at = 0

    @override
    def start(self, events: list[object]) -> None:
        super().start(events)
        self._data = list(map(_DATA, events)) if self.handler.is_acknowledged else events
        self._outputs = []
        self._flat = None

    @override
    def call(self, positions: Sequence[int]) -> object:
        self._handed = positions
        self._at = 0
        is_all = len(positions) == len(self._data)
        data = list(self._data) if is_all else [self._data[position] for position in positions]
        if self._is_single:
            return self._singly(data)
        handler = self.handler
        return handler.handle_events(data) if handler.handle_each is None else handler.handle_each(data)

    @override
    def take(self, positions: Sequence[int], returned: object) -> None:
        outputs = cast("Outputs", returned) if self._is_single else self._per_event(positions, returned)
        if outputs is None:
            return
        if len(positions) == len(self._data):
            self._outputs = outputs
        else:
            self._outputs = self._outputs or [()] * len(self._data)
            for position, made in zip(positions, outputs, strict=True):
                self._outputs[position] = made

    def _per_event(self, positions: Sequence[int], returned: object) -> Outputs | None:
        """Return the outputs of each event of a call; None when `_flat` has them. Raises `BadReturn`."""
        handler, failures, count = self.handler, self.failures, len(positions)
        if handler.handle_each is not None and handler.emits:
            outputs = handler.outputs(returned, "handle_each")
            self._check(outputs, count, "handle_each", "the outputs of each event, in a list for each")
            return cast("Outputs", outputs)
        outputs = handler.outputs(returned)
        if handler.emits:
            succeeded = sum(position not in failures for position in positions) if failures else count
            self._check(outputs, succeeded, "handle_events", "one output for each event that did not fail")
        if not failures and count == len(self._data):
            self._flat = outputs
            return None
        if not handler.emits:
            return [()] * count
        rest = iter(outputs)
        return [() if position in failures else (next(rest),) for position in positions]

    def _check(self, outputs: list[object], count: int, callback: str, allowed: str) -> None:
        if len(outputs) != count:
            raise BadReturn(self.handler.stage, callback, outputs, allowed)

    @override
    def finish(self) -> list[object]:
        events, flat = self.events, self._flat
        if not self.handler.is_acknowledged:
            return flat if flat is not None else [output for made in self._outputs for output in made]
        if flat is None:
            return finish_events(events, self._outputs or [()] * len(events), self.outcomes)
        messages = cast("list[Message[object]]", events)
        if self.handler.emits:
            return [
                Message(output, message.metadata, message.acknowledgement)
                for output, message in zip(flat, messages, strict=True)
            ]
        for message in messages:
            message.acknowledgement.end(Outcome.DONE)
        return flat

    @override
    def fail_at(self, position: int, error: BaseException) -> None:
        self.failures.setdefault(self._handed[self._at + position], error)

    @override
    def fail_some(self, error: BaseException, count: int) -> bool:
        is_one = self._is_single and count == 1
        if is_one:
            self.fail_at(0, error)
        return is_one

    def _singly(self, data: list[object]) -> object:
        outputs: Outputs = []
        for at, event in enumerate(data):
            self._at = at
            try:
                returned = self.handler.handle_events([event])
            except Exception as error:
                if self.handler.is_crash(error):
                    raise
                self.fail_at(0, error)
                outputs.append(())
                continue
            if inspect.isawaitable(returned):
                return PendingResult(returned, self._singly_later(data, outputs, returned))
            outputs.append(self.handler.outputs(returned))
        return outputs

    async def _singly_later(self, data: list[object], outputs: Outputs, first: Awaitable[object]) -> Outputs:
        returned: object = first
        for at in range(self._at, len(data)):
            self._at = at
            try:
                if returned is None:
                    returned = self.handler.handle_events([data[at]])
                result = await self.handler.in_time(returned) if inspect.isawaitable(returned) else returned
            except Exception as error:
                if self.handler.is_crash(error):
                    raise
                self.fail_at(0, error)
                outputs.append(())
            else:
                outputs.append(self.handler.outputs(result))
            returned = None
        return outputs


class EventUnit(Unit):
    """One event that is handled beside others."""

    __slots__ = ("_outputs",)

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self._outputs: Sequence[object] = ()

    @property
    def data(self) -> object:
        """The event as callbacks get it."""
        event = self.events[0]
        return event.data if isinstance(event, Message) else event

    @override
    def call(self, positions: Sequence[int]) -> object:
        return self.handler.handle_events([self.data])

    @override
    def take(self, positions: Sequence[int], returned: object) -> None:
        outputs = self.handler.outputs(returned)
        self._outputs = () if self.failures else outputs

    @override
    def finish(self) -> list[object]:
        if self.handler.is_acknowledged:
            return finish_events(self.events, [self._outputs], self.outcomes)
        return list(self._outputs)

    @override
    def fail_at(self, position: int, error: BaseException) -> None:
        self.failures[0] = error

    @override
    def fail(self, event: object, error: BaseException) -> bool:
        self.failures[0] = error
        return True

    @override
    def fail_some(self, error: BaseException, count: int) -> bool:
        if count == 1:
            self.failures[0] = error
        return count == 1


class OffloadedUnit(EventUnit):
    """One event that is handled in a thread or in an OS process, which keeps the time limit."""

    __slots__ = ()

    is_timed_whole: ClassVar[bool] = False

    @override
    def call(self, positions: Sequence[int]) -> object:
        return cast("Offload", self.handler.offload)(self.data)
