"""Stopping a run at once: what was under way is counted, whoever ends first."""

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, GatedPass, Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


async def _stopped_while_gated(count: int | None) -> tuple[Topology, Numbers]:
    topology, numbers, gated = Topology(), Numbers(count), Gated()
    topology.add("numbers", lambda: numbers)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 20, 10))
    await topology.start()
    await gated.entered.wait()
    await settled(topology)
    await topology.stop()
    return topology, numbers


@pytest.mark.asyncio
async def test_what_waits_for_a_consumer_is_counted_although_its_producer_ended_first() -> None:
    topology, numbers = await _stopped_while_gated(None)
    assert topology.outcome().events_lost == numbers.emitted == 20
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_what_waits_for_a_consumer_is_counted_although_its_producer_completed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology, numbers = await _stopped_while_gated(15)
    assert topology.outcome().events_lost == numbers.emitted == 15
    check_end(run_of(topology))
    assert not caplog.records


@pytest.mark.asyncio
async def test_what_waits_in_the_middle_is_counted_when_its_producer_ended_first() -> None:
    topology, numbers, gated = Topology(), Numbers(), GatedPass()
    topology.add("numbers", lambda: numbers)
    topology.add("pass", lambda: gated, subscribe_to=SubscribeTo("numbers", 20, 10))
    topology.add("collect", Collect, subscribe_to="pass")
    await topology.start()
    await gated.entered.wait()
    await settled(topology)
    outcome = await topology.stop()
    assert outcome.events_lost == numbers.emitted == 20
    check_end(run_of(topology))
