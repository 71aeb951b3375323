"""Events end, and are not missed."""

import pytest

from headrace.stages.sinks.discard import Discard, DiscardOptions
from tests.stages.runs import run_events

pytestmark = pytest.mark.asyncio


async def test_events_are_handled_and_not_counted_as_discarded() -> None:
    ran = await run_events(range(2500), Discard(DiscardOptions()))
    assert ran.stages[1].events_received == 2500
    assert sum(ran.stages[1].discarded.values()) == 0
    assert ran.outcome.is_fine
