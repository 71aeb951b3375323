"""The process around one function: it ends when the function returns."""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from typing_extensions import override

from headrace.errors import BadOption
from headrace.otp.process.process import CURRENT, ExitReason, Process, ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.scheduler import IDLE, Scheduler, running_loop
from headrace.telemetry.events import LOG

FAILED: Final = ("headrace", "task", "failed")
"""The telemetry event of a failed task, with the name of its `task` and the `reason`."""

_OUTSIDE: Final[ContextVar[Scheduler]] = ContextVar("headrace_scheduler_outside")
"""The scheduler of tasks that no process starts. It is made once a context, since it costs as much as a task."""

_ANY_SETTINGS: Final = ProcessSettings()


class TaskProcess(Process[object]):
    """Calls its factory once, awaits an awaitable result, and keeps the value.

    `watchers` counts the waiters for its end: they get the failure, so it is not logged. `owner` is the process that
    spawned it, and is linked to it.
    """

    __slots__ = ("owner", "value", "watchers")

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        scheduler: Scheduler,
        settings: ProcessSettings = _ANY_SETTINGS,
    ) -> None:
        super().__init__(name, function, scheduler, settings)
        self.value: object = None
        self.owner: Process[object] | None = None
        self.watchers = 0

    @override
    def turn(self) -> int:
        if self.is_busy:
            return IDLE
        if self._stop_reason is not None:
            self.exit(self._stop_reason)
        elif self.state is ProcessStatus.STARTING:
            self.state = ProcessStatus.RUNNING
            self.has_run = True
            if not self.started.done():
                self.started.set_result(None)
            result = self.factory()
            if result is not None and inspect.isawaitable(result):
                self.drive(result, self._returned)
            else:
                self._returned(result)
        return IDLE

    def _returned(self, value: object) -> None:
        self.value = value
        self.exit("normal")

    @override
    def exit(self, reason: ExitReason) -> None:
        if self.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING):
            self.state = ProcessStatus.STOPPING
            self.reason = reason
            self._ended()
            self.owner = None

    async def ended(self) -> ExitReason:
        """Wait until the process has ended for good; return the exit reason."""
        if not self.terminated.done():
            self.watchers += 1
            try:
                await asyncio.shield(self.terminated)
            finally:
                self.watchers -= 1
        return self.terminated.result()

    @override
    def report_slow_callback(self, seconds: float) -> None:
        self.scheduler.report_slow_task(self.name, self.slow_callback_advice, seconds)

    @override
    def _report(self, reason: BaseException) -> None:
        if self.owner is not None and self.owner.reason is reason:
            return
        self.scheduler.telemetry.execute(FAILED, {"restarts": self.restarts}, {"task": self.name, "reason": reason})
        if isinstance(reason, asyncio.CancelledError):
            LOG.warning("task %r was cancelled", self.name)
        elif not self.watchers:
            LOG.error("task %r failed", self.name, exc_info=reason)


def task_name(function: Callable[..., object]) -> str:
    """Return the name of a task that runs `function`: the name of the function, if it has one. Raises `BadOption`."""
    if not callable(function):
        raise BadOption("function", function, "a function, which Task calls with what follows it")
    return str(getattr(function, "__name__", "task"))


def present_scheduler(name: str) -> Scheduler:
    """Return the scheduler of the process that runs now, or outside of processes that of the present context and loop.

    Raises `ForeignThread` where no loop runs; `name` is the task to start.
    """
    current = CURRENT.get(None)
    if current is not None and current.scheduler.is_own_thread():
        return current.scheduler
    loop = running_loop(f"start of task {name!r}")
    scheduler = _OUTSIDE.get(None)
    if scheduler is None or scheduler.loop is not loop:
        scheduler = Scheduler()
        _OUTSIDE.set(scheduler)
    return scheduler
