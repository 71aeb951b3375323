"""Reads the numbers and label sets of whole batches, and counts them in a metric."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, SupportsFloat, cast

from headrace.stages.errors import BadValue
from headrace.stages.sinks.metric_entry import MetricEntry
from headrace.telemetry.counts import Family, Kind, LabelValues
from headrace.telemetry.events import LOG

NUMBERS: Final = frozenset({int, float})
PLAIN: Final = NUMBERS | {str}

_FURTHER: Final[Mapping[Kind, str]] = {
    "counter": "counted with `other` for each label",
    "histogram": "counted with `other` for each label",
    "gauge": "left out",
}
"""What happens to the samples of label sets beyond the limit."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a batch says to one metric: for each event its label set, and its number (None: all of them are 1)."""

    labels: list[LabelValues]
    numbers: list[float] | None


class Meter:
    """One metric, and how it reads events: first `read` a batch, which may raise; then `record` it, which does not."""

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
        """Return what the events say. Raises `BadValue` or `EvaluationError` if one of them does not fit."""
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
        """Count the samples of a label set that the family has refused once; say so the first time."""
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
        """Whether all are numbers as they should be, found out at once for the whole batch."""
        if not NUMBERS.issuperset(map(type, values)):
            return False
        numbers = cast("list[float]", values)
        try:
            return math.isfinite(sum(numbers)) and not (self._is_counter and min(numbers, default=0) < 0)
        except OverflowError:  # a whole number beyond all floats
            return False

    def _number(self, value: object) -> float:
        """Return one number, or raise what is wrong with it."""
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
    """Return label values as text; where all are plain ones, in a few steps for all of them together."""
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
    return str(value).encode(errors="replace").decode()  # half a surrogate pair could not be exported
