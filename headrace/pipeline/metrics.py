"""Name, help, labels and value of every metric of stages, edges and pipelines."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from headrace.pipeline.topology.link import EdgeSnapshot
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.telemetry.counts import Family, FamilySpec, HistogramCounts, Metric, MetricKind, Sample

STAGE_LABELS: Final = ("pipeline", "stage")
_STAGE: Final = ("pipeline", "stage", "kind")
_EDGE: Final = ("pipeline", "producer", "consumer")

Values = Mapping[str, float]
"""The values of one stage, by the value of the further label of the metric."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """The values of one scrape: the snapshot, and whether each store of the run is up."""

    snapshot: TopologySnapshot
    stores: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the pipeline."""
        return self.snapshot.name

    @property
    def stages(self) -> Sequence[StageSnapshot]:
        """The stages of the snapshot."""
        return self.snapshot.stages


def _spec(name: str, text: str, labels: tuple[str, ...], kind: MetricKind | None = None) -> FamilySpec:
    usual: MetricKind = "counter" if name.endswith("_total") else "gauge"
    return FamilySpec(kind or usual, name, text, labels, has_stage_labels=False)


def _stage(
    name: str,
    text: str,
    read: Callable[[StageSnapshot], Values | HistogramCounts | float | None],
    label: str = "",
    kind: MetricKind | None = None,
) -> Metric[MeasuredRun]:
    """Return a metric of stages. With a further `label` it has one value for each value of that label."""

    def samples(run: MeasuredRun) -> Iterator[Sample]:
        for stage in run.stages:
            labels, value = (run.name, stage.name, stage.kind), read(stage)
            if isinstance(value, Mapping):
                yield from (((*labels, own), amount) for own, amount in value.items())
            elif value is not None:
                yield labels, value

    return Metric(_spec(name, text, (*_STAGE, *((label,) if label else ())), kind), samples)


def _edge(name: str, text: str, read: Callable[[EdgeSnapshot], float]) -> Metric[MeasuredRun]:
    """Return a metric of subscriptions."""
    return Metric(
        _spec(name, text, _EDGE),
        lambda run: [((run.name, edge.producer, edge.consumer), read(edge)) for edge in run.snapshot.edges],
    )


def _connections(run: MeasuredRun) -> Iterator[Sample]:
    """Yield whether each connection is up. The stores of the run itself belong to no stage."""
    for stage in run.stages:
        for one in stage.connections:
            yield (run.name, stage.name, one.kind), int(one.is_up)
    for kind, is_up in run.stores.items():
        yield (run.name, "", kind), int(is_up)


def _errors(stage: StageSnapshot) -> Values:
    return {"other": 0, **stage.errors}


def _buffer_limit(stage: StageSnapshot) -> float:
    if stage.kind == "consumer":
        return 0
    return math.inf if stage.buffer_limit is None else stage.buffer_limit


