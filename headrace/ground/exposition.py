"""Shows plain counts to a prometheus_client registry."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headrace.ground.counts import Family, FamilySpec, Kind, LabelValues

_METRICS: Final[Mapping[Kind, Callable[..., Any]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return Prometheus' buckets, `(upper bound as text, observations at or below it)`, up to `+Inf`.

    >>> cumulative((0.5, 1.0), (3, 0, 2))
    [('0.5', 3), ('1.0', 3), ('+Inf', 5)]
    """
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(repr, map(float, bounds)), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


def collect(families: Iterable[Family]) -> Iterator[Metric]:
    """Show families to a prometheus_client registry, under their names as written."""
    for family in families:
        yield exported(family.spec, [((), family)])


def exported(
    spec: FamilySpec, parts: Iterable[tuple[LabelValues, Family]], owner_labels: tuple[str, ...] = ()
) -> Metric:
    """Return one metric of several families with that spec, each with the values of `owner_labels` before its own."""
    metric = _METRICS[spec.kind](spec.name, spec.help, labels=(*owner_labels, *spec.labels))
    for owner, family in parts:
        for values, amount in family.samples.items():
            metric.add_metric((*owner, *values), amount)
        for values, tally in family.tallies.items():
            metric.add_metric((*owner, *values), cumulative(tally.bounds, tally.counts()), tally.sum)
    return metric
