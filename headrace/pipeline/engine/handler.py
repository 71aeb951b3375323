"""Calls `handle_events` where the outcome of each event must be known: with messages, retries, dead letters."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from headrace.errors import BadReturn, HandlerTimeout, PoisonEvent
from headrace.otp.process.callbacks import is_overridden
from headrace.pipeline.engine.failed_units import FailedUnit, dead_letter, failed_unit
from headrace.pipeline.engine.retained import Retained
from headrace.pipeline.failure import FailurePolicy, retry_after
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome, as_messages
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer

EventHandler = Callable[[list[object]], object]
"""`handle_events` as the runtime calls it: a batch in; outputs, None, or an awaitable of either out."""

HandlingStage = ProducerConsumer[object, object] | Consumer[object]
"""A stage that takes events in."""


def own_handle_each(stage: HandlingStage) -> EventHandler | None:
    """Return the stage's `handle_each`, where it has one."""
    if not isinstance(stage, ProducerConsumer):
        return None
    handle_each = stage.handle_each
    return handle_each if is_overridden(handle_each, ProducerConsumer.handle_each) else None


class PendingResult(Coroutine[object, object, object]):
    """A coroutine that awaits a callback's own; closed before it began, it closes that one, too."""

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


def _is_message_of(one: object, data: object) -> bool:
    """Return whether `one` is a message with these data: callbacks may have got the data alone."""
    return isinstance(one, Message) and one.data is data


