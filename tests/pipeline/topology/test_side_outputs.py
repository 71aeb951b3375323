"""Stages with side outputs: who takes one gets what is passed aside, and nobody need."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from headrace.errors import GraphError
from headrace.pipeline.dispatchers.partition import Output, PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import PRODUCER_BUFFER_SIZE, Concurrency, StageSettings
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of, derived
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept
from tests.fakes.flow_stages import Numbers, Pass
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

pytestmark = pytest.mark.asyncio

DONE, FAILED = Outcome.DONE, Outcome.FAILED
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
ODD = SubscribeTo("sieve", output="odd")


def is_odd(event: Any) -> bool:
    number: Any = data_of(event)
    return bool(number % 2)


class Sieve(ProducerConsumer[Any, Any]):
    """Emits even numbers, and passes odd ones aside; counts those that nobody takes."""

    takes_messages = True

    side_outputs: Sequence[str] = ("odd",)

    async def handle_events(self, events: list[Any]) -> list[Any]:
        odd = [derived(event, data_of(event)) for event in events if is_odd(event)]
        self.discard(len(odd) - await self.emit_to("odd", odd), "odd")
        return [derived(event, data_of(event)) for event in events if not is_odd(event)]


def graph(source: Any, count: int | None = 20, stage: Any = Sieve, **settings: Any) -> tuple[Topology, Any]:
    topology, origin = Topology(cancel="temporary"), source(count)
    topology.add("source", lambda: origin)
    topology.add("sieve", stage, subscribe_to="source", settings=StageSettings(**settings))
    return topology, origin


def add(topology: Topology, name: str, *to: SubscribeTo | str) -> Kept:
    kept = Kept()
    topology.add(name, lambda: kept, subscribe_to=to)
    return kept


def stage_of(topology: Topology, name: str = "sieve") -> StageSnapshot:
    return next(stage for stage in topology.snapshot().stages if stage.name == name)


@EDGES
async def test_who_takes_one_gets_what_is_passed_aside_in_order_and_others_the_rest(source: Any) -> None:
    topology, origin = graph(source, dispatcher="broadcast")
    even, odd, both = add(topology, "a", "sieve"), add(topology, "b", ODD), add(topology, "c", "sieve", ODD)
    await topology.start()
    assert (await topology.join()).is_fine
    assert even.data == list(range(2, 21, 2))
    assert odd.data == list(range(1, 21, 2))
    assert sorted(both.data, key=str) == sorted(range(1, 21), key=str)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


@EDGES
async def test_one_that_nobody_takes_holds_nothing_up_and_the_stage_counts(source: Any) -> None:
    topology, origin = graph(source, count=50_000)
    even = add(topology, "a", "sieve")
    await topology.start()
    assert (await topology.join()).is_fine
    assert len(even.data) == 25_000
    assert stage_of(topology).discarded["odd"] == 25_000
    if isinstance(origin, Told):
        assert set(origin.outcomes()) == {DONE}


@EDGES
@pytest.mark.parametrize("dispatcher", ["broadcast", "demand", "partition"])
async def test_it_broadcasts_where_its_stage_does_and_else_each_event_has_one_receiver(
    source: Any, dispatcher: Any
) -> None:
    share = partial(PartitionDispatcher[Any], 1, hash=lambda _: 0)
    topology, origin = graph(source, 100, dispatcher=share if dispatcher == "partition" else dispatcher)
    even = add(topology, "a", SubscribeTo("sieve", partition=0) if dispatcher == "partition" else "sieve")
    few = SubscribeTo("sieve", 2, 1, output="odd")
    odd = [add(topology, "b", few), add(topology, "c", few)]
    await topology.start()
    assert (await topology.join()).is_fine
    assert even.data == list(range(2, 101, 2))
    whole = list(range(1, 101, 2))
    if dispatcher == "broadcast":
        assert [one.data for one in odd] == [whole, whole]
    else:
        assert sorted([*odd[0].data, *odd[1].data], key=str) == sorted(whole, key=str)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 100


@EDGES
async def test_one_that_stands_still_stops_the_stage_within_its_bounds(source: Any) -> None:
    topology, _ = graph(source, count=100_000)
    even, odd = add(topology, "a", "sieve"), add(topology, "b", SubscribeTo("sieve", 10, output="odd"))
    await topology.start()
    topology.stage("b").pause()
    await until(lambda: stage_of(topology, "sieve.odd").buffer_events == PRODUCER_BUFFER_SIZE)
    await settled(topology)
    assert len(even.data) <= PRODUCER_BUFFER_SIZE + 1000
    topology.stage("b").resume()
    assert (await topology.join()).is_fine
    assert (even.data, odd.data) == (list(range(2, 100_001, 2)), list(range(1, 100_001, 2)))


@pytest.mark.parametrize("size", [0, 1, 3])
async def test_what_waits_for_room_when_the_run_is_stopped_is_told_once(size: int) -> None:
    topology, origin = graph(Told, count=None)
    add(topology, "a", "sieve")
    odd = add(topology, "b", SubscribeTo("sieve", 10, output="odd"))
    await topology.start()
    topology.stage("b").pause()
    topology.stage("sieve.odd").resize(size)
    await settled(topology)
    assert stage_of(topology).in_flight_events > 0
    assert stage_of(topology, "sieve.odd").buffer_events == size
    await topology.stop()
    assert set(origin.outcomes()[2 * len(odd.data) :: 2]) == {FAILED}


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("limit", [1, 3])
async def test_what_went_aside_before_a_stop_cut_it_off_is_not_lost_twice(size: int, limit: int) -> None:
    topology, _ = graph(Numbers, count=None, concurrency=Concurrency(limit))
    even = add(topology, "a", "sieve")
    add(topology, "b", SubscribeTo("sieve", 10, output="odd"))
    await topology.start()
    topology.stage("b").pause()
    topology.stage("sieve.odd").resize(size)
    await settled(topology)
    await topology.stop()
    sieve, odd = stage_of(topology), stage_of(topology, "sieve.odd")
    aside = odd.events_sent + odd.discarded["cancelled"]
    assert sieve.events_received == len(even.data) + aside + sieve.discarded["cancelled"]
    check_end(run_of(topology))


@EDGES
async def test_one_whose_consumers_have_all_left_takes_nothing_more(source: Any) -> None:
    class Leaves(Kept):
        def handle_events(self, events: list[Any]) -> None:
            super().handle_events(events)
            self.stop()

    topology, origin = graph(source, count=5000)
    even, left = add(topology, "a", SubscribeTo("sieve", 10)), Leaves()
    topology.add("b", lambda: left, subscribe_to=SubscribeTo("sieve", 2, 1, output="odd"))
    await topology.start()
    assert (await topology.join()).is_completed
    assert len(even.data) == 2500
    lost = sum(stage_of(topology, name).discarded["cancelled"] for name in ("sieve.odd", "b"))
    assert stage_of(topology).discarded["odd"] + lost + len(left.data) == 2500
    if isinstance(origin, Told):
        assert origin.outcomes().count(FAILED) == lost


@EDGES
async def test_a_drain_lets_all_that_is_under_way_through(source: Any) -> None:
    topology, origin = graph(source, count=None)
    even, odd = add(topology, "a", "sieve"), add(topology, "b", SubscribeTo("sieve", 10, output="odd"))
    await topology.start()
    await until(lambda: len(odd.data) > 1000)
    assert (await topology.drain()).is_fine
    assert sorted([*even.data, *odd.data], key=str) == sorted(range(1, origin.emitted + 1), key=str)
    if isinstance(origin, Told):
        assert set(origin.outcomes()) == {DONE}


async def test_the_source_hears_of_what_fails_behind_it() -> None:
    class Fails(Consumer[Any]):
        per_event = True

        def handle_events(self, events: list[Any]) -> None:
            self.fail_at(0, ValueError("no"))

    topology, origin = graph(Told)
    add(topology, "a", "sieve")
    topology.add("b", Fails, subscribe_to=ODD)
    await topology.start()
    await topology.join()
    assert origin.outcomes() == [FAILED, DONE] * 10


async def test_a_stage_that_crashes_has_it_again_and_loses_no_message() -> None:
    crashes = [RuntimeError("once")]

    class Crashes(Sieve):
        async def handle_events(self, events: list[Any]) -> list[Any]:
            made = await super().handle_events(events)
            if crashes and 2000 in map(data_of, events):
                raise crashes.pop()
            return made

    topology, origin = graph(Told, 5000, Crashes)
    even, odd = add(topology, "a", "sieve"), add(topology, "b", ODD)
    await topology.start()
    await topology.join()
    assert stage_of(topology).restarts == 1
    assert origin.outcomes() == [DONE] * 5000
    assert set(map(str, [*even.data, *odd.data])) == set(map(str, range(1, 5001)))


async def test_what_is_left_over_in_it_is_set_aside_for_who_would_have_got_it() -> None:
    topology, _ = graph(Numbers)
    topology.dead_letter_handler = aside = Aside()
    add(topology, "a", "sieve")
    add(topology, "b", SubscribeTo("sieve", 2, output="odd"))
    await topology.start()
    topology.stage("b").pause()
    await until(lambda: stage_of(topology, "sieve.odd").buffer_events == 8)
    await topology.stop()
    assert {(one.stage, one.data) for one in aside.kept} == {("b", number) for number in range(1, 20, 2)}


async def test_a_stage_has_named_outputs_and_one_beside_them() -> None:
    class Three(Sieve):
        outputs = ("low", "high")

        async def handle_events(self, events: list[Any]) -> list[Any]:
            return [Output("low" if event < 10 else "high", event) for event in await super().handle_events(events)]

    topology, _ = graph(Numbers, stage=Three)
    low, high = (add(topology, name, SubscribeTo("sieve", output=name)) for name in ("low", "high"))
    odd = add(topology, "odd", ODD)
    await topology.start()
    assert (await topology.join()).is_fine
    assert (low.data, high.data) == ([2, 4, 6, 8], [10, 12, 14, 16, 18, 20])
    assert odd.data == list(range(1, 21, 2))


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (SubscribeTo("sieve", output="od"), "it has no output 'od'; did you mean 'odd'?"),
        (SubscribeTo("sieve", output="xyz"), r"it has no output 'xyz': it has odd, errors \(what it gives up\)"),
        (SubscribeTo("sieve", output="odd", weight=2), "a weight means something to a weighted dispatcher only"),
    ],
)
async def test_a_subscription_to_it_that_cannot_be_is_refused(to: SubscribeTo, why: str) -> None:
    topology, _ = graph(Numbers)
    add(topology, "a", to)
    with pytest.raises(GraphError, match=why):
        await topology.start()


@pytest.mark.parametrize("names", [("errors",), ("odd", "odd"), ("",)])
async def test_it_has_a_name_of_its_own(names: tuple[str, ...]) -> None:
    class Odd(Sieve):
        side_outputs = names

    topology, _ = graph(Numbers, stage=Odd)
    add(topology, "a", "sieve")
    with pytest.raises(GraphError, match="each needs a name of its own"):
        await topology.start()


@pytest.mark.parametrize("output", ["odd", "errors"])
async def test_it_is_not_called_as_a_stage_is(output: str) -> None:
    topology, _ = graph(Numbers)
    add(topology, f"sieve.{output}", "sieve")
    add(topology, "a", SubscribeTo("sieve", output=output))
    with pytest.raises(GraphError, match=rf"there is a stage 'sieve\.{output}': rename one of them"):
        await topology.start()


async def test_one_that_would_feed_its_own_stage_is_a_circle() -> None:
    topology = Topology()
    topology.add("source", lambda: Numbers(3))
    topology.add("sieve", Sieve, subscribe_to=["source", "again"])
    topology.add("again", Pass, subscribe_to=ODD)
    topology.add("sink", Kept, subscribe_to="sieve")
    with pytest.raises(GraphError, match="is part of a circle"):
        await topology.start()


@pytest.mark.parametrize(("names", "known"), [(("even", "prime"), "'even', 'prime'"), ((), "it has none")])
async def test_an_output_that_the_stage_does_not_have_is_refused(names: tuple[str, ...], known: str) -> None:
    class Even(Sieve):
        side_outputs = names

    topology, _ = graph(Numbers, stage=Even, restart="temporary")
    add(topology, "a", "sieve")
    await topology.start()
    await topology.join()
    assert stage_of(topology).error == (
        f"BadOption: output is 'odd', and must be one of the stage's side_outputs: {known}"
    )
