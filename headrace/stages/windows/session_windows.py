"""Session windows: of each group the events between which no gap is as long as it may be."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from headrace.stages.windows.moments import Moments
from headrace.stages.windows.plan import Cell, Plan, Row
from headrace.stages.windows.windows import NEVER, Bounds, Statistics, Windows

_SPARE = 64
"""Entries of sessions that are no more, which the heap may always hold."""


class _Session:
    """The events of a group from `first` to `last`; `serial` tells those that end at the same time apart."""

    __slots__ = ("cell", "first", "is_over", "key", "last", "serial")

    def __init__(self, key: object, moment: int, cell: Cell, serial: int) -> None:
        self.key = key
        self.first = moment
        self.last = moment
        self.cell = cell
        self.serial = serial
        self.is_over = False


class SessionWindows(Windows):
    """Windows that begin with a group's event and end `gap` after its last one; an event between two makes them one.

    A session that is one too many closes the one that would end first; an event that comes for it begins a new one.
    """

    def __init__(self, plan: Plan, bounds: Bounds, gap: int, out_of_order: int = 0) -> None:
        super().__init__(plan, bounds)
        self._gap = gap
        self._out_of_order = out_of_order
        self._sessions: dict[object, list[_Session]] = {}
        self._heap: list[tuple[int, int, _Session]] = []
        self._serial = 0
        self._count = 0

    def take(self, times: Moments, keys: Sequence[object], rows: Sequence[Row]) -> list[int]:
        """Take in events; return the positions of those that would make a session that has ended."""
        late = []
        for at, (time, key, row) in enumerate(zip(times.each(), keys, rows, strict=True)):
            session = self._session(key, time)
            if session is None:
                late.append(at)
                continue
            session.cell.add_row(row)
            if time - self._out_of_order > self.watermark:
                self.advance(time - self._out_of_order)
        self._waits(times.count, self._count)
        return late

    def advance(self, watermark: int) -> None:
        """Raise the watermark, and emit the sessions that end at or before it."""
        self.watermark = max(self.watermark, watermark)
        while self._heap and self._heap[0][0] <= self.watermark:
            self._close_first()

    def close(self) -> None:
        """Close all sessions."""
        while self._heap:
            self._close_first()

    def next_end(self) -> int:
        """Return a moment before which none of the sessions ends."""
        return self._heap[0][0] if self._heap else NEVER

    def statistics(self) -> Statistics:
        """Return what is kept; each session is a window of one group."""
        return Statistics(self._count, self._count, self.closed_early)

    def held(self) -> int:
        """Return how many events are in open sessions."""
        return sum(cell.held for cell in self._cells())

    def _cells(self) -> Iterable[Cell]:
        return (session.cell for sessions in self._sessions.values() for session in sessions)

    def _session(self, key: object, time: int) -> _Session | None:
        """Return the session that an event belongs to, stretched to it; None where that has ended."""
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
        session = _Session(key, time, Cell(self.plan.accumulators()), self._serial)
        self._sessions.setdefault(key, []).append(session)
        heappush(self._heap, (time + self._gap, session.serial, session))
        return session

    def _absorb(self, session: _Session, other: _Session) -> None:
        """Make two sessions one."""
        session.first = min(session.first, other.first)
        session.last = max(session.last, other.last)
        session.cell.merge(other.cell)
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
        """Take the first entry of the heap: close its session, unless that is over, or goes on."""
        end, serial, session = heappop(self._heap)
        if session.is_over:
            return
        found = session.last + self._gap
        if found > end:
            heappush(self._heap, (found, serial, session))
            return
        self._remove(session)
        self._results += self.plan.results(session.first, end, {session.key: session.cell})
