"""Several at a time, of several producers: each has its turn, and its own account."""

import asyncio
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of, derived
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_demand, check_end
from tests.fakes.stepping import run_of, until

DONE: Final = Outcome.DONE
KINDS = pytest.mark.parametrize("per_event", [True, False])
EDGES = pytest.mark.parametrize("source", [Numbers, Told])


class Gated(ProducerConsumer[Any, Any]):
    """Has each batch, or event, wait until it is let go; notes of which producer it was."""

    def __init__(self, *, per_event: bool) -> None:
        self.per_event = per_event  # type: ignore[misc] # a stage of either kind
        self.gates: list[tuple[str, int, asyncio.Future[None]]] = []
        self.begun: list[tuple[str, int]] = []
        self.crashes: set[tuple[str, int]] = set()
        self.sources: dict[str, Any] = {}

    async def handle_events(self, events: list[Any]) -> list[object]:
        source, number = self.source, data_of(events[0])
        name = source.producer
        self.sources[name] = source
        self.begun.append((name, number))  # type: ignore[arg-type] # a number
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append((name, number, gate))  # type: ignore[arg-type] # a number
        await gate
        assert self.source.producer == name
        if (name, number) in self.crashes:
            self.crashes.discard((name, number))
            raise ConnectionError
        return [event if self.per_event else derived(event, data_of(event)) for event in events]

    def open(self, *wanted: tuple[str, int]) -> None:
        """Let go of these, or of all."""
        for one in [one for one in self.gates if not wanted or one[:2] in wanted]:
            self.gates.remove(one)
            if not one[2].done():
                one[2].set_result(None)


def graph(
    source: Any, middle: Any, how: Concurrency, count: int | None = 20, **said: Any
) -> tuple[Topology, list[Any], Kept]:
    """Batches are of two events, and up to eight are asked for of each producer."""
    topology, origins, sink = Topology(cancel="temporary"), [source(count), source(count)], Kept()
    for name, origin in zip("ab", origins, strict=True):
        topology.add(name, lambda origin=origin: origin)  # type: ignore[misc] # bound as it is
    how_said = StageSettings(concurrency=how, **said)
    to = [SubscribeTo(name, 8, 6) for name in "ab"]
    topology.add("middle", middle, subscribe_to=to, settings=how_said)
    topology.add("sink", lambda: sink, subscribe_to="middle")
    return topology, origins, sink


async def finish(topology: Topology, lives: list[Gated]) -> Any:
    """Let go of all that there is until the run is over, and look at the law of demand all the time."""
    over = asyncio.ensure_future(topology.join())

    def step() -> bool:
        lives[-1].open()
        check_demand(run_of(topology))
        return over.done()

    await until(step)
    return await over


@pytest.mark.asyncio
@KINDS
@EDGES
async def test_two_producers_keep_as_many_under_way_as_one_and_take_turns(source: Any, *, per_event: bool) -> None:
    gated, limit = Gated(per_event=per_event), 10 if per_event else 6
    topology, origins, sink = graph(source, lambda: gated, Concurrency(limit))
    await topology.start()
    await until(lambda: len(gated.gates) == limit)
    numbers = range(1, 9) if per_event else range(1, 9, 2)  # of a whole delivery, as its turn lasts
    first, other = gated.begun[0][0], gated.begun[-1][0]
    assert {first, other} == {"a", "b"}
    assert gated.begun == [*((first, number) for number in numbers), (other, 1), (other, 2 if per_event else 3)]
    check_demand(run_of(topology))
    assert (await finish(topology, [gated])).is_fine
    assert sorted(map(data_of, sink.data)) == sorted([*range(1, 21)] * 2)  # type: ignore[type-var] # numbers
    for origin in origins:
        assert not isinstance(origin, Told) or origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


@pytest.mark.asyncio
@KINDS
async def test_a_producer_that_never_rests_keeps_no_other_from_its_turn_or_its_end(*, per_event: bool) -> None:
    gated = Gated(per_event=per_event)
    topology, origins, _ = graph(Numbers, lambda: gated, Concurrency(3), count=None)
    await topology.start()

    def rounds(wanted: Any) -> Any:
        def step() -> bool:
            gated.open()
            check_demand(run_of(topology))
            return bool(wanted())

        return until(step)

    await rounds(lambda: {name for name, _ in gated.begun} == {"a", "b"})
    begun = len(gated.begun)
    await rounds(lambda: len(gated.begun) > begun + 64)
    later = [name for name, _ in gated.begun[begun:]]
    assert abs(later.count("a") - later.count("b")) <= 8
    origins[1].count = 0  # completes when it is asked next
    middle = run_of(topology).processes["middle"]
    await rounds(lambda: len(middle.input.subscriptions) == 1)  # type: ignore[union-attr] # it has one
    await topology.stop()
    check_end(run_of(topology))


@pytest.mark.asyncio
@KINDS
@EDGES
async def test_a_subscription_that_is_cancelled_while_its_events_are_under_way_accounts_for_them(
    source: Any, *, per_event: bool
) -> None:
    gated = Gated(per_event=per_event)
    topology, origins, sink = graph(source, lambda: gated, Concurrency(10 if per_event else 6))
    await topology.start()
    await until(lambda: len(gated.sources) == 2)
    names = list(gated.sources)  # all of the first one's first delivery is under way, and some of the other's
    gated.sources[names[1]].cancel()
    check_demand(run_of(topology))
    assert (await finish(topology, [gated])).is_completed
    got = 2 if per_event else 4
    assert [number for name, number in gated.begun if name == names[1]] in ([1, 2], [1, 3])
    assert len(sink.data) == 20 + got
    if source is Told:
        assert origins["ab".index(names[0])].outcomes() == [DONE] * 20
        assert origins["ab".index(names[1])].outcomes()[:got] == [DONE] * got
    check_end(run_of(topology))


