"""What all kinds of windows share: events are taken in as columns, and results come out when a window closes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.stages.windows.moments import DAWN, Moments
from headrace.stages.windows.plan import Cell, Plan, Row

LEAST_WAITING: Final = 10_000
"""How many rows may wait, whatever the number of groups, before all are taken into the state."""

WAITING_PER_GROUP: Final = 8
"""As many more may wait for each group: taking in costs about as much for one row as for this many."""

NEVER: Final = 10**18
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

    def __init__(self, plan: Plan, bounds: Bounds) -> None:
        self.plan = plan
        self.bounds = bounds
        self.watermark = DAWN
        self.closed_early = 0
        self._results: list[Result] = []
        self._waiting = 0

    @abstractmethod
    def take(self, times: Moments, keys: Sequence[object], rows: Sequence[Row]) -> list[int]:
        """Take in events, in the order in which they came; return the positions of those that are late.

        Those count nowhere. The three are equally long; a key is what the plan says. Each event is judged by the
        watermark that those before it made.
        """

    @abstractmethod
    def advance(self, watermark: int) -> None:
        """Raise the watermark, unless it is as high already, and close what is due."""

    @abstractmethod
    def close(self) -> None:
        """Close all that is open, the one that ends first first."""

    @abstractmethod
    def next_end(self) -> int:
        """Return a moment at or before the end of each window that is open; `NEVER` where none is."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return what is kept."""

    def results(self) -> list[Result]:
        """Return the results that have come due since the last call."""
        results, self._results = self._results, []
        return results

    @abstractmethod
    def held(self) -> int:
        """Return how many events are in windows whose results are not out yet."""

    @abstractmethod
    def _cells(self) -> Iterable[Cell]:
        """Yield all cells."""

    def _waits(self, count: int, groups: int) -> None:
        """Take note that `count` rows were added; take all that wait into the state when they are many."""
        self._waiting += count
        if self._waiting > max(LEAST_WAITING, WAITING_PER_GROUP * groups):
            self._waiting = 0
            for cell in self._cells():
                self.plan.fold(cell)
