"""Exact sums, extremes, distinct values, quantiles.

Distinct values are estimated with HyperLogLog (Flajolet and others, 2007), as Ertl reads its registers ("New
cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no table of corrections.

The sketch is DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019): values are counted in bins whose bounds grow by a constant factor.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from hashlib import blake2b
from math import ceil, exp, fsum, inf, isfinite, log, sqrt
from typing import Final, SupportsFloat, cast

from headrace.stages.errors import BadEvent

Number = int | float | Decimal

_PLAIN: Final = frozenset({int, float})
_MOST_DIGITS: Final = 1_000
"""The most digits of a decimal, so that sums stay exact within bounds."""


def numbers(values: list[object], called: str) -> list[object]:
    """Return `values` if all are ints, floats or Decimals; convert other values to floats.

    Raises `BadEvent`, with the name `called`, for the first value that is no number.
    """
    if _PLAIN.issuperset(map(type, values)):
        try:
            if isfinite(sum(cast("list[float]", values))):
                return values
        except OverflowError:  # an integer too large for a float
            pass
    return [_number(value, called) for value in values]


def _number(value: object, called: str) -> Number:
    if isinstance(value, str):
        why = "is text: write float() around it"
    elif isinstance(value, bool) or not isinstance(value, SupportsFloat):
        why = f"is of type {type(value).__name__}, and must be a number"
    elif not _is_fair(value):
        why = "is not finite, or beyond all floats"
    elif type(value) in {int, float, Decimal}:
        return cast("Number", value)
    else:
        return int(value) if isinstance(value, int) else float(value)
    why_not = f"the value of {called} {why}"
    raise BadEvent(why_not)


def _is_fair(value: SupportsFloat) -> bool:
    try:
        is_finite = isfinite(value)
    except (OverflowError, ValueError):
        return False
    if not is_finite or not isinstance(value, Decimal):
        return is_finite
    _, digits, exponent = value.as_tuple()
    return isinstance(exponent, int) and exponent >= -_MOST_DIGITS and len(digits) <= _MOST_DIGITS


_EXACT: Final = Context(prec=4_000)
"""More digits than any sum of the decimals that `numbers` accepts."""

MOST_FLOATS: Final = 250
"""So many floats are kept before they are joined: one large join is cheaper than many small ones."""

_FLOAT: Final = frozenset({float})
_INT: Final = frozenset({int})


class ExactSum:
    """The exact sum of finite numbers. Floats are kept as a few floats, ints and decimals in sums of their own.

    The total is an int if all numbers are ints, a Decimal if some are Decimals and none is a float, and else the
    nearest float.
    """

    __slots__ = ("decimals", "floats", "huge", "ints")

    def __init__(self) -> None:
        self.ints = 0
        self.floats: list[float] | None = None
        self.decimals: Decimal | None = None
        self.huge: Fraction | int = 0

    def add(self, values: Sequence[object]) -> None:
        """Add numbers that `numbers` returned."""
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
        """Add another sum."""
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
        """Return the sum divided by `count`: a Decimal of 28 digits if the sum is a Decimal, else the nearest float."""
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
        """Join floats into a few."""
        try:
            self.floats = _parts(floats)
        except OverflowError:  # of an intermediate sum; the total may be a float again
            self.huge += sum(map(Fraction, floats))
            self.floats = []

    def _add_decimals(self, values: Iterable[Decimal]) -> None:
        for value in values:
            self.decimals = value if self.decimals is None else _EXACT.add(self.decimals, value)

    def _fraction(self) -> Fraction:
        return sum(map(Fraction, self.floats or ()), Fraction(self.huge + self.ints)) + Fraction(self.decimals or 0)


def _parts(values: list[float]) -> list[float]:
    """Return a few floats with the same exact sum as `values`: each is the rounded sum of the remainder.

    Each remainder is less than a part in 2**53 of the one before, so that a few steps are enough.
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


class Extreme:
    """The least or greatest number, by `pick`, which is `min` or `max`; any of equal ones."""

    __slots__ = ("_pick", "number")

    def __init__(self, pick: Callable[[Iterable[Number]], Number]) -> None:
        self._pick = pick
        self.number: Number | None = None

    def add(self, values: Sequence[object]) -> None:
        """Add at least one number."""
        found = self._pick(cast("Sequence[Number]", values))
        self.number = found if self.number is None else self._pick((self.number, found))

    def merge(self, other: "Extreme") -> None:
        """Add another extreme."""
        if other.number is not None:
            self.add([other.number])


