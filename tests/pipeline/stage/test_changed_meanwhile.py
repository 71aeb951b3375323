"""A callback that changes who gets its stage's events, before it returns some."""

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers, Pass
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


@pytest.mark.asyncio
@pytest.mark.parametrize("is_in_the_middle", [False, True])
async def test_what_a_callback_returns_that_begins_to_accumulate_is_held_and_counted_once(
    *, is_in_the_middle: bool
) -> None:
    class Holding(Numbers):
        def handle_demand(self, demand: int) -> list[int]:
            handle.demand("accumulate")
            return super().handle_demand(demand)

    class HoldingPass(Pass):
        def handle_events(self, events: list[object]) -> list[object]:
            handle.demand("accumulate")
            return super().handle_events(events)

    topology, collect = Topology(), Collect()
    if is_in_the_middle:
        topology.add("source", lambda: Numbers(8))
        handle: StageHandle[Stage] = topology.add("held", HoldingPass, subscribe_to="source")
    else:
        handle = topology.add("held", lambda: Holding(8))
    topology.add("collect", lambda: collect, subscribe_to="held")
    await topology.start()
    await settled(topology)
    assert (collect.events, handle.estimate_buffered_count()) == ([], 8)
    await topology.drain()
    assert collect.events == list(range(1, 9))
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_who_is_subscribed_by_the_callback_of_a_broadcasting_stage_gets_what_that_returns() -> None:
    class Inviting(Numbers):
        def handle_demand(self, demand: int) -> list[int]:
            if not self.demands:
                second.subscribe("numbers")
            return super().handle_demand(demand)

    topology, one, other = Topology(), Collect(), Collect()
    topology.add("numbers", lambda: Inviting(30), settings=StageSettings(dispatcher="broadcast"))
    topology.add("one", lambda: one, subscribe_to=SubscribeTo("numbers", max_demand=10))
    second = topology.add("other", lambda: other, subscribe_to=None)
    assert (await topology.run()).is_fine
    assert one.events == other.events == list(range(1, 31))
    check_end(run_of(topology))
