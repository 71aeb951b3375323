"""Draining: nothing more is taken in, and what is under way goes through, or is counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.handle import StageHandle
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Gated, Numbers, Pass
from tests.fakes.laws import check_end, check_over
from tests.fakes.stepping import run_of, settled, until


class _Door(Numbers):
    """A push edge: notes when it is told to close, and fails there if it is to."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error
        self.closings = 0

    def handle_drain(self) -> None:
        self.closings += 1
        if self.error is not None:
            raise self.error


@pytest.mark.asyncio
async def test_a_drain_lets_all_that_was_taken_in_go_through_and_completes() -> None:
    topology, numbers, collect = Topology(), Numbers(), Collect()
    topology.add("numbers", lambda: numbers)
    topology.add("pass", Pass, subscribe_to="numbers")
    topology.add("collect", lambda: collect, subscribe_to="pass")
    await topology.start()
    await until(lambda: len(collect.events) > 10_000)
    assert topology.state == "running"
    outcome = await topology.drain()
    assert outcome.is_fine
    assert outcome.is_drained
    assert topology.state == "drained"
    assert collect.events == list(range(1, numbers.emitted + 1))
    assert collect.completions == 1


@pytest.mark.asyncio
async def test_no_handle_demand_is_called_once_a_drain_began() -> None:
    topology, numbers, gated = Topology(), Numbers(), Gated()
    topology.add("numbers", lambda: numbers)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 10, 5))
    await topology.start()
    await gated.entered.wait()
    drain = asyncio.ensure_future(topology.drain())
    await settled(topology)
    assert topology.state == "draining"
    before = len(numbers.demands)
    gated.gate.set()
    outcome = await drain
    assert outcome.is_fine
    assert len(numbers.demands) == before
    assert len(gated.events) == numbers.emitted


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_door_that_fails_to_close_does_not_keep_the_others_open(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    topology, bad, good, collect = Topology(), _Door(error("door")), _Door(), Collect()
    topology.add("bad", lambda: bad)
    topology.add("good", lambda: good)
    topology.add("collect", lambda: collect, subscribe_to=["bad", "good"])
    await topology.start()
    outcome = await topology.drain(5)
    assert (bad.closings, good.closings) == (1, 1)
    assert outcome.is_drained
    assert topology.snapshot().stages[0].errors == {error.__name__: 1}
    assert [record.message for record in caplog.records] == [
        "stage 'bad' raised in handle_drain, and drains all the same"
    ]
    assert len(collect.events) == bad.emitted + good.emitted


@pytest.mark.asyncio
async def test_a_consumer_that_never_returns_is_cancelled_at_the_deadline_and_its_events_are_lost() -> None:
    topology, numbers, gated = Topology(), Numbers(), Gated()
    topology.add("numbers", lambda: numbers)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 20, 10))
    await topology.start()
    await gated.entered.wait()
    outcome = await topology.drain(deadline_seconds=0.01)
    assert gated.was_cancelled
    assert (outcome.is_drained, outcome.is_completed, outcome.is_fine) == (False, False, False)
    assert outcome.events_lost == numbers.emitted == 20
    assert topology.state == "stopped"
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_drain_that_is_too_late_is_said_with_the_names_of_those_who_did_not_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topology = Topology("shop")
    topology.add("numbers", Numbers)
    topology.add("pass", Pass, subscribe_to="numbers")
    topology.add("gated", Gated, subscribe_to="pass")
    await topology.start()
    await topology.drain(deadline_seconds=0.01)
    assert "pipeline 'shop' was not drained after 0.01 s: pass, gated did not end" in caplog.text or (
        "pipeline 'shop' was not drained after 0.01 s: numbers, pass, gated did not end" in caplog.text
    )


@pytest.mark.asyncio
async def test_a_crash_during_a_drain_is_restarted_and_the_drain_goes_on() -> None:
    class FailsOnce(Failing):
        def handle_events(self, events: list[object]) -> None:
            if run_of(topology).is_draining:
                super().handle_events(events)
            else:
                Collect.handle_events(self, events)

    topology, numbers, consumer = Topology(), Numbers(), FailsOnce(KeyError("once"))
    topology.add("numbers", lambda: numbers)
    handle = topology.add("consumer", lambda: consumer, subscribe_to=SubscribeTo("numbers", 10, 5))
    await topology.start()
    handle.pause()
    await settled(topology)  # so that batches wait when the drain begins
    outcome = await topology.drain()
    assert outcome.events_lost == len(consumer.failed[0])
    assert not outcome.is_fine
    assert len(consumer.events) + outcome.events_lost == numbers.emitted
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_stage_that_restarts_while_the_run_drains_takes_in_nothing_more() -> None:
    """Its former self crashed in the very callback that the drain was to wake."""
    calls = 0

    class Crashing(Producer[int]):
        async def handle_demand(self, demand: int) -> list[int]:
            nonlocal calls
            calls += 1
            await draining.wait()
            raise KeyError("source")

        def handle_drain(self) -> None:
            draining.set()

    draining = asyncio.Event()
    topology = Topology()
    topology.add("crashing", Crashing)
    topology.add("collect", Collect, subscribe_to="crashing")
    await topology.start()
    await settled(topology)
    outcome = await topology.drain()
    assert outcome.is_drained
    assert calls == 1


