"""The metrics of a store of dead letters."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from headrace.pipeline.acknowledgement.dead_letters import LetterCounts


def letter_metrics(counts: LetterCounts) -> Iterator[Metric]:
    """Yield how much the store holds, of all pipelines that share it, and what this run has dropped."""
    yield GaugeMetricFamily("headrace_dead_letters", "Dead letters in the store.", counts.letters)
    yield GaugeMetricFamily("headrace_dead_letters_bytes", "What they take of the store's bound.", counts.size_bytes)
    dropped = CounterMetricFamily(
        "headrace_dead_letters_dropped", "Dead letters that went because of a bound.", labels=("reason",)
    )
    dropped.add_metric(("age",), counts.dropped_for_age)
    dropped.add_metric(("count",), counts.dropped_for_count)
    dropped.add_metric(("size",), counts.dropped_for_size)
    yield dropped
