"""The base of all windows, and the watermark."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from headrace.stages.windows.event_time import MIN_TIMESTAMP, SECOND, SteadyClock, Timestamps
from headrace.stages.windows.measures import GroupState, MeasurePlan, ResultRow

LEAST_WAITING: Final = 10_000
"""So many rows may always wait before they are added to the accumulators."""

WAITING_PER_GROUP: Final = 8
"""So many more rows may wait for each group: adding one row costs about as much as adding this many."""

MAX_TIMESTAMP: Final = 10**18
"""After all times."""

Result = dict[str, object]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most groups, over all open windows, and the most open windows."""

    groups: int = 10_000
    windows: int = 1_000


@dataclass(frozen=True, slots=True)
class Statistics:
    """The groups and windows now; windows that closed early, and windows with an overflow group."""

    groups: int
    windows: int
    closed_early: int
    overflows: int = 0


class Windows(ABC):
    """Windows of one kind. Times are microseconds; no event before `watermark` is expected.

    The watermark never goes back. A window that ends at or before it is closed, and its results are due.
    """

    def __init__(self, plan: MeasurePlan, bounds: Bounds) -> None:
        self.plan = plan
        self.bounds = bounds
        self.watermark = MIN_TIMESTAMP
        self.closed_early = 0
        self._results: list[Result] = []
        self._waiting = 0

    @abstractmethod
    def take(self, times: Timestamps, keys: Sequence[object], rows: Sequence[ResultRow]) -> list[int]:
        """Add events in order of arrival; return the positions of late events, which are not counted.

        The three arguments have one length; keys are as in the plan. Earlier events of a batch move the watermark
        that decides whether a later one is late.
        """

    @abstractmethod
    def advance(self, watermark: int) -> None:
        """Raise the watermark to at least this value, and close the windows that end."""

    @abstractmethod
    def close(self) -> None:
        """Close all windows, in order of their ends."""

    @abstractmethod
    def next_end(self) -> int:
        """Return a time at or before the end of every open window; `MAX_TIMESTAMP` without one."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return the statistics."""

    def results(self) -> list[Result]:
        """Return the results due since the last call."""
        results, self._results = self._results, []
        return results

    def retained(self) -> int:
        """Return the number of events in windows without results yet."""
        return sum(group.retained for group in self._cells())

    @abstractmethod
    def _cells(self) -> Iterable[GroupState]:
        """Yield the states of all groups."""

    def _waits(self, count: int, groups: int) -> None:
        """Count added rows; add all waiting rows to the accumulators when they are many."""
        self._waiting += count
        if self._waiting > max(LEAST_WAITING, WAITING_PER_GROUP * groups):
            self._waiting = 0
            for group in self._cells():
                self.plan.fold(group)


class Watermark(Protocol):
    """Raises the watermark of windows, and tells when to do so again."""

    def timestamp(self) -> int:
        """Return the time of events without a time."""

    def begin(self, windows: Windows) -> None:
        """Called before a batch is added."""

    def taken(self, windows: Windows) -> None:
        """Called after a batch was added."""

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark to the present; with `is_blocked` no event can be received now."""

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long the next window stays open if no event comes; None without a limit."""


class ArrivalWatermark(Watermark):
    """The time of an event is its arrival, and the watermark is the clock."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock

    @override
    def timestamp(self) -> int:
        return self._clock.now()

    @override
    def begin(self, windows: Windows) -> None:
        windows.advance(self._clock.now())

    @override
    def taken(self, windows: Windows) -> None:
        pass

    @override
    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        windows.advance(self._clock.now())

    @override
    def wait_seconds(self, windows: Windows) -> float | None:
        end = windows.next_end()
        return None if end == MAX_TIMESTAMP else (end - self._clock.now()) / SECOND


class EventTimeWatermark(Watermark):
    """Events carry their time. After `idle_seconds` without events, the watermark follows the clock."""

    def __init__(self, passed: Callable[[], float], idle_seconds: float | None) -> None:
        """`passed` returns seconds of a monotonic clock."""
        self._passed = passed
        self._idle_seconds = idle_seconds
        self._at = passed()
        self._watermark = 0

    @override
    def timestamp(self) -> int:
        return 0

    @override
    def begin(self, windows: Windows) -> None:
        pass

    @override
    def taken(self, windows: Windows) -> None:
        self._at = self._passed()
        self._watermark = windows.watermark

    @override
    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        if is_blocked:
            self.taken(windows)
        silence = self._passed() - self._at
        if self._idle_seconds is not None and silence >= self._idle_seconds:
            windows.advance(self._watermark + int(silence * SECOND))

    @override
    def wait_seconds(self, windows: Windows) -> float | None:
        end = windows.next_end()
        if self._idle_seconds is None or end == MAX_TIMESTAMP:
            return None
        wanted = max(self._idle_seconds, (end - self._watermark) / SECOND)
        return wanted - (self._passed() - self._at)
