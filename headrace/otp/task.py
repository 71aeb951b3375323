"""`Task`: one function that runs in a process of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from typing_extensions import override

from headrace.errors import CallToSelf, ProcessError, TaskFailed, TaskTimeout
from headrace.otp.links import link, unlink
from headrace.otp.process.process import CURRENT, ExitReason, Process
from headrace.otp.process.state import check_timeout
from headrace.otp.process.task_process import TaskProcess, present_scheduler, task_name
from headrace.otp.ref import Ref
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import Restart
from headrace.otp.task_stream import StreamOptions, TaskSource, TaskStream

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

RESULT_SECONDS: Final = 5.0
"""How long `result` waits by default (OTP's default)."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[R_co]):
    """The task has returned `result`."""

    result: R_co


@dataclass(frozen=True, slots=True)
class Failed:
    """The task has ended without a result, for `reason`."""

    reason: ExitReason


class Task(Generic[R_co]):
    """A function that runs in a process of its own, and the handle to it.

    `Task.start(function, *args)` ignores the result; `task = Task.spawn(function, *args)` is for a caller that awaits
    it with `await task.result()`. The function is `def` or `async def`; if it blocks, it blocks the loop.
    """

    __slots__ = ("_is_owned", "_owner", "_process")

    def __init__(self, process: TaskProcess, *, is_owned: bool = False) -> None:
        """Make the handle to `process`.

        An owned task ends when the wait for its result is cancelled, and is linked to the process that runs now.
        """
        self._process = process
        self._is_owned = is_owned
        self._owner: Process[object] | None = None
        owner = CURRENT.get(None)
        if is_owned and owner is not None and owner.scheduler.loop is process.scheduler.loop:
            self._owner = process.owner = owner
            link(owner, process)

    @override
    def __repr__(self) -> str:
        return f"<Task {self.name!r} {self._process.state.value}>"

    @overload
    @staticmethod
    def start(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> "Task[R]": ...
    @overload
    @staticmethod
    def start(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Task[R]": ...

    @staticmethod
    def start(function: Callable[..., object], *args: object, **kwargs: object) -> "Task[object]":
        """Run a function in a later turn, without reporting its failure to the caller (OTP's `Task.start`).

        A failure is logged and emits the telemetry event `("headrace", "task", "failed")`. Raises `ForeignThread`
        outside of the thread of a running loop.
        """
        return Task(_started(function, args, kwargs))

    @overload
    @staticmethod
    def spawn(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> "Task[R]": ...
    @overload
    @staticmethod
    def spawn(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Task[R]": ...

    @staticmethod
    def spawn(function: Callable[..., object], *args: object, **kwargs: object) -> "Task[object]":
        """Run a function for its result (OTP's `Task.async`).

        The task belongs to its caller: it is cancelled when the wait for its result is cancelled. In a callback of a
        process it is linked to that process: a failure of either ends the other, unless the process traps exits. To
        handle a failure instead, use `TaskSupervisor.async_nolink`. A failure is logged unless a caller waits for the
        result.
        """
        return Task(_started(function, args, kwargs), is_owned=True)

    @staticmethod
    def child_spec(
        function: Callable[..., object], *args: object, name: str | None = None, restart: Restart = "temporary"
    ) -> ChildSpec[object]:
        """Return the spec of a child that runs a function to its end, by default without a restart (as in OTP)."""
        return ChildSpec(function, name, restart, args=args, is_task=True)

    @overload
    @staticmethod
    def async_stream(
        function: Callable[[T], Awaitable[R]],
        source: TaskSource[T],
        *,
        return_exceptions: Literal[False] = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R, None]: ...
    @overload
    @staticmethod
    def async_stream(
        function: Callable[[T], Awaitable[R]],
        source: TaskSource[T],
        *,
        return_exceptions: bool,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R | ProcessError, None]: ...
    @overload
    @staticmethod
    def async_stream(
        function: Callable[[T], R],
        source: TaskSource[T],
        *,
        return_exceptions: Literal[False] = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R, None]: ...
    @overload
    @staticmethod
    def async_stream(
        function: Callable[[T], R], source: TaskSource[T], *, return_exceptions: bool, **options: Unpack[StreamOptions]
    ) -> AsyncGenerator[R | ProcessError, None]: ...

    @staticmethod
    def async_stream(
        function: Callable[[T], object],
        source: TaskSource[T],
        *,
        return_exceptions: bool = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[object, None]:
        """Run a function for each element of an iterable or async iterable, and yield the results.

        The source is pulled only as results are consumed; `StreamOptions` has the other rules. The first element that
        fails ends the stream with `TaskFailed`; with `return_exceptions` its error takes the place of its result.
        However the stream ends (by its end, an error, `break`, `aclose` or cancellation), the elements in flight are
        cancelled and the source is closed. Raises `BadOption` at once.
        """
        scheduler = present_scheduler(task_name(function))

        def start(name: str, work: Callable[[], object]) -> TaskProcess:
            process = TaskProcess(name, work, scheduler)
            process.start()
            return process

        stream = TaskStream(function, source, options, start)
        return stream.results(scheduler, return_exceptions=return_exceptions)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self._process.name

    @property
    def ref(self) -> Ref[object]:
        """The reference of the process, for links and monitors."""
        return Ref(self._process)

    @property
    def is_alive(self) -> bool:
        """Whether the task starts or runs."""
        return self.ref.is_alive

    async def result(self, timeout_seconds: float | None = RESULT_SECONDS) -> R_co:
        """Return the result of the function (OTP's `await`). It may be called several times.

        Raises `TaskFailed` when the task has ended without a result, with its error as the cause; `TaskTimeout` when it
        takes longer, and goes on; `CallToSelf` and `ForeignThread` at once. On cancellation a task of `Task.spawn` is
        cancelled and waited for; any other task goes on.
        """
        outcome = await self.yield_(timeout_seconds)
        if outcome is None:
            raise TaskTimeout(self.name, cast("float", timeout_seconds))
        if isinstance(outcome, Failed):
            raise TaskFailed(self.name, outcome.reason)
        return outcome.result

    async def yield_(self, timeout_seconds: float | None = RESULT_SECONDS) -> Finished[R_co] | Failed | None:
        """Return how the task ended, or None when it has not ended in time (OTP's `yield`). A failure is not raised.

        A timeout of None is no limit; other values raise `BadOption`. Cancellation is as in `result`.
        """
        self._check()
        check_timeout("timeout_seconds", timeout_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._process.ended()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if self._is_owned:
                self._kill()
                await asyncio.shield(self._process.terminated)
            raise
        return self._outcome()

    async def shutdown(self, timeout_seconds: float | None = RESULT_SECONDS) -> Finished[R_co] | Failed | None:
        """Unlink and cancel the task; return how it ended, or None when it has not ended in time (OTP's `shutdown`).

        A result that was there before is returned. A task that does not end when cancelled is left behind after its
        shutdown time.
        """
        self._check()
        self._kill()
        return await self.yield_(timeout_seconds)

    def _kill(self) -> None:
        """Cancel the task, without a failure to the process that started it."""
        if self._owner is not None:
            unlink(self._owner, self._process)
        self._process.kill()

    def _check(self) -> None:
        what = f"wait for task {self.name!r}"
        self._process.scheduler.check_thread(what, "asyncio.run_coroutine_threadsafe")
        if CURRENT.get(None) is self._process:
            raise CallToSelf(self.name)

    def _outcome(self) -> Finished[R_co] | Failed | None:
        process = self._process
        if not process.terminated.done():
            return None
        if process.reason == "normal":
            return Finished(cast("R_co", process.value))
        return Failed(cast("ExitReason", process.reason))


def _started(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> TaskProcess:
    name = task_name(function)
    process = TaskProcess(name, partial(function, *args, **kwargs), present_scheduler(name))
    process.start()
    return process
