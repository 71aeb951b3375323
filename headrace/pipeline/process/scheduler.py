"""Gives turns: one scheduler per event loop lets the processes that have something to do run, one turn after another."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Final, Protocol

from headrace.ground.telemetry import Telemetry

IDLE: Final = 0
"""The turn found nothing to do, or did it all."""
MORE: Final = 1
"""The process has more to do: it goes to the end of the line."""
HANDLED: Final = 2
"""The turn handled a batch, whose time belongs in the histogram."""
BLOCKED: Final = 4
"""The process waits for demand from downstream."""

DURATION_BOUNDS: Final = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
"""Upper bounds, in seconds, of the buckets in which handling times are counted."""

SLICE_SECONDS: Final = 0.002
"""The loop gets an iteration this often, or after each turn, whichever is longer."""

HELD_SECONDS: Final = 0.05
"""A turn that holds the loop for longer is named in the log: timers, sockets and other stages waited for it."""


class Clockwork:
    """What one process's turns cost; plain numbers, raised by the scheduler."""

    __slots__ = ("blocked_seconds", "blocked_since", "busy_seconds", "counts", "handled_seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS) + 1)
        self.handled_seconds = 0.0
        self.busy_seconds = 0.0
        self.blocked_seconds = 0.0
        self.blocked_since = 0.0

    def handled(self, seconds: float) -> None:
        """Count one batch that took `seconds` to handle (an async one: from its start to its end)."""
        self.counts[bisect_left(DURATION_BOUNDS, seconds)] += 1
        self.handled_seconds += seconds
        self.busy_seconds += seconds


class Runnable(Protocol):
    """What the scheduler gives turns to."""

    is_ready: bool
    clockwork: Clockwork
    run_turn: Callable[[], int]

    def turn_failed(self, error: BaseException) -> None:
        """Take note that the turn raised `error`; must not raise."""

    def held_the_loop(self, seconds: float) -> None:
        """Take note that the turn held the loop for a long time."""


class Scheduler:
    """The ready queue of one event loop. Handed to every process that lives on it; never global.

    Guarantees: a turn that raises anything at all leaves the scheduler running; processes get their turns in the order in which
    they became ready; the loop gets an iteration at least every 2 ms or after every turn, whichever is longer.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, slice_seconds: float = SLICE_SECONDS, measure: bool = True
    ) -> None:
        """Bind to the running loop. Without `measure` no turn is timed, and a slice is a fixed number of turns."""
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.now = clock()
        self.thread_id = threading.get_ident()
        self.telemetry = Telemetry()
        self.interrupted: Callable[[BaseException], None] | None = None
        self._slice_seconds = slice_seconds
        self._ready: deque[Runnable] = deque()
        self._is_scheduled = False
        self._run = self._run_measured if measure else self._run_unmeasured

    def wake(self, process: Runnable) -> None:
        """Give `process` a turn soon; once, however often it is woken before. Loop's thread only."""
        if process.is_ready:
            return
        process.is_ready = True
        self._ready.append(process)
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._run)

    def start_task(self, work: Coroutine[object, object, None], context: Context, name: str) -> asyncio.Task[None]:
        """Start the one task of a process: the only place where tasks are born."""
        return self.loop.create_task(work, context=context, name=name)

    def is_own_thread(self) -> bool:
        """Tell whether the caller runs on the loop's thread."""
        return threading.get_ident() == self.thread_id

    def _run_measured(self) -> None:
        ready, clock = self._ready, self.clock
        last = clock()
        deadline = last + self._slice_seconds
        while ready:
            process = ready.popleft()
            process.is_ready = False
            self.now = last
            clockwork = process.clockwork
            if clockwork.blocked_since:
                clockwork.blocked_seconds += last - clockwork.blocked_since
                clockwork.blocked_since = 0.0
            try:
                outcome = process.run_turn()
            except BaseException as error:  # noqa: BLE001 - going on, whatever a turn raises, is the scheduler's duty
                outcome = self._failed(process, error)
            now = clock()
            spent = now - last
            last = now
            if outcome & HANDLED:
                clockwork.counts[bisect_left(DURATION_BOUNDS, spent)] += 1
                clockwork.handled_seconds += spent
            clockwork.busy_seconds += spent
            if outcome & MORE:
                if not process.is_ready:
                    process.is_ready = True
                    ready.append(process)
            elif outcome & BLOCKED:
                clockwork.blocked_since = now
            if now >= deadline:
                if spent > HELD_SECONDS:
                    process.held_the_loop(spent)
                break
        self._go_on()

    def _run_unmeasured(self) -> None:
        ready = self._ready
        for _ in range(100):
            if not ready:
                break
            process = ready.popleft()
            process.is_ready = False
            try:
                outcome = process.run_turn()
            except BaseException as error:  # noqa: BLE001 - going on, whatever a turn raises, is the scheduler's duty
                outcome = self._failed(process, error)
            if outcome & MORE and not process.is_ready:
                process.is_ready = True
                ready.append(process)
        self._go_on()

    def _go_on(self) -> None:
        if self._ready:
            self.loop.call_soon(self._run)
        else:
            self._is_scheduled = False

    def _failed(self, process: Runnable, error: BaseException) -> int:
        process.turn_failed(error)
        self.interrupt(error)
        return IDLE

    def interrupt(self, error: BaseException) -> None:
        """Pass KeyboardInterrupt and SystemExit on to whoever drains this loop's pipelines."""
        if isinstance(error, KeyboardInterrupt | SystemExit) and self.interrupted is not None:
            self.interrupted(error)