@pytest.mark.asyncio
@KINDS
@EDGES
async def test_a_crash_gives_each_event_back_to_its_own_subscription(source: Any, *, per_event: bool) -> None:
    lives: list[Gated] = []

    def life() -> Gated:
        lives.append(Gated(per_event=per_event))
        return lives[-1]

    topology, origins, sink = graph(source, life, Concurrency(10 if per_event else 6))
    await topology.start()
    await until(lambda: len(lives[-1].sources) == 2)
    first = lives[0].begun[0]
    lives[0].crashes = {first}
    lives[0].open(first)
    await until(lambda: len(lives) == 2)
    check_demand(run_of(topology))
    assert (await finish(topology, lives)).is_fine == (source is Told)
    check_end(run_of(topology))
    if source is Told:
        assert [origin.outcomes() for origin in origins] == [[DONE] * 20] * 2
        assert sorted(map(data_of, sink.data)) == sorted([*range(1, 21)] * 2)  # type: ignore[type-var] # numbers
        again = [[number for name, number in lives[1].begun if name == one] for one in "ab"]
        assert again == [sorted(numbers) for numbers in again]  # singly, and in order
        assert [numbers[0] for numbers in again] == [1, 1]
    else:
        lost = 10 if per_event else 12
        assert run_of(topology).processes["middle"].counts.discarded["crash"] == lost
        assert len(sink.data) == 40 - lost


class Sieve(ProducerConsumer[Any, Any]):
    """Takes so many turns for a batch, or an event, emits what it gets once or twice, and fails by a plan."""

    def __init__(self, plan: dict[int, int], turns: list[int], *, per_event: bool) -> None:
        self.plan, self.turns = plan, turns
        self.per_event = per_event  # type: ignore[misc] # a stage of either kind
        self.calls = 0

    async def handle_events(self, events: list[Any]) -> list[object]:
        self.calls += 1
        for _ in range(self.turns[self.calls % len(self.turns)]):
            await asyncio.sleep(0)
        made: list[object] = []
        for event in events:
            number: Any = data_of(event)
            assert self.source.producer == ("a" if number <= 100 else "b")
            if self.plan.get(number, 0) > 0:
                self.plan[number] -= 1
                self.fail_event(event, ValueError(number))
            else:
                made += [derived(event, number)] * (1 + number % 2)
        return made


class Shifted(Told):
    """Begins behind 100."""

    def __init__(self, count: int) -> None:
        super().__init__(count)

    def message(self, number: int) -> Any:
        message = super().message(number)
        message.data = number + 100
        return message


class ShiftedNumbers(Numbers):
    """Begins behind 100."""

    def handle_demand(self, demand: int) -> list[int]:
        return [number + 100 for number in super().handle_demand(demand)]


@settings(max_examples=60)
@given(
    how=st.builds(Concurrency, st.integers(2, 5), is_ordered=st.booleans()),
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    failures=st.dictionaries(st.integers(1, 20) | st.integers(101, 120), st.sampled_from([1, 100]), max_size=6),
    is_told=st.booleans(),
    per_event=st.booleans(),
)
def test_each_event_of_two_producers_has_its_end_and_each_producer_s_keep_their_order(
    how: Concurrency, turns: list[int], failures: dict[int, int], *, is_told: bool, per_event: bool
) -> None:
    failed = {number for number, times in failures.items() if times > 1}
    numbers = [*range(1, 21), *range(101, 121)]

    async def main() -> None:
        aside, sink = Aside(), Kept()
        origins: list[Any] = [Told(20), Shifted(20)] if is_told else [Numbers(20), ShiftedNumbers(20)]
        topology = Topology(cancel="temporary")
        topology.dead_letter_handler = aside
        topology.add("a", lambda: origins[0])
        topology.add("b", lambda: origins[1])
        said = StageSettings(concurrency=how, retry=Retry(2, backoff_seconds=0.0))
        to = [SubscribeTo(name, 8, 6) for name in "ab"]
        plan = dict(failures)
        topology.add("middle", lambda: Sieve(plan, turns, per_event=per_event), subscribe_to=to, settings=said)
        topology.add("sink", lambda: sink, subscribe_to="middle")
        await topology.start()
        over = asyncio.ensure_future(topology.join())
        while not over.done():
            check_demand(run_of(topology))
            await asyncio.sleep(0)
        assert over.result().is_fine
        made = [number for number in numbers if number not in failed for _ in range(1 + number % 2)]
        assert sorted(sink.data, key=int) == made  # type: ignore[arg-type] # numbers
        assert sorted(one.data for one in aside.kept) == sorted(failed)  # type: ignore[type-var] # numbers
        if how.is_ordered and not (failures and not per_event):
            for begin, end in ((0, 100), (100, 200)):
                mine = [number for number in made if begin < number <= end]
                assert [number for number in sink.data if begin < number <= end] == mine  # type: ignore[operator] # as above
        for origin in origins if is_told else ():
            shift = 100 * isinstance(origin, Shifted)
            ends = [Outcome.DEAD_LETTERED if number + shift in failed else DONE for number in range(1, 21)]
            assert origin.outcomes() == ends
        check_end(run_of(topology))

    asyncio.run(main())
