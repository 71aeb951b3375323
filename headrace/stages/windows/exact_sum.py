"""Sums that do not drift: exact whatever the order, and rounded once, when they are read."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from math import fsum, inf
from typing import Final, cast

from headrace.stages.windows.numbers import Number

_EXACT: Final = Context(prec=4_000)
"""More digits than any sum of the decimals that are taken has, see `numbers`."""

MOST_FLOATS: Final = 250
"""So many are kept as they are: to make few of many costs less than to do so often."""

_FLOAT: Final = frozenset({float})
_INT: Final = frozenset({int})


class ExactSum:
    """The exact sum of finite numbers: floats as the few floats that it is made of, ints and decimals apart.

    The total is an int if all are ints, a Decimal if some are and none is a float, and else the float nearest to it.
    """

    __slots__ = ("decimals", "floats", "huge", "ints")

    def __init__(self) -> None:
        self.ints = 0
        self.floats: list[float] | None = None
        self.decimals: Decimal | None = None
        self.huge: Fraction | int = 0

    def add(self, values: Sequence[object]) -> None:
        """Take in numbers, as `numbers` gives them."""
        kinds = set(map(type, values))
        if kinds == _FLOAT:
            self._add_floats(cast("Sequence[float]", values))
        elif kinds <= _INT:
            self.ints += sum(cast("Sequence[int]", values))
        else:
            self.ints += sum(value for value in values if type(value) is int)
            self._add_floats([value for value in values if type(value) is float])
            self._add_decimals(value for value in values if type(value) is Decimal)

    def merge(self, other: "ExactSum") -> None:
        """Take in another sum."""
        self.ints += other.ints
        self.huge += other.huge
        if other.floats is not None:
            self.floats = self.floats or []
            self._add_floats(other.floats)
        if other.decimals is not None:
            self._add_decimals([other.decimals])

    def total(self) -> Number:
        """Return the sum."""
        if self.floats is None:
            return self.ints if self.decimals is None else _EXACT.add(self.decimals, self.ints)
        if not (self.ints or self.huge or self.decimals):
            with suppress(OverflowError):
                return fsum(self.floats)
        return _nearest(self._fraction())

    def mean(self, count: int) -> Number:
        """Return the sum's `count`-th part: a Decimal of 28 digits where the sum is one, else the nearest float."""
        if self.floats is None and self.decimals is not None:
            return Context().divide(_EXACT.add(self.decimals, self.ints), count)
        return _nearest(self._fraction() / count)

    def _add_floats(self, values: Sequence[float]) -> None:
        if not values:
            return
        floats = self.floats = [*(self.floats or ()), *values]
        if len(floats) > MOST_FLOATS:
            self._join(floats)

    def _join(self, floats: list[float]) -> None:
        """Make a few of many floats."""
        try:
            self.floats = _parts(floats)
        except OverflowError:  # on the way, though the sum of all may be a float again
            self.huge += sum(map(Fraction, floats))
            self.floats = []

    def _add_decimals(self, values: Iterable[Decimal]) -> None:
        for value in values:
            self.decimals = value if self.decimals is None else _EXACT.add(self.decimals, value)

    def _fraction(self) -> Fraction:
        return sum(map(Fraction, self.floats or ()), Fraction(self.huge + self.ints)) + Fraction(self.decimals or 0)


def _parts(values: list[float]) -> list[float]:
    """Return a few floats whose exact sum is that of `values`: each the sum, rounded, of what is left.

    Each rounding leaves less than a part in 2 to the 53 behind, so that it ends soon.
    """
    parts = []
    while part := fsum(values):
        parts.append(part)
        values.append(-part)
    return parts


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf
