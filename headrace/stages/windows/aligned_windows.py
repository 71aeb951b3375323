"""Tumbling and hopping windows: of one length, aligned to 1970 in UTC, and the same for all groups."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from typing_extensions import override

from headrace.stages.windows.event_time import MIN_TIMESTAMP, Timestamps
from headrace.stages.windows.measures import GroupState, MeasurePlan, ResultRow
from headrace.stages.windows.windows import MAX_TIMESTAMP, Bounds, Statistics, Windows


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Windows of `size` that begin `offset` after each multiple of `every`, at most `size`; all in microseconds."""

    size: int
    every: int
    offset: int = 0

    @property
    def most(self) -> int:
        """The most windows of a timestamp."""
        return -(-self.size // self.every)

    def first_end_after(self, timestamp: int) -> int:
        """Return the next end of a window after a timestamp."""
        return self.last_start_of(timestamp - self.size) + self.every + self.size

    def last_start_of(self, timestamp: int) -> int:
        """Return the start of the last window of a timestamp."""
        return (timestamp - self.offset) // self.every * self.every + self.offset

    def has_alike(self, lowest: int, highest: int) -> bool:
        """Tell whether all timestamps in a range are in the same windows; False may also mean unknown."""
        return self.size % self.every == 0 and self.last_start_of(lowest) == self.last_start_of(highest)


@dataclass(frozen=True, slots=True)
class AllowedLateness:
    """How far an event may be behind the latest one without being late, and how long closed windows are revised."""

    out_of_order: int = 0
    lateness: int = 0


class _Window:
    """One window: the states of its groups, and the method of each that adds a row."""

    __slots__ = ("add_rows", "cells")

    def __init__(self) -> None:
        self.cells: dict[object, GroupState] = {}
        self.add_rows: dict[object, Callable[[ResultRow], None]] = {}


class AlignedWindows(Windows):
    """Windows of one spec. No window closes between two ends, so events between them are added in one step.

    Beyond the limit of groups, events go into one group a window, called overflow. Beyond the limit of windows, the
    oldest closes, as if the watermark had reached its end.
    """

    def __init__(self, plan: MeasurePlan, bounds: Bounds, spec: WindowSpec, allowed: AllowedLateness) -> None:
        super().__init__(plan, bounds)
        self._spec = spec
        self._lateness = allowed
        self._groups = 0
        self._overflows = 0
        self._forgotten = MIN_TIMESTAMP
        self._next_end = MAX_TIMESTAMP
        self._open: dict[int, _Window] = {}
        self._closed: dict[int, _Window] = {}
        self._touched: dict[int, set[object]] = {}
        self._add_rows: dict[int, dict[object, Callable[[ResultRow], None]]] = {}

    @override
    def take(self, times: Timestamps, keys: Sequence[object], rows: Sequence[ResultRow]) -> list[int]:
        spec, out_of_order = self._spec, self._lateness.out_of_order
        is_one_step = times.highest < self._next_turn() + out_of_order
        if is_one_step and spec.has_alike(times.lowest, times.highest) and self._is_on_time(times.lowest):
            last = spec.last_start_of(times.lowest)
            for back in range(0, spec.size, spec.every):
                self._add_alike(last - back, keys, rows)
            self._added(times.count)
            self.advance(times.highest - out_of_order)
            return []
        return self._take_in_steps(times.each(), keys, rows)

    @override
    def advance(self, watermark: int) -> None:
        if watermark <= self.watermark:
            return
        self.watermark = watermark
        if self._next_end <= watermark:
            self._close([start for start in self._open if start + self._spec.size <= watermark])
        if self._closed:
            for start in [start for start in self._closed if self._is_removed(start)]:
                self._forget(start)

    @override
    def close(self) -> None:
        self._close(list(self._open))
        for start in list(self._closed):
            self._forget(start)

    @override
    def next_end(self) -> int:
        return self._next_end

    @override
    def statistics(self) -> Statistics:
        return Statistics(self._groups, len(self._open) + len(self._closed), self.closed_early, self._overflows)

    @override
    def retained(self) -> int:
        retained = sum(group.retained for window in self._open.values() for group in window.cells.values())
        return -(-retained // self._spec.most)

    @override
    def _cells(self) -> Iterable[GroupState]:
        for windows in (self._open, self._closed):
            for window in windows.values():
                yield from window.cells.values()

    def _take_in_steps(self, times: list[int], keys: Sequence[object], rows: Sequence[ResultRow]) -> list[int]:
        """Add events up to the next timestamp at which a window closes, then go on."""
        late: list[int] = []
        begin, count, highest = 0, len(times), max(times)
        while begin < count:
            turn, end = self._next_turn() + self._lateness.out_of_order, count
            if highest >= turn:
                end = next(at for at in range(begin, count) if times[at] >= turn) + 1
            step = times[begin:end]
            on_time, missed = self._on_time(step)
            late += [begin + at for at in missed]
            if missed:
                step = [step[at] for at in on_time]
            self._put(step, [keys[begin + at] for at in on_time], [rows[begin + at] for at in on_time])
            self.advance((highest if end == count else times[end - 1]) - self._lateness.out_of_order)
            begin = end
        return late

    def _next_turn(self) -> int:
        """Return the first timestamp after the watermark at which a window may close, or its revision may end."""
        spec, lateness = self._spec, self._lateness.lateness
        turn = spec.first_end_after(self.watermark)
        return min(turn, spec.first_end_after(self.watermark - lateness) + lateness) if lateness else turn

    def _horizon(self) -> int:
        """Return the latest end of windows that accept no more events."""
        return max(self.watermark - self._lateness.lateness, self._forgotten)

    def _is_removed(self, start: int) -> bool:
        return start + self._spec.size <= self._horizon()

    def _is_on_time(self, time: int) -> bool:
        """Tell whether one of an event's windows still accepts it."""
        return self._spec.last_start_of(time) + self._spec.size > self._horizon()

    def _on_time(self, times: list[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Return the positions of events that a window still accepts, and of late events."""
        everything = range(len(times))
        if self._is_on_time(min(times)):
            return everything, ()
        on_time = [at for at in everything if self._is_on_time(times[at])]
        return on_time, sorted(set(everything).difference(on_time))

    def _put(self, times: list[int], keys: Sequence[object], rows: Sequence[ResultRow]) -> None:
        """Add rows to the windows of their events, between two ends of windows."""
        size, every, offset = self._spec.size, self._spec.every, self._spec.offset
        lasts = [(time - offset) // every * every + offset for time in times]
        for back in range(0, self._spec.most * every, every):
            starts = [last - back for last in lasts] if back else lasts
            if back + every > size:  # only the first part of an interval is in its oldest window
                inside = [at for at, time in enumerate(times) if starts[at] + size > time]
                starts = [starts[at] for at in inside]
                keys, rows = [keys[at] for at in inside], [rows[at] for at in inside]
            self._add(starts, keys, rows)
        self._added(len(times))

    def _added(self, count: int) -> None:
        """Update counts after rows were added to all windows of `count` events."""
        if self._touched:
            self._revise()
        while len(self._open) + len(self._closed) > self.bounds.windows:
            self._close_oldest()
        self._waits(count * self._spec.most, self._groups)

    def _add_alike(self, start: int, keys: Sequence[object], rows: Sequence[ResultRow]) -> None:
        """Add rows to one window: the hot path."""
        add_rows = self._add_rows.get(start, {})
        for key, row in zip(keys, rows, strict=True):
            try:
                add_rows[key](row)
            except KeyError:
                self._add_new(start, key, row)
                add_rows = self._add_rows.get(start, add_rows)

    def _add(self, starts: Sequence[int], keys: Sequence[object], rows: Sequence[ResultRow]) -> None:
        """Add rows to the windows that begin at `starts`."""
        add_rows = self._add_rows
        for start, key, row in zip(starts, keys, rows, strict=True):
            try:
                add_rows[start][key](row)
            except KeyError:
                self._add_new(start, key, row)

    def _add_new(self, start: int, key: object, row: ResultRow) -> None:
        """Add a row to a new or overflowing group, or to a new or closed window."""
        end, window = start + self._spec.size, self._open.get(start)
        if end <= self.watermark:
            if self._is_removed(start):
                return
            window = self._closed.setdefault(start, _Window())
        elif window is None:
            window = self._open[start] = _Window()
            self._add_rows[start] = window.add_rows
            self._next_end = min(self._next_end, end)
        if key not in window.cells:
            key = self._room_for(window, key)
        if end <= self.watermark:
            self._touched.setdefault(start, set()).add(key)
        window.add_rows[key](row)

    def _room_for(self, window: _Window, key: object) -> object:
        """Begin a group in a window, or its overflow group; return the key."""
        if self._groups >= self.bounds.groups:
            key = self.plan.overflow
            self._overflows += key not in window.cells
        if key not in window.cells:
            group = window.cells[key] = GroupState(self.plan.accumulators())
            window.add_rows[key] = group.add_row
            self._groups += 1
        return key

    def _close(self, starts: list[int]) -> None:
        """Emit the results of windows, oldest first; keep windows that may be revised."""
        for start in sorted(starts):
            window = self._closed[start] = self._open.pop(start)
            del self._add_rows[start]
            self._results += self.plan.results(start, start + self._spec.size, window.cells)
            if self._is_removed(start):
                self._forget(start)
        self._next_end = min(self._open) + self._spec.size if self._open else MAX_TIMESTAMP

    def _forget(self, start: int) -> None:
        self._groups -= len(self._closed.pop(start).cells)

    def _close_oldest(self) -> None:
        """Close the oldest window, and remove it."""
        self.closed_early += 1
        start = min(min(windows) for windows in (self._open, self._closed) if windows)
        end = start + self._spec.size
        self._forgotten = max(self._forgotten, end)
        self.advance(end)
        if start in self._closed:
            self._forget(start)

    def _revise(self) -> None:
        """Emit the revised results of closed windows."""
        for start, keys in self._touched.items():
            cells = self._closed[start].cells
            self._results += self.plan.results(start, start + self._spec.size, {key: cells[key] for key in keys})
        self._touched.clear()
