"""Runs stages in a real topology, one behind the other, to its end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.link import StageCallbacks
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.counts import Family
from tests.fakes.flow_stages import Collect


@dataclass(frozen=True, slots=True)
class Ran:
    """What came out at the end of a chain, how the run ended, and what its stages had counted."""

    events: list[object]
    outcome: RunOutcome
    stages: tuple[StageSnapshot, ...]

    def family(self, name: str) -> Family:
        """Return a metric of any of the stages."""
        return next(family for stage in self.stages for family in stage.families if family.spec.name == name)


def chain(
    *stages: StageCallbacks | Producer[Any] | Callable[[], StageCallbacks],
    max_demand: int = 1000,
    min_demand: int | None = None,
) -> tuple[Topology, Collect]:
    """Link stages one behind the other, called `0`, `1`, ...; a `Collect` comes last, unless a consumer does."""
    collect = Collect()
    factories = [stage if callable(stage) else (lambda stage=stage: stage) for stage in stages]
    if not isinstance(stages[-1], Consumer):
        factories.append(lambda: collect)
    topology = Topology("test", cancel="temporary")
    for number, factory in enumerate(factories):
        subscription = [SubscribeTo(str(number - 1), max_demand, min_demand)] if number else []
        topology.add(str(number), factory, subscribe_to=subscription)
    return topology, collect


async def run(
    *stages: StageCallbacks | Producer[Any] | Callable[[], StageCallbacks],
    max_demand: int = 1000,
    min_demand: int | None = None,
) -> Ran:
    """Run a chain to its end."""
    topology, collect = chain(*stages, max_demand=max_demand, min_demand=min_demand)
    await topology.start()
    outcome = await topology.join()
    return Ran(collect.events, outcome, topology.snapshot().stages)


async def run_events(events: Iterable[object], *stages: StageCallbacks, max_demand: int = 1000) -> Ran:
    """Run events through stages."""
    return await run(Producer.from_stream(events), *stages, max_demand=max_demand)
