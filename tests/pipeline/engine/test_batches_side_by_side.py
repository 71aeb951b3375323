"""More than one batch of a stage at a time: each is handled as a whole, and its outputs keep their order."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import RestartsExhausted
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of, derived
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

DONE, FAILED = Outcome.DONE, Outcome.FAILED
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
NUMBERS: Final = list(range(1, 21))


class Batches(ProducerConsumer[Any, Any]):
    """Lets each batch wait until its gate is opened, which has the number of its first event."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Future[None]] = {}
        self.begun: list[list[int]] = []
        self.most = 0

    async def handle_events(self, events: list[Any]) -> list[object]:
        numbers = list(map(data_of, events))
        self.begun.append(numbers)  # type: ignore[arg-type] # numbers
        gate = self.gates[self.begun[-1][0]] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.gates))
        try:
            await gate
        finally:
            del self.gates[numbers[0]]  # type: ignore[arg-type] # a number
        return [derived(event, f"<{data_of(event)}>") for event in events]

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set_result(None)

    async def open_until(self, is_over: Callable[[], bool]) -> None:
        """Open every gate until `is_over` returns true."""

        def step() -> bool:
            self.open(*(number for number, gate in self.gates.items() if not gate.done()))
            return is_over()

        await until(step)


def chain(source: Any, middle: Any, how: Concurrency, **said: Any) -> tuple[Topology, Any, Kept]:
    """Batches are of two events, and up to eight are asked for."""
    topology, origin, sink = Topology(), source(20), Kept()
    topology.add("source", lambda: origin)
    settings = StageSettings(concurrency=how, **said)
    topology.add("middle", middle, subscribe_to=SubscribeTo("source", 8, 6), settings=settings)
    topology.add("sink", lambda: sink, subscribe_to="middle")
    return topology, origin, sink


@pytest.mark.asyncio
@EDGES
async def test_as_many_batches_as_allowed_are_under_way_and_outputs_keep_their_order(source: Any) -> None:
    batches = Batches()
    topology, origin, sink = chain(source, lambda: batches, Concurrency(3))
    await topology.start()
    await until(lambda: len(batches.gates) == 3)
    assert batches.begun == [[1, 2], [3, 4], [5, 6]]
    batches.open(3, 5)
    await until(lambda: 7 in batches.gates)
    assert sink.data == []
    batches.open(1)
    await until(lambda: sink.data == [f"<{number}>" for number in range(1, 7)])  # while others are under way
    await batches.open_until(lambda: len(sink.data) == 20)
    assert (await topology.join()).is_fine
    assert sink.data == [f"<{number}>" for number in NUMBERS]
    assert batches.most == 3
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


@pytest.mark.asyncio
@EDGES
async def test_without_order_a_finished_batch_is_emitted_at_once(source: Any) -> None:
    batches = Batches()
    topology, origin, sink = chain(source, lambda: batches, Concurrency(3, is_ordered=False))
    await topology.start()
    await until(lambda: len(batches.gates) == 3)
    batches.open(3)
    await until(lambda: sink.data == ["<3>", "<4>"])
    if isinstance(origin, Told):
        await until(lambda: set(origin.told) == {3, 4})
    await batches.open_until(lambda: len(sink.data) == 20)
    assert (await topology.join()).is_fine
    assert sorted(sink.data, key=str) == sorted(f"<{number}>" for number in NUMBERS)
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_more_batches_or_fewer_while_it_runs() -> None:
    batches = Batches()
    topology, _, sink = chain(Numbers, lambda: batches, Concurrency(2))
    await topology.start()
    await until(lambda: len(batches.gates) == 2)
    topology.stage("middle").scale(4)
    await until(lambda: len(batches.gates) == 4)
    topology.stage("middle").scale(1)
    batches.open(1, 3, 5)
    await until(lambda: len(sink.data) == 6)
    await settled(topology)
    assert list(batches.gates) == [7]
    await batches.open_until(lambda: len(sink.data) == 20)
    assert (await topology.join()).is_fine
    assert batches.most == 4