class ReportingHandler(ABC):
    """Handles one batch at a time: tries, retries failed events, dead-letters the rest, and acknowledges messages.

    An exception of `handle_events` is a crash, and acknowledges nothing: the batch is then still in flight. With a
    `FailurePolicy` that is not plain it fails the events that were handed over instead, and no event brings the stage
    down.
    """

    is_timed_whole: ClassVar[bool] = True
    """Whether the time-out bounds a whole call, rather than each event in it."""

    def __init__(self, counts: StageCounts, failure: FailurePolicy, *, is_acknowledged: bool, emits: bool) -> None:
        self._counts = counts
        self._failure = failure
        self._is_acknowledged = is_acknowledged
        self._emits = emits
        self._retained = Retained()
        self.events: list[object] = []
        self.failures: dict[int, BaseException] = {}

    def __call__(self, events: list[object]) -> object:
        """Handle a batch; return the outputs (None for a consumer), or an awaitable of them."""
        self.events = events = as_messages(events) if self._is_acknowledged else events
        self.failures = {}
        self.begin()
        positions = range(len(events))
        if len(events) == 1 and self._is_poison(events[0]):
            return self._ended()
        try:
            returned = self.call(positions)
        except Exception as error:  # noqa: BLE001 - raised again, or kept as the failure of these events
            self._all_failed(positions, error)
            return self._ended()
        if inspect.isawaitable(returned):
            return PendingResult(returned, self._later(positions, returned))
        self.take(positions, returned)
        return self._ended() if self.failures else self._finish({})

    @abstractmethod
    def begin(self) -> None:
        """Prepare for the batch in `events`."""

    @abstractmethod
    def call(self, positions: Sequence[int]) -> object:
        """Hand the callbacks the events at `positions`; return their return value, or an awaitable of it."""

    @abstractmethod
    def take(self, positions: Sequence[int], returned: object) -> None:
        """Keep the outputs of the events at `positions`."""

    @abstractmethod
    def finish(self, outcomes: Mapping[int, Outcome]) -> list[object]:
        """Claim all outputs, end the events, done unless `outcomes` says otherwise, and return the outputs."""

    def _finish(self, outcomes: Mapping[int, Outcome]) -> list[object] | None:
        outputs = self.finish(outcomes)
        self._retained.returned()
        return outputs if self._emits else None

    def _ended(self) -> object:
        """Return the outputs where failed events are discarded at once, or an awaitable of them."""
        if self._failure.is_plain:
            return self._finish(dict.fromkeys(self._discarded(self.failures), Outcome.FAILED))
        return self._mend()

    async def _later(self, positions: Sequence[int], returned: Awaitable[object]) -> object:
        await self._await(positions, returned)
        ended = self._ended() if self.failures else self._finish({})
        return await ended if inspect.isawaitable(ended) else ended

    async def _await(self, positions: Sequence[int], returned: Awaitable[object]) -> None:
        try:
            outputs = await (self.in_time(returned) if self.is_timed_whole else returned)
        except Exception as error:  # noqa: BLE001 - raised again, or kept as the failure of these events
            self._all_failed(positions, error)
        else:
            self.take(positions, outputs)

    async def in_time(self, returned: Awaitable[object]) -> object:
        """Await what a callback returned. Raises `HandlerTimeout` when that takes too long."""
        seconds = self._failure.timeout_seconds
        if seconds is None:
            return await returned
        try:
            async with asyncio.timeout(seconds) as limit:
                return await returned
        except TimeoutError:
            if not limit.expired():
                raise
        raise HandlerTimeout(self._counts.stage, seconds)

    def _all_failed(self, positions: Sequence[int], error: Exception) -> None:
        if self.is_crash(error):
            raise error
        for position in positions:
            self.failures.setdefault(position, error)

    def is_crash(self, error: Exception) -> bool:
        """Return whether an exception of a callback brings the stage down, rather than fail its events."""
        return self._failure.is_plain or isinstance(error, BadReturn)

    def _is_poison(self, event: object) -> bool:
        """Return whether an event has brought the stage down too often; then it has failed."""
        most = self._failure.max_deliveries
        if not isinstance(event, Message) or event.attempt <= most:
            return False
        self.failures[0] = PoisonEvent(self._counts.stage, most)
        return True

    async def _mend(self) -> object:
        """Retry failed events, until they succeed or have failed for good."""
        retry, attempt = self._failure.retry, 1
        over: dict[int, FailedUnit] = {}
        while self.failures:
            failures, self.failures = self.failures, {}
            again = {
                position: error
                for position, error in failures.items()
                if retry is not None and retry.is_wanted(error, attempt) and not isinstance(error, PoisonEvent)
            }
            for position, error in failures.items():
                if position not in again:
                    over[position] = failed_unit(self._counts.stage, self.events[position], error, attempt)
            if retry is None or not again:
                break
            self._counts.try_again(list(again.values()))
            jitter = self._failure.jitter()
            await asyncio.sleep(max(retry.seconds(attempt, jitter, retry_after(error)) for error in again.values()))
            attempt += 1
            await self._try(list(again))
        outcome = await dead_letter(list(over.values()), self._failure, self._counts) if over else Outcome.DONE
        return self._finish({} if outcome is Outcome.DONE else dict.fromkeys(over, outcome))

    async def _try(self, positions: Sequence[int]) -> None:
        try:
            returned = self.call(positions)
        except Exception as error:  # noqa: BLE001 - it fails the events that were handed over
            self._all_failed(positions, error)
            return
        if inspect.isawaitable(returned):
            await self._await(positions, returned)
        else:
            self.take(positions, returned)

    def _discarded(self, failed: Mapping[int, BaseException]) -> Mapping[int, BaseException]:
        for error in failed.values():
            self._counts.fail(error)
        return failed

    def failed_at(self, position: int, error: BaseException) -> None:
        """Called when one of the events that were handed over failed."""
        self.failures.setdefault(position, error)

    def failed(self, event: object, error: BaseException) -> None:
        """Called when an event of the batch failed; another one, which the stage retained, is discarded."""
        same = (at for at, one in enumerate(self.events) if one is event or _is_message_of(one, event))
        position = next((at for at in same if at not in self.failures), None)
        if position is not None:
            self.failures[position] = error
            return
        self._counts.fail(error)
        if isinstance(event, Message):
            event.acknowledgement.add(1)
            event.acknowledgement.end(Outcome.FAILED)

    def failed_some(self, error: BaseException, count: int) -> None:
        """Count some events."""
        self._counts.fail(error, count)

    def retain(self, events: Sequence[object]) -> None:
        """Keep messages beyond the current batch."""
        self._retained.retain(events)

    def release(self, events: Sequence[object]) -> None:
        """Release messages, once the outputs of the running callback have been claimed."""
        self._retained.release(events)

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return events that callbacks emit beside those they return: here they are derived already."""
        return events

    def returned(self) -> None:
        """Called when the outputs of a callback beside `handle_events` have been claimed."""
        self._retained.returned()

    def requeue(self, *, has_current_batch: bool) -> list[object]:
        """Forget the retained messages, and return them, without the batch that is still in flight."""
        return self._retained.requeue(self.events if has_current_batch else [])
