"""A process.

A mailbox and a callback object on an event loop, which does one thing at a time and ends with a reason.
"""

import asyncio
import enum
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from typing import Final, Generic, Literal, TypeVar, cast

from headrace.ground.errors import HeadraceError, ProcessDown, StartFailed
from headrace.ground.telemetry import LOG
from headrace.pipeline.process.driver import Driver
from headrace.pipeline.process.mailbox import Mail, Mailbox
from headrace.pipeline.process.scheduler import IDLE, MORE, Scheduler, Turns

C = TypeVar("C")

ExitReason = Literal["normal", "shutdown"] | BaseException
"""Why a process ended: it was done, it was told to stop, or what it raised."""

SHUTDOWN_SECONDS: Final = 5.0
"""How long a callback may go on when its process is told to stop (OTP's default)."""

CURRENT: Final[ContextVar["Process[object]"]] = ContextVar("headrace_current_process")
"""The process whose callback runs: each process has a context of its own."""


class State(enum.Enum):
    """Where a process is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CRASHED = "crashed"
    ENDED = "ended"


class Process(Generic[C]):
    """The runtime around one callback object, which it makes with `factory`, and makes anew at each restart.

    The process, its mail and its name outlive a crash. A subclass says in `work` what a turn does beside mail, in
    `abandon` what becomes of what was in hand, in `release` what to close, and in `bury` what becomes of the rest when
    no restart follows.
    """

    __slots__ = (
        "_deadline",
        "_has_held_loop",
        "_in_hand",
        "_steps",
        "_stop_reason",
        "buried",
        "callbacks",
        "context",
        "driver",
        "factory",
        "first",
        "is_busy",
        "is_final",
        "mailbox",
        "name",
        "needs_attention",
        "observer",
        "reason",
        "restarts",
        "scheduler",
        "shutdown_seconds",
        "started",
        "state",
        "turns",
    )

    def __init__(self, name: str, factory: Callable[[], C], scheduler: Scheduler) -> None:
        self.name = name
        self.factory = factory
        self.first: C | None = None
        self.scheduler = scheduler
        self.state = State.NEW
        self.callbacks: C | None = None
        self.reason: ExitReason | None = None
        self.restarts = 0
        self.is_busy = False
        self.is_final = False
        self.needs_attention = True
        self.mailbox = Mailbox(name)
        self.shutdown_seconds = SHUTDOWN_SECONDS
        self.started: asyncio.Future[None] = scheduler.loop.create_future()
        self.buried: asyncio.Future[ExitReason] = scheduler.loop.create_future()
        self.observer: Callable[[ExitReason], None] | None = None
        self._stop_reason: ExitReason | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._in_hand: Mail | None = None
        self._steps: list[Callable[[], object]] = []
        self._has_held_loop = False
        self.turns = Turns(self, self.turn)
        self._take_context()

    def _take_context(self) -> None:
        self.context: Context = copy_context()
        self.context.run(CURRENT.set, cast("Process[object]", self))
        self.turns.run = functools.partial(self.context.run, self.turn)
        self.driver = Driver(self.scheduler, self.context, self.name)

    # what a subclass says

    def work(self) -> int:
        """Do one thing that is not mail; return the scheduler's outcome flags."""
        return IDLE

    def bound(self, callbacks: C) -> None:
        """Take note of a new callback object, before its `init`."""

    def running(self) -> None:
        """Take note that the process runs, for the first time or again."""

    def abandon(self, reason: ExitReason) -> None:
        """Account for what was in hand when the process ended with `reason`."""

    def release(self) -> object:
        """Close what the runtime itself opened for the callbacks; return an awaitable or None."""
        return None

    def bury(self, reason: ExitReason) -> None:
        """Give back what waits: no restart follows. Called once."""

    # start, restart, stop

    def start(self) -> None:
        """Begin: the callback object is made and its `init` runs in the first turn; `started` tells how it went."""
        self.state = State.STARTING
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def restart(self) -> None:
        """Begin again after a crash, with a new callback object and a fresh context."""
        self.restarts += 1
        self._stop_reason = None
        self._take_context()
        self.start()

    def stop(self, reason: ExitReason = "shutdown") -> None:
        """End soon with `reason`.

        At once, or when the running callback returns, which is cancelled after `shutdown_seconds`.
        """
        if self.state in (State.NEW, State.CRASHED):
            self.conclude(reason if self.reason is None else self.reason)
        elif self.state in (State.STARTING, State.RUNNING) and self._stop_reason is None:
            self._stop_reason = reason
            self.needs_attention = True
            self.scheduler.wake(self.turns)
            if self.is_busy:
                self.cancel_later()

    def cancel_later(self) -> None:
        """Cancel the running callback if it has not returned after `shutdown_seconds`."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.scheduler.loop.call_later(self.shutdown_seconds, self.driver.cancel)

    def kill(self) -> None:
        """Stop without waiting for the running callback: it is cancelled now."""
        self.stop()
        if self.is_busy:
            self.driver.cancel()

    def conclude(self, reason: ExitReason) -> None:
        """Be ended for good: no restart follows."""
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        self.reason = reason
        self.bury(reason)
        self.fail_mail()
        self.driver.close()
        if not self.started.done():
            self.started.cancel()
        if not self.buried.done():
            self.buried.set_result(reason)

    def fail_mail(self) -> None:
        """Fail the calls that wait, and say how many casts are lost: nobody will read this mailbox again."""
        mails = self.mailbox.empty()
        for mail in mails:
            self._fail_reply(mail, cast("ExitReason", self.reason))
        casts = sum(mail.method is not None and mail.reply is None for mail in mails)
        if casts:
            LOG.warning("process %r ended with %d casts in its mailbox, which are lost", self.name, casts)

    # turns

    def turn(self) -> int:
        """Do one thing and give way. Subclasses with a hot path say it again, with the same first two lines."""
        if self.needs_attention:
            return self.attend()
        return self.work()

    def attend(self) -> int:
        """Do what comes before work: start, stop, mail."""
        if self.is_busy:
            return IDLE
        if self.state is State.RUNNING:
            if self._stop_reason is not None:
                self.exit(self._stop_reason)
                return IDLE
            if self.mailbox:
                self.take_mail()
                return MORE
            self.needs_attention = False
            return MORE
        if self.state is State.STARTING:
            self._initialise()
        return IDLE

    def call_back(self, callback: Callable[[], object], then: Callable[[object], None]) -> None:
        """Run a callback and go on with `then`: at once if it is sync, when its awaitable is done if it is async."""
        result = callback()
        if inspect.isawaitable(result):
            self.drive(result, then)
        else:
            then(result)

    def drive(self, work: Awaitable[object], then: Callable[[object], None]) -> None:
        """Run an awaitable in the process's task, and go on with `then` when it is done.

        Nothing else is taken meanwhile.
        """
        self.is_busy = True
        self.needs_attention = True
        if self.state is State.STOPPING:
            self.cancel_later()
        self.driver.run(work, functools.partial(self._driven, then))

    def _driven(self, then: Callable[[object], None], result: object, error: BaseException | None) -> None:
        self.is_busy = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if error is None:
            try:
                then(result)
            except BaseException as raised:  # noqa: BLE001 - a crash of the callback, whatever it raised
                self.turn_failed(raised)
                self.scheduler.interrupt(raised)
        else:
            self.turn_failed(error)
            self.scheduler.interrupt(error)
        self.scheduler.wake(self.turns)

    def take_mail(self) -> None:
        """Handle the oldest mail: the method it names, or `handle_info`."""
        mail = self.mailbox.take()
        if mail.reply is not None and mail.reply.done():
            return
        self._in_hand = mail
        self.call_back(functools.partial(self._open_mail, mail), functools.partial(self._answer, mail))

    def _open_mail(self, mail: Mail) -> object:
        if mail.method is None:
            handle_info = getattr(self.callbacks, "handle_info", None)
            if handle_info is None:
                LOG.warning("process %r has no handle_info and drops %r", self.name, mail.args[0])
                return None
            return cast("object", handle_info(*mail.args))
        own = getattr(self.callbacks, getattr(mail.method, "__name__", ""), None)
        if own is not None:
            return cast("object", own(*mail.args, **mail.kwargs))
        return mail.method(self.callbacks, *mail.args, **mail.kwargs)

    def _answer(self, mail: Mail, result: object) -> None:
        self._in_hand = None
        if mail.reply is not None and not mail.reply.done():
            mail.reply.set_result(result)

    def _fail_reply(self, mail: Mail, reason: ExitReason) -> None:
        if mail.reply is not None and not mail.reply.done():
            mail.reply.set_exception(ProcessDown(self.name, reason))

    # the beginning and the end

    def _initialise(self) -> None:
        callbacks = self.factory() if self.first is None else self.first
        self.first = None
        self.callbacks = callbacks
        self.bound(callbacks)
        init = getattr(callbacks, "init", None)
        if init is None:
            self._initialised(None)
        else:
            self.call_back(init, self._initialised)

    def _initialised(self, _: object) -> None:
        self.state = State.RUNNING
        if not self.started.done():
            self.started.set_result(None)
        self.running()
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def turn_failed(self, error: BaseException) -> None:
        """End with what a callback raised, unless it was the cancellation that came with a stop."""
        if isinstance(error, asyncio.CancelledError) and self._stop_reason is not None:
            error_or_reason: ExitReason = self._stop_reason
        else:
            error_or_reason = error
        if self.state is State.STOPPING:
            if error_or_reason is error:
                LOG.error("process %r raised while it ended", self.name, exc_info=error)
            self._next_step()
        else:
            self.exit(error_or_reason)

    def exit(self, reason: ExitReason) -> None:
        """End now with `reason`.

        What was in hand is accounted for, `terminate` runs, the observer decides what follows.
        """
        was_starting = self.state is State.STARTING
        self.state = State.STOPPING
        self.reason = reason
        self.needs_attention = True
        if self._in_hand is not None:
            self._fail_reply(self._in_hand, reason)
            self._in_hand = None
        self.abandon(reason)
        if was_starting and not self.started.done():
            self.started.set_exception(StartFailed(self.name, reason))
            self.started.exception()
        terminate = getattr(self.callbacks, "terminate", None)
        self._steps = [self.release] if terminate is None else [self.release, functools.partial(terminate, reason)]
        self._next_step()

    def _next_step(self) -> None:
        while self._steps:
            step = self._steps.pop(0)
            try:
                result = step()
            except BaseException as error:  # noqa: BLE001 - the end goes on, whatever a callback raises in it
                LOG.error("process %r raised while it ended", self.name, exc_info=error)
                continue
            if inspect.isawaitable(result):
                self.drive(result, lambda _: self._next_step())
                return
        self._ended()

    def _ended(self) -> None:
        reason = cast("ExitReason", self.reason)
        self.driver.close()
        self.callbacks = None
        if isinstance(reason, BaseException):
            self.state = State.CRASHED
            self._report(reason)
        if self.observer is None:
            self.conclude(reason)
        else:
            self.observer(reason)

    def _report(self, reason: BaseException) -> None:
        metadata = {"process": self.name, "reason": reason}
        self.scheduler.telemetry.execute(("headrace", "process", "crash"), {"restarts": self.restarts}, metadata)
        if isinstance(reason, HeadraceError):
            LOG.error("process %r ended: %s", self.name, reason)
        else:
            LOG.error("process %r crashed", self.name, exc_info=reason)

    def held_the_loop(self, seconds: float) -> None:
        """Name a process once whose turn held the loop for long."""
        if not self._has_held_loop:
            self._has_held_loop = True
            LOG.warning(
                "%r held the event loop for %.0f ms: make its callback async, or give it less to do at a time",
                self.name,
                seconds * 1000,
            )
