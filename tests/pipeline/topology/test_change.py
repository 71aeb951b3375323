"""A stage of a running topology is replaced: nothing is lost, nothing is handled twice, and order is kept."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import GraphError, NoProcess
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Pass, Silent
from tests.fakes.stepping import until


class Counter:
    """Counts up to a total, over all producers that share it."""

    def __init__(self, total: int, sizes: list[int]) -> None:
        self.total = total
        self.sizes = sizes
        self.next = 0
        self.outcomes: list[Outcome] = []

    @property
    def left(self) -> int:
        return self.total - self.next

    def take(self, demand: int) -> list[int]:
        size = min(demand, self.sizes[self.next % len(self.sizes)], self.left)
        start, self.next = self.next, self.next + size
        return list(range(start, self.next))


class Counted(Producer[Any]):
    """Emits the numbers of a counter, in batches of its sizes."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter

    async def handle_demand(self, demand: int) -> list[Any]:
        while demand and self.counter.left:
            numbers = self.counter.take(demand)
            demand -= len(numbers)
            self.emit_nowait(self.made(numbers))
            await asyncio.sleep(0)
        if not self.counter.left:
            self.complete()
        return []

    def made(self, numbers: list[int]) -> list[Any]:
        return numbers


class CountedMessages(Counted):
    emits_messages = True

    def made(self, numbers: list[int]) -> list[Any]:
        note = self.counter.outcomes.append
        return [Message(one, acknowledgement=Acknowledgement(note)) for one in numbers]


class Streamed(Counted):
    """Yields the numbers one by one."""

    async def handle_demand(self, demand: int) -> Any:
        return self._numbers()

    async def _numbers(self) -> Any:
        while numbers := self.counter.take(1):
            yield numbers[0]
            await asyncio.sleep(0)
        self.complete()


