"""Snapshot values and `take_snapshot`."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.errors import class_and_message
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import DURATION_BOUNDS
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.counts import ConnectionSnapshot
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.topology.graph import StageKind
from headrace.pipeline.topology.link import EdgeSnapshot, kind_of
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.stall import Stall
from headrace.telemetry.counts import Family, HistogramCounts


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """One subscription of a stage to a producer; `outstanding` events were asked for and are not handled yet."""

    producer: str
    max_demand: int
    min_demand: int
    outstanding: int


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """The state and the counts of a stage.

    `error` is the reason of the last crash, as a sentence. `latency` is the time from the source in seconds, of a
    consumer only. `concurrency` is None where batches are handled one after another. `subscriptions` have not ended.
    `lost` counts input that never became events, by its kind. Of a side output, `output_of` is its stage.
    """

    name: str
    kind: StageKind
    state: str
    error: str | None
    events_received: int
    events_sent: int
    discarded: Mapping[str, int]
    lost: Mapping[str, int]
    errors: Mapping[str, int]
    events_failed: int
    redelivered: int
    dead_lettered: int
    restarts: int
    handle_duration: HistogramCounts
    busy_seconds: float
    blocked_seconds: Mapping[str, float]
    buffer_events: int
    buffer_limit: int | None
    buffer_bytes: int | None
    in_flight_events: int
    latency: HistogramCounts | None
    families: tuple[Family, ...]
    stall: Stall | None = None
    is_paused: bool = False
    concurrency: int | None = None
    output_of: str | None = None
    subscriptions: tuple[SubscriptionSnapshot, ...] = ()
    connections: tuple[ConnectionSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class TopologySnapshot:
    """The state of a whole run."""

    name: str
    state: str
    stages: tuple[StageSnapshot, ...]
    edges: tuple[EdgeSnapshot, ...]
    loop_lag_seconds: float


def take_snapshot(run: Run, state: str) -> TopologySnapshot:
    """Copy the state of `run`."""
    return TopologySnapshot(
        name=run.name,
        state=state,
        stages=tuple(_stage(process, run) for process in run.processes.values()),
        edges=tuple(edge.snapshot() for edge in run.edges),
        loop_lag_seconds=run.watch.loop_lag_seconds,
    )


def _stage(process: StageProcess, run: Run) -> StageSnapshot:
    stage_input, stage_output = process.input, process.output
    turns, counts = process.turns, process.counts
    return StageSnapshot(
        name=process.name,
        kind=kind_of(process),
        state=_state(process, run),
        error=_sentence(process.reason),
        events_received=0 if stage_input is None else stage_input.received(),
        events_sent=0 if stage_output is None else stage_output.sent(),
        discarded=dict(counts.discarded),
        lost=dict(counts.lost),
        errors=dict(counts.errors),
        events_failed=counts.failed,
        redelivered=counts.redelivered,
        dead_lettered=counts.dead_lettered,
        restarts=process.restarts,
        handle_duration=HistogramCounts(DURATION_BOUNDS, turns.counts(), turns.handled_seconds),
        busy_seconds=turns.busy_seconds(),
        blocked_seconds={"demand": turns.blocked_seconds(process.scheduler.clock())},
        buffer_events=0 if stage_output is None else stage_output.buffered(),
        buffer_limit=None if stage_output is None else stage_output.buffer.limit,
        buffer_bytes=None
        if stage_output is None or stage_output.buffer.sizes is None
        else stage_output.buffer.sizes.total,
        in_flight_events=0 if stage_input is None else stage_input.in_flight(),
        latency=None if process.step.latency is None else process.step.latency.copy(),
        families=counts.families.copy(),
        stall=run.watch.stalls.get(process.name),
        is_paused=process.is_paused,
        concurrency=None if process.concurrency.is_plain else process.concurrency.limit,
        output_of=run.sides[process.name].of.name if process.name in run.sides else None,
        subscriptions=() if stage_input is None else tuple(map(_subscription, _active(stage_input))),
        connections=tuple(
            one.snapshot(is_idle=stage_input is None or not stage_input.in_flight())
            for one in counts.connections.values()
        ),
    )


def _active(stage_input: StageInput) -> list[Subscription]:
    return [one for one in stage_input.subscriptions if one.ended is None]


def _subscription(one: Subscription) -> SubscriptionSnapshot:
    window = one.window
    return SubscriptionSnapshot(one.producer.name, window.max_demand, window.min_demand, window.outstanding)


def _state(process: StageProcess, run: Run) -> str:
    if process.state is ProcessStatus.ENDED:
        return "completed" if process.reason == "normal" else "stopped"
    return "draining" if run.is_draining else process.state.value


def _sentence(reason: ExitReason | None) -> str | None:
    return class_and_message(reason) if isinstance(reason, BaseException) else None
