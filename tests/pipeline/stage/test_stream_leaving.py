"""A reader that leaves early: what it had not read goes to others, or counts as lost."""

from contextlib import aclosing
from typing import Any

import pytest

from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.stepping import settled

pytestmark = pytest.mark.asyncio

WINDOW = 10


async def read_three(topology: Topology, source: Any, dispatcher: str) -> RunOutcome:
    """Read three events of the only stage, and leave once the stage has sent all that was asked for."""
    handle = topology.add("source", lambda: source, settings=StageSettings(dispatcher=dispatcher))
    async with topology, aclosing(handle.stream(WINDOW)) as events:
        assert [await anext(events) for _ in range(3)] == [1, 2, 3]
        await settled(topology)
    return await topology.join()


@pytest.mark.parametrize("dispatcher", ["demand", "round_robin"])
@pytest.mark.parametrize("count", [8, 200], ids=["all of it was sent", "more would come"])
async def test_no_event_is_lost_uncounted_where_the_last_reader_leaves(count: int, dispatcher: str) -> None:
    topology, numbers = Topology(), Numbers(count)
    outcome = await read_three(topology, numbers, dispatcher)
    stage = topology.snapshot().stages[0]
    assert stage.events_sent == 3
    assert stage.discarded["cancelled"] == outcome.events_lost == numbers.emitted - 3 > 0
    assert not outcome.is_fine


@pytest.mark.parametrize("count", [8, 200], ids=["all of it was sent", "more would come"])
async def test_a_failed_message_counts_as_lost_where_the_last_reader_leaves(count: int) -> None:
    topology, orders = Topology(), Told(count)
    outcome = await read_three(topology, orders, "demand")
    failed = orders.outcomes().count(Outcome.FAILED)
    assert outcome.events_lost == topology.snapshot().stages[0].discarded["cancelled"] == failed > 0


async def test_a_reader_that_leaves_a_broadcast_loses_nothing_that_others_got() -> None:
    outcome = await read_three(Topology(), Numbers(8), "broadcast")
    assert outcome.is_fine
