"""The least or the greatest of numbers."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from headrace.stages.windows.numbers import Number


class Extreme:
    """What `pick`, which is `min` or `max`, picks of all numbers; of equal ones, which of them is not said."""

    __slots__ = ("_number", "_pick")

    def __init__(self, pick: Callable[[Iterable[Number]], Number]) -> None:
        self._pick = pick
        self._number: Number | None = None

    def add(self, values: Sequence[object]) -> None:
        """Take in at least one number."""
        found = self._pick(cast("Sequence[Number]", values))
        self._number = found if self._number is None else self._pick((self._number, found))

    def merge(self, other: "Extreme") -> None:
        """Take in another."""
        if other._number is not None:
            self.add([other._number])

    def number(self) -> Number | None:
        """Return the number; None where there was none."""
        return self._number