EXACT_VALUES: Final = 1_000
"""Up to so many values the count is exact."""

STANDARD_ERROR: Final = 0.01625
"""The relative error of larger counts: 1.04 divided by the root of the number of registers."""

_INDEX_BITS: Final = 12
_REGISTERS: Final = 1 << _INDEX_BITS
_RANK_BITS: Final = 64 - _INDEX_BITS
_RANK_BITMAP: Final = (1 << _RANK_BITS) - 1
_SCALE: Final = _REGISTERS**2 / (2 * log(2))


class DistinctValues:
    """A set of values, or, beyond `EXACT_VALUES`, 4 KiB of registers to estimate their number.

    Equal values count once, as in a set; the estimate is the same in every OS process.
    """

    __slots__ = ("registers", "values")

    def __init__(self) -> None:
        self.values: set[Hashable] = set()
        self.registers: bytearray | None = None

    def add(self, values: Sequence[Hashable]) -> None:
        """Add hashable values."""
        if self.registers is not None:
            _note(self.registers, set(values))
            return
        self.values.update(values)
        if len(self.values) > EXACT_VALUES:
            self._estimate()

    def merge(self, other: "DistinctValues") -> None:
        """Add another set."""
        if other.registers is None:
            self.add(list(other.values))
            return
        mine = self.registers if self.registers is not None else self._estimate()
        self.registers = bytearray(map(max, mine, other.registers))

    def count(self) -> int:
        """Return the number of different values."""
        return len(self.values) if self.registers is None else _cardinality(self.registers)

    def _estimate(self) -> bytearray:
        """Replace the set by registers."""
        self.registers = registers = bytearray(_REGISTERS)
        _note(registers, self.values)
        self.values = set()
        return registers


def _note(registers: bytearray, values: Iterable[Hashable]) -> None:
    for value in values:
        hashed = _hash(value)
        index = hashed >> _RANK_BITS
        rank = _RANK_BITS + 1 - (hashed & _RANK_BITMAP).bit_length()
        registers[index] = max(registers[index], rank)


def _hash(value: Hashable) -> int:
    """Return 64 uniform bits; as with Python's own hash, equal numbers of different types have equal bits."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        data = b"\0" + value
    else:
        shown = repr(hash(value) if isinstance(value, int | float | Decimal) else value)
        data = b"\1" + shown.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _cardinality(registers: bytearray) -> int:
    total = _REGISTERS * _tau(1 - registers.count(_RANK_BITS + 1) / _REGISTERS)
    for rank in range(_RANK_BITS, 0, -1):
        total = 0.5 * (total + registers.count(rank))
    total += _REGISTERS * _sigma(registers.count(0) / _REGISTERS)
    return round(_SCALE / total)


def _sigma(part: float) -> float:
    if part == 1:
        return inf
    power, weight, total, before = part, 1.0, part, -1.0
    while total != before:
        power *= power
        before, total = total, total + power * weight
        weight += weight
    return total


def _tau(part: float) -> float:
    if part in {0.0, 1.0}:
        return 0.0
    root, weight, total, before = part, 1.0, 1 - part, -1.0
    while total != before:
        root = sqrt(root)
        weight *= 0.5
        before, total = total, total - (1 - root) ** 2 * weight
    return total / 3


RELATIVE_ERROR: Final = 0.01
"""The relative error of a quantile."""

MOST_BINS: Final = 2_000
"""Enough for values whose largest is 10**17 times the smallest."""

_STEP: Final = log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
_MIDDLE: Final = log(1 - RELATIVE_ERROR)
"""From a bin's upper bound to the value within 1 % of all values in the bin; a logarithm, like `_STEP`."""


class QuantileSketch:
    """Counts of values in bins, and the exact least and greatest value.

    Beyond `MOST_BINS` the bins nearest to zero are joined: quantiles in them are then too far from zero, and all others
    stay within 1 %.
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
        """The number of bins."""
        return len(self.above) + len(self.below)

    def add(self, values: Sequence[object]) -> None:
        """Add at least one finite number within the range of floats."""
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
        """Add another sketch."""
        if other.bins or other.zeros:
            self._stretch(other.least, other.greatest)
            self.above.update(other.above)
            self.below.update(other.below)
            self.zeros += other.zeros
            self._collapse()

    def quantile(self, at: float) -> float:
        """Return the value at position `at * (n - 1)` of n sorted values, of which there is at least one."""
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
        """Return the value, limited to the exact least and greatest value."""
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
