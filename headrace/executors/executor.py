"""`Executor`: the base of executors, which run a limited number of functions at a time."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, overload

from headrace.errors import ForeignLoop
from headrace.executors.call import Call, Raised, Returned, function_name
from headrace.executors.errors import BadPoolSize, CallStopped, ExecutorClosed


class Slots:
    """At most `limit` slots are taken at a time. A free slot goes to the caller that has waited longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a slot."""
        return len(self._waiting)

    async def take(self) -> bool:
        """Return True once a slot is taken, False when `dismiss` ended the wait. On cancellation no slot is taken."""
        if self.taken < self.limit and not self._waiting:
            self.taken += 1
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back()
            if turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Free a taken slot."""
        self.taken -= 1
        self._pass_on()

    def resize(self, limit: int) -> None:
        """Change the limit. Slots above a lower limit stay taken until they are given back."""
        self.limit = limit
        self._pass_on()

    def dismiss(self) -> None:
        """End all waits without a slot."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # a wait that was cancelled in this iteration of the loop removes itself
                turn.set_result(False)

    def _pass_on(self) -> None:
        while self._waiting and (self._waiting[0].done() or self.taken < self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(True)


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class CallCounts:
    """The number of calls of an executor, by outcome."""

    returned: int = 0
    raised: int = 0
    stopped: int = 0


class Executor(ABC):
    """Runs functions outside of the event loop, at most `limit` at a time; waiting callers are served in order.

    It belongs to the event loop on which it runs its first function, and only to that loop's thread. Use `async with`,
    or close it.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise BadPoolSize(limit)
        self._slots = Slots(limit)
        self._calls: set[Call[object]] = set()
        self._counts = CallCounts()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def limit(self) -> int:
        """How many functions may run at a time."""
        return self._slots.limit

    @property
    def left(self) -> tuple[Call[object], ...]:
        """The calls that still run although their caller was cancelled or timed out."""
        return tuple(call for call in self._calls if call.is_left)

    def resize(self, limit: int) -> None:
        """Change how many functions may run at a time; running functions go on."""
        if limit < 1:
            raise BadPoolSize(limit)
        self._slots.resize(limit)

    def within(self, seconds: float) -> "BoundedExecutor":
        """Return this executor with a time limit: a longer run raises CallOverdue. Waits for a slot do not count."""
        return BoundedExecutor(self, seconds)

    @overload
    async def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, function: str, *args: object, **kwargs: object) -> object: ...

    async def run(self, function: Callable[..., object] | str, *args: object, **kwargs: object) -> object:
        """Run a function and return its result, or raise its error.

        On cancellation the function either has not begun, or is stopped as by `Call.finish`: an OS process has ended by
        then; a thread goes on, keeps its slot, and is in `left`. Raises ExecutorError for failures of the executor.
        """
        call: Call[object] = await self.start(function, *args, **kwargs)
        return await call.finish(None)

    @overload
    async def start(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    async def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    async def start(self, function: str, *args: object, **kwargs: object) -> Call[object]: ...

    async def start(self, function: Callable[..., object] | str, *args: object, **kwargs: object) -> Call[object]:
        """Wait for a slot, begin to run a function, and return the handle to the call.

        On cancellation the function has not begun. Raises ExecutorClosed, BadFunction, Unpicklable and ForeignLoop.
        """
        name = function_name(function)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            what = f"{name!r} is to be run by an executor"
            raise ForeignLoop(what)
        await self._take_slot(name)
        try:
            call = self._begin(name, function, args, kwargs)
        except BaseException:
            self._slots.give_back()
            raise
        self._calls.add(call)
        return call

    @abstractmethod
    async def aclose(self, *, timeout_seconds: float | None = 0.0) -> None:
        """Accept no more calls, wait `timeout_seconds` for the running ones, then end the calls that can be ended."""

    @abstractmethod
    def _begin(
        self, name: str, function: Callable[..., object] | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Call[object]:
        """Begin to run a function in a taken slot, and give the slot back when the function has ended."""

    async def _take_slot(self, name: str) -> None:
        is_taken = False if self._is_closed else await self._slots.take()
        if is_taken and not self._is_closed:
            return
        if is_taken:  # the executor was closed between the grant of the slot and this turn
            self._slots.give_back()
        raise ExecutorClosed(name)

    async def _drain(self, timeout_seconds: float | None) -> None:
        """Accept no more calls, and wait `timeout_seconds` for the running ones."""
        self._is_closed = True
        self._slots.dismiss()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                for call in list(self._calls):
                    await call.ended()

    def _count_outcome(self, call: Call[object], outcome: Returned[object] | Raised) -> None:
        """Count the outcome of a call, and set it."""
        self._calls.discard(call)
        if isinstance(outcome, Returned):
            self._counts.returned += 1
        elif isinstance(outcome.error, CallStopped | ExecutorClosed):
            self._counts.stopped += 1
        else:
            self._counts.raised += 1
        call.set_outcome(outcome)


class BoundedExecutor:
    """An executor with a time limit for each function."""

    def __init__(self, executor: Executor, seconds: float) -> None:
        self._executor = executor
        self._seconds = seconds

    @overload
    async def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, function: str, *args: object, **kwargs: object) -> object: ...

    async def run(self, function: Callable[..., object] | str, *args: object, **kwargs: object) -> object:
        """Run a function as `Executor.run` does. After the time limit it is stopped, and CallOverdue is raised."""
        call: Call[object] = await self._executor.start(function, *args, **kwargs)
        return await call.finish(self._seconds)
