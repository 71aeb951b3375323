"""Looks at a run every so often: how late the loop's timers come, and whether a stage holds the others."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from headrace.pipeline.engine.consuming import ConsumerProcess, ConsumerSupervisorProcess
from headrace.pipeline.engine.producer_process import ProducerProcess
from headrace.pipeline.topology.link import StageProcess
from headrace.pipeline.topology.stall import Cause, Stall, StallWatch, Standing
from headrace.telemetry.events import LOG

LAG_SECONDS: Final = 0.25
"""How often it looks, and so measures the loop's lag."""

LAGS_KEPT: Final = 60
"""Measurements kept: those of the last 15 seconds."""


class Watch:
    """What was seen in the looks so far; `stalls` are the stages that hold others now, by name."""

    def __init__(
        self, processes: Mapping[str, StageProcess], clock: Callable[[], float], stall_seconds: float | None
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._lags: deque[float] = deque(maxlen=LAGS_KEPT)
        self._stall_watch = None if stall_seconds is None else StallWatch(stall_seconds)
        self.stalls: Mapping[str, Stall] = {}
        self.looks = 0

    @property
    def loop_lag_seconds(self) -> float:
        """The most by which the loop's timers came late, of the last 15 seconds."""
        return max(self._lags, default=0.0)

    def look(self, late_seconds: float) -> None:
        """Look once; the turn came `late_seconds` late."""
        self.looks += 1
        self._lags.append(late_seconds)
        if self._stall_watch is None:
            return
        standings = {name: _standing(process) for name, process in self._processes.items()}
        found = self._stall_watch.look(self._clock(), standings)
        for name in found.keys() - self.stalls.keys():
            LOG.warning("%s", found[name])
        for name in self.stalls.keys() - found.keys():
            LOG.info("stage %r goes on", name)
        self.stalls = found


def _standing(process: StageProcess) -> Standing:
    counts = process.counts
    inlet = None if isinstance(process, ProducerProcess) else process.inlet
    outlet = None if isinstance(process, ConsumerProcess) else process.outlet
    received, in_flight = (0, 0) if inlet is None else (inlet.received(), inlet.in_flight())
    sent, buffered = (0, 0) if outlet is None else (outlet.sent(), outlet.buffered())
    is_by_children = isinstance(process, ConsumerSupervisorProcess)  # which may well live for long
    return Standing(
        progress=received + sent + counts.failed + counts.redelivered + sum(counts.discarded.values()),
        waiting=0 if is_by_children else in_flight + buffered,
        cause=_cause(process),
        producers=() if inlet is None else tuple(one.producer.name for one in inlet.subscriptions),
    )


def _cause(process: StageProcess) -> Cause:
    if process.is_paused:
        return "paused"
    return "busy" if process.is_busy else "unasked"
