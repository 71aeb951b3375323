"""Stages that do not ask for messages see data, whatever their source emits, and lose nothing by that."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.errors import CannotRetain
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.flow_stages import Collect, Failing, Numbers
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of

pytestmark = pytest.mark.asyncio

DONE, FAILED = Outcome.DONE, Outcome.FAILED
FOURS = SubscribeTo("source", 8, 4)


class Sums(ProducerConsumer[int, int]):
    """Emits the sum of each batch, and its length: nobody can tell which event either comes of."""

    side_outputs = ("aside",)

    def handle_events(self, events: list[int]) -> list[int]:
        return [sum(events), len(events)]


class SumsLater(Sums):
    """The same, awaited; the length is emitted by the way that `way` says."""

    def __init__(self, way: str) -> None:
        self.way = way

    async def handle_events(self, events: list[int]) -> list[int]:  # type: ignore[override] # either form is allowed
        await asyncio.sleep(0)
        if self.way == "returned":
            return [sum(events), len(events)]
        if self.way == "pushed":
            self.emit_nowait([len(events)])
        else:
            await self.emit_to("aside", [len(events)])
        return [sum(events)]


class FailsOnLengths(Consumer[int]):
    """Fails each event that is the length of a batch."""

    per_event = True

    def handle_events(self, events: list[int]) -> None:
        for position, event in enumerate(events):
            if event == 4:
                self.fail_at(position, ValueError(event))


async def run(source: Told | Numbers, stage: Callable[[], Any], settings: StageSettings) -> tuple[Topology, RunOutcome]:
    topology = Topology()
    topology.add("source", lambda: source)
    topology.add("stage", stage, subscribe_to=FOURS, settings=settings)
    return topology, await topology.run()


@pytest.mark.parametrize("source", [Told, Numbers])
async def test_a_consumer_sees_data_whatever_its_source_emits(source: Callable[[int], Told | Numbers]) -> None:
    collect, origin = Collect(), source(10)
    topology, outcome = await run(origin, lambda: collect, StageSettings())
    assert outcome.is_fine
    assert collect.batches == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert not isinstance(origin, Told) or origin.outcomes() == [DONE] * 10
    check_end(run_of(topology))


async def test_a_consumer_gets_data_again_of_which_its_first_try_failed() -> None:
    failing, source = Failing(KeyError("first")), Told(4)
    _, outcome = await run(source, lambda: failing, StageSettings(retry=Retry(2, 0.0)))
    assert outcome.is_fine
    assert failing.events == failing.failed[0] == [1, 2, 3, 4]
    assert source.outcomes() == [DONE] * 4


async def test_a_consumer_gets_data_again_after_a_crash() -> None:
    failing, source = Failing(KeyError("first")), Told(4)
    _, outcome = await run(source, lambda: failing, StageSettings())
    assert outcome.is_fine
    assert failing.batches == [[1], [2], [3], [4]]
    assert source.outcomes() == [DONE] * 4


@pytest.mark.parametrize("shape", [False, True])
async def test_an_event_fails_alone_of_which_a_stage_that_sees_data_says_so(shape: bool) -> None:  # noqa: FBT001
    class Says(Collect):
        per_event = shape

        def handle_events(self, events: list[object]) -> None:
            for event in events:
                if event in (2, 3):
                    self.fail_event(event, ValueError(event))

    source = Told(5)
    _, outcome = await run(source, Says, StageSettings())
    assert outcome.events_failed == 2
    assert source.outcomes() == [DONE, FAILED, FAILED, DONE, DONE]


@pytest.mark.parametrize("way", ["returned", "pushed", "aside"])
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_batch_is_done_when_all_that_came_of_its_data_is(way: str, limit: int) -> None:
    topology, source = Topology(), Told(10)
    topology.add("source", lambda: source)
    settings = StageSettings(concurrency=Concurrency(limit))
    topology.add("sums", lambda: SumsLater(way), subscribe_to=FOURS, settings=settings)
    plain = SubscribeTo("sums")
    targets = [plain, SubscribeTo("sums", output="aside")] if way == "aside" else [plain]
    topology.add("fails", FailsOnLengths, subscribe_to=targets)
    outcome = await topology.run()
    assert outcome.events_failed == 2
    assert source.outcomes() == [FAILED] * 8 + [DONE] * 2


async def test_what_comes_of_data_is_many_outputs_of_many_parents() -> None:
    class Doubles(ProducerConsumer[int, int]):
        def handle_events(self, events: list[int]) -> list[int]:
            return [*events, *events]

    topology, source, kept = Topology(), Told(1000), Kept()
    topology.add("source", lambda: source)
    topology.add("doubles", Doubles, subscribe_to="source")
    topology.add("kept", lambda: kept, subscribe_to=SubscribeTo("doubles", 10))
    assert (await topology.run()).is_fine
    assert len(kept.data) == 2000
    assert source.outcomes() == [DONE] * 1000
    check_end(run_of(topology))


async def test_the_metadata_of_a_message_alone_goes_with_what_came_of_it() -> None:
    class Look(Consumer[Message[int]]):
        takes_messages = True

        def handle_events(self, events: list[Message[int]]) -> None:
            seen.extend((event.data, dict(event.metadata)) for event in events)

    seen: list[tuple[int, dict[str, object]]] = []
    topology = Topology()
    topology.add("source", lambda: Told(3))
    topology.add("sums", Sums, subscribe_to=SubscribeTo("source", 4, 2))
    topology.add("look", Look, subscribe_to="sums")
    assert (await topology.run()).is_fine
    assert seen == [(3, {}), (2, {}), (3, {"number": 3}), (1, {"number": 3})]


async def test_a_stage_that_sees_data_cannot_hold_them_and_says_what_to_do() -> None:
    class Holds(Collect):
        def handle_events(self, events: list[object]) -> None:
            self.retain(events)

    topology = Topology(max_restarts=0)
    topology.add("source", lambda: Told(3))
    topology.add("holds", Holds, subscribe_to="source")
    outcome = await topology.run()
    assert "takes_messages = True" in str(outcome.reason)
    assert CannotRetain.__name__ in topology.snapshot().stages[1].errors
