"""`Offload`: handles events of a stage in threads or in OS processes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from headrace.errors import HandlerTimeout
from headrace.executors.call import function_name
from headrace.executors.errors import CallOverdue
from headrace.executors.executor import Executor
from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.protocol import unpacked_error
from headrace.executors.thread_executor import ThreadExecutor
from headrace.executors.worker_main import run_each
from headrace.pipeline.failure import FailurePolicy
from headrace.pipeline.stage.consumer import HandlingStage
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency

CALL_SECONDS: Final = 0.01
"""The aim for the time of one call of an OS process, which costs at least 0.1 ms by itself."""

_SLOWER: Final = 0.2
_QUICKER: Final = 0.5
"""The weights of a new measurement, if it is slower or quicker. The first is slow: an OS process has to start."""

MOST_AT_ONCE: Final = 64
"""The maximum number of events in one call of an OS process."""


@dataclass(frozen=True, slots=True)
class Made:
    """The result of one event: an `output`, or the `error` that the function raised."""

    output: object = None
    error: Exception | None = None


class OffloadOwner(Protocol):
    """The process of a stage whose events are handled off the loop."""

    name: str
    concurrency: Concurrency
    failure: FailurePolicy

    def worked(self, seconds: float) -> None:
        """Count work that was done off the loop."""


class Offload:
    """Handles one event of a stage in a thread or in an OS process. `close` ends these."""

    def __init__(self, stage: HandlingStage, owner: OffloadOwner) -> None:
        how = owner.concurrency
        self._name = owner.name
        self._worked = owner.worked
        self._timeout_seconds = owner.failure.timeout_seconds
        self._emits = isinstance(stage, ProducerConsumer)
        self._limit = how.limit
        self.fails_alone = how.mode == "subprocess"
        """Whether an exception of the function always fails its event, and never crashes the stage."""
        self._handle: Callable[[list[object]], object] = stage.handle_events
        self._function = stage.offload() if how.mode == "subprocess" else None
        self._one_to_one = stage.one_to_one
        self._size = 1
        self._seconds = 0.0
        self._executor: Executor = (
            ThreadExecutor(how.limit, name=f"headrace-{owner.name}")
            if how.mode == "thread"
            else ProcessExecutor(how.limit)
        )

    async def __call__(self, data: object) -> object:
        """Return the result of `handle_events` for one event. Raises `HandlerTimeout`, or the error of the callback."""
        seconds = self._timeout_seconds
        executor = self._executor if seconds is None else self._executor.within(seconds)
        since = time.perf_counter()
        try:
            if self._function is None:
                returned: object = await executor.run(self._handle, [data])
                self._worked(time.perf_counter() - since)
                return returned
            result: object = await executor.run(self._function, data)
        except CallOverdue:
            raise HandlerTimeout(self._name, cast("float", seconds)) from None
        self._measured(time.perf_counter() - since)
        return self._shaped(result)

    def events_per_call(self, waiting: int) -> int:
        """Return how many of the waiting events should go into one call: more than one, if each is quick."""
        if self._function is None or self._timeout_seconds is not None:
            return 1
        return max(1, min(self._size, -(-waiting // self._limit)))

    async def many(self, data: list[object]) -> list[Made]:
        """Return the results of the function for events in one call. Raises `ExecutorError` if the OS process dies."""
        if self._function is None:
            raise ValueError(self._name)
        since = time.perf_counter()
        made = await self._executor.run(run_each, self._function, data)
        self._measured(time.perf_counter() - since, len(data))
        name = function_name(self._function)
        return [
            Made(self._shaped(output)) if error is None else Made(error=unpacked_error(name, error))
            for output, error in made
        ]

    def _measured(self, call_seconds: float, count: int = 1) -> None:
        """Count the work of a call of `count` events, and adapt the number of events in one call to it.

        That number grows at most twofold a call. The time of one event is a moving mean, so that a busy core changes it
        little.
        """
        self._worked(call_seconds)
        seconds = call_seconds / count
        change = seconds - self._seconds
        self._seconds += change * ((_SLOWER if change > 0 else _QUICKER) if self._seconds else 1.0)
        self._size = max(1, min(MOST_AT_ONCE, 2 * self._size, int(CALL_SECONDS / max(self._seconds, 1e-9))))

    def _shaped(self, output: object) -> object:
        """Return the result of the function in the form of `handle_events`."""
        if not self._emits:
            return None
        return [output] if self._one_to_one else output

    def resize(self, limit: int) -> None:
        """Handle at most `limit` events at a time from now on. Running calls go on."""
        self._limit = limit
        self._executor.resize(limit)

    async def close(self) -> None:
        """End the OS processes, and the threads as soon as their calls return."""
        await self._executor.aclose()