class Falls(Batches):
    """Crashes in the batch of the number 5, so many times."""

    left = 1

    async def handle_events(self, events: list[Any]) -> list[object]:
        made = await super().handle_events(events)
        if 5 in map(data_of, events) and type(self).left:
            type(self).left -= 1
            raise ConnectionError
        return made


@pytest.mark.asyncio
async def test_a_crash_takes_the_others_with_it_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Falls, "left", 1)
    lives: list[Falls] = []

    def life() -> Falls:
        lives.append(Falls())
        return lives[-1]

    topology, origin, sink = chain(Told, life, Concurrency(3))
    await topology.start()
    await until(lambda: len(lives[-1].gates) == 3)
    lives[-1].open(3)  # over, and waits for the first one: a crash now has to bring it again
    await until(lambda: 7 in lives[-1].gates)
    lives[-1].open(5)
    await until(lambda: len(lives) == 2 and 1 in lives[-1].gates)
    assert lives[-1].begun == [[1]]  # alone, so that the next crash hits no other
    while len(set(sink.data)) < 20:
        await lives[-1].open_until(lambda: True)
        await asyncio.sleep(0)
    assert (await topology.join()).is_fine
    assert sorted(sink.data, key=str) == sorted(f"<{number}>" for number in NUMBERS)
    assert origin.outcomes() == [DONE] * 20
    assert all(len(batch) == 1 for batch in lives[-1].begun[:8])
    check_end(run_of(topology))


class Holds(Consumer[Any]):
    """Retains all events."""

    async def handle_events(self, events: list[Any]) -> None:
        self.retain(events)


@pytest.mark.asyncio
async def test_a_stage_that_retains_events_is_refused() -> None:
    topology = Topology(max_restarts=0)
    topology.add("source", lambda: Told(3))
    topology.add("holds", Holds, subscribe_to="source", settings=StageSettings(concurrency=Concurrency(2)))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert "stage 'holds' retains events beyond their batch" in str(topology.snapshot().stages[1].error)


class Sieve(ProducerConsumer[Any, Any]):
    """Waits some turns for each batch, copies each number `n % 3` times, and fails numbers by a plan."""

    def __init__(self, turns: list[int], failures: dict[int, int]) -> None:
        self.turns = turns
        self.failures = dict(failures)
        self.calls = 0

    async def handle_events(self, events: list[Any]) -> list[object]:
        turns = self.turns[self.calls % len(self.turns)]
        self.calls += 1
        for _ in range(turns):
            await asyncio.sleep(0)
        made: list[object] = []
        for event in events:
            number: Any = data_of(event)
            left = self.failures.get(number, 0)
            if left:
                self.failures[number] = left - 1
                self.fail_event(event, ValueError(number))
            else:
                made += [derived(event, number)] * (number % 3)
        return made


@settings(max_examples=60)
@given(
    how=st.builds(Concurrency, st.integers(2, 4), is_ordered=st.booleans()),
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    failures=st.dictionaries(st.integers(1, 20), st.sampled_from([1, 100]), max_size=6),
    source=st.sampled_from([Numbers, Told]),
)
def test_each_event_ends_once_and_its_outputs_keep_their_order(
    how: Concurrency, turns: list[int], failures: dict[int, int], source: Any
) -> None:
    retry = Retry(2, backoff_seconds=0.0)
    failed = {number for number, times in failures.items() if times > 1}

    async def main() -> None:
        aside = Aside()
        topology, origin, sink = chain(source, lambda: Sieve(turns, failures), how, retry=retry)
        topology.dead_letter_handler = aside
        await topology.start()
        assert (await topology.join()).is_fine
        numbers = [n for n in NUMBERS if n not in failed for _ in range(n % 3)]
        assert sorted(sink.data, key=int) == numbers  # type: ignore[arg-type] # numbers
        assert sorted(one.data for one in aside.kept) == sorted(failed)  # type: ignore[type-var] # numbers
        if isinstance(origin, Told):
            assert origin.outcomes() == [Outcome.DEAD_LETTERED if n in failed else DONE for n in NUMBERS]
        if how.is_ordered and not failures:
            assert sink.data == numbers
        check_end(run_of(topology))

    asyncio.run(main())
