"""Shows plain counts to a prometheus_client registry."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headrace.ground.counts import Family


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
        spec = family.spec
        if spec.kind == "counter":
            counter = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
            for values, amount in family.samples.items():
                counter.add_metric(values, amount)
            yield counter
        elif spec.kind == "gauge":
            gauge = GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
            for values, amount in family.samples.items():
                gauge.add_metric(values, amount)
            yield gauge
        else:
            histogram = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
            for values, tally in family.tallies.items():
                histogram.add_metric(values, cumulative(tally.bounds, tally.counts()), tally.sum)
            yield histogram
