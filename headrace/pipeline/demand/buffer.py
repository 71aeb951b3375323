"""Events that no consumer has asked for yet, bounded by number and bytes.

Markers wait between the events: a message is due when all events before it were taken.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, Literal, NamedTuple, TypeVar

E = TypeVar("E")


class Sizes(Generic[E]):
    """The sizes of buffered events by `measure`, oldest first, and their `total`, which may be at most `limit`."""

    __slots__ = ("_measure", "_sizes", "limit", "total")

    def __init__(self, limit: int, measure: Callable[[E], int]) -> None:
        self.limit = limit
        self.total = 0
        self._measure = measure
        self._sizes: deque[int] = deque()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another event."""
        return self.total >= self.limit

    def put(self, events: Iterable[E]) -> None:
        """Add the sizes of events behind all others."""
        sizes = list(map(self._measure, events))
        self._sizes.extend(sizes)
        self.total += sum(sizes)

    def put_back(self, events: list[E]) -> None:
        """Add the sizes of events before all others."""
        sizes = [self._measure(event) for event in reversed(events)]
        self._sizes.extendleft(sizes)
        self.total += sum(sizes)

    def forget_oldest(self, count: int) -> None:
        """Remove the sizes of the oldest events."""
        for _ in range(count):
            self.total -= self._sizes.popleft()

    def forget_newest(self, count: int) -> None:
        """Remove the sizes of the newest events."""
        for _ in range(count):
            self.total -= self._sizes.pop()

    def excess(self, *, of_oldest: bool) -> int:
        """Return how many events to remove, from one end, until the rest fits. A single event always fits."""
        over, count = self.total - self.limit, 0
        if over <= 0:
            return 0
        sizes = iter(self._sizes) if of_oldest else reversed(self._sizes)
        for size in islice(sizes, len(self._sizes) - 1):
            over -= size
            count += 1
            if over <= 0:
                break
        return count


KeepPolicy = Literal["first", "last", "all"]
"""The events that stay when a buffer overflows (GenStage's `buffer_keep`): with "all", senders have to wait."""


class Chunk(NamedTuple, Generic[E]):
    """A list of events, the ingestion time of the first, and whether a consumer had asked for them."""

    events: list[E]
    ingested_at: float
    is_asked: bool


