"""`Scheduler`: runs the turns of processes in slices, starts tasks, and reports slow callbacks."""

import asyncio
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from typing import Final, Never, Protocol
from weakref import WeakKeyDictionary, WeakSet

from headrace.clock import Clock
from headrace.errors import ForeignLoop, ForeignThread, NoProcess
from headrace.telemetry.events import LOG, Telemetry


async def every(
    seconds: float,
    periodic_task: Callable[[float], Awaitable[None] | None],
    *,
    at_once: bool = False,
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Never:
    """Call `periodic_task` every `seconds`, and await its result, until cancelled or until it raises.

    The first call comes after `seconds`, or with `at_once` without a wait. The argument is the number of seconds by
    which the call is late: it shows how busy the loop is. A call that was missed is not made up for. The owner runs
    this in its TaskGroup, or as a task of its scheduler, and cancels it when it ends.
    """
    now = asyncio.get_running_loop().time if clock is None else clock
    due = now()
    while True:
        if not at_once:
            due = now() + seconds
            await sleep(seconds)
        at_once = False
        result = periodic_task(max(0.0, now() - due))
        if result is not None:
            await result


SLOW_CALLBACK_ADVICE: Final = "make its callback async, or give it less to do at a time"


SLOW_CALLBACK: Final = ("headrace", "scheduler", "slow_callback")
"""The telemetry event of a callback that held the loop, with `duration_seconds` and the name of its `process`."""


IDLE: Final = 0
"""The turn did all the work, or found none."""
BLOCKED: Final = 1
"""The process waits for demand from downstream."""
MORE: Final = 2
"""The process has more work: it goes to the end of the ready queue."""
HANDLED: Final = 3
"""The turn handled a batch, so its time is counted in the histogram. This holds for the two outcomes below, too."""
HANDLED_BLOCKED: Final = 4
HANDLED_MORE: Final = 5

DURATION_BOUNDS: Final = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
"""Upper bounds, in seconds, of the buckets in which handling times are counted."""

_NO_COUNTS: Final = (0,) * (len(DURATION_BOUNDS) + 1)

QUICK_SECONDS: Final = DURATION_BOUNDS[0]
"""Most batches are handled within the first bound, and are counted without a search."""

SLICE_SECONDS: Final = 0.002
"""The loop gets an iteration every 2 ms, or after a turn that takes longer."""

SLOW_CALLBACK_SECONDS: Final = 0.05
"""A longer turn is reported as slow: timers, sockets and other stages had to wait for it."""

NAMED_HOLDERS: Final = 100
"""At most this number of kinds of short-lived processes are logged for slow callbacks."""

_CLOCK: Final = Clock()

UNMEASURED_TURNS: Final = 1000
"""The number of turns in a slice of a scheduler that reads no clock."""


class Owner(Protocol):
    """The process whose turns the scheduler runs."""

    def fail_turn(self, error: BaseException) -> None:
        """Called when a turn raises `error`."""

    def report_slow_callback(self, seconds: float) -> None:
        """Called when a turn held the loop for `seconds`, which is too long."""


def _idle() -> int:
    return IDLE


class TurnTimes:
    """The position of a process in the ready queue, and the time of its turns, in seconds.

    `run` takes one turn. A process is blocked from the turn that reports it to the next turn that does not; the time of
    the turns between is not counted as blocked.
    """

    __slots__ = (
        "_blocked_seconds",
        "_busy_before",
        "_counts",
        "_since",
        "handled_seconds",
        "is_blocked",
        "is_ready",
        "last_holder",
        "later_seconds",
        "other_seconds",
        "other_turns",
        "outcome",
        "owner",
        "quick",
        "run",
        "step_seconds",
    )

    def __init__(self, owner: Owner, run: Callable[[], int]) -> None:
        self.owner: Owner | None = owner
        self.run = run
        self.is_ready = False
        self.quick = 0
        self.handled_seconds = 0.0
        self.other_seconds = 0.0
        self.other_turns = 0
        self.later_seconds = 0.0
        self.step_seconds = 0.0
        self.last_holder: tuple[str, str] | None = None
        self.is_blocked = False
        self.outcome = IDLE
        self._counts: list[int] | None = None
        self._blocked_seconds = 0.0
        self._since = 0.0
        self._busy_before = 0.0

    def dispose(self, name: str, advice: str) -> None:
        """Drop the reference to the owner. The name is kept for the log, in case that this last turn was slow."""
        self.owner = None
        self.last_holder = name, advice
        self.run = _idle

    def handled(self, seconds: float) -> None:
        """Count a batch of an async callback, which took `seconds` from start to end, waits included."""
        self.handled_seconds += seconds
        self.later_seconds += seconds
        self.slow(seconds)

    def worked(self, seconds: float) -> None:
        """Count work outside of turns: a step of an async callback, or a call in a thread or an OS process."""
        self.step_seconds += seconds

    def slow(self, seconds: float) -> None:
        """Count a batch in its bucket, but not in the sum."""
        if self._counts is None:
            self._counts = list(_NO_COUNTS)
        self._counts[bisect_left(DURATION_BOUNDS, seconds)] += 1

    def counts(self) -> tuple[int, ...]:
        """Return the number of batches in each bucket of `DURATION_BOUNDS`, and above the last bound."""
        counts = _NO_COUNTS if self._counts is None else self._counts
        return (counts[0] + self.quick, *counts[1:])

    def total(self) -> int:
        """Return the number of turns. A batch of an async callback counts once more, at its end."""
        return sum(self.counts()) + self.other_turns

    def busy_seconds(self) -> float:
        """Return the time of all turns and of the work outside of turns, without the waits of async callbacks."""
        return self.handled_seconds - self.later_seconds + self.other_seconds + self.step_seconds

    def changed(self, outcome: int, now: float) -> None:
        """Called when a turn ended with another outcome than the turn before."""
        self.outcome = outcome
        is_blocked = outcome in (BLOCKED, HANDLED_BLOCKED)
        if is_blocked is not self.is_blocked:
            self._blocked_seconds = self.blocked_seconds(now)
            self.is_blocked = is_blocked
            self._since = now
            self._busy_before = self.busy_seconds()

    def blocked_seconds(self, now: float) -> float:
        """Return the time that the process has waited for demand, over its whole life."""
        if not self.is_blocked:
            return self._blocked_seconds
        return self._blocked_seconds + (now - self._since) - (self.busy_seconds() - self._busy_before)


def running_loop(what: str) -> asyncio.AbstractEventLoop:
    """Return the loop that runs now. Raises `ForeignThread` where none does; `what` needs it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ForeignThread(what, "loop.call_soon_threadsafe") from None


_SCHEDULERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, "WeakSet[Scheduler]"]] = WeakKeyDictionary()
"""The only module state: `tree` finds the schedulers of a loop here, since its callers hold no scheduler. The
references are weak.
"""


def schedulers_of(loop: asyncio.AbstractEventLoop) -> "list[Scheduler]":
    """Return the schedulers of a loop, in no order."""
    return list(_SCHEDULERS.get(loop, ()))


class Scheduler:
    """The ready queue of one event loop. It is handed to each process on that loop, and is never global.

    Guarantees: a turn that raises leaves the scheduler running; processes get their turns in the order in which they
    became ready; the loop gets an iteration at least every 2 ms, or after a turn that takes longer.
    """

    def __init__(
        self,
        *,
        clock: Clock = _CLOCK,
        slice_seconds: float = SLICE_SECONDS,
        measure: bool = True,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Bind to the running loop, and emit to `telemetry`, or to a `Telemetry` of its own.

        Without `measure` no turn is timed, and a slice is a fixed number of turns.
        """
        self.loop = asyncio.get_running_loop()
        self.clock = clock.monotonic
        self.now = self.clock()
        self._thread_id = threading.get_ident()
        self.telemetry = Telemetry() if telemetry is None else telemetry
        self._interrupt_handler: Callable[[BaseException], None] | None = None
        self.waiting: dict[Owner, Owner] = {}
        """Processes whose callback waits for room in a full mailbox, each with the owner of that mailbox."""
        self.roots: set[Owner] = set()
        """The processes that run and have no supervisor."""
        _SCHEDULERS.setdefault(self.loop, WeakSet()).add(self)
        self._named_holders: set[str] = set()
        self._slice_seconds = slice_seconds
        self._ready: deque[TurnTimes] = deque()
        self._is_scheduled = False
        self._is_in_slice = not measure
        self._run = self._run_measured if measure else self._run_unmeasured
        self._context = copy_context()

    def wake(self, turns: TurnTimes) -> None:
        """Give a process one turn soon, however often it is woken before that turn. Only for the loop's thread."""
        if not turns.is_ready:
            turns.is_ready = True
            self._ready.append(turns)
            if not self._is_scheduled:
                self._is_scheduled = True
                self.loop.call_soon(self._run, context=self._context)

    def time(self) -> float:
        """Return the time at which this turn began, or outside of turns the time now."""
        return self.now if self._is_in_slice else self.clock()

    def start_task(self, work: Coroutine[object, object, None], context: Context, name: str) -> asyncio.Task[None]:
        """Start the task of a process. No other code starts tasks.

        The task begins in a later iteration, whatever the loop's task factory: an eager task would begin within a turn.
        """
        return asyncio.Task(work, loop=self.loop, context=context, name=name)

    def is_own_thread(self) -> bool:
        """Return whether the caller runs on the loop's thread."""
        return threading.get_ident() == self._thread_id

    def check_thread(self, what: str, instead: str = "loop.call_soon_threadsafe") -> None:
        """Raise `ForeignThread`, which advises `instead`, unless the caller runs on the loop's thread."""
        if not self.is_own_thread():
            raise ForeignThread(what, instead)

    def check_loop(self, doing: str, name: str, instead: str = "loop.call_soon_threadsafe") -> None:
        """Refuse a call to process `name` from outside this loop.

        Raises `ForeignThread`, which advises `instead`; `ForeignLoop` in another running loop; and `NoProcess` when
        this loop is closed. Where no loop runs the call is allowed, since this loop may run later.
        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            return
        what = f"{doing} {name!r}"
        self.check_thread(what, instead)
        if running is not None:
            raise ForeignLoop(what)
        if self.loop.is_closed():
            raise NoProcess(name)

    def _run_measured(self) -> None:
        ready, clock, quick = self._ready, self.clock, QUICK_SECONDS
        last = clock()
        deadline = last + self._slice_seconds
        self._is_in_slice = True
        try:
            while ready:
                turns = ready.popleft()
                turns.is_ready = False
                self.now = last
                try:
                    outcome = turns.run()
                except BaseException as error:  # noqa: BLE001 - the scheduler goes on, whatever a turn raises
                    outcome = self._failed(turns, error)
                now = clock()
                elapsed = now - last
                last = now
                if outcome >= HANDLED:
                    turns.handled_seconds += elapsed
                    if elapsed <= quick:
                        turns.quick += 1
                    else:
                        turns.slow(elapsed)
                else:
                    turns.other_seconds += elapsed
                    turns.other_turns += 1
                if outcome != turns.outcome:
                    turns.changed(outcome, now)
                if (outcome == HANDLED_MORE or outcome == MORE) and not turns.is_ready:  # noqa: PLR1714, SIM109 - twice as fast
                    turns.is_ready = True
                    ready.append(turns)
                if now >= deadline:
                    if elapsed > SLOW_CALLBACK_SECONDS:
                        self._report_slow(turns, elapsed)
                    break
        finally:
            self._is_in_slice = False
            self._go_on()

    def _report_slow(self, turns: TurnTimes, seconds: float) -> None:
        if turns.owner is not None:
            turns.owner.report_slow_callback(seconds)
        elif turns.last_holder is not None:
            self.report_slow_task(*turns.last_holder, seconds)

    def report_slow_task(self, name: str, advice: str, seconds: float) -> None:
        """Report a slow callback of a task; of one function, or of the children of one stage, log only the first."""
        stem, _, number = name.rpartition(".")
        kind = stem if stem and number.isdigit() else name
        is_logged = kind not in self._named_holders and len(self._named_holders) < NAMED_HOLDERS
        if is_logged:
            self._named_holders.add(kind)
        self.report_slow_callback(name, advice, seconds, is_logged=is_logged)

    def report_slow_callback(self, name: str, advice: str, seconds: float, *, is_logged: bool) -> None:
        """Emit that a callback of process `name` held the loop for `seconds`, and log it with `advice`."""
        self.telemetry.execute(SLOW_CALLBACK, {"duration_seconds": seconds}, {"process": name})
        if is_logged:
            LOG.warning("%r held the event loop for %.0f ms: %s", name, seconds * 1000, advice)

    def _run_unmeasured(self) -> None:
        ready = self._ready
        try:
            for _ in range(UNMEASURED_TURNS):
                if not ready:
                    break
                turns = ready.popleft()
                turns.is_ready = False
                try:
                    outcome = turns.run()
                except BaseException as error:  # noqa: BLE001 - the scheduler goes on, whatever a turn raises
                    outcome = self._failed(turns, error)
                if (outcome == HANDLED_MORE or outcome == MORE) and not turns.is_ready:  # noqa: PLR1714, SIM109 - twice as fast
                    turns.is_ready = True
                    ready.append(turns)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        if self._ready:
            self.loop.call_soon(self._run, context=self._context)
        else:
            self._is_scheduled = False

    def _failed(self, turns: TurnTimes, error: BaseException) -> int:
        try:
            if turns.owner is not None:
                turns.owner.fail_turn(error)
        finally:
            self.interrupt(error)
        return IDLE

    def on_interrupt(self, handler: Callable[[BaseException], None]) -> None:
        """Call `handler` with each KeyboardInterrupt and SystemExit that a turn raises: it drains the run."""
        self._interrupt_handler = handler

    def interrupt(self, error: BaseException) -> None:
        """Pass KeyboardInterrupt and SystemExit to the handler of interrupts; never raise."""
        if self._interrupt_handler is None or not isinstance(error, KeyboardInterrupt | SystemExit):
            return
        try:
            self._interrupt_handler(error)
        except BaseException as raised:  # noqa: BLE001 - a handler that fails must not end the scheduler
            what = "headrace could not begin to drain"
            self.loop.call_exception_handler({"message": what, "exception": raised})
