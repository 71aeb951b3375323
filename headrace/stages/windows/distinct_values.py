"""How many different values there were: exact for some hundreds, and estimated in bounded memory beyond.

The estimate is HyperLogLog's (Flajolet and others, 2007) as Ertl reads its registers ("New cardinality estimation
algorithms for HyperLogLog sketches", 2017), which needs no table of corrections.
"""

from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from math import inf, log, sqrt
from typing import Final, cast

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

    __slots__ = ("_registers", "_values")

    def __init__(self) -> None:
        self._values: set[Hashable] = set()
        self._registers: bytearray | None = None

    def add(self, values: Sequence[object]) -> None:
        """Take in values that can be hashed."""
        if self._registers is not None:
            _note(self._registers, set(cast("Sequence[Hashable]", values)))
            return
        self._values.update(cast("Sequence[Hashable]", values))
        if len(self._values) > EXACT_VALUES:
            self._estimate()

    def merge(self, other: "DistinctValues") -> None:
        """Take in another set."""
        if other._registers is None:
            self.add(list(other._values))
            return
        mine = self._registers if self._registers is not None else self._estimate()
        self._registers = bytearray(map(max, mine, other._registers))

    def count(self) -> int:
        """Return how many different values there were."""
        return len(self._values) if self._registers is None else _cardinality(self._registers)

    def _estimate(self) -> bytearray:
        """Go over to registers."""
        self._registers = registers = bytearray(_REGISTERS)
        _note(registers, self._values)
        self._values = set()
        return registers


def _note(registers: bytearray, values: Iterable[Hashable]) -> None:
    for value in values:
        hashed = _hash(value)
        index = hashed >> _RANK_BITS
        rank = _RANK_BITS + 1 - (hashed & _RANK_MASK).bit_length()
        if rank > registers[index]:
            registers[index] = rank


def _hash(value: Hashable) -> int:
    """Return 64 even bits; equal numbers have equal ones whatever their type, as Python's own hash has."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        data = b"b" + value
    else:
        data = repr(hash(value) if isinstance(value, int | float) else value).encode("utf-8", "surrogatepass")
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
