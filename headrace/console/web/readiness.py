"""Whether a pipeline does its work: each stage's state, and what they come to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.jobs.running.queue import QueueStatistics
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot

_AT_WORK: Final = frozenset({"running", "completed"})
"""States of a stage that stand for no trouble while its pipeline runs: a source may be at its end before another."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer for probes: `body` is what JSON makes of it."""

    is_ready: bool
    body: dict[str, object]


def readiness(
    name: str,
    state: str,
    snapshot: TopologySnapshot | None,
    *,
    is_trusted: bool,
    mask: Callable[[str], str] = str,
) -> Readiness:
    """Judge a pipeline: ready when it runs and every stage does its work or has completed it.

    It is "degraded", and not ready, while a stage holds the others: `stalls` names it in a sentence. So it is while a
    connection of a stage is down.

    Whoever is not trusted sees the class of an error only, for its sentence may hold data; `mask` hides for all what
    must not be shown.
    """
    stages = () if snapshot is None else snapshot.stages
    at_work = all(stage.state in _AT_WORK for stage in stages)
    stalls = [str(stage.stall) for stage in stages if stage.stall is not None]
    is_connected = all(one.is_up for stage in stages for one in stage.connections)
    said = "degraded" if state == "running" and (stalls or not is_connected) else state
    told = [_stage(stage, mask, is_trusted=is_trusted) for stage in stages]
    body = {"ready": said == "running" and at_work, "pipeline": name, "state": said, "stalls": stalls, "stages": told}
    return Readiness(said == "running" and at_work, body)


def with_jobs(
    judged: Readiness,
    queues: Mapping[str, QueueStatistics],
    error: str | None,
    *,
    is_trusted: bool,
    mask: Callable[[str], str] = str,
) -> Readiness:
    """Return the same with the jobs: a store that cannot be asked, for `error`, is not ready."""
    told = error if error is None else mask(error) if is_trusted else "the store cannot be asked"
    jobs = {
        "store": "open" if error is None else "failed",
        "error": told,
        "queues": [
            {"queue": name, "limit": one.limit, "running": one.running, "is_paused": one.is_paused}
            for name, one in queues.items()
        ],
    }
    is_ready = judged.is_ready and error is None
    return Readiness(is_ready, {**judged.body, "ready": is_ready, "jobs": jobs})


def with_letters(
    judged: Readiness, error: str | None, *, is_trusted: bool, mask: Callable[[str], str] = str
) -> Readiness:
    """Return the same with the store of dead letters: when it cannot be asked, for `error`, it is not ready."""
    told = error if error is None else mask(error) if is_trusted else "the store cannot be asked"
    letters = {"store": "open" if error is None else "failed", "error": told}
    is_ready = judged.is_ready and error is None
    return Readiness(is_ready, {**judged.body, "ready": is_ready, "dead_letters": letters})


def _stage(stage: StageSnapshot, mask: Callable[[str], str], *, is_trusted: bool) -> dict[str, object]:
    def shown(error: str | None) -> str | None:
        if error is None:
            return None
        return mask(error) if is_trusted else mask(error).partition(":")[0]

    connections = [{"connection": one.kind, "is_up": one.is_up, "error": shown(one.error)} for one in stage.connections]
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "state": stage.state,
        "error": shown(stage.error),
        "connections": connections,
    }
