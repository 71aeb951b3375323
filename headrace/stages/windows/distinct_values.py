"""How many different values there were: exact for some hundreds, and estimated in bounded memory beyond.

The estimate is HyperLogLog's (Flajolet and others, 2007) as Ertl reads its registers ("New cardinality estimation
algorithms for HyperLogLog sketches", 2017), which needs no table of corrections.
"""

from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b
from math import inf, log, sqrt
from typing import Final

EXACT_VALUES: Final = 1_000
"""Up to so many the count is exact."""

STANDARD_ERROR: Final = 0.01625
"""Of the count beyond, as a part of it: 1.04 divided by the root of the number of registers."""

_INDEX_BITS: Final = 12
_REGISTERS: Final = 1 << _INDEX_BITS
_RANK_BITS: Final = 64 - _INDEX_BITS
_RANK_MASK: Final = (1 << _RANK_BITS) - 1
_SCALE: Final = _REGISTERS**2 / (2 * log(2))


class DistinctValues:
    """A set of values, or, once it has more than `EXACT_VALUES`, 4 KiB that say how many it would have.

    Values that are equal count once, as in a set; the estimate is the same in every OS process.
    """

    __slots__ = ("registers", "values")

    def __init__(self) -> None:
        self.values: set[Hashable] = set()
        self.registers: bytearray | None = None

    def add(self, values: Sequence[Hashable]) -> None:
        """Take in values that can be hashed."""
        if self.registers is not None:
            _note(self.registers, set(values))
            return
        self.values.update(values)
        if len(self.values) > EXACT_VALUES:
            self._estimate()

    def merge(self, other: "DistinctValues") -> None:
        """Take in another set."""
        if other.registers is None:
            self.add(list(other.values))
            return
        mine = self.registers if self.registers is not None else self._estimate()
        self.registers = bytearray(map(max, mine, other.registers))

    def count(self) -> int:
        """Return how many different values there were."""
        return len(self.values) if self.registers is None else _cardinality(self.registers)

    def _estimate(self) -> bytearray:
        """Go over to registers."""
        self.registers = registers = bytearray(_REGISTERS)
        _note(registers, self.values)
        self.values = set()
        return registers


def _note(registers: bytearray, values: Iterable[Hashable]) -> None:
    for value in values:
        hashed = _hash(value)
        index = hashed >> _RANK_BITS
        rank = _RANK_BITS + 1 - (hashed & _RANK_MASK).bit_length()
        registers[index] = max(registers[index], rank)


def _hash(value: Hashable) -> int:
    """Return 64 even bits; equal numbers have equal ones whatever their type, as Python's own hash has."""
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


def _sigma(share: float) -> float:
    if share == 1:
        return inf
    power, weight, total, before = share, 1.0, share, -1.0
    while total != before:
        power *= power
        before, total = total, total + power * weight
        weight += weight
    return total


def _tau(share: float) -> float:
    if share in {0.0, 1.0}:
        return 0.0
    root, weight, total, before = share, 1.0, 1 - share, -1.0
    while total != before:
        root = sqrt(root)
        weight *= 0.5
        before, total = total, total - (1 - root) ** 2 * weight
    return total / 3
