"""Name, help and labels of every metric of stages, edges and pipelines."""

import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from headrace.pipeline.topology.edges import EdgeSnapshot
from headrace.pipeline.topology.snapshot import HistogramSnapshot, StageSnapshot, TopologySnapshot
from headrace.telemetry.counts import Family, LabelValues
from headrace.telemetry.prometheus import cumulative, exported

STAGE_LABELS: Final = ("pipeline", "stage")

_Part = tuple[LabelValues, Family]


def stage_families(snapshot: TopologySnapshot) -> Iterator[Metric]:
    """Yield the metrics of all stages.

    A metric with the labels of its stage has a series for each stage. One without them, as `count_metrics` has, is
    shared by the copies of one stage: its counts are added, and of a gauge the later copy's value stands. The topology
    has refused any other two metrics of one name.
    """
    by_name: dict[str, list[_Part]] = {}
    for stage in snapshot.stages:
        for family in stage.families:
            by_name.setdefault(family.spec.name, []).append(((snapshot.name, stage.name), family))
    for parts in by_name.values():
        spec = parts[0][1].spec
        if spec.has_stage_labels:
            yield exported(spec, parts, STAGE_LABELS)
        else:
            yield exported(spec, [((), combined([family for _, family in parts]))])


def combined(families: Sequence[Family]) -> Family:
    """Return the numbers of families with one spec as those of one family."""
    first, *others = families
    if not others:
        return first
    total = first.copy()
    for family in others:
        total.join(family)
    return total


_STAGE: Final = ("pipeline", "stage", "kind")
CONNECTION_UP: Final = "headrace_connection_up"
_EDGE: Final = ("pipeline", "producer", "consumer")

Values = Mapping[str, float]
"""The values of one stage by the value of the metric's own label."""


@dataclass(frozen=True, slots=True)
class _StageMetric:
    """A number that every stage has, or some; with a `label` of its own it has several, by that label's values."""

    name: str
    help: str
    read: Callable[[StageSnapshot], Values | float | None]
    label: str = ""


@dataclass(frozen=True, slots=True)
class _EdgeMetric:
    """A number that every subscription has."""

    name: str
    help: str
    read: Callable[[EdgeSnapshot], float]


def _errors(stage: StageSnapshot) -> Values:
    return {"other": 0, **stage.errors}


def _buffer_limit(stage: StageSnapshot) -> float:
    if stage.kind == "consumer":
        return 0
    return math.inf if stage.buffer_limit is None else stage.buffer_limit


STAGE_METRICS: Final = (
    _StageMetric(
        "headrace_stage_events_received_total",
        "Events that a stage received and handled.",
        lambda stage: stage.events_received,
    ),
    _StageMetric(
        "headrace_stage_events_sent_total",
        "Events that a stage has delivered to its consumers; one given to several counts once.",
        lambda stage: stage.events_sent,
    ),
    _StageMetric(
        "headrace_stage_events_discarded_total",
        "Events that go no further, by reason.",
        lambda stage: stage.discarded,
        "reason",
    ),
    _StageMetric(
        "headrace_stage_input_lost_total",
        "What a source lost before it became events, by what it is; with any of it the run ends with exit code 1.",
        lambda stage: stage.lost,
        "what",
    ),
    _StageMetric(
        "headrace_stage_events_failed_total",
        "Events whose handling failed; with one of them the run ends with exit code 1.",
        lambda stage: stage.events_failed,
    ),
    _StageMetric(
        "headrace_stage_errors_total",
        "Errors that a stage's callbacks raised, by class; classes beyond the first 20 are other.",
        _errors,
        "error_type",
    ),
    _StageMetric(
        "headrace_stage_retries_total",
        "Events that were delivered or tried again after a failure.",
        lambda stage: stage.redelivered,
    ),
    _StageMetric(
        "headrace_stage_dead_lettered_total",
        "Events that failed for good and are kept as dead letters.",
        lambda stage: stage.dead_lettered,
    ),
    _StageMetric("headrace_stage_restarts_total", "Restarts of a stage after a crash.", lambda stage: stage.restarts),
    _StageMetric(
        "headrace_stage_busy_seconds_total",
        "Time that a stage works: turns, steps of async callbacks, calls in threads and OS processes; no waits.",
        lambda stage: stage.busy_seconds,
    ),
    _StageMetric(
        "headrace_stage_blocked_seconds_total",
        "Time that a stage with something to emit has waited, by what it waited on.",
        lambda stage: stage.blocked_seconds,
        "on",
    ),
    _StageMetric(
        "headrace_stage_buffer_events",
        "Events in a stage's buffer, which nobody has asked for yet.",
        lambda stage: stage.buffer_events,
    ),
    _StageMetric(
        "headrace_stage_buffer_limit_events",
        "Events that a stage's buffer may hold: +Inf without a limit, 0 for a consumer, which has no buffer.",
        _buffer_limit,
    ),
    _StageMetric(
        "headrace_stage_buffer_bytes",
        "What the events in a stage's buffer take, where that is bounded.",
        lambda stage: stage.buffer_bytes,
    ),
    _StageMetric(
        "headrace_stage_stalled",
        "Whether events wait at a stage, none has gone on for the time of a stall, and it holds the others.",
        lambda stage: int(stage.stall is not None),
    ),
    _StageMetric(
        "headrace_stage_in_flight_events",
        "Events delivered to a stage that it has not handled yet.",
        lambda stage: stage.in_flight_events,
    ),
)

