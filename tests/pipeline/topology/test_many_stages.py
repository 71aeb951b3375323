"""Many stages: what they cost grows with their number, and no faster; ended subscriptions cost nothing."""

import gc
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import pairwise

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.counted_lines import lines_run
from tests.fakes.flow_stages import Collect, Gated, Numbers, Pass
from tests.fakes.laws import check_edges
from tests.fakes.stepping import run_of, settled

FEW, MANY = 20, 160

Shape = Callable[[int], Coroutine[object, object, object]]


def quiet() -> Topology:
    topology = Topology(cancel="temporary")
    topology.stall_seconds = None
    return topology


async def one_producer_of_many(count: int, dispatcher: str = "demand") -> None:
    topology = quiet()
    topology.add("source", lambda: Numbers(100), settings=StageSettings(dispatcher=dispatcher))
    for index in range(count):
        topology.add(f"sink{index}", Collect, subscribe_to=SubscribeTo("source", 100))
    assert (await topology.run()).is_fine


async def many_producers_of_one(count: int) -> None:
    topology, sink = quiet(), Collect()
    for index in range(count):
        topology.add(f"source{index}", Producer.from_stream(range(10)))
    topology.add("sink", lambda: sink, subscribe_to=[f"source{index}" for index in range(count)])
    assert (await topology.run()).is_fine
    assert len(sink.events) == 10 * count


async def a_chain(count: int) -> None:
    topology, sink = quiet(), Collect()
    topology.add("sink", lambda: sink, subscribe_to=f"stage{count - 1}")
    for index in reversed(range(1, count)):
        topology.add(f"stage{index}", Pass, subscribe_to=f"stage{index - 1}")
    topology.add("stage0", lambda: Numbers(10))
    assert (await topology.run()).is_fine
    assert len(sink.events) == 10


async def pairs_whose_consumers_leave_one_by_one(count: int) -> None:
    topology = quiet()
    for index in range(count):
        topology.add(f"source{index}", Inbox)
        topology.add(f"sink{index}", Collect, subscribe_to=f"source{index}")
    await topology.start()
    for index in range(count):
        run_of(topology).processes[f"sink{index}"].stop()
        await settled(topology)
    await topology.join()


async def many_that_subscribe_while_they_run(count: int) -> None:
    topology = quiet()
    topology.add("source", Inbox)
    hub = topology.add("hub", Pass, subscribe_to=None)
    sinks = [topology.add(f"sink{index}", Collect, subscribe_to=None) for index in range(count)]
    passes = [topology.add(f"pass{index}", Pass, subscribe_to=None) for index in range(count)]
    sources = [topology.add(f"source{index}", Inbox[int]) for index in range(count)]
    await topology.start()
    for sink in sinks:
        sink.subscribe("source")
    for source in sources:
        hub.subscribe(source)
    for former, following in pairwise(passes):
        following.subscribe(former)
    await topology.stop()


@pytest.mark.parametrize(
    "shape",
    [
        one_producer_of_many,
        partial(one_producer_of_many, dispatcher="broadcast"),
        many_producers_of_one,
        a_chain,
        pairs_whose_consumers_leave_one_by_one,
        many_that_subscribe_while_they_run,
    ],
)
def test_eight_times_as_many_stages_take_at_most_ten_times_the_work(shape: Shape) -> None:
    lines_run(shape(FEW))  # what is loaded once
    few, many = lines_run(shape(FEW)), lines_run(shape(MANY))
    assert many <= 10 * few


def _subscriptions() -> int:
    gc.collect()
    return sum(isinstance(one, Subscription) for one in gc.get_objects())


@pytest.mark.asyncio
@pytest.mark.parametrize("is_busy", [True, False])
async def test_subscriptions_that_have_ended_are_kept_as_counts_alone(*, is_busy: bool) -> None:
    topology, gated = quiet(), Gated()
    source = topology.add("source", Inbox[int])
    sink = topology.add("sink", lambda: gated, subscribe_to=SubscribeTo("source", 4))
    topology.add("other", Collect, subscribe_to="source")
    await topology.start()
    before = _subscriptions()
    (subscription,) = sink.subscriptions()
    if not is_busy:
        gated.gate.set()
    for number in range(100):
        await source.emit([number] * 1004)
        await settled(topology)
        subscription = subscription.resubscribe()
    assert _subscriptions() <= before + (100 if is_busy else 1)
    gated.gate.set()
    await settled(topology)
    edge = next(one for one in topology.snapshot().edges if one.consumer == "sink")
    assert _subscriptions() <= before + 1  # the one whose batch was handled last
    check_edges(run_of(topology))
    assert edge.demand_pending == 4
    assert edge.events > 100
    assert edge.demand_requested >= edge.events
    await topology.stop()
