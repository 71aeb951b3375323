"""What the newest events of a source take together, where only lists of events have a known size."""

from collections import deque


class RecentSizes:
    """The sizes of the lists that a source emitted, as long as any of their events may wait."""

    def __init__(self) -> None:
        self._lists: deque[tuple[int, int]] = deque()
        self._events = 0
        self._bytes = 0

    def add(self, events: int, size_bytes: int) -> None:
        """Add a list of events and its size."""
        self._lists.append((events, size_bytes))
        self._events += events
        self._bytes += size_bytes

    def total(self, newest: int) -> int:
        """Return the size of the lists that hold the `newest` events, and forget all older lists.

        >>> sizes = RecentSizes()
        >>> sizes.add(2, 100)
        >>> sizes.add(3, 10)
        >>> sizes.total(4), sizes.total(3), sizes.total(0)
        (110, 10, 0)
        """
        lists = self._lists
        while lists and self._events - lists[0][0] >= newest:
            events, size_bytes = lists.popleft()
            self._events -= events
            self._bytes -= size_bytes
        return self._bytes
