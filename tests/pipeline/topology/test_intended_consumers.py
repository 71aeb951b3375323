"""Events that a stage had emitted, and that are left over, are kept for those who would have got them."""

from functools import partial
from typing import Any

import pytest

from headrace.pipeline.dispatchers.partition import Output, PartitionDispatcher
from headrace.pipeline.flow.output import DemandMode
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.failing_stages import Aside, Kept
from tests.fakes.stepping import settled

pytestmark = pytest.mark.asyncio

NUMBERS = range(1, 21)


class Parity(ProducerConsumer[Any, Any]):
    """Odd numbers go by one output, even ones by another."""

    outputs = ("odd", "even")

    def handle_events(self, events: list[Any]) -> list[Output]:
        return [Output("odd" if event % 2 else "even", event) for event in events]


def parity() -> tuple[Topology, Aside]:
    topology, aside = Topology(), Aside()
    topology.dead_letter_handler = aside
    topology.add("source", Inbox)
    topology.add("parity", Parity, subscribe_to="source")
    return topology, aside


async def left_over(topology: Topology, aside: Aside, stage: str) -> dict[object, str]:
    """Stop a run once all events are in and wait; return for whom each is kept."""
    await settled(topology)
    assert topology.stage(stage).estimate_buffered_count() > 0
    await topology.stop()
    assert sorted(one.data for one in aside.kept if isinstance(one.data, int)) == list(NUMBERS)
    return {one.data: one.stage for one in aside.kept}


@pytest.mark.parametrize("mode", ["forward", "accumulate"])
async def test_what_waits_by_an_output_is_kept_for_that_output(mode: DemandMode) -> None:
    topology, aside = parity()
    for name in ("odd", "even"):
        topology.add(name, Kept, subscribe_to=SubscribeTo("parity", 2, output=name))
    await topology.start()
    topology.stage("odd").pause()
    topology.stage("even").pause()
    await topology.stage("source").emit(list(NUMBERS))
    await settled(topology)
    topology.stage("parity").demand(mode)
    kept = await left_over(topology, aside, "parity")
    assert {kept[number] for number in NUMBERS if number % 2} == {"odd", "parity.odd"}
    assert {kept[number] for number in NUMBERS if number % 2 == 0} == {"even", "parity.even"}


@pytest.mark.parametrize("mode", ["forward", "accumulate"])
async def test_what_waits_in_a_partition_is_kept_for_who_takes_that(mode: DemandMode) -> None:
    topology, aside = Topology(), Aside()
    topology.dead_letter_handler = aside

    def by_parity(number: Any) -> int:
        return int(number) % 2

    topology.add("source", Inbox, settings=StageSettings(partial(PartitionDispatcher[Any], 2, hash=by_parity)))
    for name, partition in (("even", 0), ("odd", 1)):
        topology.add(name, Kept, subscribe_to=SubscribeTo("source", 2, partition=partition))
    await topology.start()
    topology.stage("odd").pause()
    topology.stage("even").pause()
    topology.stage("source").demand(mode)
    await topology.stage("source").emit(list(NUMBERS))
    kept = await left_over(topology, aside, "source")
    assert kept == {number: "odd" if number % 2 else "even" for number in NUMBERS}


async def test_what_waits_by_an_output_that_nobody_takes_is_kept_for_that_output() -> None:
    topology, aside = parity()
    topology.add("even", Kept, subscribe_to=SubscribeTo("parity", 2, output="even"))
    await topology.start()
    topology.stage("even").pause()
    await topology.stage("source").emit(list(NUMBERS))
    kept = await left_over(topology, aside, "parity")
    assert {kept[number] for number in NUMBERS if number % 2} == {"parity.odd"}


async def test_what_has_no_place_to_go_to_is_kept_for_nobody() -> None:
    topology, aside = Topology(), Aside()
    topology.dead_letter_handler = aside
    topology.add("source", Inbox)
    topology.add("spare", Kept, subscribe_to=None)
    await topology.start()
    await topology.stage("source").emit(list(NUMBERS))
    kept = await left_over(topology, aside, "source")
    assert set(kept.values()) == {"source:out"}
