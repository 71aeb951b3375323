"""Takes a snapshot of a run: copies plain values from its processes and subscriptions, on the loop, in one step."""

from headrace.errors import class_and_message
from headrace.otp.process.process import ExitReason, State
from headrace.otp.scheduler import DURATION_BOUNDS
from headrace.pipeline.engine.consuming import ConsumerProcess
from headrace.pipeline.engine.producer_process import ProducerProcess
from headrace.pipeline.flow.input import Inlet
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.topology.link import StageProcess, kind_of
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.snapshot import (
    HistogramSnapshot,
    StageSnapshot,
    SubscriptionSnapshot,
    TopologySnapshot,
)
from headrace.telemetry.counts import Tally


def survey(run: Run, state: str) -> TopologySnapshot:
    """Return what is going on in `run`."""
    return TopologySnapshot(
        name=run.name,
        state=state,
        stages=tuple(_stage(process, run) for process in run.processes.values()),
        edges=tuple(edge.snapshot() for edge in run.edges),
        loop_lag_seconds=run.watch.loop_lag_seconds,
    )


def _stage(process: StageProcess, run: Run) -> StageSnapshot:
    inlet = None if isinstance(process, ProducerProcess) else process.inlet
    outlet = None if isinstance(process, ConsumerProcess) else process.outlet
    turns, counts = process.turns, process.counts
    return StageSnapshot(
        name=process.name,
        kind=kind_of(process),
        state=_state(process, run),
        error=_sentence(process.reason),
        events_received=0 if inlet is None else inlet.received(),
        events_sent=0 if outlet is None else outlet.sent(),
        discarded=dict(counts.discarded),
        lost=dict(counts.lost),
        errors=dict(counts.errors),
        events_failed=counts.failed,
        redelivered=counts.redelivered,
        dead_lettered=counts.set_aside,
        restarts=process.restarts,
        handle_duration=HistogramSnapshot(DURATION_BOUNDS, turns.counts(), turns.handled_seconds),
        busy_seconds=turns.busy_seconds(),
        blocked_seconds={"demand": turns.blocked_seconds(process.scheduler.clock())},
        buffer_events=0 if outlet is None else outlet.buffered(),
        buffer_limit=None if outlet is None else outlet.buffer.limit,
        buffer_bytes=None if outlet is None or outlet.buffer.sizes is None else outlet.buffer.sizes.total,
        in_flight_events=0 if inlet is None else inlet.in_flight(),
        latency=_histogram(process.latency) if isinstance(process, ConsumerProcess) else None,
        families=counts.families.copy(),
        stall=run.watch.stalls.get(process.name),
        is_paused=process.is_paused,
        concurrency=None if process.concurrency.is_plain else process.concurrency.limit,
        output_of=run.sides[process.name].of.name if process.name in run.sides else None,
        subscriptions=() if inlet is None else tuple(map(_subscription, _living(inlet))),
        connections=tuple(
            one.snapshot(is_idle=inlet is None or not inlet.in_flight()) for one in counts.connections.values()
        ),
    )


def _living(inlet: Inlet) -> list[Subscription]:
    return [one for one in inlet.subscriptions if one.ended is None]


def _subscription(one: Subscription) -> SubscriptionSnapshot:
    window = one.window
    return SubscriptionSnapshot(one.producer.name, window.max_demand, window.min_demand, window.coming)


def _state(process: StageProcess, run: Run) -> str:
    if process.state is State.ENDED:
        return "completed" if process.reason == "normal" else "stopped"
    return "draining" if run.is_draining else process.state.value


def _sentence(reason: ExitReason | None) -> str | None:
    return class_and_message(reason) if isinstance(reason, BaseException) else None


def _histogram(tally: Tally) -> HistogramSnapshot:
    return HistogramSnapshot(tally.bounds, tally.counts(), tally.sum)
