"""The laws of children on random runs: each event is told once, whatever its child, the stage and others do."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.otp import tree
from headrace.pipeline.engine.consuming import SupervisorStep
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import OtherSide, SubscriptionHandle
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers, Silent
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, settled, until
from tests.fakes.supervisors import Held

COUNT = 12
AT_ONCE = 4


class Run:
    """A source of messages, a supervisor of held children, and what a test may do to them."""

    def __init__(self) -> None:
        self.held, self.told = Held(), Told(COUNT)
        self.topology = Topology(max_restarts=1_000)
        self.topology.add("told", lambda: self.told)
        self.stage = self.topology.add(
            "children",
            lambda: self.held,
            subscribe_to=SubscribeTo("told", max_demand=AT_ONCE, min_demand=1),
            settings=StageSettings(shutdown_seconds=0),
        )

    def waiting(self) -> list[object]:
        return [event for event, gate in self.held.gates.items() if not gate.done()]

    def open_one(self, data: st.DataObject, outcome: object = None) -> None:
        waiting = self.waiting()
        if waiting:
            self.held.open(data.draw(st.sampled_from(waiting)), outcome)

    async def act(self, data: st.DataObject) -> None:
        actions: dict[str, Callable[[], object]] = {
            "done": lambda: self.open_one(data),
            "fails": lambda: self.open_one(data, Oops("x")),
            "crash": lambda: self.stage.ref.info(Oops("the supervisor itself")),
            "pause": self.stage.pause,
            "resume": self.stage.resume,
            "terminate": lambda: self.terminate(data),
        }
        actions[data.draw(st.sampled_from(sorted(actions)))]()
        await settled(self.topology)

    def terminate(self, data: st.DataObject) -> None:
        children = self.held.which_children() if self.topology.state == "running" and self.is_up() else ()
        if children:
            self.held.terminate_child(data.draw(st.sampled_from(children)).name)

    def is_up(self) -> bool:
        return run_of(self.topology).processes["children"].callbacks is self.held

    def check(self) -> None:
        stage = self.topology.snapshot().stages[-1]
        assert stage.in_flight_events <= AT_ONCE
        step = run_of(self.topology).processes["children"].step
        assert isinstance(step, SupervisorStep)
        assert len(step.children.entries) <= AT_ONCE
        assert stage.events_received == len(self.held.done) + sum(stage.discarded.values())


async def random_run(data: st.DataObject) -> None:
    run = Run()
    await run.topology.start()
    await settled(run.topology)
    for _ in range(data.draw(st.integers(0, 15))):
        if run.topology.state != "running":
            break
        await run.act(data)
        run.check()
    while run.topology.state == "running":
        run.stage.resume()
        for event in run.waiting():
            run.held.open(event)
        await settled(run.topology)
    outcome = await run.topology.join()
    assert outcome.reason is None
    outcomes = run.told.outcomes()
    assert len(outcomes) == COUNT
    assert {number for number, one in enumerate(outcomes, 1) if one is Outcome.DONE} == set(run.held.done)
    run.check()


@given(st.data())
def test_every_message_is_told_once_and_done_only_if_its_child_was(data: st.DataObject) -> None:
    asyncio.run(random_run(data))


@pytest.mark.asyncio
async def test_a_paused_supervisor_starts_no_children_and_those_it_has_go_on() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(4))
    stage = topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", max_demand=2, min_demand=1))
    await topology.start()
    await settled(topology)
    stage.pause()
    held.open(1)
    held.open(2)
    await settled(topology)
    assert (held.done, held.runs) == ([1, 2], [1, 2])
    stage.resume()
    await until(lambda: len(held.runs) == 4)
    held.open(3)
    held.open(4)
    assert (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_a_supervisor_may_change_how_many_children_it_has_while_they_run() -> None:
    class Keeping(Held):
        def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> None:
            self.subscription = subscription

    held = Keeping()
    topology = Topology()
    topology.add("numbers", Numbers)
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("numbers", max_demand=2, min_demand=1))
    await topology.start()
    await settled(topology)
    subscription = held.subscription
    assert len(held.runs) == 2
    subscription.change(max_demand=5, min_demand=1)
    await settled(topology)
    assert len(held.runs) == 5
    subscription.change(max_demand=1, min_demand=0)
    for event in held.runs[:4]:
        held.open(event)
    await settled(topology)
    assert (len(held.runs), len(held.done)) == (5, 4)
    held.open(held.runs[4])
    await settled(topology)
    assert len(held.runs) == 6
    await topology.stop()


@pytest.mark.asyncio
async def test_children_stand_below_their_supervisor_in_the_tree() -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(2))
    topology.add("children", Held, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    found = {info.name: [child.name for child in info.children] for info in tree().walk()}
    assert found["children"] == ["children.1", "children.2"]
    await topology.stop()
    assert "children" not in {info.name for info in tree().walk()}


@pytest.mark.asyncio
async def test_a_drain_that_takes_too_long_cancels_the_children_and_counts_what_they_were_at() -> None:
    held = Held()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("children", lambda: held, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    outcome = await topology.drain(0.01)
    assert (outcome.is_drained, outcome.events_lost) == (False, 3)
    assert sorted(held.cancelled, key=str) == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_supervisor_asks_by_hand_when_it_says_so() -> None:
    class ByHand(ConsumerSupervisor[int]):
        def handle_subscribe(self, *_: object) -> str:
            return "manual"

        async def run(self, event: int) -> None:
            """Do nothing."""

    topology = Topology()
    silent = Silent()
    topology.add("numbers", lambda: silent)
    topology.add("children", ByHand, subscribe_to="numbers")
    await topology.start()
    await settled(topology)
    assert silent.demands == []
    await topology.stop()
