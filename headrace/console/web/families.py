"""The metrics that stages export under names of their own, made fit to stand in one exposition."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

_OWN_PREFIX: Final = "headrace_"


def merged(metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics of all stages, each name once: an exposition may not say one twice.

    Stages that export the same metric (one class used twice does) share it: counts are added, and of a gauge the later
    stage's value stands. A metric that is unlike an earlier one of its name, or takes a name of headrace's own, is left
    out; the config refuses both, and pipelines made in Python are not checked so.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        if not metric.name.startswith(_OWN_PREFIX):
            first = found.setdefault(metric.name, metric)
            if first is not metric and _is_alike(first, metric):
                _join(first, metric)
    return list(found.values())


def _is_alike(one: Metric, other: Metric) -> bool:
    return one.type == other.type and (not one.samples or not other.samples or _shape(one) == _shape(other))


def _shape(metric: Metric) -> tuple[set[str], set[str]]:
    """Return the label names of a metric, and its bucket bounds."""
    names = {name for sample in metric.samples for name in sample.labels}
    return names, {sample.labels["le"] for sample in metric.samples if "le" in sample.labels}


def _join(first: Metric, other: Metric) -> None:
    places = {(sample.name, *sorted(sample.labels.items())): place for place, sample in enumerate(first.samples)}
    for sample in other.samples:
        place = places.get((sample.name, *sorted(sample.labels.items())))
        if place is None:
            first.samples.append(sample)
        else:
            before = 0 if first.type == "gauge" else first.samples[place].value
            first.samples[place] = sample._replace(value=before + sample.value)
