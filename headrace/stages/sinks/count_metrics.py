"""Counts events in metrics of the user."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Final, SupportsFloat, cast

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.errors import BadValue
from headrace.stages.functions import apply_to_events
from headrace.stages.options import (
    CountField,
    ExpressionField,
    LabelNameField,
    MetricNameField,
    Options,
    StageType,
    refused,
)
from headrace.telemetry.counts import LABEL_SETS_LIMIT, Family, FamilySpec, LabelValues, MetricKind
from headrace.telemetry.events import LOG

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Prometheus' defaults, made for the seconds of requests."""


def _with_total(name: str) -> str:
    """Return a counter's name with the suffix `_total`; a misspelt suffix is replaced.

    >>> _with_total("shop_totl"), _with_total("shop_orders"), _with_total("shop_total_orders")
    ('shop_total', 'shop_orders_total', 'shop_total_orders_total')
    """
    stem, _, last = name.rpartition("_")
    return f"{stem}_total" if stem and get_close_matches(last, ["total"], cutoff=0.8) else f"{name}_total"


class MetricEntry(Options):
    """One metric: the key `counter`, `gauge` or `histogram` gives its kind and its exported name."""

    counter: MetricNameField | None = Field(default=None, description="Adds `value` for each event; ends with _total.")
    gauge: MetricNameField | None = Field(default=None, description="Has the `value` of the latest event.")
    histogram: MetricNameField | None = Field(default=None, description="Counts events by `value`, in buckets.")
    value: ExpressionField | None = Field(default=None, description="A finite number; the default for a counter is 1.")
    labels: dict[LabelNameField, ExpressionField] = Field(
        default={}, description="Label names and expressions; values become text, None an empty text."
    )
    help: str | None = Field(default=None, description="The description of the metric.")
    buckets: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = Field(
        default=None,
        min_length=1,
        description="A histogram's upper bounds, ascending, without +Inf.",
    )
    limit: Annotated[CountField, Field(ge=1)] = Field(
        default=LABEL_SETS_LIMIT,
        description="The most label sets. Samples of further sets count as `other`; those of a gauge are dropped.",
    )

    @field_validator("counter")
    @classmethod
    def _ends_with_total(cls, name: str | None) -> str | None:
        if name is not None and not name.endswith("_total"):
            why = "a counter's name ends with _total, and is exported so"
            raise refused("bad_metric", why, suggestion=_with_total(name))
        return name

    @field_validator("buckets")
    @classmethod
    def _ascend(cls, bounds: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bounds is not None and list(bounds) != sorted(set(bounds)):
            raise refused("bad_value", "buckets ascend, and none stands twice")
        return bounds

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "MetricEntry":
        names = [kind for kind in ("counter", "gauge", "histogram") if getattr(self, kind) is not None]
        if len(names) != 1:
            raise refused("bad_value", "a metric is one of `counter:`, `gauge:` and `histogram:`, with its name")
        if self.value is None and self.counter is None:
            raise refused("bad_value", f"a {names[0]} needs `value:`, an expression for the number", path=names)
        if self.buckets is not None and self.histogram is None:
            raise refused("bad_value", "only a histogram has buckets", path=["buckets"])
        return self

    @property
    def kind(self) -> MetricKind:
        """The kind of the metric."""
        if self.counter is not None:
            return "counter"
        return "histogram" if self.gauge is None else "gauge"

    def spec(self, stage: str) -> FamilySpec:
        """Return the family of the metric; its default help names the stage."""
        return FamilySpec(
            kind=self.kind,
            name=str(self.counter or self.gauge or self.histogram),
            help=f"A {self.kind} of the stage {stage}." if self.help is None else self.help,
            labels=tuple(self.labels),
            buckets=(self.buckets or DEFAULT_BUCKETS) if self.kind == "histogram" else (),
            limit=self.limit,
            has_stage_labels=False,
        )


NUMBERS: Final = frozenset({int, float})
PLAIN: Final = NUMBERS | {str}

_FURTHER: Final[Mapping[MetricKind, str]] = {
    "counter": "counted with `other` for each label",
    "histogram": "counted with `other` for each label",
    "gauge": "left out",
}
"""The log text about samples of label sets beyond the limit, by kind."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a batch for one metric: for each event its label set and its number (None: all are 1)."""

    labels: list[LabelValues]
    numbers: list[float] | None


class MetricRecorder:
    """Counts events in one metric: `read` a batch first, which may raise; then `record` the samples, which cannot."""

    def __init__(self, entry: MetricEntry, family: Family, stage: str) -> None:
        self._family = family
        self._stage = stage
        self._is_counter = entry.kind == "counter"
        self._value = entry.value
        self._labels = tuple(entry.labels.values())
        records: Mapping[str, Callable[[Samples], None]] = {
            "counter": self._count,
            "gauge": self._set,
            "histogram": self._observe,
        }
        self.record = records[entry.kind]

    def read(self, events: list[object]) -> Samples:
        """Return the samples of events. Raises `BadValue` or `EvaluationError` if one does not fit."""
        numbers = None if self._value is None else self._numbers(self._value.column(events))
        columns = [_texts(label.column(events)) for label in self._labels]
        labels: list[LabelValues] = list(zip(*columns, strict=True)) if columns else [()] * len(events)
        return Samples(labels, numbers)

    def _count(self, samples: Samples) -> None:
        labels, numbers = samples.labels, samples.numbers
        sums: Mapping[LabelValues, float]
        if numbers is None:
            sums = Counter(labels)
        elif not self._labels:
            sums = {(): sum(numbers)}
        else:
            sums = sums_by_label = dict[LabelValues, float]()
            for values, number in zip(labels, numbers, strict=True):
                sums_by_label[values] = sums_by_label.get(values, 0) + number
        for values, total in sums.items():
            if not self._family.add(values, total):
                self._refused(labels.count(values))

    def _set(self, samples: Samples) -> None:
        latest = dict(zip(samples.labels, samples.numbers or (), strict=True))
        for values, number in latest.items():
            if not self._family.set(values, number):
                self._refused(samples.labels.count(values))

    def _observe(self, samples: Samples) -> None:
        observe = self._family.observe
        for values, number in zip(samples.labels, samples.numbers or (), strict=True):
            if not observe(values, number):
                self._refused(1)

    def _refused(self, count: int) -> None:
        """Count samples of a refused label set, and log the first time."""
        family = self._family
        if family.refused == 1:
            LOG.warning(
                "stage %r: the metric %s reached its limit of %d label sets; samples of further ones are %s: use "
                "labels with fewer values, or raise its `limit`",
                self._stage,
                family.spec.name,
                family.spec.limit,
                _FURTHER[family.spec.kind],
            )
        family.refused += count - 1

    def _numbers(self, values: list[object]) -> list[float]:
        if self._are_plain(values):
            return cast("list[float]", values)
        return [self._number(value) for value in values]

    def _are_plain(self, values: list[object]) -> bool:
        """Tell whether all values are valid numbers, in one step for the batch."""
        if not NUMBERS.issuperset(map(type, values)):
            return False
        numbers = cast("list[float]", values)
        try:
            return math.isfinite(sum(numbers)) and not (self._is_counter and min(numbers, default=0) < 0)
        except OverflowError:  # an integer too large for a float
            return False

    def _number(self, value: object) -> float:
        """Return one value as a number. Raises `BadValue`."""
        name = self._family.spec.name
        if isinstance(value, str):
            raise BadValue(name, "is text: write float() around it")
        if isinstance(value, bool) or not isinstance(value, SupportsFloat):
            raise BadValue(name, f"is of type {type(value).__name__}, and must be a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise BadValue(name, "is not finite")
        if self._is_counter and number < 0:
            raise BadValue(name, "is below 0, and a counter only goes up")
        return number


def _texts(values: list[object]) -> list[str]:
    """Return label values as text; in a few steps for the batch when all are plain."""
    kinds = set(map(type, values))
    if kinds <= PLAIN:
        texts = cast("list[str]", values) if kinds == {str} else list(map(str, values))
        if "".join(texts).isascii():
            return texts
    return [_text(value) for value in values]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).encode(errors="replace").decode()  # half a surrogate pair cannot be exported


class CountMetricsOptions(Options):
    """Which metrics to count."""

    metrics: list[MetricEntry] = Field(min_length=1, description="The metrics, each with its own name.")


class CountMetrics(Consumer[object], StageType):
    """Counts every event in all metrics. An event that one metric cannot read fails, and is counted in none.

    The metrics are exported under the given names, with the user's labels only, and survive restarts.
    """

    Options = CountMetricsOptions
    per_event = True
    one_to_one = True

    def __init__(self, options: CountMetricsOptions) -> None:
        self._entries = options.metrics
        self._meters: list[MetricRecorder] = []

    @override
    def init(self) -> None:
        self._meters = [
            MetricRecorder(entry, self.metrics.declare(entry.spec(self.name), shared_by=entry), self.name)
            for entry in self._entries
        ]

    @override
    def handle_events(self, events: list[object]) -> None:
        try:
            read = [self._read(events)]
        except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
            read = apply_to_events(lambda event: self._read([event]), events, self.fail_at)
        for by_recorder in read:
            for recorder, samples in zip(self._meters, by_recorder, strict=True):
                recorder.record(samples)

    def _read(self, events: list[object]) -> list[Samples]:
        return [recorder.read(events) for recorder in self._meters]
