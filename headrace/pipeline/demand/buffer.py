"""Events that no consumer has asked for yet: oldest first, bounded, and what does not fit is handed back.

Marks wait between them: a message that was put behind all events of its time, and is reached when they have gone.
"""

from collections import deque
from typing import Generic, Literal, TypeVar

from headrace.pipeline.demand.sizes import Sizes

E = TypeVar("E")

Keep = Literal["first", "last", "all"]
"""Which end survives when a buffer overflows (GenStage's `buffer_keep`); all of it, where whoever emits has to wait."""


class Buffer(Generic[E]):
    """A bounded line of chunks, each a list of events with the time when it was born at its source.

    `limit` is the most events it holds; None is no limit (a producer-consumer's, whose overshoot the gate bounds).
    `sizes` bounds their bytes, too. Where it keeps all, what is put goes beyond the bounds, and `room` says so.
    `marks` wait in order; they count as nothing, and no bound drops them.
    """

    __slots__ = ("_chunks", "_gone", "_offset", "keep", "limit", "marks", "size", "sizes")

    def __init__(self, limit: int | None = 10_000, keep: Keep = "last", sizes: Sizes[E] | None = None) -> None:
        self.limit = limit
        self.keep: Keep = keep
        self.sizes = sizes
        self.size = 0
        self._chunks: deque[tuple[list[E], float]] = deque()
        self._offset = 0
        self._gone = 0
        self.marks: deque[tuple[int, object]] = deque()

    def put(self, events: list[E], born: float) -> list[E]:
        """Add `events` behind all others; return those that had to go, from either end as `keep` says."""
        if events:
            self._chunks.append((events, born))
            self.size += len(events)
            if self.sizes is not None:
                self.sizes.put(events)
        return self._fit()

    def room(self, without_limit: int) -> int:
        """Return how many more events it is to hold; `without_limit` are the most it holds if it has no limit."""
        if self.sizes is not None and self.sizes.is_full:
            return 0
        return max(0, (without_limit if self.limit is None else self.limit) - self.size)

    def resize(self, limit: int | None, keep: Keep) -> list[E]:
        """Hold at most `limit` events from now on; return those that had to go, from either end as `keep` says."""
        self.limit = limit
        self.keep = keep
        return self._fit()

    def mark(self, message: object) -> None:
        """Put a message behind all events that are here now."""
        self.marks.append((self._gone + self.size, message))

    def reached(self) -> list[object]:
        """Remove and return the messages that no event is before any more, oldest first."""
        messages: list[object] = []
        while self.marks and self.marks[0][0] <= self._gone:
            messages.append(self.marks.popleft()[1])
        return messages

    def put_back(self, events: list[E], born: float) -> None:
        """Add `events` before all others; they were accepted once, so no bound applies."""
        if self._offset:
            head, head_born = self._chunks.popleft()
            self._chunks.appendleft((head[self._offset :], head_born))
            self._offset = 0
        if events:
            self._chunks.appendleft((events, born))
            self.size += len(events)
            if self.sizes is not None:
                self.sizes.put_back(events)
            self.marks = deque((max(place, self._gone), message) for place, message in self.marks)
            self._gone -= len(events)

    def take(self, count: int) -> tuple[list[E], float]:
        """Remove and return at most `count` of the oldest events, and when the first of them was born.

        None is taken from behind a mark that has not been removed.
        """
        if self.marks:
            count = min(count, self.marks[0][0] - self._gone)
        return self._take(count)

    def _take(self, count: int) -> tuple[list[E], float]:
        if not self._chunks or count <= 0:
            return [], 0.0
        born = self._chunks[0][1]
        taken = self._take_from_head(count)
        if self._chunks and len(taken) < count:
            taken = list(taken)
            while self._chunks and len(taken) < count:
                taken += self._take_from_head(count - len(taken))
        self.size -= len(taken)
        self._gone += len(taken)
        if self.sizes is not None:
            self.sizes.forget_oldest(len(taken))
        return taken, born

    def _fit(self) -> list[E]:
        excess = 0 if self.limit is None else self.size - self.limit
        if self.sizes is not None:
            excess = max(excess, self.sizes.excess(of_oldest=self.keep == "last"))
        if excess <= 0 or self.keep == "all":
            return []
        return self._take(excess)[0] if self.keep == "last" else self._cut_newest(excess)

    def _take_from_head(self, most: int) -> list[E]:
        """Cut by an offset, so that what stays is not copied for each small piece that goes."""
        events, _ = self._chunks[0]
        begin = self._offset
        end = begin + most
        if end < len(events):
            self._offset = end
            return events[begin:end]
        self._chunks.popleft()
        self._offset = 0
        return events[begin:] if begin else events

    def _cut_newest(self, count: int) -> list[E]:
        pieces: deque[list[E]] = deque()
        left = count
        while left:
            events, born = self._chunks.pop()
            begin = 0 if self._chunks else self._offset
            end = len(events) - left
            if end > begin:
                self._chunks.append((events[:end], born))
            else:
                end = begin
                self._offset = self._offset if self._chunks else 0
            pieces.appendleft(events[end:])
            left -= len(events) - end
        self.size -= count
        if self.sizes is not None:
            self.sizes.forget_newest(count)
        last = self._gone + self.size
        self.marks = deque((min(place, last), message) for place, message in self.marks)
        return [event for piece in pieces for event in piece]
