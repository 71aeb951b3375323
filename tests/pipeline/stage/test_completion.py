"""Completion: an end of its own, which runs down the graph behind the last event."""

import pytest

from headrace.errors import RestartsExhausted
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers, Pass
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of


class _Last(ProducerConsumer[object, object]):
    """Keeps all it gets until its end, and fails there as often as it is told."""

    def __init__(self, failures: list[BaseException]) -> None:
        self.failures = failures
        self.count = 0

    def handle_events(self, events: list[object]) -> list[object]:
        self.count += len(events)
        return events

    async def handle_complete(self) -> list[object]:
        if self.failures:
            raise self.failures.pop()
        return ["last"]


class _FailsAtEnd(Collect):
    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def handle_complete(self) -> None:
        if self.failures:
            self.failures -= 1
            raise KeyError(self.failures)
        super().handle_complete()


@pytest.mark.asyncio
async def test_a_stage_completes_when_its_producer_has_and_nothing_waits() -> None:
    """E1: from_enumerable 1..7, consumer 10/5: batch 5, batch 2, then the end."""
    topology, collect = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(7))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", 10, 5))
    async with topology:
        outcome = await topology.join()
    assert collect.batches == [[1, 2, 3, 4, 5], [6, 7]]
    assert (collect.completions, collect.reasons) == (1, ["normal"])
    assert outcome.is_completed
    assert outcome.is_fine


@pytest.mark.asyncio
async def test_completion_waits_for_every_producer() -> None:
    topology, collect = Topology(), Collect()
    topology.add("short", lambda: Numbers(3))
    topology.add("long", lambda: Numbers(3000))
    topology.add("pass", Pass, subscribe_to=["short", "long"])
    topology.add("collect", lambda: collect, subscribe_to="pass")
    await topology.start()
    assert (await topology.join()).is_fine
    assert len(collect.events) == 3003
    assert collect.completions == 1


@pytest.mark.asyncio
async def test_completion_waits_until_the_buffer_is_empty() -> None:
    topology, collect = Topology(), Collect()

    class Burst(Producer[int]):
        def handle_demand(self, demand: int) -> list[int]:
            self.emit_nowait(list(range(100)))
            self.complete()
            return []

    topology.add("burst", Burst)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("burst", 3, 0))
    await topology.start()
    assert (await topology.join()).is_fine
    assert collect.events == list(range(100))


@pytest.mark.asyncio
async def test_last_events_go_out_before_the_end_does() -> None:
    topology, collect = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("last", lambda: _Last([]), subscribe_to="numbers")
    topology.add("collect", lambda: collect, subscribe_to="last")
    await topology.start()
    assert (await topology.join()).is_fine
    assert collect.events == [1, 2, 3, "last"]


@pytest.mark.asyncio
async def test_a_consumer_that_fails_at_its_end_is_asked_again_after_its_restart() -> None:
    topology, collect = Topology(), _FailsAtEnd(2)
    topology.add("numbers", lambda: Numbers(3))
    topology.add("collect", lambda: collect, subscribe_to="numbers")
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert (collect.completions, collect.events) == (1, [1, 2, 3])


@pytest.mark.asyncio
async def test_a_stage_in_the_middle_that_fails_at_its_end_is_asked_again_after_its_restart() -> None:
    topology, collect = Topology(), Collect()
    failures: list[BaseException] = [KeyError("not yet")]
    topology.add("numbers", lambda: Numbers(3))
    topology.add("last", lambda: _Last(failures), subscribe_to="numbers")
    topology.add("collect", lambda: collect, subscribe_to="last")
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert collect.events == [1, 2, 3, "last"]


@pytest.mark.asyncio
async def test_a_stage_that_always_fails_at_its_end_ends_the_run() -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("collect", lambda: _FailsAtEnd(9), subscribe_to="numbers")
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert not outcome.is_completed
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_what_has_completed_is_not_started_again_not_even_when_it_is_permanent() -> None:
    topology, settings = Topology(), StageSettings(restart="permanent")
    topology.add("numbers", lambda: Numbers(3), settings=settings)
    topology.add("pass", Pass, subscribe_to="numbers", settings=settings)
    topology.add("collect", Collect, subscribe_to="pass", settings=settings)
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_fine
    assert [stage.restarts for stage in topology.snapshot().stages] == [0, 0, 0]


@pytest.mark.asyncio
async def test_what_is_emitted_after_the_end_is_counted() -> None:
    class Late(Producer[int]):
        def handle_demand(self, demand: int) -> list[int]:
            self.complete()
            return [1]

        async def terminate(self, reason: object) -> None:
            self.emit_nowait([2, 3])

    topology, collect, late = Topology(), Collect(), Late()
    topology.add("late", lambda: late)
    topology.add("collect", lambda: collect, subscribe_to="late")
    await topology.start()
    await topology.join()
    late.emit_nowait([4])
    snapshot = topology.snapshot().stages[0]
    assert (snapshot.events_sent, snapshot.discarded["cancelled"]) == (1, 3)
    assert topology.outcome().events_lost == 3
    assert collect.events == [1]
    check_end(run_of(topology))
