"""Producers: stages that emit events, as many as their consumers have asked for."""

import asyncio
import enum
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, Protocol, TypeVar

from typing_extensions import override

from headrace.errors import BadOption, MissingCallback, Unrecoverable, class_and_message
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.demand.buffer import KeepPolicy
from headrace.pipeline.flow.ingress import iterated
from headrace.pipeline.stage.stage import Emitter, Runtime, Stage, events_given

Out = TypeVar("Out")

PUSH_BUFFER_BYTES: Final = 64 * 1024 * 1024
"""The bound in bytes of a source to which others send events, whose size the source does not choose."""


class ProducerEmitter(Emitter, Protocol):
    """The runtime's side of a producer."""

    is_paused: bool

    def emit_own(self, events: list[object]) -> None:
        """Deliver or buffer `events`, unless they have to wait."""

    def room(self) -> int:
        """Return how many events would be delivered or buffered now."""

    def unhandled(self) -> int:
        """Return how many events are buffered, or on their way to consumers."""

    @property
    def buffer_limit_bytes(self) -> int | None:
        """How many bytes the events in the buffer may take."""

    @property
    def waits_when_full(self) -> bool:
        """Whether anything ever has to wait."""

    def is_full(self) -> bool:
        """Return whether nothing may be emitted now."""

    async def resumed(self) -> None:
        """Return once the stage is not paused."""


Emitted = Iterable[Out] | AsyncIterable[Out]
"""Events, oldest first: a list or another iterable at once, or a generator or async stream to be pulled."""


@dataclass(frozen=True, slots=True)
class ProducerRuntime(Runtime):
    """The runtime's side of a producer and what it emits by."""

    emitter: ProducerEmitter


