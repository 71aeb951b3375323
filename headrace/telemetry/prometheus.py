"""Turns families into prometheus_client metrics."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headrace.telemetry.counts import Family


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
    """Yield families as prometheus_client metrics."""
    return map(exported, families)


def exported(family: Family) -> Metric:
    """Return a family as a metric of prometheus_client."""
    spec = family.spec
    if spec.kind == "histogram":
        histogram = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
        for values, tally in family.tallies.items():
            histogram.add_metric(values, cumulative(tally.bounds, tally.counts()), tally.sum)
        return histogram
    make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    metric = make(spec.name, spec.help, labels=spec.labels)
    for values, amount in family.samples.items():
        metric.add_metric(values, amount)
    return metric
