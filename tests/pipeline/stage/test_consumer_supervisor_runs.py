"""Runs with a consumer supervisor: they end when the last child has, and a crash is told to each message once."""

import asyncio

import pytest

from headrace.errors import Unrecoverable
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.processes import Oops
from tests.fakes.stepping import settled, until
from tests.fakes.supervisors import IMPATIENT, Held


def crash(topology: Topology) -> None:
    """Have the supervisor itself crash."""
    topology.stage("children").ref.info(Oops("the supervisor itself"))


@pytest.mark.asyncio
async def test_a_child_whose_error_no_restart_mends_ends_the_run_at_once() -> None:
    full = {number: Unrecoverable(f"the disk is full at {number}: empty it") for number in (1, 2, 3)}

    class Hopeless(ConsumerSupervisor[int]):
        restart = "transient"

        def run(self, event: int) -> None:
            raise full[event]

    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("children", Hopeless, subscribe_to="numbers")
    outcome = await topology.run()
    assert str(outcome.reason) == "the disk is full at 1: empty it"


@pytest.mark.asyncio
async def test_a_run_is_over_when_the_last_child_has_ended() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(5))
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", max_demand=4, min_demand=2))
    await topology.start()
    await settled(topology)
    for event in range(1, 6):
        assert topology.state == "running"
        held.open(event)
        await settled(topology)
    outcome = await topology.join()
    assert outcome.is_fine
    assert held.done == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_a_drain_waits_for_the_children() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", Numbers)
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", max_demand=2))
    await topology.start()
    await settled(topology)
    drain = asyncio.ensure_future(topology.drain(60))
    await settled(topology)
    while topology.state == "draining":
        for event, gate in list(held.gates.items()):
            if not gate.done():
                held.open(event)
        await asyncio.sleep(0)
    outcome = await drain
    assert (outcome.is_drained, outcome.events_lost, held.cancelled) == (True, 0, [])


@pytest.mark.asyncio
async def test_a_run_that_is_stopped_at_once_cancels_the_children() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("children", lambda: held, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    outcome = await topology.stop()
    assert sorted(held.cancelled, key=str) == [1, 2, 3]
    assert outcome.events_lost == 3


@pytest.mark.asyncio
async def test_a_supervisor_that_crashes_ends_its_children_first_and_begins_without_any() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(6))
    to = SubscribeTo("numbers", max_demand=4, min_demand=2)
    topology.add("children", lambda: held, subscribe_to=to, settings=IMPATIENT)
    await topology.start()
    await settled(topology)
    crash(topology)
    await until(lambda: len(held.runs) == 6)
    assert held.cancelled == [1, 2, 3, 4]
    assert topology.snapshot().stages[-1].discarded["crash"] == 4
    held.open(5)
    held.open(6)
    outcome = await topology.join()
    assert (held.done, outcome.events_lost, outcome.reason) == ([5, 6], 4, None)


@pytest.mark.asyncio
async def test_messages_whose_children_a_crash_cut_off_come_again_in_order() -> None:
    held, told = Held(), Told(4)
    topology = Topology()
    topology.add("told", lambda: told)
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("told", max_demand=4), settings=IMPATIENT)
    await topology.start()
    await settled(topology)
    held.open(2)
    await settled(topology)
    crash(topology)
    await until(lambda: len(held.runs) == 7)
    assert held.runs == [1, 2, 3, 4, 1, 3, 4]
    for event in (1, 3, 4):
        held.open(event)
    outcome = await topology.join()
    assert outcome.is_fine
    assert told.outcomes() == [Outcome.DONE] * 4
    assert topology.snapshot().stages[-1].redelivered == 3


@pytest.mark.asyncio
async def test_each_child_settles_its_own_message_as_it_ends() -> None:
    class Judge(Held):
        async def run(self, event: object) -> None:
            await super().run(event)
            if event == 4:
                self.fail(Oops("said, not raised"))

    judge, told = Judge(), Told(4)
    topology = Topology()
    topology.add("told", lambda: told)
    topology.add("children", lambda: judge, subscribe_to=SubscribeTo("told", max_demand=8))
    await topology.start()
    await settled(topology)
    for event, outcome in ((3, None), (1, Oops("one")), (4, None), (2, None)):
        judge.open(event, outcome)
        await settled(topology)
        assert list(told.told)[-1] == event
    await topology.join()
    assert told.outcomes() == [Outcome.FAILED, Outcome.DONE, Outcome.DONE, Outcome.FAILED]


@pytest.mark.asyncio
async def test_the_end_of_one_producer_waits_for_its_children_and_not_for_those_of_another() -> None:
    held = Held()
    topology = Topology()
    topology.add("letters", Producer.from_stream("ab"))
    topology.add("numbers", Producer.from_stream(range(3)))
    both = [SubscribeTo("letters", max_demand=2), SubscribeTo("numbers", max_demand=2)]
    topology.add("children", lambda: held, subscribe_to=both)
    await topology.start()
    await until(lambda: len(held.gates) == 4)
    for event in (0, 1):
        held.open(event)
    await until(lambda: 2 in held.gates)
    held.open(2)
    await settled(topology)
    assert topology.state == "running"
    assert topology.snapshot().stages[-1].in_flight_events == 2
    held.open("a")
    held.open("b")
    assert (await topology.join()).is_fine
