"""Quantiles of any number of values from a bounded sketch, each within 1 % of the true one.

The sketch is DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019): values are counted in bins whose bounds grow by a constant factor.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil, exp, inf, log
from typing import Final, SupportsFloat, cast

RELATIVE_ERROR: Final = 0.01
"""How far a quantile may be from the true value, as a part of that."""

MOST_BINS: Final = 2_000
"""Enough for values of which the largest is 10 to the 17 times the smallest."""

_STEP: Final = log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
_MIDDLE: Final = log(1 - RELATIVE_ERROR)
"""From a bin's upper bound to the value that is at most 1 % from all in the bin; as a logarithm, as `_STEP`."""


class QuantileSketch:
    """Counts of values in bins, and the exact least and greatest value.

    Where there are too many bins, those nearest to zero become one: then quantiles that fall there are too far from
    zero, and all others keep to the 1 %.
    """

    __slots__ = ("above", "below", "greatest", "least", "zeros")

    def __init__(self) -> None:
        self.above: Counter[int] = Counter()
        self.below: Counter[int] = Counter()
        self.zeros = 0
        self.least = 0.0
        self.greatest = 0.0

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return len(self.above) + len(self.below)

    def add(self, values: Sequence[object]) -> None:
        """Take in at least one finite number that is within the range of floats."""
        floats = [float(value) for value in cast("Sequence[SupportsFloat]", values)]
        least, greatest = min(floats), max(floats)
        self._stretch(least, greatest)
        if least > 0:
            self.above.update([ceil(log(value) / _STEP) for value in floats])
        else:
            self.above.update([ceil(log(value) / _STEP) for value in floats if value > 0])
            self.below.update([ceil(log(-value) / _STEP) for value in floats if value < 0])
            self.zeros += floats.count(0.0)
        self._collapse()

    def merge(self, other: "QuantileSketch") -> None:
        """Take in another sketch."""
        if other.bins or other.zeros:
            self._stretch(other.least, other.greatest)
            self.above.update(other.above)
            self.below.update(other.below)
            self.zeros += other.zeros
            self._collapse()

    def quantile(self, at: float) -> float:
        """Return the value that as large a part as `at` of the others lies below; of n values, that at `at * (n - 1)`.

        There must be at least one value.
        """
        rank = at * (self.below.total() + self.zeros + self.above.total() - 1)
        seen = 0
        for index in sorted(self.below, reverse=True):
            seen += self.below[index]
            if seen > rank:
                return self._within(-_value(index))
        seen += self.zeros
        if seen > rank:
            return 0.0
        for index in sorted(self.above):
            seen += self.above[index]
            if seen > rank:
                return self._within(_value(index))
        return self.greatest

    def _stretch(self, least: float, greatest: float) -> None:
        is_empty = not (self.bins or self.zeros)
        self.least = least if is_empty else min(self.least, least)
        self.greatest = greatest if is_empty else max(self.greatest, greatest)

    def _within(self, value: float) -> float:
        """Return the value, or the exact bound that it passes: no true value lies beyond."""
        return min(max(value, self.least), self.greatest)

    def _collapse(self) -> None:
        while (surplus := self.bins - MOST_BINS) > 0:
            larger = max(self.above, self.below, key=len)
            nearest = sorted(larger)[: surplus + 1]
            larger[nearest[-1]] += sum(larger.pop(index) for index in nearest[:-1])


def _value(index: int) -> float:
    try:
        return exp(index * _STEP + _MIDDLE)
    except OverflowError:
        return inf
