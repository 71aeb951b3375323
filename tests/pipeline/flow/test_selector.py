"""Selectors of a broadcast: they see data, and one that raises fails one event alone."""

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Each, KeepMessages, Told
from tests.fakes.flow_stages import Collect, Numbers

BROADCAST = StageSettings(dispatcher="broadcast")
DONE, FAILED = Outcome.DONE, Outcome.FAILED


def _is_even(event: object) -> bool:
    return isinstance(event, int) and event % 2 == 0


def _is_good(event: object) -> bool:
    if event == 4:
        raise KeyError(event)
    return True


@pytest.mark.asyncio
async def test_what_a_selector_refuses_is_not_delivered_and_costs_no_demand() -> None:
    topology, even, rest = Topology(), Collect(), Collect()
    topology.add("numbers", lambda: Numbers(1000), settings=BROADCAST)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("numbers", 4, selector=_is_even))
    topology.add("all", lambda: rest, subscribe_to=SubscribeTo("numbers", 7))
    await topology.start()
    assert (await topology.join()).is_fine
    assert even.events == list(range(2, 1001, 2))
    assert rest.events == list(range(1, 1001))


@pytest.mark.asyncio
async def test_a_selector_of_a_sole_subscriber_is_asked_too() -> None:
    topology, even = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(1000), settings=BROADCAST)
    topology.add("even", lambda: even, subscribe_to=SubscribeTo("numbers", 4, selector=_is_even))
    await topology.start()
    assert (await topology.join()).is_fine
    assert even.events == list(range(2, 1001, 2))


@pytest.mark.asyncio
async def test_a_selector_that_raises_fails_that_event_alone(caplog: pytest.LogCaptureFixture) -> None:
    topology, good, rest = Topology(), Collect(), Collect()
    topology.add("numbers", lambda: Numbers(10), settings=BROADCAST)
    topology.add("good", lambda: good, subscribe_to=SubscribeTo("numbers", 4, selector=_is_good))
    topology.add("rest", lambda: rest, subscribe_to=SubscribeTo("numbers", 7))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_failed == 1
    assert good.events == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert rest.events == list(range(1, 11))
    stage = next(stage for stage in topology.snapshot().stages if stage.name == "good")
    assert (stage.errors, stage.discarded["error"]) == ({"KeyError": 1}, 1)
    assert "stage 'good' discards an event" in caplog.text


@pytest.mark.asyncio
async def test_a_selector_sees_data() -> None:
    topology, source, sink = Topology(), Told(10), Collect()
    even = SubscribeTo("source", selector=_is_even)
    topology.add("source", lambda: source, settings=BROADCAST)
    topology.add("even", lambda: Each(lambda number: [number]), subscribe_to=even)
    topology.add("sink", lambda: sink, subscribe_to="even")
    await topology.start()
    assert (await topology.join()).is_fine
    assert len(sink.events) == 5
    assert source.outcomes() == [DONE] * 10


@pytest.mark.asyncio
async def test_what_a_selector_fails_on_has_failed() -> None:
    topology, source, picky, sink = Topology(), Told(10), KeepMessages(), KeepMessages()
    topology.add("source", lambda: source, settings=BROADCAST)
    topology.add("picky", lambda: picky, subscribe_to=SubscribeTo("source", 4, selector=_is_good))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 3))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_completed
    assert outcome.events_failed == 1
    assert (picky.data, sink.data) == ([1, 2, 3, 5, 6, 7, 8, 9, 10], list(range(1, 11)))
    assert source.outcomes() == [FAILED if number == 4 else DONE for number in range(1, 11)]
