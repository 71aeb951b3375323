"""Stages with several outputs: who takes one gets its bare events, and the sources hear what became of them."""

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.errors import GraphError
from headrace.pipeline.dispatchers.partition import MAX_QUEUE, Output
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of, derived
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept
from tests.fakes.flow_stages import Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, until

pytestmark = pytest.mark.asyncio

DONE, FAILED = Outcome.DONE, Outcome.FAILED
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
ODD, EVEN = SubscribeTo("parity", output="odd"), SubscribeTo("parity", output="even")


class Parity(ProducerConsumer[Any, Any]):
    """Odd numbers go by one output, even ones by another."""

    outputs: Sequence[str] = ("odd", "even")
    per_event = True
    one_to_one = True

    def handle_events(self, events: list[Any]) -> list[Output]:
        return [Output("odd" if event % 2 else "even", event) for event in events]


class Whole(ProducerConsumer[Any, Any]):
    """The same, of batches; it emits what has no output, too, and what has one that is none."""

    takes_messages = True

    outputs: Sequence[str] = ("odd", "even")

    def handle_events(self, events: list[Any]) -> list[object]:
        return [derived(event, self._output(data_of(event))) for event in events]

    def _output(self, number: Any) -> object:
        if number == 3:
            return number
        return Output("mars" if number == 4 else "odd" if number % 2 else "even", number)


def graph(
    source: Any, stage: Any = Parity, count: int | None = 20, dispatcher: str = "broadcast"
) -> tuple[Topology, Any]:
    topology, origin = Topology(cancel="temporary"), source(count)
    topology.add("source", lambda: origin)
    topology.add("parity", stage, subscribe_to="source", settings=StageSettings(dispatcher))
    return topology, origin


def add(topology: Topology, name: str, *to: SubscribeTo) -> Kept:
    kept = Kept()
    topology.add(name, lambda: kept, subscribe_to=to)
    return kept


@EDGES
async def test_who_takes_an_output_gets_its_bare_events_in_order(source: Any) -> None:
    topology, origin = graph(source)
    odd, even, both = add(topology, "a", ODD), add(topology, "b", EVEN), add(topology, "c", ODD, EVEN)
    await topology.start()
    assert (await topology.join()).is_fine
    numbers = range(1, 21)
    assert odd.data == [number for number in numbers if number % 2]
    assert even.data == [number for number in numbers if number % 2 == 0]
    assert sorted(both.data, key=str) == sorted(numbers, key=str)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


@EDGES
async def test_the_dispatcher_of_the_stage_is_that_of_each_output(source: Any) -> None:
    topology, origin = graph(source, count=100, dispatcher="demand")
    few = SubscribeTo("parity", 2, 1, output="odd")
    shared = [add(topology, "a", few), add(topology, "b", few)]
    add(topology, "c", EVEN)
    await topology.start()
    assert (await topology.join()).is_fine
    assert len(shared[0].data) + len(shared[1].data) == 50
    assert all(one.data for one in shared)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 100


@EDGES
async def test_what_goes_by_no_output_fails_alone(source: Any, caplog: pytest.LogCaptureFixture) -> None:
    topology, origin = graph(source, Whole)
    odd, even = add(topology, "a", ODD), add(topology, "b", EVEN)
    await topology.start()
    outcome = await topology.join()
    assert outcome.events_failed == 2
    assert len(odd.data) + len(even.data) == 18
    assert "the stage emitted an event without an output: emit Output(name, event)" in caplog.text
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE, DONE, FAILED, FAILED, *[DONE] * 16]


async def test_the_source_hears_of_what_fails_behind_an_output() -> None:
    class Fails(Consumer[Any]):
        per_event = True

        def handle_events(self, events: list[Any]) -> None:
            self.fail_at(0, ValueError("no"))

    topology, origin = graph(Told)
    add(topology, "a", ODD)
    topology.add("b", Fails, subscribe_to=EVEN)
    await topology.start()
    await topology.join()
    assert origin.outcomes() == [DONE, FAILED] * 10


@EDGES
async def test_an_output_that_stands_still_stops_the_stage_within_its_bounds(source: Any) -> None:
    topology, _ = graph(source, count=100_000)
    even = add(topology, "b", EVEN)
    topology.add("a", Kept, subscribe_to=SubscribeTo("parity", 10, output="odd"))
    await topology.start()
    topology.stage("a").pause()
    await until(lambda: topology.stage("parity").estimate_buffered_count() >= MAX_QUEUE)
    seen = len(even.data)
    assert seen < 10_000
    topology.stage("a").resume()
    assert (await topology.join()).is_fine
    assert len(even.data) == 50_000


