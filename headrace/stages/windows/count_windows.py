"""Count windows: of each group so many events at a time, in the order in which they come."""

from collections.abc import Iterable, Sequence

from headrace.stages.windows.moments import Moments
from headrace.stages.windows.plan import Cell, Plan, Row
from headrace.stages.windows.windows import NEVER, Bounds, Statistics, Windows


class _Run:
    """A group's events since its last window closed: how many they are, and the earliest and the latest of them."""

    __slots__ = ("cell", "count", "first", "last")

    def __init__(self, moment: int, cell: Cell) -> None:
        self.cell = cell
        self.count = 0
        self.first = moment
        self.last = moment


class CountWindows(Windows):
    """Windows of `size` events of a group, whenever they come; their bounds are the times of the first and last event.

    A group that is one too many closes the window that began first, with as many events as it has.
    """

    def __init__(self, plan: Plan, bounds: Bounds, size: int) -> None:
        super().__init__(plan, bounds)
        self._size = size
        self._runs: dict[object, _Run] = {}

    def take(self, times: Moments, keys: Sequence[object], rows: Sequence[Row]) -> list[int]:
        """Take in events: none is late."""
        runs, size = self._runs, self._size
        for time, key, row in zip(times.each(), keys, rows, strict=True):
            run = runs.get(key)
            if run is None:
                run = self._begin(key, time)
            if time < run.first:
                run.first = time
            elif time > run.last:
                run.last = time
            run.cell.add_row(row)
            run.count += 1
            if run.count == size:
                self._close(key)
        self._waits(times.count, len(runs))
        return []

    def advance(self, watermark: int) -> None:
        """Do nothing: no window waits for a time."""

    def close(self) -> None:
        """Close all windows, with as many events as they have."""
        for key in list(self._runs):
            self._close(key)

    def next_end(self) -> int:
        """Return `NEVER`."""
        return NEVER

    def statistics(self) -> Statistics:
        """Return what is kept; each group has one window."""
        return Statistics(len(self._runs), len(self._runs), self.closed_early)

    def held(self) -> int:
        """Return how many events are in windows that are not full."""
        return sum(cell.held for cell in self._cells())

    def _cells(self) -> Iterable[Cell]:
        return (run.cell for run in self._runs.values())

    def _begin(self, key: object, time: int) -> _Run:
        if len(self._runs) >= self.bounds.groups:
            self.closed_early += 1
            self._close(next(iter(self._runs)))
        run = self._runs[key] = _Run(time, Cell(self.plan.accumulators()))
        return run

    def _close(self, key: object) -> None:
        run = self._runs.pop(key)
        self._results += self.plan.results(run.first, run.last, {key: run.cell})
