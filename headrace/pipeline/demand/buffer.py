"""Events that no consumer has asked for yet: oldest first, bounded, and what does not fit is handed back."""

from collections import deque
from typing import Generic, Literal, TypeVar

E = TypeVar("E")

Keep = Literal["first", "last"]
"""Which end survives when a buffer overflows (GenStage's `buffer_keep`)."""


class Buffer(Generic[E]):
    """A bounded line of chunks, each a list of events with the time when it was born at its source.

    `limit` is the most events it holds; None is no limit (a producer-consumer's, whose overshoot the gate bounds).
    """

    __slots__ = ("_chunks", "_offset", "keep", "limit", "size")

    def __init__(self, limit: int | None = 10_000, keep: Keep = "last") -> None:
        self.limit = limit
        self.keep: Keep = keep
        self.size = 0
        self._chunks: deque[tuple[list[E], float]] = deque()
        self._offset = 0

    def put(self, events: list[E], born: float) -> list[E]:
        """Add `events` behind all others; return those that had to go, from either end as `keep` says."""
        if events:
            self._chunks.append((events, born))
            self.size += len(events)
        excess = 0 if self.limit is None else self.size - self.limit
        if excess <= 0:
            return []
        return self.take(excess)[0] if self.keep == "last" else self._cut_newest(excess)

    def put_back(self, events: list[E], born: float) -> None:
        """Add `events` before all others; they were accepted once, so no bound applies."""
        if self._offset:
            head, head_born = self._chunks.popleft()
            self._chunks.appendleft((head[self._offset :], head_born))
            self._offset = 0
        if events:
            self._chunks.appendleft((events, born))
            self.size += len(events)

    def take(self, count: int) -> tuple[list[E], float]:
        """Remove and return at most `count` of the oldest events, and when the first of them was born."""
        if not self._chunks:
            return [], 0.0
        born = self._chunks[0][1]
        taken = self._take_from_head(count)
        if self._chunks and len(taken) < count:
            taken = list(taken)
            while self._chunks and len(taken) < count:
                taken += self._take_from_head(count - len(taken))
        self.size -= len(taken)
        return taken, born

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
        return [event for piece in pieces for event in piece]
