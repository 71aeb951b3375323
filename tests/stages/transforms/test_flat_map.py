"""Any number of events comes of each event, and it is known what came of which."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.pipeline.message import Outcome
from headrace.stages.functions import data_of
from headrace.stages.transforms.flat_map import FlatMap, FlatMapOptions
from tests.fakes.acknowledged_stages import Told
from tests.stages.runs import run, run_events


def flat_map(**options: object) -> FlatMap:
    return FlatMap(FlatMapOptions.model_validate(options))


def repeat(event: Any) -> list[object]:
    """Fail for 3; else as many as the last digit says."""
    if event == 3:
        raise ValueError(event)
    return [event] * (event % 4)


async def repeat_later(event: Any) -> list[object]:
    return repeat(event)


@given(st.lists(st.lists(st.integers(), max_size=4)))
def test_an_expression_names_the_new_events(events: list[list[int]]) -> None:
    ran = asyncio.run(run_events([{"items": one} for one in events], flat_map(each="event.items")))
    assert ran.events == [number for one in events for number in one]


@pytest.mark.asyncio
@pytest.mark.parametrize("call", [repeat, repeat_later])
async def test_a_function_makes_them_and_fails_its_event_alone(call: Any) -> None:
    ran = await run_events([1, 2, 3, 4, 7], flat_map(call=call))
    assert ran.events == [1, 2, 2, 7, 7, 7]
    assert ran.outcome.events_failed == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("call", [repeat, repeat_later])
async def test_each_source_event_is_told_of_once_whatever_came_of_it(call: Any) -> None:
    source = Told(8)
    ran = await run(source, flat_map(call=call))
    assert list(map(data_of, ran.events)) == [1, 2, 2, 5, 6, 6, 7, 7, 7]
    assert source.outcomes() == [Outcome.FAILED if number == 3 else Outcome.DONE for number in range(1, 9)]


@pytest.mark.asyncio
@pytest.mark.parametrize("made", ["text", {"a": 1}, 7, None])
async def test_what_is_no_list_of_events_fails(made: object) -> None:
    ran = await run_events([1], flat_map(call=lambda _: made))
    assert (ran.events, ran.outcome.events_failed) == ([], 1)


@pytest.mark.parametrize("options", [{}, {"call": repeat, "each": "event"}])
def test_it_takes_a_function_or_an_expression(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="needs `call:` or `each:`, and not both"):
        FlatMapOptions.model_validate(options)
