"""Events offered from outside, and generators that are pulled."""

import asyncio
import concurrent.futures
import sys
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from headrace.errors import BufferFull, NoProcess
from headrace.pipeline.flow.output import StageOutput

ROOM_WITHOUT_LIMIT: Final = 10_000
"""The most events from outside that a stage without a buffer limit (a producer-consumer) buffers."""

_BOUNDLESS: Final = sys.maxsize
"""The room of a stage that discards events without room: it accepts any number."""


def _always() -> bool:
    return True


@dataclass(slots=True, eq=False)
class PendingPut:
    """A list of events that a sender waits to emit: the first `taken` are emitted; `done` is resolved when all are."""

    events: list[object]
    done: asyncio.Future[None]
    may_begin: Callable[[], bool]
    taken: int = 0


class Ingress:
    """Emits events from outside by a stage, as far as the demand of its subscribers and its buffer have room.

    A list no longer than the buffer is emitted as a whole, a longer one piece by piece. A stage that discards events
    always has room. Where events without room fail, no sender waits.
    """

    def __init__(
        self,
        stage_output: StageOutput,
        emit: Callable[[list[object]], None],
        owed: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`owed` returns how much of the demand is kept for events that the stage emits by itself."""
        self._output = stage_output
        self._emit = emit
        self._owed = owed
        self._loop = loop
        self._waiting: deque[PendingPut] = deque()
        self._is_closed = False
        self._is_at_it = False
        self._own: Callable[[], None] | None = None

    @property
    def _limit(self) -> int:
        limit = self._output.buffer.limit
        return ROOM_WITHOUT_LIMIT if limit is None else limit

    @property
    def is_acknowledged(self) -> bool:
        """Whether its stage emits messages."""
        return self._output.is_acknowledged

    def room(self) -> int:
        """Return how many events could be emitted now: to the buffer, or to demand without owed events."""
        unmet = self._output.collect()
        return self._free() + max(0, unmet - self._owed())

    def room_at_once(self) -> int:
        """Return how many events `put` would emit before it returns: none while other senders wait."""
        return 0 if self._waiting else self.room()

    def capacity(self) -> int:
        """Return how many events the stage itself could emit now without a loss."""
        unmet = self._output.collect()
        return self._free() + unmet

    def producer_waits(self, room_made: Callable[[], None]) -> None:
        """Call `room_made`, once, when the stage has room for an event of its own."""
        self._own = room_made
        self._output.wait_for_room(self.offer)

    def _free(self) -> int:
        if self._output.is_lossy:
            return _BOUNDLESS
        return max(0, self._output.buffer.room(ROOM_WITHOUT_LIMIT) - self._output.dispatcher.queued)

    def put_nowait(self, events: list[object]) -> None:
        """Emit all of the events, or none. Raises `BufferFull` without room, `NoProcess` once closed."""
        if self._is_closed or self._output.is_closed:
            raise NoProcess(self._output.counts.stage)
        if self._waiting or len(events) > self.room():
            raise BufferFull(self._output.counts.stage, self._limit)
        self._emit(events)

    def put(self, events: list[object], may_begin: Callable[[], bool] = _always) -> asyncio.Future[None]:
        """Emit the events as there is room. The future is done when all are emitted.

        If the future is cancelled, the rest is not emitted.
        `may_begin` is called once, before the first event is emitted. When it returns False, none is emitted.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        if self._is_closed or self._output.is_closed:
            done.set_exception(NoProcess(self._output.counts.stage))
            return done
        if self._output.overflow_fails and len(events) > self.room():
            done.set_exception(BufferFull(self._output.counts.stage, self._limit))
            return done
        self._waiting.append(PendingPut(events, done, may_begin))
        self.offer()
        if self._waiting:
            self._output.wait_for_room(self.offer)
            done.add_done_callback(self._no_longer_waits)
        return done

    def _no_longer_waits(self, done: asyncio.Future[None]) -> None:
        """Emit the lists behind a cancelled one, if they need less room."""
        if done.cancelled():
            self.offer()

    def put_threadsafe(self, events: list[object]) -> "concurrent.futures.Future[None]":
        """Emit the events from any thread, as there is room. Raises RuntimeError when the loop is closed."""
        taken: concurrent.futures.Future[None] = concurrent.futures.Future()

        def put() -> None:
            done = self.put(events, taken.set_running_or_notify_cancel)
            done.add_done_callback(partial(_pass_result, taken))

        self._loop.call_soon_threadsafe(put)
        return taken

    def offer(self) -> None:
        """Emit the waiting events that have room now."""
        if self._is_at_it:
            return
        self._is_at_it = True
        try:
            while self._waiting and self._let_first_in():
                pass
            own = self._own
            if own is not None and self.capacity() > 0:
                self._own = None
                own()
        finally:
            self._is_at_it = False
        if not self._waiting and self._own is None:
            self._output.wait_for_room(None)

    def _let_first_in(self) -> bool:
        """Emit the first list, or a piece of it; return whether there may be room for more."""
        first = self._waiting[0]
        if first.done.done():  # its sender has cancelled it
            self._waiting.popleft()
            return True
        rest = len(first.events) - first.taken
        room = min(rest, self.room())
        if room < min(rest, max(1, self._limit)):
            return False
        if not (first.taken or first.may_begin()):
            self._waiting.popleft()
            first.done.cancel()
            return True
        begin, first.taken = first.taken, first.taken + room
        if room == rest:
            self._waiting.popleft()
            first.done.set_result(None)
        self._emit(first.events[begin : first.taken])
        return True

    def close(self) -> None:
        """Emit nothing more: waiting senders get `NoProcess`."""
        self._is_closed = True
        self._own = None
        self._output.wait_for_room(None)
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done.done():
                waiting.done.set_exception(NoProcess(self._output.counts.stage))


def _pass_result(taken: "concurrent.futures.Future[None]", done: asyncio.Future[None]) -> None:
    """Pass the result or the error to another thread."""
    error = None if done.cancelled() else done.exception()
    if error is None:
        if not taken.cancelled():
            taken.set_result(None)
    elif taken.running() or taken.set_running_or_notify_cancel():
        taken.set_exception(error)


E = TypeVar("E")

CHUNK: Final = 128
"""Events pulled between two readings of the clock: about 10 µs of a fast generator."""


def iterated(source: AsyncIterable[E]) -> AsyncIterator[E]:
    """Return an iterator over a stream. A stream that is a context manager (aiostream's) is entered and left."""
    stream = getattr(source, "stream", None)
    streamer = stream() if callable(stream) else source
    return _entered(streamer) if isinstance(streamer, AbstractAsyncContextManager) else aiter(source)


async def _entered(streamer: AbstractAsyncContextManager[AsyncIterable[E]]) -> AsyncIterator[E]:
    async with streamer as events:
        async for event in events:
            yield event


class GeneratorPull:
    """A generator that is pulled: the number of wanted events, and the pulled events that were not taken yet.

    `wanted_later` is the demand that came after the `demand` for which the generator was made.
    """

    def __init__(self, demand: int, clock: Callable[[], float], slice_seconds: float) -> None:
        self._clock = clock
        self._slice_seconds = slice_seconds
        self._came: list[object] = []
        self.wanted = demand
        self.wanted_later = 0
        self.has_ended = False

    def want(self, demand: int) -> None:
        """Pull `demand` more events."""
        self.wanted += demand
        self.wanted_later += demand

    def rest(self) -> list[object]:
        """Return the pulled events that were not taken, and pull no more."""
        came, self._came = self._came, []
        return came


class SyncGenerator(GeneratorPull):
    """A generator that is pulled inside the producer's turn, for at most a slice of time."""

    def __init__(self, events: Iterator[object], demand: int, clock: Callable[[], float], slice_seconds: float) -> None:
        super().__init__(demand, clock, slice_seconds)
        self._events = events

    def take(self) -> list[object]:
        """Return up to `wanted` events, fewer when the slice is over or the generator has ended.

        Events that were pulled before an error are kept.
        """
        until = self._clock() + self._slice_seconds
        came = self._came
        while self.wanted:
            size = min(CHUNK, self.wanted)
            before = len(came)
            came.extend(islice(self._events, size))
            self.wanted -= len(came) - before
            if len(came) - before < size:
                self.has_ended = True
                break
            if self._clock() >= until:
                break
        return self.rest()

    def close(self) -> None:
        """Close the generator."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


class AsyncGenerator(GeneratorPull):
    """An async stream that the producer's own task pulls, while its turns emit the events; each event wakes it.

    With `gives_way` it stops after the event that it waits for: the stage is paused, or a callback needs the task.
    """

    def __init__(
        self,
        events: AsyncIterator[object],
        demand: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
        slice_seconds: float,
    ) -> None:
        super().__init__(demand, clock, slice_seconds)
        self._events = events
        self._wake = wake
        self.is_running = False
        self.gives_way = False

    def take(self) -> list[object]:
        """Return the events that were pulled since the last call."""
        return self.rest()

    async def run(self) -> None:
        """Pull while events are wanted and no other callback waits. The loop gets an iteration after each slice.

        Events that were pulled before a cancellation or an error are kept.
        """
        until = self._clock() + self._slice_seconds
        while self.wanted and not self.gives_way:
            if self._clock() >= until:
                await asyncio.sleep(0)
                until = self._clock() + self._slice_seconds
            try:
                event = await anext(self._events)
            except StopAsyncIteration:
                self.has_ended = True
                return
            self.wanted -= 1
            self._came.append(event)
            self._wake()

    async def close(self) -> None:
        """Close the stream, in the task that pulled it."""
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()
