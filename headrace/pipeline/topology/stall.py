"""Finds stalled stages; measures loop lag."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from typing_extensions import override

from headrace.pipeline.engine.stage_process import StageProcess
from headrace.telemetry.events import LOG

Cause = Literal["paused", "busy", "unasked"]
"""Why a stage makes no progress: it is paused; its callback has not returned; no consumer asks for its events."""

_BECAUSE: Final[Mapping[Cause, str]] = {
    "paused": "it is paused: resume it",
    "busy": "its callback has not returned: look at what it waits for, or give the stage a timeout",
    "unasked": "no consumer asks for its events: look at its consumers, their partitions and outputs",
}


@dataclass(frozen=True, slots=True)
class ProgressSample:
    """The progress of a stage: a count that grows with all its work, and the number of events that wait there."""

    progress: int
    waiting: int
    cause: Cause
    producers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stall:
    """A stage without progress for `seconds` although `waiting` events wait; the stages `blocked` wait behind it."""

    stage: str
    seconds: float
    waiting: int
    cause: Cause
    blocked: tuple[str, ...]

    @override
    def __str__(self) -> str:
        behind = f", and holds {', '.join(map(repr, self.blocked))}" if self.blocked else ""
        return (
            f"stage {self.stage!r} has done nothing for {self.seconds:.0f} s with {self.waiting} events "
            f"waiting{behind}; {_BECAUSE[self.cause]}"
        )


class StallDetector:
    """Compares the progress of stages with the check before."""

    def __init__(self, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._seen: dict[str, tuple[int, float]] = {}

    def check(self, now: float, samples: Mapping[str, ProgressSample]) -> dict[str, Stall]:
        """Return the stalled stages, by name; `now` is in seconds, and not before that of the previous check."""
        since = {name: self._since(name, one, now) for name, one in samples.items()}
        self._seen = {name: (samples[name].progress, begun) for name, begun in since.items()}
        still = {name for name in since if samples[name].waiting and now - since[name] >= self._after_seconds}
        feeding = {producer for name in still for producer in samples[name].producers}
        found: dict[str, Stall] = {}
        for name in still - feeding:
            one = samples[name]
            blocked = tuple(sorted(_behind(name, samples, still)))
            found[name] = Stall(name, now - since[name], one.waiting, one.cause, blocked)
        return found

    def _since(self, name: str, one: ProgressSample, now: float) -> float:
        """Return the time of the last progress of a stage with waiting events; `now` where none wait."""
        progress, begun = self._seen.get(name, (-1, now))
        return begun if one.waiting and one.progress == progress else now


def _behind(name: str, samples: Mapping[str, ProgressSample], still: set[str]) -> Iterator[str]:
    """Yield the stages without progress upstream of one, each once."""
    seen: set[str] = set()
    rest = [name]
    while rest:
        for producer in samples[rest.pop()].producers:
            if producer in still and producer not in seen:
                seen.add(producer)
                rest.append(producer)
                yield producer


LAG_SECONDS: Final = 0.25
"""Seconds between two checks, which also measure the lag of the loop."""

LAGS_KEPT: Final = 60
"""Measurements kept: those of the last 15 seconds."""


class RunMonitor:
    """Checks a run for stalls and loop lag; `stalls` are the stages stalled now, by name."""

    def __init__(
        self, processes: Mapping[str, StageProcess], clock: Callable[[], float], stall_seconds: float | None
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._lags: deque[float] = deque(maxlen=LAGS_KEPT)
        self._detector = None if stall_seconds is None else StallDetector(stall_seconds)
        self.stalls: Mapping[str, Stall] = {}
        self.checks = 0

    @property
    def loop_lag_seconds(self) -> float:
        """The longest delay of the loop's timers in the last 15 seconds."""
        return max(self._lags, default=0.0)

    def check(self, late_seconds: float) -> None:
        """Check once; the timer came `late_seconds` late."""
        self.checks += 1
        self._lags.append(late_seconds)
        if self._detector is None:
            return
        samples = {name: _sample(process) for name, process in self._processes.items()}
        found = self._detector.check(self._clock(), samples)
        for name in found.keys() - self.stalls.keys():
            LOG.warning("%s", found[name])
        for name in self.stalls.keys() - found.keys():
            LOG.info("stage %r makes progress again", name)
        self.stalls = found


def _sample(process: StageProcess) -> ProgressSample:
    counts = process.counts
    stage_input, stage_output = process.input, process.output
    received, in_flight = (0, 0) if stage_input is None else (stage_input.received(), stage_input.in_flight())
    sent, buffered = (0, 0) if stage_output is None else (stage_output.sent(), stage_output.buffered())
    return ProgressSample(
        progress=received + sent + counts.failed + counts.redelivered + sum(counts.discarded.values()),
        waiting=0 if process.step.has_children else in_flight + buffered,  # children may live for long
        cause=_cause(process),
        producers=() if stage_input is None else tuple(one.producer.name for one in stage_input.subscriptions),
    )


def _cause(process: StageProcess) -> Cause:
    if process.is_paused:
        return "paused"
    return "busy" if process.is_busy else "unasked"