class Producer(Stage, Generic[Out]):
    """A stage that emits events. Subclass it and say in `handle_demand` where they come from.

    `handle_room` and `handle_drain` are optional callbacks that concern producers.
    """

    buffer_keep: KeepPolicy = "last"
    """Which events its buffer keeps, unless its settings differ. "all" is for those that look at `room` before."""

    buffer_bytes: int | None = None
    """How many bytes the events in its buffer may take, unless its settings differ; None is no bound."""

    _runtime: ProducerRuntime

    def handle_demand(self, demand: int) -> Emitted[Out] | Awaitable[Emitted[Out]]:
        """Return events, at most `demand` of them; or a generator, kept and pulled for as many as are asked for.

        A list that is returned is given away: its receiver may change it.
        May be `async def`. `demand` is 1 or more, and counts only new demand: a producer that returns less owes
        the rest, and emits it later by `emit_nowait`, or calls `complete`. A generator that has ended is not pulled for
        later demand: `handle_demand` is called for that.
        """
        raise MissingCallback(self, "handle_demand(self, demand)")

    def emit_nowait(self, events: list[Out]) -> None:
        """Emit events at any time, in the loop's thread.

        Events without demand go to the buffer, whose bound is kept. A buffer that keeps all takes them as long
        as there is any room, and raises `BufferFull` when there is none.
        """
        self._runtime.emitter.check_loop("emit_nowait")
        self._runtime.emitter.emit_own(events_given(events))

    def complete(self) -> None:
        """Emit no more events than the running `handle_demand`, or its generator, was asked for.

        Buffered events go out first; then all subscriptions are completed.
        """
        self._runtime.emitter.check_loop("complete")
        self._runtime.emitter.complete()

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

    def room(self) -> int:
        """Return how many events would be delivered or buffered now, for stages that refuse senders beyond it.

        None while the stage is paused.
        """
        return self._runtime.emitter.room()

    def unhandled(self) -> int:
        """Return how many events its consumers have not handled: those in the buffer and those on their way to them."""
        return self._runtime.emitter.unhandled()

    @property
    def buffer_limit_bytes(self) -> int | None:
        """How many bytes the events in its buffer may take; None is no bound."""
        return self._runtime.emitter.buffer_limit_bytes

    @property
    def waits_when_full(self) -> bool:
        """Whether its buffer keeps all (`when_full: block`): then it has to look at `is_full` before it emits."""
        return self._runtime.emitter.waits_when_full

    def is_full(self) -> bool:
        """Return whether the stage should emit nothing now: it is paused, or its buffer keeps all and has no room.

        Then `handle_room()` is called, once, when the stage may go on. Owed events may still be emitted.
        """
        return self._runtime.emitter.is_full()

    @property
    def is_paused(self) -> bool:
        """Whether the stage is paused: a source that emits by itself waits then for `handle_room()`."""
        return self._runtime.emitter.is_paused

    async def resumed(self) -> None:
        """Return once the stage is not paused: for an `async def handle_demand` that emits as events come."""
        await self._runtime.emitter.resumed()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return who misses events now, by name, and how many: who asks, where `handle_demand` wants to know."""
        return self._runtime.emitter.demand_by_consumer()

    @staticmethod
    def from_stream(source: Iterable[Out] | AsyncIterable[Out]) -> "Callable[[], Producer[Out]]":
        """Make producers of any iterable, async iterable or aiostream stream; they complete when it ends.

        When the source raises, one event counts as failed, and the stage restarts: an iterator then goes on where it
        was, and another iterable (a list, a range) begins again. A source that has no event left after that did not
        complete, and a generator that raised can do neither: both end the run with `Unrecoverable`.
        Raises `BadOption` for anything else.
        """
        if not isinstance(source, Iterable | AsyncIterable):
            raise BadOption(_SOURCE, source, _STREAM)
        return partial(StreamProducer, StreamSource(source))


class Inbox(Producer[Out]):
    """Emits events from outside, and none of its own: by `handle.emit`, `emit_nowait` and `emit_threadsafe`.

    It ends when the run is drained, or by `complete`.
    """

    buffer_keep = "all"

    @override
    def handle_demand(self, demand: int) -> list[Out]:
        return []


class _End(enum.Enum):
    """The value of an iterator without further events."""

    END = enum.auto()


_END: Final = _End.END


_SOURCE: Final = "the source given to from_stream"
_STREAM: Final = "an iterable or an async iterable; a function that makes one has to be called"


class StreamSource(Generic[Out]):
    """The stream of `from_stream`, over all lives of its producer; `error` cut it off since its last event."""

    __slots__ = ("error", "events")

    def __init__(self, events: Iterable[Out] | AsyncIterable[Out]) -> None:
        self.events = events
        self.error: BaseException | None = None


class StreamProducer(Producer[Out]):
    """Emits what a stream yields."""

    slow_callback_advice = "give from_stream an async source, or one that yields its next event sooner"

    def __init__(self, source: StreamSource[Out]) -> None:
        self._source = source

    @override
    def handle_demand(self, demand: int) -> Emitted[Out]:
        events = self._source.events
        return self._pull(events) if isinstance(events, Iterable) else self._pull_async(events)

    def _pull(self, source: Iterable[Out]) -> Iterator[Out]:
        try:
            events = iter(source)
            if (crash := self._source.error) is not None:
                yield self._first_after(crash, next(events, _END))
            yield from events
        except BaseException as error:
            self._cut_off(error, is_closed=isinstance(source, Generator))
            raise
        self.complete()

    async def _pull_async(self, source: AsyncIterable[Out]) -> AsyncIterator[Out]:
        """Close the stream in the task that reads it."""
        events: AsyncIterator[Out] | None = None
        try:
            events = iterated(source)
            if (crash := self._source.error) is not None:
                yield self._first_after(crash, await anext(events, _END))
            async for event in events:
                yield event
        except BaseException as error:
            self._cut_off(error, is_closed=isinstance(events, AsyncGenerator))
            raise
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        self.complete()

    def _first_after(self, crash: BaseException, first: Out | Literal[_End.END]) -> Out:
        """Return the first event after a crash. Raise `Unrecoverable` without one: the source had not completed."""
        if first is _END:
            cause = f"was cut off by {class_and_message(crash)}"
            raise Unrecoverable(self._sentence("source", cause, "yielded nothing after the restart")) from crash
        self._source.error = None
        return first

    def _cut_off(self, error: BaseException, *, is_closed: bool) -> None:
        """Remember what cut the source off; count the event that it failed to yield.

        A cancellation of the stage's task, and the end of the stage, are no failure of the source. A bare generator
        cannot go on after an error: raise `Unrecoverable` at once.
        """
        if isinstance(error, Unrecoverable):
            return
        if isinstance(error, GeneratorExit) and (
            self._process is None or self._process.state is not ProcessStatus.RUNNING
        ):
            reason = None if self._process is None else self._process.reason
            if is_closed and isinstance(reason, BaseException):
                self._source.error = reason
            return
        self._source.error = error
        if isinstance(error, asyncio.CancelledError) and _is_task_cancelled():
            return
        self._runtime.counts.fail_at_source()
        is_generator = isinstance(self._source.events, Generator | AsyncGenerator)
        if is_generator and not isinstance(error, KeyboardInterrupt | SystemExit):
            raise Unrecoverable(
                self._sentence("generator", f"raised {class_and_message(error)}", "cannot go on after that")
            ) from error

    def _sentence(self, kind: str, cause: str, effect: str) -> str:
        return (
            f"the {kind} that {self.name!r} emits {cause}, and {effect}: "
            "let it catch what it can bear, or give from_stream an iterable that can begin again"
        )


def _is_task_cancelled() -> bool:
    """Whether the running task was cancelled, rather than something it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