class Buffer(Generic[E]):
    """A bounded queue of chunks.

    `limit` is the largest number of events that no consumer has asked for; None is no limit (for producer-consumers,
    which handle a batch only on demand). `sizes` limits their bytes, too. A buffer that keeps all may exceed the
    limits, and `room` is 0 then. The `asked` events were asked for by a consumer that has left since, or were sent to
    it: no limit applies to them. `markers` keep their order, count as no events, and are never dropped.
    """

    __slots__ = ("_chunks", "_offset", "_removed", "_taken", "asked", "keep", "limit", "markers", "size", "sizes")

    def __init__(self, limit: int | None = 10_000, keep: KeepPolicy = "last", sizes: Sizes[E] | None = None) -> None:
        self.limit = limit
        self.keep: KeepPolicy = keep
        self.sizes = sizes
        self.size = 0
        self.asked = 0
        self._chunks: deque[Chunk[E]] = deque()
        self._offset = 0
        self._removed = 0
        self._taken: list[tuple[int, float, bool]] = []
        self.markers: deque[tuple[int, object]] = deque()

    def put(self, events: list[E], ingested_at: float, asked: int = 0) -> list[E]:
        """Add `events` behind all others. A consumer had asked for the first `asked` of them.

        Return the dropped events, from the end that `keep` does not protect.
        """
        if asked > 0:
            self._add(Chunk(events[:asked], ingested_at, is_asked=True))
            events = events[asked:]
        if events:
            self._add(Chunk(events, ingested_at, is_asked=False))
        return self._fit()

    def _add(self, chunk: Chunk[E]) -> None:
        self._chunks.append(chunk)
        self._count(len(chunk.events), is_asked=chunk.is_asked)
        if self.sizes is not None and not chunk.is_asked:
            self.sizes.put(chunk.events)

    def _count(self, count: int, *, is_asked: bool) -> None:
        self.size += count
        if is_asked:
            self.asked += count

    def room(self, without_limit: int) -> int:
        """Return how many more events fit. A buffer without a limit holds at most `without_limit`."""
        if self.sizes is not None and self.sizes.is_full:
            return 0
        return max(0, (without_limit if self.limit is None else self.limit) - self.size + self.asked)

    def resize(self, limit: int | None, keep: KeepPolicy) -> list[E]:
        """Hold at most `limit` events from now on; return the dropped events."""
        self.limit = limit
        self.keep = keep
        return self._fit()

    def add_marker(self, message: object) -> None:
        """Put a message behind all events that wait now."""
        self.markers.append((self._removed + self.size, message))

    def take_markers(self) -> list[object]:
        """Remove and return the messages whose events were all taken, oldest first."""
        messages: list[object] = []
        while self.markers and self.markers[0][0] <= self._removed:
            messages.append(self.markers.popleft()[1])
        return messages

    def put_back(self, events: list[E], ingested_at: float) -> None:
        """Add `events` before all others. They had been sent to a consumer, so no limit applies."""
        self._put_back([Chunk(events, ingested_at, is_asked=True)])

    def undo_take(self, events: list[E]) -> None:
        """Put back `events`, the last that `take` returned, as if they had not been taken."""
        chunks: list[Chunk[E]] = []
        end = len(events)
        for size, ingested_at, is_asked in reversed(self._taken):
            begin = max(0, end - size)
            chunks.append(Chunk(events[begin:end], ingested_at, is_asked))
            end = begin
        self._taken = []
        self._put_back(chunks[::-1])

    def _put_back(self, chunks: list[Chunk[E]]) -> None:
        self._drop_offset()
        for chunk in reversed(chunks):
            if chunk.events:
                self._chunks.appendleft(chunk)
                self._count(len(chunk.events), is_asked=chunk.is_asked)
                if self.sizes is not None and not chunk.is_asked:
                    self.sizes.put_back(chunk.events)
                self.markers = deque((max(position, self._removed), message) for position, message in self.markers)
                self._removed -= len(chunk.events)

    def take(self, count: int) -> tuple[list[E], float]:
        """Remove and return at most `count` of the oldest events, and the ingestion time of the first.

        No event behind a marker is taken before the marker is.
        """
        if self.markers:
            count = min(count, self.markers[0][0] - self._removed)
        return self._take(count)

    def _take(self, count: int) -> tuple[list[E], float]:
        self._taken = []
        if not self._chunks or count <= 0:
            return [], 0.0
        ingested_at = self._chunks[0].ingested_at
        taken = self._take_from_head(count)
        if self._chunks and len(taken) < count:
            taken = list(taken)
            while self._chunks and len(taken) < count:
                taken += self._take_from_head(count - len(taken))
        self._removed += len(taken)
        return taken, ingested_at

    def _fit(self) -> list[E]:
        excess = 0 if self.limit is None else self.size - self.asked - self.limit
        if self.sizes is not None:
            excess = max(excess, self.sizes.excess(of_oldest=self.keep == "last"))
        if excess <= 0 or self.keep == "all":
            return []
        return self._cut_oldest(excess) if self.keep == "last" else self._cut_newest(excess)

    def _take_from_head(self, most: int) -> list[E]:
        """Take events from the first chunk. An offset into it saves copying its rest for each small piece."""
        chunk = self._chunks[0]
        events, begin = chunk.events, self._offset
        end = begin + most
        if end < len(events):
            self._offset = end
            taken = events[begin:end]
        else:
            self._chunks.popleft()
            self._offset = 0
            taken = events[begin:] if begin else events
        self._count(-len(taken), is_asked=chunk.is_asked)
        if self.sizes is not None and not chunk.is_asked:
            self.sizes.forget_oldest(len(taken))
        self._taken.append((len(taken), chunk.ingested_at, chunk.is_asked))
        return taken

    def _drop_offset(self) -> None:
        if self._offset:
            head = self._chunks.popleft()
            self._chunks.appendleft(head._replace(events=head.events[self._offset :]))
            self._offset = 0

    def _cut_oldest(self, count: int) -> list[E]:
        """Remove and return the oldest events that no consumer has asked for; the others stay in place."""
        cut: list[E] = []
        kept: list[Chunk[E]] = []
        position = self._removed
        while len(cut) < count:
            if self._chunks[0].is_asked:
                self._drop_offset()
                kept.append(self._chunks.popleft())
                position += len(kept[-1].events)
            else:
                piece = self._take_from_head(count - len(cut))
                self._close_gap(position, len(piece))
                cut += piece
        if kept:
            self._drop_offset()
            self._chunks.extendleft(reversed(kept))
        return cut

    def _cut_newest(self, count: int) -> list[E]:
        """Remove and return the newest events that no consumer has asked for; the others stay in place."""
        self._drop_offset()
        pieces: deque[list[E]] = deque()
        kept: list[Chunk[E]] = []
        end = self._removed + self.size
        while count:
            chunk = self._chunks.pop()
            if chunk.is_asked:
                kept.append(chunk)
                end -= len(chunk.events)
                continue
            cut = min(count, len(chunk.events))
            rest, piece = chunk.events[: len(chunk.events) - cut], chunk.events[len(chunk.events) - cut :]
            if rest:
                self._chunks.append(chunk._replace(events=rest))
            pieces.appendleft(piece)
            end, count = end - cut, count - cut
            self._count(-cut, is_asked=False)
            self._close_gap(end, cut)
            if self.sizes is not None:
                self.sizes.forget_newest(cut)
        self._chunks.extend(reversed(kept))
        return [event for piece in pieces for event in piece]

    def _close_gap(self, position: int, count: int) -> None:
        """Move up the markers behind the `count` events at `position`, which were removed."""
        if self.markers:
            self.markers = deque((at - max(0, min(at - position, count)), message) for at, message in self.markers)
