"""A process: a mailbox and a callback object on an event loop. It does one thing at a time."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar, copy_context
from typing import Final, Generic, TypeVar, cast

from headrace.errors import HeadraceError, describe
from headrace.otp.process.mailbox import Envelope, Mailbox, Reply, fail_mail
from headrace.otp.process.state import ExitReason, ProcessSettings, ProcessState, ProcessStatus
from headrace.otp.process.task_runner import NO_CONTEXT, TaskRunner
from headrace.otp.scheduler import IDLE, MORE, SLOW_CALLBACK_ADVICE, Scheduler, TurnTimes
from headrace.telemetry.events import LOG

__all__ = ["CURRENT", "ExitReason", "Process", "ProcessStatus"]

C = TypeVar("C")

CRASH: Final = ("headrace", "process", "crash")
"""The telemetry event of a crash, with `restarts`, the name of the `process` and the `reason`."""

_ANY_SETTINGS: Final = ProcessSettings()

CURRENT: Final[ContextVar["Process[object]"]] = ContextVar("headrace_current_process")
"""The process whose callback runs. Each process has its own context, which the tasks begun in it inherit."""


class Process(ProcessState, Generic[C]):
    """The runtime around one callback object. `factory` makes the object, and makes a new one at each restart.

    The process, its mailbox and its name outlive a crash. Each life begins with a copy of the context in which the
    process was first started: context variables that callbacks set are kept between callbacks, and lost at a restart.

    A subclass overrides `work` (a turn without an envelope), `requeue_in_flight` (accounts for the events in flight),
    `release` (closes its resources) and `finalize_pending` (gives back the rest when no restart follows).
    """

    __slots__ = (
        "_current_envelope",
        "_driver",
        "_has_reported_slow",
        "_origin",
        "_steps",
        "_stop_reason",
        "callbacks",
        "context",
        "factory",
        "first",
        "has_control",
        "mailbox",
        "scheduler",
        "shutdown_seconds",
        "turns",
    )

    def __init__(
        self, name: str, factory: Callable[[], C], scheduler: Scheduler, settings: ProcessSettings = _ANY_SETTINGS
    ) -> None:
        super().__init__(name, scheduler.loop)
        self.factory = factory
        self.first: C | None = None
        self.scheduler = scheduler
        self.callbacks: C | None = None
        self.has_control = True
        self.mailbox = Mailbox(name, settings.mailbox_limit)
        self.shutdown_seconds = settings.shutdown_seconds
        self.turns = TurnTimes(self, self.turn)
        self._driver: TaskRunner | None = None
        self._has_reported_slow = False
        self._stop_reason: ExitReason | None = None
        self._current_envelope: Envelope | None = None
        self._steps: list[Callable[[], object]] | None = None
        self._origin = self.context = copy_context()

    def _take_context(self) -> None:
        self.context = self._origin.copy()
        self.context.run(CURRENT.set, cast("Process[object]", self))
        self.turns.run = functools.partial(self.context.run, self.turn)
        self._driver = None

    @property
    def driver(self) -> TaskRunner:
        """The runner of the async callbacks of this life, made when the first one runs."""
        if self._driver is None:
            self._driver = TaskRunner(
                self.scheduler, self.context, self.name, self.report_slow_callback, self.turns.worked
            )
        return self._driver

    def is_awaiting(self) -> bool:
        """Whether the present task is the runner's, rather than a task that a callback has begun."""
        return self._driver is not None and self._driver.is_current()

    def is_in_callback(self) -> bool:
        """Whether the present task runs a callback of this process."""
        return self.is_awaiting()

    @property
    def slow_callback_advice(self) -> str:
        """The advice in the log when a callback of this process holds the loop."""
        return SLOW_CALLBACK_ADVICE

    def report_slow_callback(self, seconds: float) -> None:
        """Emit that a callback held the loop for `seconds`; it is logged once for each process."""
        is_logged = not self._has_reported_slow
        self._has_reported_slow = True
        self.scheduler.report_slow_callback(self.name, self.slow_callback_advice, seconds, is_logged=is_logged)

    def fail_turn(self, error: BaseException) -> None:
        """Called when a turn raises `error`; it is handled in the context of the process."""
        self.context.run(self.turn_failed, error)

    def work(self) -> int:
        """Do one piece of work other than an envelope; return an outcome of the scheduler."""
        return IDLE

    def bound(self, callbacks: C) -> None:
        """Called with a new callback object, before its `init`."""

    def running(self) -> None:
        """Called when the process runs, for the first time or again."""

    def requeue_in_flight(self, reason: ExitReason) -> None:
        """Account for the events in flight when the process ended with `reason`."""

    def child_entries(self) -> Iterable["Process[object]"]:
        """Return the processes that this process supervises, in the order of their start."""
        return ()

    def release(self) -> object:
        """Close the resources that the runtime opened for the callbacks; return an awaitable or None."""
        return None

    def finalize_pending(self, reason: ExitReason) -> None:
        """Give back everything that waits, since no restart follows. Called once."""

    def start(self) -> None:
        """Begin: the first turn makes the callback object and runs its `init`; `started` has the result."""
        if self.state is ProcessStatus.NEW:
            self._origin = copy_context()
        self._take_context()
        self.state = ProcessStatus.STARTING
        if self.observer is None:
            self.scheduler.roots.add(self)
        self.schedule_control()

    def schedule_control(self) -> None:
        """Handle envelopes, a start or a stop in the next turn."""
        self.has_control = True
        self.scheduler.wake(self.turns)

    def restart(self) -> None:
        """Begin again after a crash, with a new callback object and a fresh context."""
        self.restarts += 1
        self._stop_reason = None
        self.start()

    def stop(self, reason: ExitReason = "shutdown") -> None:
        """End soon with `reason`. No supervisor restarts a stopped process.

        The process ends at once, or when the running callback returns. The callback is cancelled after
        `shutdown_seconds`, and left behind when it has not returned after as long again.
        """
        was_final, self.no_restart = self.no_restart, True
        if self.state in (ProcessStatus.NEW, ProcessStatus.CRASHED):
            self.finalize(reason if self.reason is None else self.reason)
        elif self.is_alive:
            self.stop_after_callback(reason)
            if self.is_busy and not was_final:
                self.cancel_later()

    def stop_after_callback(self, reason: ExitReason) -> None:
        """End when the running callback has returned, without a limit; the supervisor decides about a restart."""
        if self.is_alive and self._stop_reason is None:
            self._stop_reason = reason
            self.schedule_control()

    def take_exit_signal(self, reason: ExitReason) -> None:
        """Cancel the running callback and end, unless a stop is under way; the supervisor decides about a restart."""
        if self.is_alive and not self.no_restart:
            self.stop_after_callback(reason)
            if self.is_busy:
                self.driver.cancel()
                self.cancel_later()

    def cancel_later(self) -> None:
        """Cancel the running callback if it has not returned after `shutdown_seconds`."""
        self.driver.cancel_after(self.shutdown_seconds)

    def kill(self) -> None:
        """Stop, with the running callback cancelled now. A process that is ending already keeps its shutdown time."""
        self.stop()
        if self.is_busy and self.state is not ProcessStatus.STOPPING:
            self.driver.cancel()

    def finalize(self, reason: ExitReason) -> None:
        """End for good: no restart follows."""
        if self.state is ProcessStatus.ENDED:
            return
        has_lived = self.state is not ProcessStatus.NEW
        self.state = ProcessStatus.ENDED
        self.reason = reason
        self._end_life(reason)
        self._attempt(functools.partial(self.finalize_pending, reason))
        fail_mail(self.name, self.mailbox.close(), reason)
        self.scheduler.roots.discard(self)
        self.has_ended(reason)
        if has_lived:
            self._dispose()

    def _dispose(self) -> None:
        """Drop all references to this process, so that it is freed at once rather than by the garbage collector."""
        self.turns.dispose(self.name, self.slow_callback_advice)
        if self._driver is not None:
            self._driver.dispose()
        self.context = self._origin = NO_CONTEXT
        self.observer = None

    def turn(self) -> int:
        """Do one piece of work. Subclasses with a hot path override this, with the same first two lines."""
        if self.has_control:
            return self.handle_control()
        return self.work()

    def handle_control(self) -> int:
        """Start, stop, or handle an envelope: this comes before work."""
        if self.is_busy:
            return IDLE
        if self._stop_reason is not None:
            self.exit(self._stop_reason)
        elif self.state is ProcessStatus.RUNNING:
            if self.mailbox:
                self.take_mail()
            else:
                self.has_control = False
            return MORE
        elif self.state is ProcessStatus.STARTING:
            self._initialise()
        return IDLE

    def call_back(self, callback: Callable[[], object], then: Callable[[object], None]) -> None:
        """Run a callback, then call `then` with its result: at once if it is sync, later if it is async."""
        result = callback()
        if result is not None and inspect.isawaitable(result):
            self.drive(result, then)
        else:
            then(result)

    def drive(self, work: Awaitable[object], then: Callable[[object], None]) -> None:
        """Run an awaitable in the task of the process, then call `then` with its result.

        Until then the process does nothing else.
        """
        self.is_busy = True
        self.has_control = True
        if self.state is ProcessStatus.STOPPING:
            self.cancel_later()
        self.driver.run(work, functools.partial(self._driven, then))

    def _driven(self, then: Callable[[object], None], result: object, error: BaseException | None) -> None:
        self.is_busy = False
        if error is None:
            try:
                then(result)
            except BaseException as raised:  # noqa: BLE001 - a callback may raise anything
                self._callback_failed(raised)
        else:
            self._callback_failed(error)
        self.scheduler.wake(self.turns)

    def _callback_failed(self, error: BaseException) -> None:
        self.turn_failed(error)
        self.scheduler.interrupt(error)

    def take_mail(self) -> None:
        """Handle the oldest envelope: call its method, or `handle_info`."""
        mail = self.mailbox.take()
        if not mail.is_abandoned:
            self._current_envelope = mail
            result = mail.open(self.callbacks, self.name)
            if result is not None and inspect.isawaitable(result):
                self.drive(result, self._reply)
            else:
                self._reply(result)

    def _reply(self, result: object) -> None:
        mail, self._current_envelope = self._current_envelope, None
        if mail is None:
            return
        if isinstance(result, Reply):
            result.promise(mail, self)
        else:
            mail.answer(result)

    def put_nowait(self, mail: Envelope) -> None:
        """Add an envelope to the mailbox, and handle it in a later turn. Raises as `Mailbox.put_nowait`."""
        self.mailbox.put_nowait(mail)
        self.schedule_control()

    def _initialise(self) -> None:
        callbacks = self.factory() if self.first is None else self.first
        self.first = None
        self.callbacks = callbacks
        self.bound(callbacks)
        self.call_back(getattr(callbacks, "init", lambda: None), self._initialised)

    def _initialised(self, _: object) -> None:
        if self._stop_reason is not None:
            self.exit(self._stop_reason)
            return
        self.state = ProcessStatus.RUNNING
        self.has_started()
        self.running()
        self.schedule_control()

    def turn_failed(self, error: BaseException) -> None:
        """End with the error of a callback, unless it is the cancellation that a stop caused.

        An error of a turn while an async callback runs first ends that callback.
        """
        if self.is_alive:
            if not self.is_busy:
                self.exit(self._stop_reason if self._is_asked_for(error) and self._stop_reason else error)
            elif isinstance(self._stop_reason, BaseException):
                self._complain(error)
            else:
                self._stop_reason = error
                self.driver.cancel()
                self.cancel_later()
            return
        if not self._is_asked_for(error):
            self._complain(error)
        if self.state is ProcessStatus.STOPPING and not self.is_busy:
            self._next_step()

    def _is_asked_for(self, error: BaseException) -> bool:
        return isinstance(error, asyncio.CancelledError) and self._stop_reason is not None

    def exit(self, reason: ExitReason) -> None:
        """End now with `reason`: account for the events in flight, run `terminate`, then call the observer."""
        if not self.is_alive:
            return
        self.state = ProcessStatus.STOPPING
        self.reason = reason
        self.has_control = True
        mail, self._current_envelope = self._current_envelope, None
        if mail is not None:
            mail.fail(self.name, reason)
        self._steps = [functools.partial(self.requeue_in_flight, reason), self.release]
        terminate = getattr(self.callbacks, "terminate", None)
        if terminate is not None:
            self._steps.append(functools.partial(terminate, reason))
        self._next_step()

    def _next_step(self) -> None:
        while self._steps:
            result = self._attempt(self._steps.pop(0))
            if inspect.isawaitable(result):
                self.drive(result, lambda _: self._next_step())
                return
        self._ended()

    def _attempt(self, step: Callable[[], object]) -> object:
        """Take one step of the exit, which goes on whatever the step raises."""
        try:
            return step()
        except BaseException as error:  # noqa: BLE001 - the exit goes on
            self._complain(error)
            return None

    def _complain(self, error: BaseException) -> None:
        LOG.error("process %r raised while it ended", self.name, exc_info=error)
        self.scheduler.interrupt(error)

    def _ended(self) -> None:
        reason, observer = cast("ExitReason", self.reason), self.observer
        if self._driver is not None:
            self._driver.close()
        self.callbacks = None
        self._end_life(reason)
        if isinstance(reason, BaseException):
            self.state = ProcessStatus.CRASHED
            self._attempt(functools.partial(self._report, reason))
        if observer is None:
            self.finalize(reason)
        else:
            observer(reason)

    @property
    def is_running(self) -> bool:
        """Whether a life has begun, or is about to, and has not ended."""
        is_over = self.state is ProcessStatus.STOPPING and self.callbacks is None
        return not is_over and self.state not in (ProcessStatus.CRASHED, ProcessStatus.ENDED)

    def _end_life(self, reason: ExitReason) -> None:
        """Call the exit hooks of this life, and drop the envelopes that concern it alone."""
        for hook in self.take_exit_hooks():
            self._attempt(functools.partial(hook, reason))
        self.mailbox.drop_own()

    def _report(self, reason: BaseException) -> None:
        if not self.has_run:  # its starter gets `StartFailed`
            LOG.debug("process %r could not start", self.name, exc_info=reason)
        elif isinstance(reason, HeadraceError):
            LOG.error("process %r ended: %s", self.name, describe(reason))
        else:
            LOG.error("process %r crashed", self.name, exc_info=reason)
        self._emit_crash(reason)

    def _emit_crash(self, reason: BaseException) -> None:
        restarts = self.restarts if self.has_run else 0
        self.scheduler.telemetry.execute(CRASH, {"restarts": restarts}, {"process": self.name, "reason": reason})
