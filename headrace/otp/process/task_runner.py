"""The one task that runs all async callbacks of a process."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from types import coroutine
from typing import Final

from headrace.otp.scheduler import SLOW_CALLBACK_SECONDS, Scheduler
from headrace.telemetry.events import LOG


class CoroutineSteps:
    """Runs coroutines step by step, from one suspension to the next, and measures each step.

    `worked` is called with the seconds of each step, and `report_slow` with the seconds of a step of more than 50 ms.
    """

    __slots__ = ("_clock", "_report_slow", "_worked")

    def __init__(
        self, clock: Callable[[], float], report_slow: Callable[[float], None], worked: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._report_slow = report_slow
        self._worked = worked

    def dispose(self) -> None:
        """Stop reporting slow steps."""
        self._report_slow = _ignore

    async def run(self, begin: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run the coroutine that `begin` makes to its end."""
        await self._run(begin())

    @coroutine
    def _run(self, work: Coroutine[object, object, None]) -> Generator[object, object, None]:
        clock, worked = self._clock, self._worked
        error: BaseException | None = None
        while True:
            report_slow, begun = self._report_slow, clock()
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration:
                return
            finally:
                elapsed = clock() - begun
                worked(elapsed)
                if elapsed > SLOW_CALLBACK_SECONDS:
                    report_slow(elapsed)
            error, report_slow = None, _ignore  # a waiting frame must not keep the process from being freed
            try:
                yield awaited  # a task always answers with None
            except BaseException as thrown:  # noqa: BLE001 - anything that is thrown in is passed on
                error = thrown


def _ignore(_: float) -> None:
    """Do nothing."""


Done = Callable[[object, BaseException | None], None]
"""Called once when a callback ends: with its result, or with the error that it raised. It must not raise."""

NO_CONTEXT: Final = Context()
"""The context of a process that has ended."""


class TaskRunner:
    """Runs awaitables in a task that lives as long as its process, in the context of the process.

    So `asyncio.timeout`, `TaskGroup` and async generators work across callbacks: the task that entered them leaves
    them. When the task is cancelled from outside, the running callback ends, and then the task does; later callbacks
    get a new task.
    """

    __slots__ = (
        "_context",
        "_deadline",
        "_is_cancelling",
        "_is_closing",
        "_jobs",
        "_name",
        "_scheduler",
        "_task",
        "_wakeup",
        "steps",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        context: Context,
        name: str,
        report_slow: Callable[[float], None],
        worked: Callable[[float], None],
    ) -> None:
        """`worked` is called with the seconds of each step, `report_slow` with the seconds of a slow step."""
        self._scheduler = scheduler
        self._context = context
        self._name = name
        self.steps = CoroutineSteps(scheduler.clock, report_slow, worked)
        self._task: asyncio.Task[None] | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._jobs: list[tuple[Awaitable[object], Done]] = []  # one or two entries: a deque takes 700 bytes more
        self._is_cancelling = False
        self._is_closing = False

    def run(self, work: Awaitable[object], done: Done) -> None:
        """Run `work` after all earlier work, and call `done` with its result or error."""
        self._jobs.append((work, done))
        if len(self._jobs) == 1:
            self._go_on()

    def cancel(self) -> None:
        """Cancel the running callback: its `done` gets the CancelledError, and the task goes on."""
        if self._jobs and self._task is not None and not self._is_cancelling:
            self._is_cancelling = True
            self._task.cancel()

    def is_current(self) -> bool:
        """Whether the present task is this one, rather than a task that a callback has begun."""
        return self._task is not None and asyncio.current_task(self._scheduler.loop) is self._task

    def cancel_after(self, seconds: float | None) -> None:
        """Cancel the running callback if it has not ended within `seconds`; None is no limit.

        A callback that does not end within as long again is left behind: its `done` gets a CancelledError.
        """
        self._forget_deadline()
        if seconds is not None:
            self._deadline = self._scheduler.loop.call_later(seconds, self._overdue, seconds, context=self._context)

    def close(self) -> None:
        """End the task. Call it when no callback runs, or within `done`."""
        self._is_closing = True
        self._forget_deadline()
        self._wake()

    def dispose(self) -> None:
        """Drop all references to the process, which has ended for good. Call it after `close`."""
        self._task = None
        self._context = NO_CONTEXT
        self.steps.dispose()

    def _go_on(self) -> None:
        """Make sure that a task runs the waiting work."""
        if (
            self._task is None or self._task.done() or self._task.cancelling()
        ):  # a cancellation concerned the callback before
            self._is_closing = False
            self._task = self._scheduler.start_task(self.steps.run(self._main), self._context, self._name)
            self._task.add_done_callback(self._task_ended, context=self._context)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def _main(self) -> None:
        task = self._task
        while task is not None and task is self._task and (self._jobs or not self._is_closing):
            if self._jobs:
                await self._run_first(task)
            else:
                self._wakeup = self._scheduler.loop.create_future()
                await self._wakeup

    async def _run_first(self, task: asyncio.Task[None]) -> None:
        try:
            result = await self._jobs[0][0]
        except BaseException as error:
            if (
                asyncio.current_task(self._scheduler.loop) is not task
            ):  # its loop is closed: the task does not run any more
                raise
            is_late = self._finish(task, None, error)
        else:
            is_late = self._finish(task, result, None)
        if is_late:
            with suppress(asyncio.CancelledError):  # the callback returned before its cancellation came
                await asyncio.sleep(0)
            self._close_if_cancelled(task)

    def _finish(self, task: asyncio.Task[None], result: object, error: BaseException | None) -> bool:
        """Report the end of the first callback; return whether a cancellation that we requested has not arrived yet."""
        if task is not self._task:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                LOG.error("a callback that process %r had left behind raised", self._name, exc_info=error)
            return False
        is_late = False
        if self._is_cancelling:
            is_late = not isinstance(error, asyncio.CancelledError)
            task.uncancel()
        self._close_if_cancelled(task)
        self._report(result, error)
        return is_late

    def _close_if_cancelled(self, task: asyncio.Task[None]) -> None:
        """End the task soon if it was cancelled from outside."""
        while task.cancelling():
            task.uncancel()
            self._is_closing = True

    def _report(self, result: object, error: BaseException | None) -> None:
        self._is_cancelling = False
        _, done = self._jobs.pop(0)
        if not self._jobs:
            self._forget_deadline()
        done(result, error)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Report a callback whose task was cancelled before its first step, and run the next one."""
        if task is self._task and self._jobs:
            work = self._jobs[0][0]
            if isinstance(work, Coroutine):
                work.close()
            self._report_cancelled()

    def _report_cancelled(self) -> None:
        self._report(None, asyncio.CancelledError())
        if self._jobs:
            self._go_on()

    def _overdue(self, seconds: float) -> None:
        if not self._jobs or (self._task is not None and self._task.done()):  # its end is about to be reported
            return
        if self._is_cancelling:
            LOG.error("process %r has a callback that does not end when cancelled, and leaves it behind", self._name)
            self._task = None
            self._report_cancelled()
        else:
            LOG.info("process %r cancels its callback, which went on for %g s", self._name, seconds)
            self.cancel()
            self.cancel_after(seconds)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
