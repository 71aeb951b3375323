"""The events for which an expression holds pass; the others are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.stages.transforms.filter import Filter, FilterOptions
from tests.stages.runs import run_events

pytestmark = pytest.mark.asyncio


def filter_(where: object) -> Filter:
    return Filter(FilterOptions.model_validate({"where": where}))


class Untold:
    """A value that cannot say whether it is true."""

    def __bool__(self) -> bool:
        raise RuntimeError


@pytest.mark.parametrize("max_demand", [1, 7, 1000])
async def test_events_pass_in_their_order_and_the_others_are_counted(max_demand: int) -> None:
    events: list[object] = [{"n": n} for n in range(100)]
    ran = await run_events(events, filter_("event.n % 3 == 0"), max_demand=max_demand)
    assert ran.events == events[::3]
    assert ran.stages[1].discarded["filtered"] == 66
    assert ran.outcome.is_fine


async def test_an_event_that_does_not_fit_fails_alone() -> None:
    events: list[object] = [{"n": 1}, {}, {"n": 0}, 5, {"n": "x"}, {"n": Untold()}, {"n": 2}]
    ran = await run_events(events, filter_("event.n"))
    assert ran.events == [{"n": 1}, {"n": "x"}, {"n": 2}]
    assert ran.stages[1].discarded["filtered"] == 1
    assert ran.stages[1].errors == {"MissingFieldError": 2, "RuntimeError": 1}
    assert ran.outcome.events_failed == 3


@given(events=st.lists(st.integers(-2, 2)), max_demand=st.integers(1, 4))
async def test_no_event_is_forgotten(events: list[int], max_demand: int) -> None:
    ran = await run_events(events, filter_("2 / event > 0"), max_demand=max_demand)
    stage = ran.stages[1]
    assert stage.events_received == len(events) == len(ran.events) + sum(stage.discarded.values())
    assert ran.events == [event for event in events if event > 0]


async def test_filtered_is_counted_from_0() -> None:
    ran = await run_events([], filter_("event"))
    assert ran.stages[1].discarded["filtered"] == 0


async def test_an_expression_is_needed() -> None:
    for options in ({}, {"where": "event."}, {"where": ["event"]}, {"when": "event"}):
        with pytest.raises(ValidationError):
            FilterOptions.model_validate(options)
