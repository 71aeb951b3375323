"""What events take that wait in a line: told as they come and go at either end."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

E = TypeVar("E")


class Sizes(Generic[E]):
    """The size of each event of a line, oldest first, as `measure` tells it, and their `total`, at most `limit`."""

    __slots__ = ("_measure", "_sizes", "limit", "total")

    def __init__(self, limit: int, measure: Callable[[E], int]) -> None:
        self.limit = limit
        self.total = 0
        self._measure = measure
        self._sizes: deque[int] = deque()

    @property
    def is_full(self) -> bool:
        """Whether there is room for no further event."""
        return self.total >= self.limit

    def put(self, events: Iterable[E]) -> None:
        """Take note of events behind all others."""
        sizes = list(map(self._measure, events))
        self._sizes.extend(sizes)
        self.total += sum(sizes)

    def put_back(self, events: list[E]) -> None:
        """Take note of events before all others."""
        sizes = [self._measure(event) for event in reversed(events)]
        self._sizes.extendleft(sizes)
        self.total += sum(sizes)

    def forget_oldest(self, count: int) -> None:
        """Take note that the oldest have gone."""
        for _ in range(count):
            self.total -= self._sizes.popleft()

    def forget_newest(self, count: int) -> None:
        """Take note that the newest have gone."""
        for _ in range(count):
            self.total -= self._sizes.pop()

    def excess(self, *, of_oldest: bool) -> int:
        """Return how many events have to go, from one end, until the rest fit; one alone always does."""
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
