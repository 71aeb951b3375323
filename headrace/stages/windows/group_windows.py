"""Count and session windows."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from typing_extensions import override

from headrace.stages.windows.event_time import Timestamps
from headrace.stages.windows.measures import GroupState, MeasurePlan, ResultRow
from headrace.stages.windows.windows import MAX_TIMESTAMP, Bounds, Statistics, Windows


class _Run:
    """The open window of a group: the number of its events, and the earliest and latest time."""

    __slots__ = ("count", "first", "group", "last")

    def __init__(self, timestamp: int, group: GroupState) -> None:
        self.group = group
        self.count = 0
        self.first = timestamp
        self.last = timestamp


class CountWindows(Windows):
    """Windows of `size` events of a group; their bounds are the times of the first and last event.

    Beyond the limit of groups, the window that began first closes with the events that it has.
    """

    def __init__(self, plan: MeasurePlan, bounds: Bounds, size: int) -> None:
        super().__init__(plan, bounds)
        self._size = size
        self._runs: dict[object, _Run] = {}

    @override
    def take(self, times: Timestamps, keys: Sequence[object], rows: Sequence[ResultRow]) -> list[int]:
        runs, size = self._runs, self._size
        for time, key, row in zip(times.each(), keys, rows, strict=True):
            run = runs.get(key)
            if run is None:
                run = self._begin(key, time)
            if time < run.first:
                run.first = time
            elif time > run.last:
                run.last = time
            run.group.add_row(row)
            run.count += 1
            if run.count == size:
                self._close(key)
        self._waits(times.count, len(runs))
        return []

    @override
    def advance(self, watermark: int) -> None:
        pass  # time closes no window

    @override
    def close(self) -> None:
        for key in list(self._runs):
            self._close(key)

    @override
    def next_end(self) -> int:
        return MAX_TIMESTAMP

    @override
    def statistics(self) -> Statistics:
        return Statistics(len(self._runs), len(self._runs), self.closed_early)

    @override
    def _cells(self) -> Iterable[GroupState]:
        return (run.group for run in self._runs.values())

    def _begin(self, key: object, time: int) -> _Run:
        if len(self._runs) >= self.bounds.groups:
            self.closed_early += 1
            self._close(next(iter(self._runs)))
        run = self._runs[key] = _Run(time, GroupState(self.plan.accumulators()))
        return run

    def _close(self, key: object) -> None:
        run = self._runs.pop(key)
        self._results += self.plan.results(run.first, run.last, {key: run.group})


_SPARE = 64
"""Entries of ended sessions that the heap may always have."""


class _Session:
    """The events of a group from `first` to `last`; `serial` orders sessions with the same end."""

    __slots__ = ("first", "group", "is_over", "key", "last", "serial")

    def __init__(self, key: object, timestamp: int, group: GroupState, serial: int) -> None:
        self.key = key
        self.first = timestamp
        self.last = timestamp
        self.group = group
        self.serial = serial
        self.is_over = False


class SessionWindows(Windows):
    """Windows that begin with an event of a group and end `gap` after its last one; an event between two joins them.

    Beyond the limit of groups, the session that would end first closes; a later event of it begins a new session.
    """

    def __init__(self, plan: MeasurePlan, bounds: Bounds, gap: int, out_of_order: int = 0) -> None:
        super().__init__(plan, bounds)
        self._gap = gap
        self._out_of_order = out_of_order
        self._sessions: dict[object, list[_Session]] = {}
        self._heap: list[tuple[int, int, _Session]] = []
        self._serial = 0
        self._count = 0

    @override
    def take(self, times: Timestamps, keys: Sequence[object], rows: Sequence[ResultRow]) -> list[int]:
        late = []
        for at, (time, key, row) in enumerate(zip(times.each(), keys, rows, strict=True)):
            session = self._session(key, time)
            if session is None:
                late.append(at)
                continue
            session.group.add_row(row)
            if time - self._out_of_order > self.watermark:
                self.advance(time - self._out_of_order)
        self._waits(times.count, self._count)
        return late

    @override
    def advance(self, watermark: int) -> None:
        self.watermark = max(self.watermark, watermark)
        while self._heap and self._heap[0][0] <= self.watermark:
            self._close_first()

    @override
    def close(self) -> None:
        while self._heap:
            self._close_first()

    @override
    def next_end(self) -> int:
        return self._heap[0][0] if self._heap else MAX_TIMESTAMP

    @override
    def statistics(self) -> Statistics:
        return Statistics(self._count, self._count, self.closed_early)

    @override
    def _cells(self) -> Iterable[GroupState]:
        return (session.group for sessions in self._sessions.values() for session in sessions)

    def _session(self, key: object, time: int) -> _Session | None:
        """Return the session of an event, extended to it; None when that has ended."""
        gap = self._gap
        near = [one for one in self._sessions.get(key, ()) if one.first - gap < time < one.last + gap]
        if not near:
            return self._begin(key, time) if time + gap > self.watermark else None
        session, *others = near
        for other in others:
            self._absorb(session, other)
        session.first = min(session.first, time)
        session.last = max(session.last, time)
        return session

    def _begin(self, key: object, time: int) -> _Session:
        while self._count >= self.bounds.groups:
            before = self._count
            self._close_first()
            self.closed_early += before - self._count
        self._serial += 1
        self._count += 1
        session = _Session(key, time, GroupState(self.plan.accumulators()), self._serial)
        self._sessions.setdefault(key, []).append(session)
        heappush(self._heap, (time + self._gap, session.serial, session))
        return session

    def _absorb(self, session: _Session, other: _Session) -> None:
        """Join two sessions."""
        session.first = min(session.first, other.first)
        session.last = max(session.last, other.last)
        session.group.merge(other.group)
        self._remove(other)
        if len(self._heap) > 2 * self._count + _SPARE:
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapify(self._heap)

    def _remove(self, session: _Session) -> None:
        sessions = self._sessions[session.key]
        sessions.remove(session)
        if not sessions:
            del self._sessions[session.key]
        session.is_over = True
        self._count -= 1

    def _close_first(self) -> None:
        """Remove the first entry of the heap, and close its session, unless it is over or was extended."""
        end, serial, session = heappop(self._heap)
        if session.is_over:
            return
        found = session.last + self._gap
        if found > end:
            heappush(self._heap, (found, serial, session))
            return
        self._remove(session)
        self._results += self.plan.results(session.first, end, {session.key: session.group})
