"""`TaskStream`: runs a function for each element of a source, a limited number at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, TypedDict, TypeVar, cast

from headrace.errors import BadOption, ProcessError, TaskFailed, TaskTimeout
from headrace.otp.process.process import ExitReason
from headrace.otp.process.state import check_count, check_seconds
from headrace.otp.process.task_process import TaskProcess, task_name
from headrace.otp.scheduler import Scheduler

T = TypeVar("T")
R = TypeVar("R")

MAX_CONCURRENCY: Final = 10
"""The default number of elements in flight."""

ELEMENT_SECONDS: Final = 5.0
"""How long one element may take by default (OTP's default)."""

TaskSource = AsyncIterable[T] | Iterable[T]
Start = Callable[[str, Callable[[], object]], TaskProcess]
"""Starts a task with the given name."""


class StreamOptions(TypedDict, total=False):
    """The options of a stream of tasks.

    At most `max_concurrency` elements (10) are in flight, and as many results may wait. With `ordered` (the default)
    results come in the order of the source, otherwise as they are ready. After `timeout_seconds` (5; None is no limit)
    the task of an element is cancelled; then `on_timeout="exit"` (the default) ends the stream with `TaskTimeout`, and
    `"kill_task"` fails that element alone.
    """

    max_concurrency: int
    ordered: bool
    timeout_seconds: float | None
    on_timeout: Literal["exit", "kill_task"]


@dataclass(slots=True, eq=False)
class _Element:
    """An element in flight, or with a result that waits."""

    process: TaskProcess
    deadline: asyncio.TimerHandle | None = None
    is_overdue: bool = False


class TaskStream(Generic[T, R]):
    """Elements in flight, and their results. Always: in flight ≤ `max_concurrency`; in flight + waiting ≤ twice that.

    A task of its own, the reader, pulls the source and closes it.
    """

    def __init__(
        self, function: Callable[[T], Awaitable[R] | R], source: TaskSource[T], options: StreamOptions, start: Start
    ) -> None:
        self._function = function
        self._start = start
        self._source = source
        self._name = task_name(function)
        self._limit = options.get("max_concurrency", MAX_CONCURRENCY)
        self._is_ordered = options.get("ordered", True)
        self._seconds = options.get("timeout_seconds", ELEMENT_SECONDS)
        self._on_timeout = options.get("on_timeout", "exit")
        self._elements: deque[_Element] = deque()
        self._in_flight: dict[_Element, None] = {}
        self._source_error: BaseException | None = None
        self._is_dry = False
        self._is_left = False
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._check()

    def _check(self) -> None:
        if not isinstance(self._source, Iterable | AsyncIterable):
            raise BadOption("source", self._source, "an iterable or an async iterable")
        check_count("max_concurrency", self._limit, 1)
        if self._seconds is not None:
            check_seconds("timeout_seconds", self._seconds, ", or None for ever")
        if self._on_timeout not in ("exit", "kill_task"):
            raise BadOption("on_timeout", self._on_timeout, "'exit' or 'kill_task'")

    async def results(self, scheduler: Scheduler, *, return_exceptions: bool) -> AsyncGenerator[R | ProcessError, None]:
        """Yield each result; an element's error is raised, or yielded in its place.

        However this ends, the elements in flight are cancelled and the source is closed first.
        """
        reader = TaskProcess(f"{self._name} stream", self._read_source, scheduler)
        reader.terminated.add_done_callback(self._source_ended)
        reader.start()
        self._update_room()
        try:
            while (element := await self._next()) is not None:
                try:
                    outcome: R | ProcessError = self._outcome(element)
                except ProcessError as error:
                    if not return_exceptions or (element.is_overdue and self._on_timeout == "exit"):
                        raise
                    outcome = error
                yield outcome
        finally:
            await self._end(reader)

    async def _next(self) -> _Element | None:
        """Wait for the next element that has ended; return None after the last."""
        while True:
            if self._elements and self._elements[0] not in self._in_flight:
                element = self._elements.popleft()
                self._update_room()
                return element
            if self._is_dry and not self._elements and not self._in_flight:
                if self._source_error is not None:
                    raise self._source_error
                return None
            self._changed.clear()
            await self._changed.wait()

    def _outcome(self, element: _Element) -> R:
        process = element.process
        if process.reason == "normal":
            return cast("R", process.value)
        if element.is_overdue:
            raise TaskTimeout(process.name, cast("float", self._seconds))
        raise TaskFailed(process.name, process.reason)

    async def _read_source(self) -> None:
        try:
            async with aclosing(_elements(self._source)) as elements:
                while await self._room():
                    self._launch(await anext(elements))
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - the consumer of the results gets any error of the source
            self._source_error = error

    async def _room(self) -> bool:
        await self._has_room.wait()
        return not self._is_left

    def _source_ended(self, terminated: asyncio.Future[ExitReason]) -> None:
        """Called when the reader has ended: the source is exhausted, or the reader was stopped."""
        self._is_dry = True
        if terminated.result() != "normal" and self._source_error is None:
            self._source_error = TaskFailed(f"{self._name} stream", terminated.result())
        self._changed.set()

    def _launch(self, value: T) -> None:
        if self._is_left:  # the source ignored the cancellation of the reader
            return
        element = _Element(self._start(self._name, partial(self._function, value)))
        element.process.watchers += 1
        self._in_flight[element] = None
        if self._is_ordered:
            self._elements.append(element)
        if self._seconds is not None:
            loop = element.process.scheduler.loop
            element.deadline = loop.call_later(self._seconds, self._overdue, element)
        element.process.terminated.add_done_callback(partial(self._ended, element))
        self._update_room()

    def _overdue(self, element: _Element) -> None:
        element.is_overdue = True
        element.process.kill()

    def _ended(self, element: _Element, _: object) -> None:
        if element.deadline is not None:
            element.deadline.cancel()
        del self._in_flight[element]
        if not self._is_ordered:
            self._elements.append(element)
        self._update_room()
        self._changed.set()

    def _update_room(self) -> None:
        in_flight = len(self._in_flight)
        untaken = len(self._elements) - (in_flight if self._is_ordered else 0)
        if in_flight < self._limit and in_flight + untaken < 2 * self._limit:
            self._has_room.set()
        else:
            self._has_room.clear()

    async def _end(self, reader: TaskProcess) -> None:
        """Cancel all elements in flight, and wait for them."""
        self._is_left = True
        processes = [reader, *(element.process for element in self._in_flight)]
        for process in processes:
            process.kill()
        for process in processes:
            await asyncio.shield(process.terminated)


async def _elements(source: TaskSource[T]) -> AsyncGenerator[T, None]:
    """Yield the elements of a source, and close it if it can be closed."""
    if isinstance(source, AsyncIterable):
        iterator = aiter(source)
        try:
            async for element in iterator:
                yield element
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
    else:
        elements = iter(source)
        try:
            for element in elements:
                yield element
        finally:
            if isinstance(elements, Generator):
                elements.close()
