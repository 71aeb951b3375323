"""Brings what comes from several lines, each of which is in order, into one order. Pure: times are handed in."""

import heapq
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True, slots=True)
class _Held:
    """An event that waits, with the number by which events of one key keep their order."""

    key: Any
    number: int
    line: Hashable = field(compare=False)
    at: float = field(compare=False)
    event: object = field(compare=False)


class InOrder:
    """Holds events until every living line has one, then lets the least go: nothing less can come after it.

    A line that is silent for `seconds` is waited for no longer, and no more than `most` events are held; what comes
    too late for its place goes at once.
    """

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most = most
        self._seconds = seconds
        self._held: list[_Held] = []
        self._counts: Counter[Hashable] = Counter()
        self._lines: set[Hashable] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, line: Hashable) -> None:
        """Wait for a line from now on."""
        self._lines.add(line)

    def end(self, line: Hashable) -> None:
        """Wait for it no longer; what it has brought keeps its place."""
        self._lines.discard(line)

    def put(self, line: Hashable, key: object, event: object, now: float) -> None:
        """Hold an event. Raises TypeError where keys cannot be compared."""
        heapq.heappush(self._held, _Held(key, self._number, line, now, event))
        self._counts[line] += 1
        self._number += 1

    def take(self, now: float) -> list[object]:
        """Return what may go, in order."""
        events: list[object] = []
        while self._held and self._may_go(now):
            events.append(self._pop())
        return events

    def rest(self) -> list[object]:
        """Return all that is held, in order: no more will come."""
        return [self._pop() for _ in range(len(self._held))]

    def _pop(self) -> object:
        held = heapq.heappop(self._held)
        self._counts[held.line] -= 1
        return held.event

    def _may_go(self, now: float) -> bool:
        if len(self._held) > self._most or all(self._counts[line] for line in self._lines):
            return True
        return self._seconds is not None and now - self._held[0].at >= self._seconds
