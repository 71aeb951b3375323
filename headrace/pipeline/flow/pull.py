"""Pulls a kept generator or stream for at most what has been asked, and never waits for a whole batch."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Final, TypeVar

E = TypeVar("E")

CHUNK: Final = 128
"""Events pulled between two looks at the clock: about 10 µs of a fast generator."""


def iterated(source: AsyncIterable[E]) -> AsyncIterator[E]:
    """Return an iterator over a stream; one that is to be entered (aiostream's is) is entered, and left at its end."""
    stream = getattr(source, "stream", None)
    streamer = stream() if callable(stream) else source
    return _entered(streamer) if isinstance(streamer, AbstractAsyncContextManager) else aiter(source)


async def _entered(streamer: AbstractAsyncContextManager[AsyncIterable[E]]) -> AsyncIterator[E]:
    async with streamer as events:
        async for event in events:
            yield event


class Pull:
    """What both kinds of pull keep: how many events are wanted, and those that have come and were not taken.

    `wanted_later` is what was asked for beside the `demand` for which the stream was made.
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
        """Return what has come and was not taken, without pulling any further."""
        came, self._came = self._came, []
        return came


class SyncPull(Pull):
    """A generator that is pulled inside the producer's turn, for at most a slice of time."""

    def __init__(self, events: Iterator[object], demand: int, clock: Callable[[], float], slice_seconds: float) -> None:
        super().__init__(demand, clock, slice_seconds)
        self._events = events

    def take(self) -> list[object]:
        """Return up to `wanted` events, fewer when the slice is over or the generator has ended.

        What came before an error is kept.
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


class AsyncPull(Pull):
    """An async stream that the producer's own task pulls, while its turns emit what has come; each event wakes it.

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
        """Return what has come since the last time."""
        return self.rest()

    async def run(self) -> None:
        """Pull while anything is wanted and nothing else is due; the loop gets an iteration once a slice.

        What came before a cancellation or an error is kept.
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
