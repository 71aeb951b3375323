"""Counters, gauges and histograms as plain numbers."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from headrace.ground.errors import MetricConflict

Kind = Literal["counter", "gauge", "histogram"]
LabelValues = tuple[str, ...]

LABEL_SETS_LIMIT: Final = 1000
"""How many label sets a family holds unless told otherwise."""


class Tally:
    """A histogram's numbers: observations per bucket (not cumulative, the last one unbounded), and their sum.

    The first bucket is counted apart, in `quick`, without a search: hot paths do it themselves.
    """

    __slots__ = ("_counts", "_first", "bounds", "quick", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bound for bound in bounds if bound != inf)
        self.sum = 0.0
        self._first = self.bounds[0] if self.bounds else float("-inf")
        self.quick = 0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.sum += value
        if value <= self._first:
            self.quick += 1
        else:
            self.search(value)

    def search(self, value: float) -> None:
        """Count one observation in its bucket, but not in the sum."""
        self._counts[bisect_left(self.bounds, value)] += 1

    def counts(self) -> tuple[int, ...]:
        """Return the observations per bucket of `bounds`, and those above."""
        return (self._counts[0] + self.quick, *self._counts[1:])

    def copy(self) -> "Tally":
        """Return a copy that no later observation changes."""
        twin = Tally(self.bounds)
        twin.sum, twin.quick, twin._counts = self.sum, self.quick, list(self._counts)
        return twin


@dataclass(frozen=True, slots=True)
class FamilySpec:
    """What a metric is: its name as exported (a counter's ends with `_total`), what it tells, its label names.

    A histogram has upper bounds, ascending. `limit` bounds the label sets.
    """

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    limit: int = LABEL_SETS_LIMIT


class Family:
    """One metric with all its label sets; a set beyond the limit is refused and counted in `refused`."""

    __slots__ = ("refused", "samples", "spec", "tallies")

    def __init__(self, spec: FamilySpec) -> None:
        self.spec = spec
        self.samples: dict[LabelValues, float] = {}
        self.tallies: dict[LabelValues, Tally] = {}
        self.refused = 0
        if not spec.labels:
            if spec.kind == "histogram":
                self.tallies[()] = Tally(spec.buckets)
            else:
                self.samples[()] = 0

    def add(self, values: LabelValues, amount: float = 1) -> bool:
        """Raise (or, a gauge, lower) one sample; False when its label set is one too many."""
        samples = self.samples
        if values in samples:
            samples[values] += amount
        elif self._has_room(len(samples)):
            samples[values] = amount
        else:
            return False
        return True

    def set(self, values: LabelValues, amount: float) -> bool:
        """Set one gauge; False when its label set is one too many."""
        if values in self.samples or self._has_room(len(self.samples)):
            self.samples[values] = amount
            return True
        return False

    def observe(self, values: LabelValues, amount: float) -> bool:
        """Count one observation; False when its label set is one too many."""
        tally = self.tallies.get(values)
        if tally is None:
            if not self._has_room(len(self.tallies)):
                return False
            tally = self.tallies[values] = Tally(self.spec.buckets)
        tally.observe(amount)
        return True

    def tally(self, values: LabelValues) -> Tally:
        """Return the numbers of one label set of a histogram, to be raised on a hot path; no limit holds for it."""
        return self.tallies.setdefault(values, Tally(self.spec.buckets))

    def _has_room(self, held: int) -> bool:
        if held < self.spec.limit:
            return True
        self.refused += 1
        return False

    def copy(self) -> "Family":
        """Return a copy that no later count changes."""
        twin = Family(self.spec)
        twin.refused = self.refused
        twin.samples = dict(self.samples)
        twin.tallies = {values: tally.copy() for values, tally in self.tallies.items()}
        return twin


class Families:
    """The metrics of one owner, by name; asking again for one gives the same one."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def __iter__(self) -> Iterator[Family]:
        return iter(self._families.values())

    def declare(self, spec: FamilySpec) -> Family:
        """Return the family of that name, made new if there is none.

        Raises `MetricConflict` when the one that is there is another kind of metric, or has other labels or buckets.
        """
        family = self._families.get(spec.name)
        if family is None:
            family = self._families[spec.name] = Family(spec)
        elif _shape(family.spec) != _shape(spec):
            raise MetricConflict(spec.name)
        return family

    def copy(self) -> tuple[Family, ...]:
        """Return copies of all families, taken in one step."""
        return tuple(family.copy() for family in self)


def _shape(spec: FamilySpec) -> tuple[object, ...]:
    return spec.kind, spec.labels, spec.buckets
