"""Name, help and labels of the metrics of a dead-letter store, and how to read each."""

from typing import Final

from headrace.dead_letters.store import DeadLetterCounts
from headrace.telemetry.counts import FamilySpec, Metric

DEAD_LETTER_METRICS: Final[tuple[Metric[DeadLetterCounts], ...]] = (
    Metric(
        FamilySpec("gauge", "headrace_dead_letters", "Dead letters in the store."),
        lambda counts: [((), counts.dead_letters)],
    ),
    Metric(
        FamilySpec("gauge", "headrace_dead_letters_bytes", "Bytes of the store that dead letters take."),
        lambda counts: [((), counts.size_bytes)],
    ),
    Metric(
        FamilySpec(
            "counter",
            "headrace_dead_letters_dropped_total",
            "Dead letters that were dropped because of a limit of the store.",
            ("reason",),
        ),
        lambda counts: [
            (("age",), counts.dropped_for_age),
            (("count",), counts.dropped_for_count),
            (("size",), counts.dropped_for_size),
        ],
    ),
)
"""The numbers of the store are those of all pipelines that share it; the dropped ones are those of this run."""
