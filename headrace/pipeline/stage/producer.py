"""Producers: stages that emit events, as many as their consumers have asked for."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Generic, TypeVar

from headrace.ground.errors import MissingCallback
from headrace.pipeline.stage.stage import Emits, Stage

Out = TypeVar("Out")

Emitted = Iterable[Out] | AsyncIterable[Out]
"""Events, oldest first: a list or another iterable at once, or a generator or async stream to be pulled."""


class Producer(Stage, Generic[Out]):
    """A stage that emits events. Subclass it and say in `handle_demand` where they come from.

    Three more callbacks are looked for: `init()`, `terminate(reason)`, and `handle_drain()`, a plain `def` called when
    the run is to end: push edges close their door there, and a waiting `handle_demand` is woken, for it is cancelled
    soon after.
    """

    emits_messages: bool = False
    """Whether the events are `Message`s, which are told what became of them."""

    _runtime: Emits

    def handle_demand(self, demand: int) -> Emitted[Out] | Awaitable[Emitted[Out]]:
        """Return events, at most `demand` of them; or a generator, kept and pulled for as many as are asked for.

        May be `async def`. `demand` is 1 or more, and counts only what was not asked before: whoever returns less owes
        the rest, and emits it later by `emit_nowait`, or calls `complete`. A generator that has ended is not pulled for
        what is asked from then on: `handle_demand` is called for that.
        """
        raise MissingCallback(self, "handle_demand(self, demand)")

    def emit_nowait(self, events: list[Out]) -> None:
        """Emit events at any time, in the loop's thread.

        What nobody has asked for goes to the buffer, whose bound is kept.
        """
        self._runtime.emit_nowait(list[object](events))

    def complete(self) -> None:
        """Say that no more will come than what was asked of the running `handle_demand`, or of its generator.

        What is buffered goes out first; then all subscribers are told.
        """
        self._runtime.complete()

    @staticmethod
    def from_stream(source: Iterable[Out] | AsyncIterable[Out]) -> "Callable[[], Producer[Out]]":
        """Make producers of any iterable, async iterable or aiostream stream; they complete when it ends.

        After a crash an iterator goes on where it was, and another iterable (a list, a range) begins again.
        """
        return partial(StreamProducer, source)


class StreamProducer(Producer[Out]):
    """Emits what a stream yields."""

    def __init__(self, source: Iterable[Out] | AsyncIterable[Out]) -> None:
        self._source = source

    def handle_demand(self, demand: int) -> Emitted[Out]:
        """Return the stream, to be kept and pulled."""
        if isinstance(self._source, Iterable):
            return self._pull(self._source)
        return self._pull_async(self._source)

    def _pull(self, source: Iterable[Out]) -> Iterator[Out]:
        yield from source
        self.complete()

    async def _pull_async(self, source: AsyncIterable[Out]) -> AsyncIterator[Out]:
        """Enter the stream if it is to be entered (aiostream's is), and close it in the same task."""
        stream = getattr(source, "stream", None)
        streamer = source if stream is None else stream()
        if isinstance(streamer, AbstractAsyncContextManager):
            async with streamer as entered:
                async for event in entered:
                    yield event
        else:
            events = aiter(source)
            try:
                async for event in events:
                    yield event
            finally:
                if hasattr(events, "aclose"):
                    await events.aclose()
        self.complete()
