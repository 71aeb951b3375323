"""The metrics of a store of dead letters."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from headrace.dead_letters.store import DeadLetterCounts

DEAD_LETTERS: Final = "headrace_dead_letters"
DEAD_LETTERS_BYTES: Final = "headrace_dead_letters_bytes"
DEAD_LETTERS_DROPPED: Final = "headrace_dead_letters_dropped_total"


def dead_letter_metrics(counts: DeadLetterCounts) -> Iterator[Metric]:
    """Yield how much the store holds, of all pipelines that share it, and how many this run has dropped."""
    yield GaugeMetricFamily(DEAD_LETTERS, "Dead letters in the store.", counts.dead_letters)
    yield GaugeMetricFamily(DEAD_LETTERS_BYTES, "What they take of the store's bound.", counts.size_bytes)
    dropped = CounterMetricFamily(
        DEAD_LETTERS_DROPPED, "Dead letters that went because of a bound.", labels=("reason",)
    )
    dropped.add_metric(("age",), counts.dropped_for_age)
    dropped.add_metric(("count",), counts.dropped_for_count)
    dropped.add_metric(("size",), counts.dropped_for_size)
    yield dropped
