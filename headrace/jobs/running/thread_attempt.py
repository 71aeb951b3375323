"""One attempt of a job whose function runs in a thread, where no cancellation can end it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from headrace.executors.call import Call
from headrace.jobs.running_job import RunningJob

Late = Callable[[object, BaseException | None], None]
"""Gets what a function returned, or what it raised, in its own thread."""


class ThreadAttempt:
    """Runs the function; it may be left behind, and `late` then gets how it ended.

    For the event loop, but for `__call__`, which is the body of the thread.
    """

    def __init__(self, function: Callable[..., object], call: Callable[[], object], running: RunningJob) -> None:
        """`call` calls the `function`, by which the attempt is named, with its arguments."""
        self.func = function
        self.running = running
        self._call = call
        self._lock = threading.Lock()
        self._has_ended = False
        self._late: Late | None = None

    def __call__(self) -> object:
        """Call the function; return what it returns, and raise what it raises."""
        try:
            answer = self._call()
        except BaseException as error:
            self._end(None, error)
            raise
        self._end(answer, None)
        return answer

    def leave(self, late: Late) -> bool:
        """Have `late` get how the function ends; return False where it has ended by now."""
        with self._lock:
            if not self._has_ended:
                self._late = late
            return not self._has_ended

    async def result(self, call: Call[object]) -> object:
        """Return what the function returned; cancelled, wait for its end and raise that, unless it was left behind."""
        try:
            return await call.result()
        except asyncio.CancelledError:
            self.running.cancel("its time is over")
            while call.outcome is None and self._late is None:
                with suppress(asyncio.CancelledError):
                    await call.ended()
            raise

    def _end(self, answer: object, error: BaseException | None) -> None:
        with self._lock:
            self._has_ended = True
            late = self._late
        if late is not None:
            late(answer, error)
