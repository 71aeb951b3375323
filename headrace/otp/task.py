"""Task: one function that runs to its end in a process of its own."""

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
"""How long a result is waited for by default (OTP's default)."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[R_co]):
    """A task has done its work, and this is its result."""

    result: R_co


@dataclass(frozen=True, slots=True)
class Failed:
    """A task has ended without a result, and this is why."""

    reason: ExitReason


class Task(Generic[R_co]):
    """A function that runs in a process of its own, and the handle to it.

    `Task.start(function, *args)` fires and forgets; `task = Task.spawn(function, *args)` is for a caller that wants
    the result, with `await task.result()`. The function is `def` or `async def`; one that blocks blocks the loop.
    """

    __slots__ = ("_is_owned", "_owner", "_process")

    def __init__(self, process: TaskProcess, *, is_owned: bool = False) -> None:
        """Be the handle to `process`.

        One that is owned ends when the wait for its result is cancelled, and is linked to the process that runs now.
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
        """Run a function, and forget it: no failure of it reaches its caller (OTP's `Task.start`).

        It begins in a later turn. A failure is logged and emits the telemetry event `("headrace", "task", "failed")`.
        From any coroutine or callback on the loop; raises `ForeignThread` elsewhere.
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
        """Run a function whose result is wanted (OTP's `Task.async`).

        It belongs to its caller: when the wait for its result is cancelled, it is, too; and a process that
        starts one in a callback is linked to it, so that the failure of either ends the other, unless the process
        traps exits. Where a failure is to be dealt with, start it by `TaskSupervisor.async_nolink`. A failure that
        no caller waits for is logged.
        """
        return Task(_started(function, args, kwargs), is_owned=True)

    @staticmethod
    def child_spec(
        function: Callable[..., object], *args: object, name: str | None = None, restart: Restart = "temporary"
    ) -> ChildSpec[object]:
        """Return the spec of a child that runs a function to its end; OTP's default is never to restart it."""
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
        """Run a function over each element of any iterable or async iterable, and give the results.

        The source is pulled only as results are taken; `StreamOptions` has the other rules. The first element
        that fails ends the stream with `TaskFailed`, unless errors are to be given in their place. However it is left
        (at its end, by an error, `break`, `aclose` or cancellation), elements in flight are cancelled, and the source
        closed. Raises `BadOption` at once.
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
        """The name of the function that it runs."""
        return self._process.name

    @property
    def ref(self) -> Ref[object]:
        """The reference to its process, which others may link and monitor."""
        return Ref(self._process)

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or is about to."""
        return self.ref.is_alive

    async def result(self, timeout_seconds: float | None = RESULT_SECONDS) -> R_co:
        """Return the result of the function (OTP's `await`); call it as often as you like.

        Raises `TaskFailed` when it has ended without a result, with what it raised as the cause, and `TaskTimeout`
        when it takes longer; it goes on then. `CallToSelf` and `ForeignThread` at once. On cancellation a task of
        `Task.spawn` is cancelled and waited for; any other goes on.
        """
        outcome = await self.yield_(timeout_seconds)
        if outcome is None:
            raise TaskTimeout(self.name, cast("float", timeout_seconds))
        if isinstance(outcome, Failed):
            raise TaskFailed(self.name, outcome.reason)
        return outcome.result

    async def yield_(self, timeout_seconds: float | None = RESULT_SECONDS) -> Finished[R_co] | Failed | None:
        """Return how it ended, or None when it has not ended in time; never raise for it (OTP's `yield`).

        None as timeout waits for ever; raises `BadOption` if it is no time. Cancellation is that of `result`.
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
        """End its link and cancel it; return how it ended, or None when it has not ended in time (OTP's `shutdown`).

        A result that it had by then is not lost. What does not end when cancelled is left behind after its shutdown
        time, and ends nowhere else.
        """
        self._check()
        self._kill()
        return await self.yield_(timeout_seconds)

    def _kill(self) -> None:
        """Cancel it, which is no failure to the process that started it."""
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