PIPELINE_METRICS: Final[tuple[Metric[MeasuredRun], ...]] = (
    _stage(
        "headrace_stage_events_received_total",
        "Events that a stage received and handled.",
        lambda stage: stage.events_received,
    ),
    _stage(
        "headrace_stage_events_sent_total",
        "Events that a stage has delivered to its consumers; one delivered to more than one consumer counts once.",
        lambda stage: stage.events_sent,
    ),
    _stage(
        "headrace_stage_events_discarded_total",
        "Events that go no further, by reason.",
        lambda stage: stage.discarded,
        "reason",
    ),
    _stage(
        "headrace_stage_input_lost_total",
        "Input that a source lost before it became events, by kind of input; with any, the run ends with exit code 1.",
        lambda stage: stage.lost,
        "what",
    ),
    _stage(
        "headrace_stage_events_failed_total",
        "Events whose handling failed; with one of them the run ends with exit code 1.",
        lambda stage: stage.events_failed,
    ),
    _stage(
        "headrace_stage_errors_total",
        "Errors that a stage's callbacks raised, by class; classes beyond the first 20 are other.",
        _errors,
        "error_type",
    ),
    _stage(
        "headrace_stage_retries_total",
        "Events that were delivered or tried again after a failure.",
        lambda stage: stage.redelivered,
    ),
    _stage(
        "headrace_stage_dead_lettered_total",
        "Events that failed for good and are kept as dead letters.",
        lambda stage: stage.dead_lettered,
    ),
    _stage("headrace_stage_restarts_total", "Restarts of a stage after a crash.", lambda stage: stage.restarts),
    _stage(
        "headrace_stage_busy_seconds_total",
        "Time that a stage works: turns, steps of async callbacks, calls in threads and OS processes; no waits.",
        lambda stage: stage.busy_seconds,
    ),
    _stage(
        "headrace_stage_blocked_seconds_total",
        "Time that a stage with something to emit has waited, by the reason.",
        lambda stage: stage.blocked_seconds,
        "on",
    ),
    _stage(
        "headrace_stage_buffer_events",
        "Events in a stage's buffer, which no consumer has asked for yet.",
        lambda stage: stage.buffer_events,
    ),
    _stage(
        "headrace_stage_buffer_limit_events",
        "Events that a stage's buffer may hold: +Inf without a limit, 0 for a consumer, which has no buffer.",
        _buffer_limit,
    ),
    _stage(
        "headrace_stage_buffer_bytes",
        "Bytes of the events in a stage's buffer, where it has a limit in bytes.",
        lambda stage: stage.buffer_bytes,
    ),
    _stage(
        "headrace_stage_stalled",
        "Whether a stage holds up others: events wait at it, and it has finished none for the time of a stall.",
        lambda stage: int(stage.stall is not None),
    ),
    _stage(
        "headrace_stage_in_flight_events",
        "Events delivered to a stage that it has not handled yet.",
        lambda stage: stage.in_flight_events,
    ),
    _stage(
        "headrace_stage_handle_duration_seconds",
        "Time to handle one batch.",
        lambda stage: stage.handle_duration,
        kind="histogram",
    ),
    _edge(
        "headrace_edge_demand_requested_total",
        "Events that a consumer has ever asked a producer for.",
        lambda edge: edge.demand_requested,
    ),
    _edge(
        "headrace_edge_events_total", "Events that a producer has delivered to a consumer.", lambda edge: edge.events
    ),
    _edge(
        "headrace_edge_demand_pending",
        "Events that a consumer has asked for and not received yet.",
        lambda edge: edge.demand_pending,
    ),
    Metric(
        _spec(
            "headrace_pipeline_latency_seconds",
            "Time from when a source emits a batch until a consumer has handled it.",
            ("pipeline", "stage"),
            "histogram",
        ),
        lambda run: [((run.name, stage.name), stage.latency) for stage in run.stages if stage.latency is not None],
    ),
    Metric(
        _spec(
            "headrace_metric_refused_total",
            "Samples whose label set was beyond the limit of their metric: counted as other, and of a gauge left out.",
            (*_STAGE, "metric"),
        ),
        lambda run: [
            ((run.name, stage.name, stage.kind, own.spec.name), own.refused)
            for stage in run.stages
            for own in stage.families
        ],
    ),
    Metric(
        _spec(
            "headrace_connection_up",
            "Whether the last use of a database, peer, file or store went through, 1, or failed, 0.",
            ("pipeline", "stage", "connection"),
        ),
        _connections,
    ),
    Metric(
        _spec(
            "headrace_event_loop_lag_seconds", "By how much timers of the event loop came late.", ("pipeline",), "gauge"
        ),
        lambda run: [((run.name,), run.snapshot.loop_lag_seconds)],
    ),
)


def pipeline_families(run: MeasuredRun) -> Iterator[Family]:
    """Yield all metrics of a pipeline: headrace's own, then the ones that its stages declare."""
    yield from (metric.family(run) for metric in PIPELINE_METRICS)
    yield from stage_families(run.snapshot)


def stage_families(snapshot: TopologySnapshot) -> Iterator[Family]:
    """Yield the metrics that stages declare.

    A metric with stage labels has a series for each stage. A metric without them, as in `count_metrics`, is shared by
    the copies of one stage: counts are added up, and a gauge has the value of the last copy. The topology refuses any
    other two metrics of one name.
    """
    by_name: dict[str, list[Family]] = {}
    for stage in snapshot.stages:
        for family in stage.families:
            own = _labelled(family, snapshot.name, stage.name) if family.spec.has_stage_labels else family
            by_name.setdefault(family.spec.name, []).append(own)
    yield from map(combined, by_name.values())


def combined(families: Sequence[Family]) -> Family:
    """Return one family with the added numbers of families of the same spec."""
    total = families[0].copy()
    for family in families[1:]:
        total.join(family)
    return total


def _labelled(family: Family, *owner: str) -> Family:
    """Return a metric with the labels of its stage."""
    found = Family(replace(family.spec, labels=(*STAGE_LABELS, *family.spec.labels)))
    found.samples = {(*owner, *values): amount for values, amount in family.samples.items()}
    found.tallies = {(*owner, *values): tally for values, tally in family.tallies.items()}
    return found
