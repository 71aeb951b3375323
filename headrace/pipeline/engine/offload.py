"""Where the events of a stage are handled one by one: on the loop, in threads, or in OS processes."""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from headrace.errors import HandlerTimeout
from headrace.executors.call import function_name
from headrace.executors.errors import CallOverdue
from headrace.executors.executor import Executor
from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.protocol import unpacked_error
from headrace.executors.thread_executor import ThreadExecutor
from headrace.executors.worker_main import run_each
from headrace.pipeline.engine.handler import EventHandler, HandlingStage
from headrace.pipeline.stage.settings import Concurrency

CALL_SECONDS: Final = 0.01
"""How long one call to an OS process is to take: a call and back costs 0.1 ms or more by itself."""

_SLOWER: Final = 0.2
_QUICKER: Final = 0.5
"""The weights of the newest measurement; the first is the slowest, for its OS process has to start."""

MOST_AT_ONCE: Final = 64
"""Events that go to an OS process by one call, and fail together where it dies."""


@dataclass(frozen=True, slots=True)
class Made:
    """The result of one event: `output`, or the `error` that the function raised."""

    output: object = None
    error: Exception | None = None


class Offload:
    """Handles one event of a stage where `how` says. Close it, so that its threads and OS processes end."""

    def __init__(
        self, stage: HandlingStage, name: str, how: Concurrency, worked: Callable[[float], None], *, emits: bool
    ) -> None:
        """`worked` is called with the seconds of each call in a thread or an OS process."""
        self.emits = emits
        self._worked = worked
        self.limit = how.limit
        self.is_ordered = how.is_ordered
        self.fails_alone = how.mode == "subprocess"
        """Whether an exception of the function fails its event, and never brings the stage down."""
        self._name = name
        self._handle: EventHandler = stage.handle_events
        self._function = stage.offload() if how.mode == "subprocess" else None
        self._one_to_one = stage.one_to_one
        self._size = 1
        self._seconds = 0.0
        self._executor: Executor | None = None
        if how.mode == "thread":
            self._executor = ThreadExecutor(how.limit, name=f"headrace-{name}")
        elif how.mode == "subprocess":
            self._executor = ProcessExecutor(how.limit)

    async def __call__(self, data: object, timeout_seconds: float | None) -> object:
        """Return what `handle_events` returns for one event. Raises `HandlerTimeout`, and what the callbacks raise."""
        try:
            if self._executor is None:
                return await self._inline(data, timeout_seconds)
            executor = self._executor if timeout_seconds is None else self._executor.within(timeout_seconds)
            since = time.perf_counter()
            if self._function is None:
                returned: object = await executor.run(self._handle, [data])
                self._worked(time.perf_counter() - since)
                return returned
            result: object = await executor.run(self._function, data)
            seconds = time.perf_counter() - since
            self._worked(seconds)
            self._measured(seconds)
        except CallOverdue:
            raise HandlerTimeout(self._name, cast("float", timeout_seconds)) from None
        if not self.emits:
            return None
        return [result] if self._one_to_one else result

    def events_per_call(self, waiting: int, timeout_seconds: float | None) -> int:
        """Return how many of the events that wait are best handled by one call: several, where that is quick."""
        if self._function is None or timeout_seconds is not None:
            return 1
        return max(1, min(self._size, -(-waiting // self.limit)))

    async def many(self, data: list[object]) -> list[Made]:
        """Return the results of the function for several events, in an OS process. A death there is raised."""
        if self._executor is None or self._function is None:
            raise ValueError(self._name)
        since = time.perf_counter()
        made = await self._executor.run(run_each, self._function, data)
        seconds = time.perf_counter() - since
        self._worked(seconds)
        self._measured(seconds / len(data))
        name = function_name(self._function)
        return [
            self._shaped(output) if error is None else Made(error=unpacked_error(name, error)) for output, error in made
        ]

    def _measured(self, seconds: float) -> None:
        """Fit the number of events that go by one call to how long one takes; at most twice as many as before.

        How long one takes is a moving mean: a core that others held for a moment changes little.
        """
        change = seconds - self._seconds
        self._seconds += change * ((_SLOWER if change > 0 else _QUICKER) if self._seconds else 1.0)
        self._size = max(1, min(MOST_AT_ONCE, 2 * self._size, int(CALL_SECONDS / max(self._seconds, 1e-9))))

    def _shaped(self, output: object) -> Made:
        if not self.emits:
            return Made()
        return Made([output] if self._one_to_one else output)

    async def _inline(self, data: object, timeout_seconds: float | None) -> object:
        returned = self._handle([data])
        if not inspect.isawaitable(returned):
            return returned
        if timeout_seconds is None:
            return await returned
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                return await returned
        except TimeoutError:
            if not limit.expired():
                raise
        raise HandlerTimeout(self._name, timeout_seconds)

    def resize(self, limit: int) -> None:
        """Have so many events handled at a time from now on; running calls go on."""
        self.limit = limit
        if self._executor is not None:
            self._executor.resize(limit)

    async def close(self) -> None:
        """End threads as far as they can be, and OS processes."""
        if self._executor is not None:
            await self._executor.aclose()
