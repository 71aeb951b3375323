"""`Metric`, `Family`, `HistogramCounts` and `Families`: counters, gauges and histograms as plain numbers."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, Literal, TypeVar

from headrace.errors import MetricConflict

MetricKind = Literal["counter", "gauge", "histogram"]
LabelValues = tuple[str, ...]

LABEL_SETS_LIMIT: Final = 1000
"""The default limit of label sets in a family."""

OTHER: Final = "other"
"""The label values of the series for label sets beyond the limit."""

PROCESS_NAMES: Final = frozenset(
    {
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "python_info",
    }
)
"""The metrics of the OS process, as Prometheus clients name them. No stage may export one of these names."""

_OWN_PREFIXES: Final = (
    "headrace_build",
    "headrace_connection",
    "headrace_dead_letters",
    "headrace_edge",
    "headrace_event_loop",
    "headrace_job",
    "headrace_metric",
    "headrace_pipeline",
    "headrace_queue",
    "headrace_stage",
)
"""The prefixes of the metrics that a run exports itself. No stage may declare such a name."""

_HISTOGRAM_SAMPLES: Final = ("_bucket", "_sum", "_count", "_created")


class HistogramCounts:
    """The numbers of a histogram: observations per bucket (not cumulative, the last one unbounded), and their sum.

    `quick` is the count of the first bucket; hot paths raise it themselves, without a search.
    """

    __slots__ = ("_counts", "_first", "bounds", "quick", "sum")

    def __init__(self, bounds: Sequence[float], counts: Sequence[int] = (), total: float = 0.0) -> None:
        """`counts` and `total` are the observations per bucket and their sum so far; none by default."""
        self.bounds = tuple(bound for bound in bounds if bound != inf)
        self.sum = total
        self._first = self.bounds[0] if self.bounds else float("-inf")
        self.quick = 0
        self._counts = list(counts) or [0] * (len(self.bounds) + 1)

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
        """Return the observations per bucket of `bounds`, and above the last bound."""
        return (self._counts[0] + self.quick, *self._counts[1:])

    def add(self, other: "HistogramCounts") -> None:
        """Add all observations of a histogram with the same bounds."""
        self.sum += other.sum
        self._counts = [one + more for one, more in zip(self._counts, other.counts(), strict=True)]

    def copy(self) -> "HistogramCounts":
        """Return a copy that later observations do not change."""
        return HistogramCounts(self.bounds, self.counts(), self.sum)


@dataclass(frozen=True, slots=True)
class FamilySpec:
    """The description of a metric: its exported name (a counter's ends with `_total`), help and label names.

    A histogram has ascending upper bounds. `limit` is the number of label sets. With `has_stage_labels` the exported
    series of a stage also carry `pipeline` and `stage`, before the labels named here.
    """

    kind: MetricKind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    limit: int = LABEL_SETS_LIMIT
    has_stage_labels: bool = True


class Family:
    """One metric with all its label sets.

    A label set beyond the limit is counted in `refused`, and in the series whose labels are all `other`, so that sums
    over the metric stay right. A gauge has no such series, since a sum of its values has no meaning.
    """

    __slots__ = ("_other", "refused", "samples", "spec", "tallies")

    def __init__(self, spec: FamilySpec) -> None:
        self.spec = spec
        self.samples: dict[LabelValues, float] = {}
        self.tallies: dict[LabelValues, HistogramCounts] = {}
        self.refused = 0
        self._other = (OTHER,) * len(spec.labels)
        if not spec.labels:
            if spec.kind == "histogram":
                self.tallies[()] = HistogramCounts(spec.buckets)
            else:
                self.samples[()] = 0

    def add(self, values: LabelValues, amount: float = 1) -> bool:
        """Raise a sample, or lower a gauge; return False when its label set is beyond the limit."""
        samples = self.samples
        if values in samples:
            samples[values] += amount
        elif self._has_room(len(samples)):
            samples[values] = amount
        else:
            if self.spec.kind == "counter":
                samples[self._other] = samples.get(self._other, 0) + amount
            return False
        return True

    def set(self, values: LabelValues, amount: float) -> bool:
        """Set a gauge; return False when its label set is beyond the limit."""
        if values in self.samples or self._has_room(len(self.samples)):
            self.samples[values] = amount
            return True
        return False

    def observe(self, values: LabelValues, amount: float) -> bool:
        """Count one observation; return False when its label set is beyond the limit."""
        tally = self.tallies.get(values)
        if tally is None:
            if not self._has_room(len(self.tallies)):
                self.tally(self._other).observe(amount)
                return False
            tally = self.tallies[values] = HistogramCounts(self.spec.buckets)
        tally.observe(amount)
        return True

    def tally(self, values: LabelValues) -> HistogramCounts:
        """Return the numbers of one label set of a histogram, for a hot path; the limit does not apply."""
        return self.tallies.setdefault(values, HistogramCounts(self.spec.buckets))

    def _has_room(self, kept: int) -> bool:
        if kept < self.spec.limit:
            return True
        self.refused += 1
        return False

    def copy(self) -> "Family":
        """Return a copy that later counts do not change."""
        twin = Family(self.spec)
        twin.refused = self.refused
        twin.samples = dict(self.samples)
        twin.tallies = {values: tally.copy() for values, tally in self.tallies.items()}
        return twin

    def join(self, other: "Family") -> None:
        """Add the counts of another family with this spec; its gauges replace ours."""
        self.refused += other.refused
        for values, amount in other.samples.items():
            before = 0 if self.spec.kind == "gauge" else self.samples.get(values, 0)
            self.samples[values] = before + amount
        for values, tally in other.tallies.items():
            self.tally(values).add(tally)


S = TypeVar("S")

Sample = tuple[LabelValues, float | HistogramCounts]
"""The values of the labels, and the value of the metric."""


@dataclass(frozen=True, slots=True)
class Metric(Generic[S]):
    """A metric whose values are read at a scrape: `read` returns its samples from a snapshot."""

    spec: FamilySpec
    read: Callable[[S], Iterable[Sample]]

    def family(self, snapshot: S) -> Family:
        """Return the metric with its values."""
        family = Family(self.spec)
        for labels, value in self.read(snapshot):
            if isinstance(value, HistogramCounts):
                family.tallies[labels] = value
            else:
                family.samples[labels] = value
        return family


class MetricNames:
    """The exported names of all metrics of one run. No two metrics share a name."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, FamilySpec, object]] = {}

    def claim(self, spec: FamilySpec, stage: str, shared_by: object) -> None:
        """Claim all names of a metric. Raises `MetricConflict` when another metric has one of them.

        Several stages may declare the same metric when it has their labels, or with the same `shared_by`.
        """
        names = exported_names(spec.kind, spec.name)
        if is_reserved(names):
            raise MetricConflict(spec.name, stage, "headrace itself")
        for name in names:
            claimed = self._claims.get(name)
            if claimed is not None and not _is_same(claimed[1:], (spec, shared_by)):
                raise MetricConflict(spec.name, stage, claimed[0])
        for name in names:
            self._claims.setdefault(name, (f"stage {stage!r}", spec, shared_by))


def is_reserved(names: frozenset[str]) -> bool:
    """Return whether one of the names is reserved for a metric that a run exports itself."""
    return not PROCESS_NAMES.isdisjoint(names) or any(name.startswith(_OWN_PREFIXES) for name in names)


def exported_names(kind: str, name: str) -> frozenset[str]:
    """Return every name that a metric has in the exported text, in either format."""
    if kind == "counter":
        base = name.removesuffix("_total")
        return frozenset({base, f"{base}_total", f"{base}_created"})
    if kind == "histogram":
        return frozenset({name, *(name + suffix for suffix in _HISTOGRAM_SAMPLES)})
    return frozenset({name})


def _is_same(one: tuple[FamilySpec, object], other: tuple[FamilySpec, object]) -> bool:
    (spec, shared_by), (other_spec, other_shared_by) = one, other
    if spec.name != other_spec.name or _shape(spec) != _shape(other_spec):
        return False
    return spec.has_stage_labels or (shared_by is not None and shared_by is other_shared_by)


class Families:
    """The metrics of one owner, by name."""

    def __init__(self, owner: str = "", names: MetricNames | None = None) -> None:
        """`names` are the names of the whole run, if the owner is a stage of one."""
        self._owner = owner
        self._names = names
        self._families: dict[str, Family] = {}

    def __iter__(self) -> Iterator[Family]:
        return iter(self._families.values())

    def declare(self, spec: FamilySpec, shared_by: object = None) -> Family:
        """Return the family of that name, made new if there is none.

        Raises `MetricConflict` when the family there has another kind, other labels or other buckets, and when another
        metric of the run has one of its exported names. Copies of one stage share a metric without stage labels: each
        gives the same object as `shared_by`.
        """
        family = self._families.get(spec.name)
        if family is None:
            if self._names is not None:
                self._names.claim(spec, self._owner, shared_by)
            family = self._families[spec.name] = Family(spec)
        elif _shape(family.spec) != _shape(spec):
            raise MetricConflict(spec.name, self._owner, self._owner)
        return family

    def copy(self) -> tuple[Family, ...]:
        """Return copies of all families, made in one step."""
        return tuple(family.copy() for family in self)


def _shape(spec: FamilySpec) -> tuple[object, ...]:
    return spec.kind, spec.labels, spec.buckets, spec.has_stage_labels
