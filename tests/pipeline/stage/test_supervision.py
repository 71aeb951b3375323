"""Children of a consumer supervisor that are servers, and what others may do with its children."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from headrace.errors import NameTaken, NoChild, PermanentChild, RestartsExhausted, StartFailed
from headrace.otp.gen_server import GenServer
from headrace.otp.ref import Ref
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.pipeline.engine.consuming import SupervisorStep
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, settled
from tests.fakes.supervisors import Held

Supervised = TypeVar("Supervised", Held, ConsumerSupervisor[int])

pytestmark = pytest.mark.asyncio


class Parcel(GenServer):
    """A server for one event, which is done with it when it is told so."""

    def __init__(self, number: int) -> None:
        self.number = number

    def init(self) -> None:
        if self.number < 0:
            raise Oops(self.number)

    def deliver(self) -> None:
        self.stop()

    def lose(self) -> None:
        raise Oops(self.number)


class Parcels(ConsumerSupervisor[int]):
    """Starts a server for each event; its name says which."""

    restart = "temporary"

    def child(self, event: int) -> ChildSpec[object]:
        return ChildSpec(Parcel, f"parcel {event}", "transient", args=(event,))


@asynccontextmanager
async def running(supervisor: Supervised, count: int = 4) -> AsyncIterator[tuple[Topology, Ref[Supervised]]]:
    """Run a supervisor behind `count` numbers; yield the topology, and a reference to the supervisor."""
    topology = Topology(max_restarts=0)
    topology.add("numbers", lambda: Numbers(count))
    stage = topology.add("children", lambda: supervisor, subscribe_to=SubscribeTo("numbers", max_demand=count))
    await topology.start()
    await settled(topology)
    yield topology, stage.ref
    await topology.stop()


async def parcel(ref: Ref[Supervised], name: str) -> Ref[Parcel]:
    """Look up a child by its name."""
    found = {info.name: info.ref for info in await ref.call(ConsumerSupervisor.which_children)}[name]
    assert found is not None
    return found  # type: ignore[return-value] # it is a parcel's


async def test_a_server_is_done_with_its_event_when_it_ends_normally() -> None:
    async with running(Parcels()) as (topology, ref):
        for number in range(1, 5):
            await (await parcel(ref, f"parcel {number}")).call(Parcel.deliver)
        assert (await topology.join()).is_fine
        assert topology.snapshot().stages[-1].events_received == 4


async def test_a_server_that_crashes_is_restarted_under_its_name_and_still_counts() -> None:
    async with running(Parcels(), 1) as (topology, ref):
        await (await parcel(ref, "parcel 1")).cast(Parcel.lose)
        await settled(topology)
        (info,) = await ref.call(ConsumerSupervisor.which_children)
        assert (info.name, info.state, info.restart, info.kind) == ("parcel 1", "running", "transient", "worker")
        assert topology.snapshot().stages[-1].in_flight_events == 1
        await (await parcel(ref, "parcel 1")).call(Parcel.deliver)
        assert (await topology.join()).is_fine


async def test_a_server_that_does_not_start_and_one_whose_name_is_taken_have_failed_and_are_finished() -> None:
    class Same(ConsumerSupervisor[int]):
        def child(self, event: int) -> ChildSpec[object]:
            return ChildSpec(Parcel, "same", "transient", args=(event if event == 1 else -event,))

    async with running(Same(), 3) as (topology, ref):
        assert topology.snapshot().stages[-1].errors == {"NameTaken": 2}
        await (await parcel(ref, "same")).call(Parcel.deliver)
        outcome = await topology.join()
        assert outcome.events_failed == 2

    class Bad(ConsumerSupervisor[int]):
        def child(self, event: int) -> ChildSpec[object]:
            return ChildSpec(Parcel, restart="transient", args=(-event,))

    async with running(Bad(), 3) as (topology, _):
        assert (await topology.join()).events_failed == 3
        assert topology.snapshot().stages[-1].errors == {"Oops": 3}


async def test_a_permanent_server_for_an_event_ends_the_run_with_what_to_say_instead() -> None:
    class Permanent(ConsumerSupervisor[int]):
        def child(self, event: int) -> ChildSpec[object]:
            return ChildSpec(Parcel, args=(event,))

    async with running(Permanent()) as (topology, _):
        reason = (await topology.join()).reason
    assert isinstance(reason, PermanentChild)
    assert 'use restart="temporary"' in str(reason)


async def test_a_child_that_is_no_spec_is_told_with_what_it_must_be() -> None:
    class Wrong(ConsumerSupervisor[int]):
        def child(self, event: int) -> ChildSpec[object]:
            return Parcel(event)  # type: ignore[return-value] # that is the mistake

    async with running(Wrong()) as (topology, _):
        reason = (await topology.join()).reason
    assert isinstance(reason, RestartsExhausted)
    assert "child of stage 'children' returned Parcel, and must return a ChildSpec" in str(reason)


async def test_an_event_whose_spec_cannot_be_made_is_the_only_one_that_the_crash_hits() -> None:
    class Picky(ConsumerSupervisor[int]):
        failures = 1

        def child(self, event: int) -> ChildSpec[object]:
            if event == 2 and Picky.failures:
                Picky.failures -= 1
                raise Oops("two")
            return ChildSpec(Parcel, f"parcel {event}", "temporary", args=(event,))

    told = Told(4)
    topology = Topology()
    topology.add("told", lambda: told)
    stage = topology.add("children", Picky, subscribe_to=SubscribeTo("told", max_demand=4))
    await topology.start()
    ref: Ref[ConsumerSupervisor[int]] = stage.ref
    while len(await ref.call(ConsumerSupervisor.which_children)) < 4:
        await settled(topology)
    for number in range(1, 5):
        await (await parcel(ref, f"parcel {number}")).call(Parcel.deliver)
    assert (await topology.join()).is_fine
    assert told.outcomes() == [Outcome.DONE] * 4


async def test_a_child_that_is_started_by_hand_counts_for_no_demand_and_is_waited_for() -> None:
    held = Held()
    async with running(held, 2) as (topology, ref):
        spec = ChildSpec(Parcel, "by hand", "temporary", args=(7,))
        by_hand = await ref.call(ConsumerSupervisor.start_child, spec)
        assert (await ref.call(ConsumerSupervisor.count_children)).active == 3
        assert topology.snapshot().stages[-1].in_flight_events == 2
        held.open(1)
        held.open(2)
        await settled(topology)
        assert topology.state == "running"
        await by_hand.call(Parcel.deliver)
        assert (await topology.join()).is_fine
        assert topology.snapshot().stages[-1].events_received == 2


async def test_a_child_that_cannot_be_started_by_hand_is_told_to_whoever_asked_and_hurts_nobody() -> None:
    async with running(Parcels(), 1) as (topology, ref):
        with pytest.raises(NameTaken):
            await ref.call(ConsumerSupervisor.start_child, ChildSpec(Parcel, "parcel 1", "temporary", args=(1,)))
        with pytest.raises(PermanentChild):
            await ref.call(ConsumerSupervisor.start_child, ChildSpec(Parcel, args=(1,)))
        with pytest.raises(StartFailed):
            await ref.call(ConsumerSupervisor.start_child, ChildSpec(Parcel, "bad", "transient", args=(-1,)))
        with pytest.raises(NoChild, match="supervisor 'children' has no child 'nobody': it has 'parcel 1'"):
            await ref.call(ConsumerSupervisor.terminate_child, "nobody")
        assert topology.state == "running"


async def test_a_child_that_is_terminated_gives_its_place_back_and_its_event_is_cancelled() -> None:
    held = Held()
    async with running(held, 2) as (topology, ref):
        (first, _) = await ref.call(ConsumerSupervisor.which_children)
        termination = asyncio.ensure_future(ref.call(ConsumerSupervisor.terminate_child, first.name))
        await settled(topology)
        held.open(1)
        await termination
        assert held.done == [1]
        (second,) = await ref.call(ConsumerSupervisor.which_children)
        assert second.name != first.name
        held.open(2)
        await topology.join()


async def test_a_child_cut_off_by_terminate_child_fails_its_message() -> None:
    held, told = Held(), Told(2)
    topology = Topology()
    topology.add("told", lambda: told)
    topology.add("children", lambda: held, subscribe_to=SubscribeTo("told", max_demand=2))
    await topology.start()
    await settled(topology)
    process = run_of(topology).processes["children"]
    step = process.step
    assert isinstance(step, SupervisorStep)
    slot = next(iter(step.children.entries.values()))
    slot.process.kill()
    await settled(topology)
    held.open(2)
    outcome = await topology.join()
    assert (outcome.events_lost, held.cancelled) == (1, [1])
    assert told.outcomes() == [Outcome.FAILED, Outcome.DONE]
