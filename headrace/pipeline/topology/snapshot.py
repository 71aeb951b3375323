"""What is going on in a topology, as plain values copied in one step."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.pipeline.flow.connection_status import ConnectionSnapshot
from headrace.pipeline.topology.graph import Kind
from headrace.pipeline.topology.stall import Stall
from headrace.telemetry.counts import Family


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """Observations per bucket: `counts` is not cumulative, and ends with one more than `bounds`, the unbounded one."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """What a stage asks of a producer; `coming` is what was asked for and is not handled yet."""

    producer: str
    max_demand: int
    min_demand: int
    coming: int


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """What a stage has done so far, and how it stands.

    `error` is the last reason of a crash, as a sentence; `latency` is a consumer's only, seconds from the source.
    `concurrency` is None where batches are handled one after another; `subscriptions` are those that have not ended.
    `lost` is input that never became events, by what it was. `output_of` is the stage whose side output this is, where
    it is one.
    """

    name: str
    kind: Kind
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
    handle_duration: HistogramSnapshot
    busy_seconds: float
    blocked_seconds: Mapping[str, float]
    buffer_events: int
    buffer_limit: int | None
    buffer_bytes: int | None
    in_flight_events: int
    latency: HistogramSnapshot | None
    families: tuple[Family, ...]
    stall: Stall | None = None
    is_paused: bool = False
    concurrency: int | None = None
    output_of: str | None = None
    subscriptions: tuple[SubscriptionSnapshot, ...] = ()
    connections: tuple[ConnectionSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class EdgeSnapshot:
    """A subscription: all that was ever asked for, all that was delivered, and what is asked for and still to come."""

    producer: str
    consumer: str
    demand_requested: int
    events: int
    demand_pending: int


@dataclass(frozen=True, slots=True)
class TopologySnapshot:
    """A whole run."""

    name: str
    state: str
    stages: tuple[StageSnapshot, ...]
    edges: tuple[EdgeSnapshot, ...]
    loop_lag_seconds: float
