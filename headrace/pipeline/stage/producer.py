"""Producers: stages that emit as many events as their consumers have asked for."""

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
"""The limit of the buffer of a source to which clients send events: it cannot choose their size."""


class ProducerEmitter(Emitter, Protocol):
    """The part of a runtime through which a producer emits."""

    is_paused: bool

    def emit_own(self, events: list[object]) -> None:
        """Deliver or buffer `events`. Raises `BufferFull` when they have to wait."""

    def room(self) -> int:
        """Return how many events would be delivered or buffered now."""

    def unhandled(self) -> int:
        """Return how many events are buffered, or delivered and not handled yet."""

    @property
    def buffer_limit_bytes(self) -> int | None:
        """The limit of the buffer in bytes; None for no limit."""

    @property
    def waits_when_full(self) -> bool:
        """Whether the buffer keeps all events, so that senders have to wait."""

    def is_full(self) -> bool:
        """Return whether nothing may be emitted now."""

    async def resumed(self) -> None:
        """Return once the stage is not paused."""


Emitted = Iterable[Out] | AsyncIterable[Out]
"""Events, oldest first: all at once in a list or other iterable, or in a generator or async stream that is pulled."""


@dataclass(frozen=True, slots=True)
class ProducerRuntime(Runtime):
    """The parts of the runtime that a producer calls."""

    emitter: ProducerEmitter


class Producer(Stage, Generic[Out]):
    """A stage that emits events. Subclass it and return them from `handle_demand`.

    Two of the optional callbacks are for producers only: `handle_room` and `handle_drain`.
    """

    buffer_keep: KeepPolicy = "last"
    """Which events the buffer keeps when it is full, unless the settings differ. With "all", look at `room` first."""

    buffer_bytes: int | None = None
    """The limit of the buffer in bytes, unless the settings differ; None for no limit."""

    _runtime: ProducerRuntime

    def handle_demand(self, demand: int) -> Emitted[Out] | Awaitable[Emitted[Out]]:
        """Return at most `demand` events; or a generator, which is kept and pulled as consumers ask.

        Do not use a list again that you returned: its receiver may change it.
        May be `async def`. `demand` is 1 or more, and counts only new demand. A producer that returns fewer events owes
        the rest: it emits them later by `emit_nowait`, or calls `complete`. When a generator has ended, later demand
        calls `handle_demand` again.
        """
        raise MissingCallback(self, "handle_demand(self, demand)")

    def emit_nowait(self, events: list[Out]) -> None:
        """Emit events at any time, in the loop's thread.

        Events without demand go to the buffer, up to its limit. A buffer that keeps all takes them while it has any
        room, and raises `BufferFull` when it has none.
        """
        self._runtime.emitter.check_loop("emit_nowait")
        self._runtime.emitter.emit_own(events_given(events))

    def complete(self) -> None:
        """Complete: after the events of the running `handle_demand` or generator, emit no more.

        Buffered events go out first; then all subscriptions are completed.
        """
        self._runtime.emitter.check_loop("complete")
        self._runtime.emitter.complete()

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

    def room(self) -> int:
        """Return how many events can be delivered or buffered now, for stages that refuse senders beyond that.

        It is 0 while the stage is paused.
        """
        return self._runtime.emitter.room()

    def unhandled(self) -> int:
        """Return how many events the consumers have not handled yet, including all in the buffer."""
        return self._runtime.emitter.unhandled()

    @property
    def buffer_limit_bytes(self) -> int | None:
        """The limit of the buffer in bytes; None for no limit."""
        return self._runtime.emitter.buffer_limit_bytes

    @property
    def waits_when_full(self) -> bool:
        """Whether the buffer keeps all events (`when_full: block`): then look at `is_full` before you emit."""
        return self._runtime.emitter.waits_when_full

    def is_full(self) -> bool:
        """Return whether the stage should emit nothing now: it is paused, or its buffer keeps all and is full.

        When it may go on, `handle_room()` is called once. Owed events may be emitted in any case.
        """
        return self._runtime.emitter.is_full()

    @property
    def is_paused(self) -> bool:
        """Whether the stage is paused: a source that emits by itself then waits for `handle_room()`."""
        return self._runtime.emitter.is_paused

    async def resumed(self) -> None:
        """Return once the stage is not paused: for an `async def handle_demand` that emits events as they arrive."""
        await self._runtime.emitter.resumed()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name: shows `handle_demand` which of them ask."""
        return self._runtime.emitter.demand_by_consumer()

    @staticmethod
    def from_stream(source: Iterable[Out] | AsyncIterable[Out]) -> "Callable[[], Producer[Out]]":
        """Return a factory of producers for an iterable, async iterable or aiostream stream; they complete at its end.

        When the source raises, one event counts as failed, and the stage restarts: an iterator continues, and any other
        iterable (a list, a range) begins again. A generator cannot continue after an error. It ends the run with
        `Unrecoverable`, as does a source without further events after its error.
        Raises `BadOption` for anything else.
        """
        if not isinstance(source, Iterable | AsyncIterable):
            raise BadOption(_SOURCE, source, _STREAM)
        return partial(StreamProducer, StreamSource(source))


class Inbox(Producer[Out]):
    """Emits only events from outside the graph: by `handle.emit`, `emit_nowait` and `emit_threadsafe`.

    It completes when the run drains, or by `complete`.
    """

    buffer_keep = "all"

    @override
    def handle_demand(self, demand: int) -> list[Out]:
        return []


class _End(enum.Enum):
    """Marks the end of an iterator."""

    END = enum.auto()


_END: Final = _End.END


_SOURCE: Final = "the source given to from_stream"
_STREAM: Final = "an iterable or an async iterable; a function that makes one has to be called"


class StreamSource(Generic[Out]):
    """The stream of `from_stream`, which outlives restarts; `error` interrupted it after its last event."""

    __slots__ = ("error", "events")

    def __init__(self, events: Iterable[Out] | AsyncIterable[Out]) -> None:
        self.events = events
        self.error: BaseException | None = None


class StreamProducer(Producer[Out]):
    """Emits the events of a stream."""

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
        """Return the first event after a crash. Raises `Unrecoverable` without one: the source had not completed."""
        if first is _END:
            cause = f"was cut off by {class_and_message(crash)}"
            raise Unrecoverable(self._sentence("source", cause, "yielded nothing after the restart")) from crash
        self._source.error = None
        return first

    def _cut_off(self, error: BaseException, *, is_closed: bool) -> None:
        """Remember the error that interrupted the source, and count one failed event.

        A cancellation of the stage's task and the end of the stage are no failures of the source. A bare generator
        cannot go on after an error: raises `Unrecoverable` at once.
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
            "let it catch the errors that it can survive, or give from_stream an iterable that can begin again"
        )


def _is_task_cancelled() -> bool:
    """Return whether the running task was cancelled, rather than an awaitable that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
