"""Snapshots for tests of what is printed: every number said, the rest at 0."""

from collections.abc import Mapping

from headrace.pipeline.topology.graph import StageKind
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.telemetry.counts import Family, HistogramCounts

NOTHING = HistogramCounts((1.0,))


def stage(
    name: str,
    kind: StageKind,
    handled: tuple[int, int] = (0, 0),
    *,
    discarded: Mapping[str, int] | None = None,
    families: tuple[Family, ...] = (),
) -> StageSnapshot:
    """Return a stage that received and sent so many events."""
    received, sent = handled
    return StageSnapshot(
        name=name,
        kind=kind,
        state="running",
        error=None,
        events_received=received,
        events_sent=sent,
        discarded=discarded or {},
        lost={},
        errors={},
        events_failed=0,
        redelivered=0,
        dead_lettered=0,
        restarts=0,
        handle_duration=NOTHING,
        busy_seconds=0.0,
        blocked_seconds={},
        buffer_events=0,
        buffer_limit=None,
        buffer_bytes=None,
        in_flight_events=0,
        latency=None,
        families=families,
    )


def snapshot(*stages: StageSnapshot, state: str = "running") -> TopologySnapshot:
    """Return a pipeline named shop."""
    return TopologySnapshot("shop", state, stages, (), 0.0)
