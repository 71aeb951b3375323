"""What GenStage's and Broadway's users complain of, and what happens here instead: one test for each difference."""

import logging
from functools import partial

import pytest

from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_end, check_over
from tests.fakes.stepping import run_of, settled

pytestmark = pytest.mark.asyncio


async def test_buffered_events_are_not_stuck_behind_what_a_dead_consumer_had_asked_for() -> None:
    """gen_stage 311: what is buffered stalls until the demand of the dead consumer is used up."""
    topology, silent, dies, lives = Topology(max_restarts=9), Silent(), Gated(), Collect()
    topology.add("silent", lambda: silent)
    dying = topology.add("dies", lambda: dies, subscribe_to="silent")
    living = topology.add("lives", lambda: lives, subscribe_to=None)
    await topology.start()
    await settled(topology)
    assert silent.demands == [1000]
    await dying.ref.stop()
    silent.emit_nowait([1, 2, 3, 4])
    living.subscribe(SubscribeTo("silent", max_demand=3, min_demand=0))
    await settled(topology)
    assert lives.events == [1, 2, 3, 4]
    await topology.drain()
    check_over(run_of(topology))


async def test_a_slow_partition_neither_piles_up_nor_loses_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """gen_stage 320 and 282: one consumer a partition, whose queue grows without bound where the hash is skewed."""

    def by_parity(event: object) -> str:
        return "odd" if isinstance(event, int) and event % 2 else "even"

    parity = partial(PartitionDispatcher, ["even", "odd"], hash=by_parity, max_queue=10)
    topology, slow, quick, numbers = Topology(), Gated(), Collect(), Numbers()
    topology.add("numbers", lambda: numbers, settings=StageSettings(dispatcher=parity))
    for name in ("quick", "quick too"):
        topology.add(name, lambda: quick, subscribe_to=SubscribeTo("numbers", max_demand=4, partition="even"))
    late = topology.add("slow", lambda: slow, subscribe_to=None)
    with caplog.at_level(logging.WARNING, "headrace"):
        await topology.start()
        await settled(topology)
    outlet = run_of(topology).processes["numbers"]._output
    assert outlet.buffered() <= 10 + numbers.demands[0]
    assert len(quick.events) >= 9
    assert "'odd'" in caplog.text
    late.subscribe(SubscribeTo("numbers", max_demand=4, partition="odd"))
    slow.gate.set()
    outcome = await topology.drain()
    assert outcome.is_fine
    assert {*quick.events, *slow.events} == set(range(1, numbers.emitted + 1))
    check_end(run_of(topology))


async def test_the_end_of_one_producer_does_not_take_its_consumers_down() -> None:
    """gen_stage 100 and 222, broadway 319: no word for *done* but an exit, which ends permanent consumers."""
    topology, collect, silent = Topology(cancel="permanent"), Collect(), Silent()
    topology.add("ends", lambda: Numbers(3))
    topology.add("goes on", lambda: silent)
    handle = topology.add("collect", lambda: collect, subscribe_to=["ends", "goes on"])
    await topology.start()
    await settled(topology)
    assert topology.snapshot().stages[0].state == "completed"
    assert handle.ref.is_alive
    silent.emit_nowait(["more"])
    silent.complete()
    outcome = await topology.join()
    assert outcome.is_completed
    assert collect.events == [1, 2, 3, "more"]
    assert collect.completions == 1


async def test_a_crash_loses_the_batch_in_hand_and_says_so_and_nothing_else() -> None:
    """gen_stage 202: what waits in the mailbox of a consumer that crashes is lost, and nobody counts it."""
    topology, failing = Topology(), Failing(ValueError("third"))
    topology.add("numbers", lambda: Numbers(100))
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", max_demand=20))
    topology.add("failing", lambda: failing, subscribe_to=SubscribeTo("pass", max_demand=10))
    outcome = await topology.run()
    (lost,) = failing.failed
    assert [*lost, *failing.events] == list(range(1, 101))
    assert outcome.events_lost == len(lost) == topology.snapshot().stages[2].discarded["crash"]
    check_end(run_of(topology))


@pytest.mark.parametrize("dispatcher", ["round_robin", "weighted"])
async def test_a_consumer_with_less_demand_gets_its_share(dispatcher: str) -> None:
    """gen_stage PR 111: highest demand first starves those who ask for less."""
    topology, silent = Topology(), Silent()
    few, many = Gated(), Gated()
    topology.add("silent", lambda: silent, settings=StageSettings(dispatcher=dispatcher))
    topology.add("few", lambda: few, subscribe_to=SubscribeTo("silent", max_demand=20))
    topology.add("many", lambda: many, subscribe_to=SubscribeTo("silent", max_demand=1000))
    await topology.start()
    await settled(topology)
    silent.emit_nowait(list(range(20)))
    edges = {edge.consumer: edge.events for edge in topology.snapshot().edges}
    assert edges == {"few": 10, "many": 10}
    for gated in (few, many):
        gated.gate.set()
    await topology.drain()
    check_end(run_of(topology))


async def test_a_running_stage_is_paused_resized_and_asked_for_less() -> None:
    """broadway 228 and 337, broadway_kafka 56: for another size or pace the whole topology is restarted."""
    topology, collect, silent = Topology(), Collect(), Silent()
    source = topology.add("silent", lambda: silent)
    handle = topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", max_demand=100))
    await topology.start()
    await settled(topology)
    handle.pause()
    handle.subscriptions()[0].change(2, 1)
    source.resize(3, "first")
    silent.emit_nowait(list(range(1, 105)))  # the producer was asked for 100: the bound of 3 is for those beyond
    await settled(topology)
    assert (collect.events, source.estimate_buffered_count()) == ([], 98 + 3)
    assert topology.snapshot().stages[0].discarded["overflow"] == 1
    handle.resume()
    await settled(topology)
    assert collect.batches == [[number] for number in range(1, 104)]
    await topology.drain()
    check_over(run_of(topology))