EDGE_METRICS: Final = (
    _EdgeMetric(
        "headrace_edge_demand_requested_total",
        "Events that a consumer has ever asked a producer for.",
        lambda edge: edge.demand_requested,
    ),
    _EdgeMetric(
        "headrace_edge_events_total", "Events that a producer has delivered to a consumer.", lambda edge: edge.events
    ),
    _EdgeMetric(
        "headrace_edge_demand_pending",
        "Events that a consumer has asked for and not got yet.",
        lambda edge: edge.demand_pending,
    ),
)


def pipeline_metrics(snapshot: TopologySnapshot, stores: Mapping[str, bool]) -> Iterator[Metric]:
    """Yield all metrics of a pipeline: ours first, then those that its stages declare themselves.

    `stores` says of the run's own stores whether they can be used.
    """
    for stage_metric in STAGE_METRICS:
        yield _stage_metric(stage_metric, snapshot)
    yield _histogram(
        "headrace_stage_handle_duration_seconds",
        "Time to handle one batch.",
        _STAGE,
        [((snapshot.name, stage.name, stage.kind), stage.handle_duration) for stage in snapshot.stages],
    )
    for edge_metric in EDGE_METRICS:
        yield _edge_metric(edge_metric, snapshot)
    yield _histogram(
        "headrace_pipeline_latency_seconds",
        "Time from a source's emitting a batch until a consumer has handled it.",
        ("pipeline", "stage"),
        [((snapshot.name, stage.name), stage.latency) for stage in snapshot.stages if stage.latency is not None],
    )
    yield _refused(snapshot)
    yield _connections(snapshot, stores)
    lag = GaugeMetricFamily(
        "headrace_event_loop_lag_seconds", "By how much timers of the event loop came late.", labels=("pipeline",)
    )
    lag.add_metric((snapshot.name,), snapshot.loop_lag_seconds)
    yield lag
    yield from stage_families(snapshot)


def build_metrics() -> Iterator[Metric]:
    """Yield what is true of the OS process, whether or not a pipeline runs in it."""
    labels = {"version": version("headrace"), "python": platform.python_version()}
    yield InfoMetricFamily("headrace_build", "The version of headrace, and of the Python that runs it.", labels)


def _family(name: str, text: str, labels: Sequence[str]) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return make(name, text, labels=labels)


def _stage_metric(metric: _StageMetric, snapshot: TopologySnapshot) -> Metric:
    own = (metric.label,) if metric.label else ()
    family = _family(metric.name, metric.help, (*_STAGE, *own))
    for stage in snapshot.stages:
        read = metric.read(stage)
        labels = (snapshot.name, stage.name, stage.kind)
        if isinstance(read, Mapping):
            for value, amount in read.items():
                family.add_metric((*labels, value), amount)
        elif read is not None:
            family.add_metric(labels, read)
    return family


def _edge_metric(metric: _EdgeMetric, snapshot: TopologySnapshot) -> Metric:
    family = _family(metric.name, metric.help, _EDGE)
    for edge in snapshot.edges:
        family.add_metric((snapshot.name, edge.producer, edge.consumer), metric.read(edge))
    return family


def _histogram(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], HistogramSnapshot]]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for label_values, histogram in values:
        family.add_metric(label_values, cumulative(histogram.bounds, histogram.counts), histogram.sum)
    return family


def _connections(snapshot: TopologySnapshot, stores: Mapping[str, bool]) -> Metric:
    """Return which connections can be used; those of the run's own stores belong to no stage."""
    family = GaugeMetricFamily(
        CONNECTION_UP,
        "Whether the last use of a database, peer, file or store went through, 1, or failed, 0.",
        labels=("pipeline", "stage", "connection"),
    )
    for stage in snapshot.stages:
        for one in stage.connections:
            family.add_metric((snapshot.name, stage.name, one.kind), int(one.is_up))
    for kind, is_up in stores.items():
        family.add_metric((snapshot.name, "", kind), int(is_up))
    return family


def _refused(snapshot: TopologySnapshot) -> Metric:
    """Return how often stages' own metrics refused a label set: at 0 for each of them, so that an alert sees a rise."""
    family = CounterMetricFamily(
        "headrace_metric_refused_total",
        "Samples whose label set was beyond the limit of their metric: counted as other, and of a gauge left out.",
        labels=(*_STAGE, "metric"),
    )
    for stage in snapshot.stages:
        for own in stage.families:
            family.add_metric((snapshot.name, stage.name, stage.kind, own.spec.name), own.refused)
    return family