@EDGES
async def test_a_consumer_that_crashes_gets_what_it_had_not_begun(source: Any) -> None:
    crashes = [RuntimeError("once")]
    kept = Kept()

    class Crashes(Consumer[Any]):
        def handle_events(self, events: list[Any]) -> None:
            if crashes:
                raise crashes.pop()
            kept.handle_events(events)

    topology, origin = graph(source, count=5000)
    topology.add("a", Crashes, subscribe_to=SubscribeTo("parity", 10, output="odd"))
    add(topology, "b", EVEN)
    await topology.start()
    await topology.join()
    lost = topology.snapshot().stages[-2].discarded["crash"]
    assert len(set(kept.data)) == 2500 - (lost if source is Numbers else 0)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 5000


async def test_what_is_left_over_is_set_aside_bare_for_who_would_have_got_it() -> None:
    topology, _ = graph(Numbers, count=3000)
    aside = Aside()
    topology.dead_letter_handler = aside
    topology.add("a", Kept, subscribe_to=SubscribeTo("parity", 10, output="odd"))
    add(topology, "b", EVEN)
    await topology.start()
    topology.stage("a").pause()
    await until(lambda: topology.stage("parity").estimate_buffered_count() >= MAX_QUEUE)
    await topology.stop()
    assert "parity.odd" in {one.stage for one in aside.kept}
    assert not any(isinstance(one.data, Output) for one in aside.kept)


async def test_a_stage_that_runs_may_take_an_output_that_others_take() -> None:
    topology, late = Topology(), Kept()
    topology.add("source", Inbox)
    topology.add("parity", Parity, subscribe_to="source", settings=StageSettings("broadcast"))
    odd = add(topology, "a", ODD)
    add(topology, "b", EVEN)
    topology.add("late", lambda: late, subscribe_to=None)
    await topology.start()
    topology.stage("late").subscribe(ODD)
    await topology.stage("source").emit([1, 2, 3])
    await until(lambda: late.data == [1, 3])
    with pytest.raises(GraphError, match=r"subscribes to 'parity\.mars', which does not exist"):
        topology.stage("late").subscribe(SubscribeTo("parity", output="mars"))
    assert (await topology.drain()).is_fine
    assert odd.data == [1, 3]


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (SubscribeTo("parity"), "it has several outputs: say which, one of odd, even"),
        (SubscribeTo("parity", output="add"), "it has no output 'add'; did you mean 'odd'"),
        (SubscribeTo("parity", output="x"), r"it has no output 'x': it has odd, even, errors \(what it gives up\)"),
        (SubscribeTo("source", output="x"), r"it has no output 'x': it has errors"),
    ],
)
async def test_a_subscription_names_one_of_the_outputs(to: SubscribeTo, why: str) -> None:
    topology, _ = graph(Numbers)
    add(topology, "a", to)
    with pytest.raises(GraphError, match=why):
        await topology.start()


@pytest.mark.parametrize("names", [("errors",), ("a", "a"), ("",)])
async def test_outputs_have_names_of_their_own(names: tuple[str, ...]) -> None:
    class Odd(Parity):
        outputs = names

    topology, _ = graph(Numbers, Odd)
    add(topology, "a", SubscribeTo("parity", output=names[-1]))
    with pytest.raises(GraphError, match="each needs a name of its own"):
        await topology.start()


async def test_an_output_is_not_called_as_a_stage_is() -> None:
    topology, _ = graph(Numbers)
    add(topology, "parity.odd", EVEN)
    add(topology, "a", ODD)
    with pytest.raises(GraphError, match=r"there is a stage 'parity\.odd': rename one of them"):
        await topology.start()


@EDGES
async def test_a_drain_lets_all_that_is_under_way_through_the_outputs(source: Any) -> None:
    topology, origin = graph(source, count=None)
    odd, even = add(topology, "a", SubscribeTo("parity", 10, output="odd")), add(topology, "b", EVEN)
    await topology.start()
    await until(lambda: len(odd.data) > 1000)
    assert (await topology.drain()).is_fine
    assert sorted([*odd.data, *even.data], key=str) == sorted(range(1, origin.emitted + 1), key=str)
    if isinstance(origin, Told):
        assert set(origin.outcomes()) == {DONE}


async def test_a_stage_that_crashes_has_its_outputs_again_and_loses_no_message() -> None:
    crashes = [RuntimeError("once")]

    class Crashes(Parity):
        per_event = False

        def handle_events(self, events: list[Any]) -> list[Any]:
            if crashes and 2000 in map(data_of, events):
                raise crashes.pop()
            return [derived(event, *super(Crashes, self).handle_events([data_of(event)])) for event in events]

    topology, origin = graph(Told, Crashes, count=5000)
    odd, even = add(topology, "a", ODD), add(topology, "b", EVEN)
    await topology.start()
    await topology.join()
    assert topology.snapshot().stages[1].restarts == 1
    assert origin.outcomes() == [DONE] * 5000
    assert set(map(str, [*odd.data, *even.data])) == set(map(str, range(1, 5001)))
