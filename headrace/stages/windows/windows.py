"""The base of all windows, and the watermark."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.stages.windows.event_time import MIN_TIMESTAMP, SECOND, SteadyClock, Timestamps
from headrace.stages.windows.measures import GroupState, MeasurePlan, ResultRow

LEAST_WAITING: Final = 10_000
"""How many rows may wait, whatever the number of groups, before all are taken into the state."""

WAITING_PER_GROUP: Final = 8
"""As many more may wait for each group: taking in costs about as much for one row as for this many."""

MAX_TIMESTAMP: Final = 10**18
"""A moment after all times."""

Result = dict[str, object]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be kept at once: groups, over all windows that are open, and windows."""

    groups: int = 10_000
    windows: int = 1_000


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is kept now, and how often a bound was reached: windows closed early, windows with an overflow."""

    groups: int
    windows: int
    closed_early: int
    overflows: int = 0


class Windows(ABC):
    """Windows of one kind, open and closed. Times are microseconds; none of an event's before `watermark` is expected.

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
        """Take in events, in the order in which they came; return the positions of those that are late.

        Those count nowhere. The three are equally long; a key is what the plan says. Whether an event is late
        depends on the watermark that the events before it made.
        """

    @abstractmethod
    def advance(self, watermark: int) -> None:
        """Raise the watermark, unless it is as high already, and close what is due."""

    @abstractmethod
    def close(self) -> None:
        """Close all that is open, the one that ends first first."""

    @abstractmethod
    def next_end(self) -> int:
        """Return a moment at or before the end of each window that is open; `MAX_TIMESTAMP` where none is."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return what is kept."""

    def results(self) -> list[Result]:
        """Return the results that have come due since the last call."""
        results, self._results = self._results, []
        return results

    @abstractmethod
    def retained(self) -> int:
        """Return how many events are in windows whose results are not out yet."""

    @abstractmethod
    def _cells(self) -> Iterable[GroupState]:
        """Yield all cells."""

    def _waits(self, count: int, groups: int) -> None:
        """Take note that `count` rows were added; take all that wait into the state when they are many."""
        self._waiting += count
        if self._waiting > max(LEAST_WAITING, WAITING_PER_GROUP * groups):
            self._waiting = 0
            for group in self._cells():
                self.plan.fold(group)


class Watermark(Protocol):
    """Raises the watermark of windows, and says when to look again."""

    def timestamp(self) -> int:
        """Return the time of events that say none."""

    def begin(self, windows: Windows) -> None:
        """Prepare for events that have come."""

    def taken(self, windows: Windows) -> None:
        """Take note that events were taken in."""

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark as far as time has gone on; `is_blocked` says that no event could be taken in now."""

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long the next window stays open at least if no event comes; None if for ever."""


class ArrivalWatermark:
    """The time of an event is when it comes, and the watermark is the clock."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock

    def timestamp(self) -> int:
        """Return the time by the clock."""
        return self._clock.now()

    def begin(self, windows: Windows) -> None:
        """Raise the watermark to now: what has ended takes nothing more."""
        windows.advance(self._clock.now())

    def taken(self, windows: Windows) -> None:
        """Do nothing."""

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark to now."""
        windows.advance(self._clock.now())

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long it is until the next end."""
        end = windows.next_end()
        return None if end == MAX_TIMESTAMP else (end - self._clock.now()) / SECOND


class EventTimeWatermark:
    """Events say the time; once none has come for `idle_seconds`, all that has passed since the last one counts."""

    def __init__(self, passed: Callable[[], float], idle_seconds: float | None) -> None:
        """`passed` tells seconds of a clock that never goes back."""
        self._passed = passed
        self._idle_seconds = idle_seconds
        self._at = passed()
        self._watermark = 0

    def timestamp(self) -> int:
        """Return 0: each event says its own."""
        return 0

    def begin(self, windows: Windows) -> None:
        """Do nothing: events say how late it is."""

    def taken(self, windows: Windows) -> None:
        """Begin to wait anew."""
        self._at = self._passed()
        self._watermark = windows.watermark

    def tick(self, windows: Windows, *, is_blocked: bool) -> None:
        """Raise the watermark once the silence is long enough, and is the source's own."""
        if is_blocked:
            self.taken(windows)
        silence = self._passed() - self._at
        if self._idle_seconds is not None and silence >= self._idle_seconds:
            windows.advance(self._watermark + int(silence * SECOND))

    def wait_seconds(self, windows: Windows) -> float | None:
        """Return how long it is until the silence is long enough, and the next end reached."""
        end = windows.next_end()
        if self._idle_seconds is None or end == MAX_TIMESTAMP:
            return None
        wanted = max(self._idle_seconds, (end - self._watermark) / SECOND)
        return wanted - (self._passed() - self._at)
