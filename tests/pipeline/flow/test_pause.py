"""Paused stages: their callbacks get nothing, all else goes on."""

import asyncio

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_over
from tests.fakes.stepping import run_of, settled

pytestmark = pytest.mark.asyncio


async def test_a_paused_consumer_handles_nothing_and_goes_on_where_it_was() -> None:
    topology, collect, numbers = Topology(), Collect(), Numbers()
    topology.add("numbers", lambda: numbers)
    handle = topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", max_demand=10))
    await topology.start()
    handle.pause()
    await settled(topology)
    before = list(collect.events)
    assert handle.is_paused
    assert sum(numbers.demands) <= len(before) + 10  # no more than its window waits for it
    handle.ref.info("mail is handled")
    await settled(topology)
    assert collect.events == before
    handle.resume()
    await topology.drain()
    assert collect.events == list(range(1, len(collect.events) + 1))
    assert len(collect.events) > len(before)
    check_over(run_of(topology))


async def test_a_paused_producer_is_asked_for_nothing_but_serves_its_buffer() -> None:
    topology, collect, silent = Topology(), Collect(), Silent()
    handle = topology.add("silent", lambda: silent)
    reader = topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    silent.emit_nowait([1, 2, 3])
    handle.pause()
    reader.subscribe("silent")
    await settled(topology)
    assert collect.events == [1, 2, 3]
    assert silent.demands == []
    handle.resume()
    await settled(topology)
    assert silent.demands == [997]  # the buffer paid for 3
    await topology.drain()


async def test_a_paused_stage_in_the_middle_holds_up_what_feeds_it() -> None:
    topology, collect, numbers = Topology(), Collect(), Numbers(100)
    topology.add("numbers", lambda: numbers)
    handle = topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", max_demand=10))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("pass", max_demand=10))
    await topology.start()
    handle.pause()
    await settled(topology)
    waiting = numbers.emitted
    await settled(topology)
    assert numbers.emitted == waiting <= len(collect.events) + 20
    handle.resume()
    assert (await topology.join()).is_fine
    assert collect.events == list(range(1, 101))


async def test_a_drain_resumes_what_is_paused() -> None:
    topology, collect, numbers = Topology(), Collect(), Numbers()
    stages = [
        topology.add("numbers", lambda: numbers),
        topology.add("pass", Pass, subscribe_to="numbers"),
        topology.add("collect", lambda: collect, subscribe_to="pass"),
    ]
    await topology.start()
    for stage in stages:
        stage.pause()
    outcome = await topology.drain()
    assert outcome.is_fine
    assert collect.events == list(range(1, numbers.emitted + 1))


async def test_nothing_that_is_paused_or_accumulates_during_a_drain_holds_it_up() -> None:
    topology, gated = Topology(), Gated()
    topology.add("numbers", lambda: Numbers(100))
    middle = topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", max_demand=10))
    handle = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("pass", max_demand=10))
    await topology.start()
    await gated.entered.wait()
    drain = asyncio.ensure_future(topology.drain(60))
    await settled(topology)
    handle.pause()
    middle.pause()
    middle.demand("accumulate")
    assert not handle.is_paused
    gated.gate.set()
    assert (await drain).is_fine


async def test_a_pause_survives_a_crash() -> None:
    topology, failing, silent = Topology(), Failing(ValueError("first")), Silent()
    topology.add("silent", lambda: silent)
    handle = topology.add("failing", lambda: failing, subscribe_to="silent")
    await topology.start()
    handle.pause()
    silent.emit_nowait([1, 2])
    handle.ref.cast_nowait(Failing.handle_events, [0])  # a message may crash it
    await settled(topology)
    assert (handle.is_paused, failing.events, failing.failed) == (True, [], [[0]])
    handle.resume()
    await topology.drain()
    assert failing.events == [1, 2]


async def test_a_busy_stage_finishes_what_it_is_at_before_it_pauses() -> None:
    topology, gated = Topology(), Gated()
    topology.add("numbers", lambda: Numbers(10))
    handle = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", max_demand=2, min_demand=1))
    await topology.start()
    await settled(topology)
    handle.pause()
    gated.gate.set()
    await settled(topology)
    assert gated.events == [1]
    handle.resume()
    assert (await topology.join()).is_fine
