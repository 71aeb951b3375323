"""The errors output of a stage: what it gives up goes on to others, and is told of as any other event."""

import asyncio
from typing import Any

import pytest

from headrace.errors import GraphError
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Aside, Kept, OneToOne, Single, Table
from tests.fakes.flow_stages import Numbers, Pass
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, until

pytestmark = pytest.mark.asyncio

DONE, FAILED, DEAD_LETTERED = Outcome.DONE, Outcome.FAILED, Outcome.DEAD_LETTERED
EDGES = pytest.mark.parametrize("source", [Numbers, Told])
ERRORS = SubscribeTo("middle", output="errors")


class Sink(Consumer[Any]):
    """Fails for some numbers."""

    per_event = True

    def __init__(self, table: Table) -> None:
        self.table = table

    def handle_events(self, events: list[Any]) -> None:
        (event,) = events
        self.table(event)


def graph(source: Any, errors: Any, *, to: SubscribeTo = ERRORS) -> tuple[Topology, Any, Kept]:
    topology, origin, kept = Topology(), source(20), Kept()
    retry = StageSettings(retry=Retry(2, backoff_seconds=0.0))
    topology.add("source", lambda: origin)
    topology.add("middle", lambda: OneToOne(Table({3: -1, 8: 1, 9: -1})), subscribe_to="source", settings=retry)
    topology.add("sink", lambda: kept, subscribe_to="middle")
    topology.add("errors", errors, subscribe_to=to)
    return topology, origin, kept


@EDGES
async def test_what_is_given_up_goes_to_it_described_and_the_run_is_fine(source: Any) -> None:
    errors = Kept()
    topology, origin, kept = graph(source, lambda: errors)
    topology.dead_letter_handler = Aside()
    await topology.start()
    assert (await topology.join()).is_fine
    assert errors.data == [
        {"event": number, "stage": "middle", "attempts": 2, "error": {"type": "ValueError", "text": str(number)}}
        for number in (3, 9)
    ]
    assert len(kept.data) == 18
    middle = next(stage for stage in topology.snapshot().stages if stage.name == "middle")
    assert (middle.discarded["errors_output"], middle.dead_lettered) == (2, 0)
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20
    check_end(run_of(topology))


async def test_the_source_hears_what_became_of_the_error() -> None:
    class Fails(Pass):
        per_event = True

        def handle_events(self, events: list[Any]) -> list[object]:
            self.fail_at(0, KeyError("again"))
            return []

    topology, origin, _ = graph(Told, Fails)
    topology.add("last", Kept, subscribe_to="errors")
    await topology.start()
    assert (await topology.join()).events_failed == 2
    assert origin.outcomes() == [FAILED if number in {3, 9} else DONE for number in range(1, 21)]


@EDGES
async def test_a_sink_has_one_too(source: Any) -> None:
    topology, origin, errors = Topology(), source(20), Kept()
    retry = StageSettings(retry=Retry(1))
    topology.add("source", lambda: origin)
    topology.add("middle", lambda: Sink(Table({5: -1})), subscribe_to="source", settings=retry)
    topology.add("errors", lambda: errors, subscribe_to=ERRORS)
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert [one["event"] for one in errors.data] == [5]  # type: ignore[index] # dicts
    if isinstance(origin, Told):
        assert origin.outcomes() == [DONE] * 20


async def test_a_drain_lets_through_what_is_given_up_during_it() -> None:
    gate = asyncio.Event()

    class Waits(Single):
        async def handle_events(self, events: list[Any]) -> list[object]:
            await gate.wait()
            return [super().handle_events(events)]

    topology, origin, errors = Topology(), Told(None), Kept()
    topology.add("source", lambda: origin)
    topology.add("middle", lambda: Waits(Table({1: -1})), subscribe_to=SubscribeTo("source", 4))
    topology.add("sink", Kept, subscribe_to="middle")
    topology.add("errors", lambda: errors, subscribe_to=ERRORS)
    await topology.start()
    await until(lambda: topology.snapshot().stages[1].in_flight_events > 0)
    drained = asyncio.ensure_future(topology.drain(60))
    await until(lambda: topology.state == "draining")
    gate.set()
    assert (await drained).is_fine
    assert [one["event"] for one in errors.data] == [1]  # type: ignore[index] # dicts
    assert set(origin.outcomes()) == {DONE}


async def test_what_finds_nobody_there_any_more_is_set_aside() -> None:
    class Leaves(Kept):
        def handle_events(self, events: list[Any]) -> None:
            super().handle_events(events)
            self.stop()

    aside = Aside()
    topology, origin = Topology(), Told(None)
    table = Table(dict.fromkeys(range(1, 200), -1))
    topology.dead_letter_handler = aside
    topology.add("source", lambda: origin)
    topology.add("middle", lambda: OneToOne(table), subscribe_to=SubscribeTo("source", 2, 1))
    topology.add("sink", Kept, subscribe_to="middle")
    topology.add("errors", Leaves, subscribe_to=SubscribeTo("middle", 2, 1, output="errors"))
    await topology.start()
    await until(lambda: len(aside.kept) > 0)
    await topology.stop()
    assert DEAD_LETTERED in set(origin.outcomes())


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        (SubscribeTo("midle", output="errors"), "subscribes to 'midle', which does not exist; did you mean 'middle'"),
        (SubscribeTo("source", output="errors"), "subscribes to the errors of 'source', which is a source and handles"),
    ],
)
async def test_what_has_none_is_refused(to: SubscribeTo, sentence: str) -> None:
    topology, _, _ = graph(Numbers, Kept, to=to)
    with pytest.raises(GraphError, match=sentence):
        await topology.start()


async def test_errors_that_would_feed_their_own_stage_are_a_circle() -> None:
    topology = Topology()
    topology.add("source", lambda: Numbers(3))
    topology.add("middle", Pass, subscribe_to=["source", "again"])
    topology.add("again", Pass, subscribe_to=ERRORS)
    topology.add("sink", Kept, subscribe_to="middle")
    with pytest.raises(GraphError, match="is part of a circle"):
        await topology.start()