@pytest.mark.asyncio
async def test_a_second_drain_and_a_stop_after_it_tell_the_same() -> None:
    topology, door = Topology(), _Door()
    topology.add("door", lambda: door)
    topology.add("collect", Collect, subscribe_to="door")
    await topology.start()
    outcomes = await asyncio.gather(topology.drain(), topology.drain())
    assert outcomes[0] == outcomes[1] == await topology.stop() == await topology.drain() == await topology.join()
    assert door.closings == 1


@pytest.mark.asyncio
async def test_a_block_that_ends_well_drains_and_one_that_raises_stops() -> None:
    numbers, collect = Numbers(), Collect()
    topology = Topology()
    topology.add("numbers", lambda: numbers)
    topology.add("collect", lambda: collect, subscribe_to="numbers")
    async with topology:
        await until(lambda: len(collect.events) > 100)
    assert topology.outcome().is_drained
    assert len(collect.events) == numbers.emitted

    broken = Topology()
    broken.add("numbers", Numbers)
    broken.add("gated", Gated, subscribe_to="numbers")
    with pytest.raises(KeyError):
        async with broken:
            raise KeyError("body")
    assert broken.state == "stopped"
    assert not broken.outcome().is_fine
    check_end(run_of(broken))


@pytest.mark.asyncio
async def test_a_stream_that_ignores_its_cancellation_at_first_keeps_what_it_yields_then() -> None:
    class Stubborn(Producer[int]):
        async def handle_demand(self, demand: int) -> AsyncIterator[int]:
            yield 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield 2

    topology, collect = Topology(), Collect()
    topology.add("stubborn", Stubborn)
    topology.add("collect", lambda: collect, subscribe_to="stubborn")
    await topology.start()
    await settled(topology)
    outcome = await topology.drain(5)
    assert outcome.is_fine
    assert collect.events == [1, 2]


@pytest.mark.asyncio
async def test_a_consumer_that_never_asks_again_keeps_the_drain_waiting_until_its_deadline() -> None:
    class Never(Consumer[object]):
        async def handle_events(self, events: list[object]) -> None:
            await asyncio.Event().wait()

    topology = Topology()
    topology.add("numbers", lambda: Numbers(5))
    topology.add("never", Never, subscribe_to="numbers")
    await topology.start()
    outcome = await topology.drain(deadline_seconds=0.01)
    assert (outcome.is_drained, outcome.events_lost) == (False, 5)


@pytest.mark.asyncio
async def test_a_drain_that_is_cut_short_by_a_stop_is_none() -> None:
    topology, numbers, gated = Topology(), Numbers(), Gated()
    topology.add("numbers", lambda: numbers)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 20, 10))
    await topology.start()
    await gated.entered.wait()
    drain = asyncio.ensure_future(topology.drain())
    await settled(topology)
    await topology.stop()
    outcome = await drain
    assert (outcome.is_drained, outcome.events_lost) == (False, numbers.emitted)
    assert topology.state == "stopped"


@pytest.mark.asyncio
async def test_a_drain_of_a_run_that_is_over_changes_nothing() -> None:
    completed, stopped = Topology(), Topology()
    for topology, count in ((completed, 5), (stopped, None)):
        topology.add("numbers", partial(Numbers, count))
        topology.add("collect", Collect, subscribe_to="numbers")
        await topology.start()
    await completed.join()
    await stopped.stop()
    for topology in (completed, stopped):
        before = topology.outcome()
        assert await topology.drain() == before
    assert (completed.state, stopped.state) == ("completed", "stopped")


@pytest.mark.asyncio
@pytest.mark.parametrize("is_in_the_middle", [False, True])
async def test_a_drain_does_not_wait_for_readers_that_have_left(is_in_the_middle: bool) -> None:  # noqa: FBT001
    topology, numbers = Topology(), Numbers()
    handle: StageHandle[Stage] = topology.add("numbers", lambda: numbers)
    if is_in_the_middle:
        handle = topology.add("pass", Pass, subscribe_to="numbers")
    await topology.start()
    async with aclosing(handle.stream(10)) as events:
        read = [await anext(events) for _ in range(12)]
    outcome = await topology.drain()
    assert read == list(range(1, 13))
    assert outcome.is_drained
    assert outcome.events_lost == numbers.emitted - 12
    check_over(run_of(topology))


@pytest.mark.asyncio
async def test_a_drain_does_not_wait_for_a_reader_that_leaves_while_it_goes_on() -> None:
    topology, numbers = Topology(), Numbers()
    topology.add("numbers", lambda: numbers)
    handle = topology.add("pass", Pass, subscribe_to="numbers")
    await topology.start()
    async with aclosing(handle.stream(10)) as events:
        await anext(events)
        drain = asyncio.ensure_future(topology.drain())
        await settled(topology)
        assert topology.state == "draining"
    outcome = await drain
    assert outcome.events_lost == numbers.emitted - 1


@pytest.mark.asyncio
async def test_an_interrupt_in_a_callback_drains_the_run() -> None:
    class Interrupted(Collect):
        def handle_events(self, events: list[object]) -> None:
            super().handle_events(events)
            if len(self.batches) == 2:
                raise KeyboardInterrupt

    topology, numbers, consumer = Topology(), Numbers(), Interrupted()
    topology.add("numbers", lambda: numbers)
    topology.add("consumer", lambda: consumer, subscribe_to=SubscribeTo("numbers", 10, 5))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_lost == 5
    assert len(consumer.events) == numbers.emitted
