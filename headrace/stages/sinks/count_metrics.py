"""Counts events in Prometheus metrics of the user's own."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.functions import apply_each
from headrace.stages.sinks.meter import Meter, Samples
from headrace.stages.sinks.metric_entry import MetricEntry


class CountMetricsOptions(BaseModel):
    """Which metrics to count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: list[MetricEntry] = Field(min_length=1, description="The metrics, each with a name of its own.")


class CountMetrics(Consumer[object]):
    """Counts every event in all of its metrics, or, where one of them cannot read it, fails it and counts it in none.

    The metrics are exported under their names as written, with the user's labels alone, and survive restarts.
    """

    Options: ClassVar[type[BaseModel]] = CountMetricsOptions
    per_event: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def __init__(self, options: CountMetricsOptions) -> None:
        self._entries = options.metrics
        self._meters: list[Meter] = []

    def init(self) -> None:
        """Declare the metrics."""
        self._meters = [
            Meter(entry, self.metrics.declare(entry.spec(self.name), shared_by=entry), self.name)
            for entry in self._entries
        ]

    def handle_events(self, events: list[object]) -> None:
        """Count the events."""
        try:
            read = [self._read(events)]
        except Exception:  # noqa: BLE001 - one at a time, each event that fails is told
            read = apply_each(lambda event: self._read([event]), events, self.fail_at)
        for by_meter in read:
            for meter, samples in zip(self._meters, by_meter, strict=True):
                meter.record(samples)

    def _read(self, events: list[object]) -> list[Samples]:
        return [meter.read(events) for meter in self._meters]
