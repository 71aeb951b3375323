"""The least or the greatest of numbers."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from headrace.stages.windows.numbers import Number


class Extreme:
    """What `pick`, which is `min` or `max`, picks of all numbers; of equal ones, which of them is not said."""

    __slots__ = ("_pick", "number")

    def __init__(self, pick: Callable[[Iterable[Number]], Number]) -> None:
        self._pick = pick
        self.number: Number | None = None

    def add(self, values: Sequence[object]) -> None:
        """Take in at least one number."""
        found = self._pick(cast("Sequence[Number]", values))
        self.number = found if self.number is None else self._pick((self.number, found))

    def merge(self, other: "Extreme") -> None:
        """Take in another."""
        if other.number is not None:
            self.add([other.number])
