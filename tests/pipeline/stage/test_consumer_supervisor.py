"""A consumer supervisor: one child for each event, demand as children finish, and nobody hurt by a child that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import MissingCallback, PermanentChild, RestartsExhausted
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers
from tests.fakes.processes import Oops, said
from tests.fakes.stepping import SETTINGS
from tests.fakes.supervisors import IMPATIENT, Bench, Held, HeldTransient


class Begin(Protocol):
    """Starts a consumer supervisor that no other watches."""

    async def __call__(
        self, callbacks: ConsumerSupervisor[object], most: int, least: int, settings: StageSettings = SETTINGS
    ) -> Bench: ...


@pytest_asyncio.fixture
async def begin() -> AsyncIterator[Begin]:
    """Start a consumer supervisor, which ends with the test."""
    benches: list[Bench] = []

    async def begin(
        callbacks: ConsumerSupervisor[object], most: int, least: int, settings: StageSettings = SETTINGS
    ) -> Bench:
        benches.append(Bench(callbacks, most, least, settings))
        return await benches[-1].start()

    yield begin
    for bench in benches:
        await bench.end()


class Tireless(HeldTransient):
    max_restarts = 1_000_000


@pytest.mark.asyncio
async def test_it_asks_as_genstages_does_when_children_end(begin: Begin) -> None:
    """S1."""
    held = Held()
    bench = await begin(held, 4, 2)
    assert bench.asks() == ["ask 4"]
    await bench.send(1, 2, 3, 4)
    assert (held.runs, bench.asks()) == ([1, 2, 3, 4], [])
    for event, asks in ((1, []), (2, ["ask 2"]), (3, []), (4, ["ask 2"])):
        held.open(event)
        await bench.rest()
        assert bench.asks() == asks, event


@pytest.mark.asyncio
async def test_it_counts_the_finished_where_min_demand_is_low(begin: Begin) -> None:
    held = Held()
    bench = await begin(held, 10, 2)
    await bench.send(*range(10))
    bench.asks()
    for event in range(4):
        held.open(event)
        await bench.rest()
    assert bench.asks() == ["ask 2", "ask 2"]


@given(st.data())
def test_no_more_children_live_than_asked_for_and_every_event_is_accounted_for(data: st.DataObject) -> None:
    asyncio.run(_random_ends(data))


async def _random_ends(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 8))
    held = data.draw(st.sampled_from([Held, Tireless]))()
    bench = await Bench(held, most, data.draw(st.integers(0, most - 1))).start()
    subscription = bench.producer.subscription
    sent, failed = 0, 0
    for _ in range(data.draw(st.integers(1, 20))):
        size = data.draw(st.integers(0, subscription.pending))
        await bench.send(*range(sent, sent + size))
        sent += size
        open_gates = [event for event, gate in held.gates.items() if not gate.done()]
        for event in data.draw(st.lists(st.sampled_from(open_gates), unique=True)) if open_gates else ():
            fails = data.draw(st.booleans())
            held.open(event, Oops(event) if fails else None)
            failed += fails and held.restart == "temporary"
        await bench.rest()
        living = len(bench.step.children.entries)
        assert living <= most
        assert living + subscription.asked + subscription.pending == subscription.window.outstanding <= most
        assert bench.process.counts.failed == failed
        assert sent == len(held.done) + failed + living
        assert bench.process._input.received() == sent - living
    bench.process.kill()
    assert await bench.process.terminated == "shutdown"
    assert bench.process._input.received() == sent == len(held.done) + sum(bench.discarded().values())


@pytest.mark.asyncio
async def test_a_child_that_raises_fails_its_own_event_and_nobody_else(begin: Begin) -> None:
    held = Held()
    bench = await begin(held, 4, 2)
    await bench.send(1, 2, 3)
    held.open(2, Oops("two"))
    held.open(1)
    await bench.rest()
    assert (held.done, held.cancelled) == ([1], [])
    assert bench.discarded() == {"error": 1}
    assert bench.process.counts.errors == {"Oops": 1}
    held.open(3)
    await bench.rest()
    assert held.done == [1, 3]


@pytest.mark.asyncio
async def test_a_transient_child_is_run_again_and_holds_its_place_meanwhile(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    held = HeldTransient()
    bench = await begin(held, 1, 0)
    bench.asks()
    await bench.send("a")
    held.open("a", Oops("once"))
    await bench.rest()
    assert (held.runs, bench.asks(), bench.discarded()) == (["a", "a"], [], {})
    assert said(caplog, logging.WARNING) == ["restarting 'stage.1': Oops: once"]
    held.open("a")
    await bench.rest()
    assert (held.done, bench.asks(), bench.discarded()) == (["a"], ["ask 1"], {})


@pytest.mark.asyncio
async def test_too_many_restarts_end_the_supervisor_and_all_its_children(begin: Begin) -> None:
    held = HeldTransient()
    bench = await begin(held, 4, 2, IMPATIENT)
    await bench.send("good", "bad")
    for _ in range(held.max_restarts + 1):
        held.open("bad", Oops("again"))
        await bench.rest()
    reason = await bench.process.terminated
    assert isinstance(reason, RestartsExhausted)
    assert isinstance(reason.reason, Oops)
    assert held.cancelled == ["good"]
    assert bench.discarded() == {"error": 1, "crash": 1}


@pytest.mark.asyncio
async def test_a_child_of_a_stopped_supervisor_may_end_in_its_time(begin: Begin) -> None:
    held = Held()
    bench = await begin(held, 4, 2)
    await bench.send("a")
    bench.process.stop()
    await bench.rest()
    assert bench.process.state is ProcessStatus.STOPPING
    held.open("a")
    assert await bench.process.terminated == "shutdown"
    assert (held.done, bench.discarded()) == (["a"], {})


@pytest.mark.asyncio
async def test_children_live_on_when_their_producer_goes_down_and_the_subscription_is_temporary(begin: Begin) -> None:
    held = Held()
    bench = await begin(held, 2, 1)
    bench.producer.subscription.cancel = "temporary"
    await bench.send("a", "b")
    bench.producer.end("shutdown")
    await bench.rest()
    held.open("a")
    held.open("b")
    assert await bench.process.terminated == "normal"
    assert (held.done, held.cancelled) == (["a", "b"], [])


@pytest.mark.asyncio
async def test_a_subscription_that_the_supervisor_cancels_ends_when_its_children_have(begin: Begin) -> None:
    held = Held()
    bench = await begin(held, 2, 1)
    await bench.send("a", "b")
    bench.process.end_subscription(bench.producer.subscription, "normal")
    await bench.rest()
    assert bench.process._input.in_flight() == 2
    held.open("a")
    held.open("b")
    await bench.rest()
    assert held.done == ["a", "b"]
    assert not bench.process._input.subscriptions
    assert bench.process.state is ProcessStatus.RUNNING
    bench.process.kill()
    await bench.process.terminated


@pytest.mark.asyncio
async def test_a_sync_run_is_a_child_too() -> None:
    class Noting(ConsumerSupervisor[int]):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def run(self, event: int) -> None:
            if event == 2:
                raise Oops("two")
            self.seen.append(event)

    noting = Noting()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(200))
    topology.add("children", lambda: noting, subscribe_to=SubscribeTo("numbers", max_demand=10, min_demand=5))
    outcome = await topology.run()
    assert outcome.events_failed == 1
    assert noting.seen == [1, *range(3, 201)]


def test_a_supervisor_of_children_that_would_never_finish_is_refused() -> None:
    class Permanent(Held):
        restart = "permanent"

    with pytest.raises(PermanentChild, match="'Permanent' starts a permanent child for an event, which would never"):
        Topology().add("children", Permanent)


def test_a_supervisor_that_does_not_say_what_a_child_does_is_refused() -> None:
    with pytest.raises(MissingCallback, match=r"ConsumerSupervisor has no run\(self, event\)"):
        Topology().add("children", ConsumerSupervisor)