class Tagged(ProducerConsumer[int, tuple[int, int]]):
    """Emits each number with its own version."""

    def __init__(self, version: int = 0, *, is_async: bool = False) -> None:
        self.version = version
        self.is_async = is_async

    def handle_events(self, events: list[int]) -> Any:
        outputs = [(event, self.version) for event in events]
        return self._later(outputs) if self.is_async else outputs

    async def _later(self, outputs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        await asyncio.sleep(0)
        return outputs


class Trios(ProducerConsumer[Message[int], list[int]]):
    """Retains messages, and emits them in threes; the last ones as they are."""

    takes_messages = True

    def __init__(self) -> None:
        self.kept: list[Message[int]] = []

    def handle_events(self, events: list[Message[int]]) -> list[Any]:
        outputs = []
        for event in events:
            self.retain([event])
            self.kept.append(event)
            if len(self.kept) == 3:
                outputs += self._trio()
        return outputs

    def handle_complete(self) -> list[Any]:
        return self._trio() if self.kept else []

    def _trio(self) -> list[Any]:
        kept, self.kept = self.kept, []
        self.release(kept)
        return [kept[0].derive([one.data for one in kept], *kept[1:])]


class Slow(Collect):
    """Collects, and lets others have a turn."""

    async def handle_events(self, events: list[object]) -> None:  # type: ignore[override] # async
        await asyncio.sleep(0)
        super().handle_events(events)


async def replaced_while_running(
    source: type[Counted], middle: Callable[[int], Stage], counter: Counter, turns: list[tuple[str, int]]
) -> tuple[Topology, Collect]:
    """Run source, middle, sink; replace one of them after so many iterations of the loop, again and again."""
    topology, collect, versions = Topology(), Slow(), iter(range(1, 100))
    topology.add("source", lambda: source(counter))
    topology.add("middle", lambda: middle(0), subscribe_to=SubscribeTo("source", 7, 3))
    topology.add("sink", lambda: collect, subscribe_to=SubscribeTo("middle", 5, 2))
    factories: dict[str, Callable[[], Stage]] = {
        "source": lambda: source(counter),
        "middle": lambda: middle(next(versions)),
        "sink": lambda: collect,
    }
    await topology.start()
    changes = []
    for stage, iterations in turns:
        for _ in range(iterations):
            await asyncio.sleep(0)
        try:
            changes.append(topology.replace(stage, factories[stage]))
        except NoProcess:
            break
    async with asyncio.timeout(5):
        outcome = await topology.join()
    assert outcome.is_fine, outcome
    for change in changes:
        try:
            await change
        except NoProcess:
            continue
    return topology, collect


TURNS = st.lists(st.tuples(st.sampled_from(["source", "middle", "sink"]), st.integers(0, 30)), max_size=6)
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(
    turns=TURNS,
    sizes=SIZES,
    total=st.integers(1, 80),
    is_async=st.booleans(),
    source=st.sampled_from([Counted, Streamed]),
)
def test_events_in_are_events_out_whenever_a_stage_is_replaced(
    turns: list[tuple[str, int]], sizes: list[int], total: int, source: type[Counted], *, is_async: bool
) -> None:
    counter = Counter(total, sizes)
    topology, collect = asyncio.run(
        replaced_while_running(source, lambda version: Tagged(version, is_async=is_async), counter, turns)
    )
    found: list[tuple[int, int]] = collect.events  # type: ignore[assignment] # as the middle stage emits
    assert [number for number, _ in found] == list(range(total))
    versions = [version for _, version in found]
    assert versions == sorted(versions)
    stages = {stage.name: stage for stage in topology.snapshot().stages}
    assert (stages["source"].events_sent, stages["middle"].events_received, stages["sink"].events_received) == (
        total,
        total,
        total,
    )
    assert {stage.restarts for stage in stages.values()} == {0}


@settings(deadline=None, max_examples=60)
@given(turns=TURNS, sizes=SIZES, total=st.integers(1, 60))
def test_retained_messages_go_to_the_new_stage_and_are_acknowledged_once(
    turns: list[tuple[str, int]], sizes: list[int], total: int
) -> None:
    counter = Counter(total, sizes)
    topology, collect = asyncio.run(replaced_while_running(CountedMessages, lambda _: Trios(), counter, turns))
    numbers = [number for trio in collect.events for number in trio]  # type: ignore[attr-defined] # lists
    assert numbers == list(range(total))
    assert counter.outcomes == [Outcome.DONE] * total
    assert {stage.redelivered for stage in topology.snapshot().stages} == {0}


@settings(deadline=None, max_examples=30)
@given(turns=TURNS, total=st.integers(1, 60), is_ordered=st.booleans())
def test_concurrent_events_finish_in_the_former_stage(
    turns: list[tuple[str, int]], total: int, *, is_ordered: bool
) -> None:
    class Each(Tagged):
        per_event = True

        async def handle_events(self, events: list[int]) -> Any:
            return await self._later([(event, self.version) for event in events])

    async def run() -> Collect:
        counter, topology, collect = Counter(total, [3]), Topology(), Slow()
        topology.add("source", lambda: Counted(counter))
        topology.add(
            "middle",
            Each,
            subscribe_to=SubscribeTo("source", 10, 5),
            settings=StageSettings(concurrency=Concurrency(3, is_ordered=is_ordered)),
        )
        topology.add("sink", lambda: collect, subscribe_to="middle")
        await topology.start()
        for _, iterations in turns:
            for _ in range(iterations):
                await asyncio.sleep(0)
            try:
                topology.replace("middle", lambda: Each(1))
            except NoProcess:
                break
        assert (await topology.join()).is_fine
        return collect

    events: list[Any] = asyncio.run(run()).events
    found = [number for number, _ in events]
    assert (found if is_ordered else sorted(found)) == list(range(total))


@pytest.mark.asyncio
async def test_the_new_stage_begins_when_the_former_has_terminated() -> None:
    notes: list[str] = []

    class Noted(Collect):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.called = name

        async def init(self) -> None:
            notes.append(f"init {self.called}")

        async def terminate(self, reason: object) -> None:  # type: ignore[override] # async
            await asyncio.sleep(0)
            notes.append(f"terminate {self.called} {reason}")

    topology = Topology()
    topology.add("silent", Silent)
    topology.add("sink", lambda: Noted("a"), subscribe_to="silent")
    async with topology:
        await topology.replace("sink", lambda: Noted("b"))
        assert notes == ["init a", "terminate a shutdown", "init b"]
        await topology.stage("silent").emit([1, 2])
        await until(lambda: topology.snapshot().stages[1].events_received == 2)
    assert notes[3:] == ["terminate b normal"]


@pytest.mark.asyncio
async def test_a_new_stage_that_crashes_in_init_is_made_again_by_its_factory() -> None:
    made: list[Collect] = []

    class Fragile(Collect):
        def init(self) -> None:
            made.append(self)
            if len(made) == 1:
                raise OSError

    topology = Topology()
    topology.add("silent", Silent)
    topology.add("sink", Collect, subscribe_to="silent")
    async with topology:
        await topology.replace("sink", Fragile)
        await topology.stage("silent").emit([1])
        await until(lambda: made[-1].events == [1])
    assert len(made) == 2


@pytest.mark.asyncio
async def test_a_producer_that_waits_in_handle_demand_is_cancelled_after_its_shutdown_time() -> None:
    class Waits(Producer[int]):
        async def handle_demand(self, demand: int) -> list[int]:
            await asyncio.Event().wait()
            return []

    counter, collect, topology = Counter(10, [10]), Collect(), Topology()
    topology.add("source", Waits, settings=StageSettings(shutdown_seconds=0.01))
    topology.add("sink", lambda: collect, subscribe_to="source")
    await topology.start()
    await topology.replace("source", lambda: Counted(counter))
    assert (await topology.join()).is_fine
    assert collect.events == list(range(10))


@pytest.mark.asyncio
async def test_a_stage_that_ends_before_it_is_replaced_says_so() -> None:
    gate = asyncio.Event()

    class Last(Collect):
        async def handle_complete(self) -> None:  # type: ignore[override] # async
            await gate.wait()

    topology = Topology()
    topology.add("source", lambda: Counted(Counter(1, [1])))
    topology.add("sink", Last, subscribe_to="source")
    await topology.start()
    sink = topology._started().processes["sink"]
    await until(lambda: sink.is_busy and sink._input.is_over)
    change = topology.replace("sink", Collect)
    gate.set()
    with pytest.raises(NoProcess):
        await change
    await topology.join()
    with pytest.raises(NoProcess):
        topology.replace("sink", Collect)


@pytest.mark.asyncio
async def test_a_replacement_that_would_change_edges_is_refused() -> None:
    class Children(ConsumerSupervisor[int]):
        def run(self, event: int) -> None:
            pass

    class Sided(Pass):
        side_outputs = ("late",)

    class Answering(Pass):
        def handle_demand(self, demand: int) -> list[object]:
            return []

    topology = Topology()
    topology.add("silent", Silent)
    topology.add("pass", Pass, subscribe_to="silent")
    topology.add("sink", Collect, subscribe_to="pass")
    async with topology:
        for name, factory, why in [
            ("sink", Children, "a consumer supervisor is replaced by another one"),
            ("pass", Answering, "a stage with a `handle_demand` by another such stage"),
            ("pass", Sided, r"`side_outputs` \(\) would be \('late',\)"),
            ("silent", lambda: CountedMessages(Counter(1, [1])), "`emits_messages` False would be True"),
            ("silent", Collect, "is a producer, and cannot be replaced by a consumer"),
        ]:
            with pytest.raises(GraphError, match=why):
                topology.replace(name, factory)


@pytest.mark.asyncio
async def test_a_change_before_the_start_is_done_at_once() -> None:
    collect, topology = Collect(), Topology()
    topology.add("source", lambda: Counted(Counter(3, [3])))
    topology.add("sink", Collect, subscribe_to="source")
    await topology.replace("sink", lambda: collect)
    await topology.run()
    assert collect.events == [0, 1, 2]


@pytest.mark.asyncio
async def test_a_consumer_that_asked_by_hand_may_be_replaced_by_one_that_does_not() -> None:
    class ByHand(Consumer[int]):
        def handle_subscribe(self, *_: object) -> str:
            return "manual"

        def handle_events(self, events: list[int]) -> None:
            pass

    collect, topology = Collect(), Topology()
    topology.add("source", lambda: Counted(Counter(50, [7])))
    topology.add("sink", ByHand, subscribe_to=SubscribeTo("source", 10))
    await topology.start()
    await topology.replace("sink", lambda: collect)
    assert (await topology.join()).is_fine
    assert collect.events == list(range(50))


@settings(deadline=None, max_examples=40)
@given(
    iterations=st.lists(st.integers(0, 30), max_size=4),
    total=st.integers(1, 60),
    sleeps=st.integers(0, 5),
    has_messages=st.booleans(),
)
def test_each_event_has_one_child_whenever_a_consumer_supervisor_is_replaced(
    iterations: list[int], total: int, sleeps: int, *, has_messages: bool
) -> None:
    done: list[tuple[int, int]] = []

    class Children(ConsumerSupervisor[Any]):
        def __init__(self, version: int = 0) -> None:
            self.version = version

        async def run(self, event: Any) -> None:
            for _ in range(sleeps):
                await asyncio.sleep(0)
            done.append((event, self.version))

    async def run() -> Counter:
        counter, topology = Counter(total, [3]), Topology()
        topology.add("source", lambda: (CountedMessages if has_messages else Counted)(counter))
        topology.add("children", Children, subscribe_to=SubscribeTo("source", 7, 3))
        await topology.start()
        for version, count in enumerate(iterations, 1):
            for _ in range(count):
                await asyncio.sleep(0)
            try:
                topology.replace("children", lambda version=version: Children(version))  # type: ignore[misc]
            except NoProcess:
                break
        async with asyncio.timeout(5):
            outcome = await topology.join()
        assert outcome.is_fine, outcome
        return counter

    counter = asyncio.run(run())
    assert sorted(event for event, _ in done) == list(range(total))
    assert counter.outcomes == [Outcome.DONE] * (total if has_messages else 0)
