"""Some events pass, as many as said; all others are counted."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.pipeline.message import Outcome
from headrace.stages.transforms.sample import Sample, SampleOptions
from tests.fakes.acknowledged_stages import Told
from tests.stages.runs import run, run_events


def sample(**options: object) -> Sample:
    return Sample(SampleOptions.model_validate(options), random.Random(7))


@given(st.lists(st.integers()), st.integers(1, 9))
def test_every_so_manyth_passes(events: list[int], every: int) -> None:
    ran = asyncio.run(run_events(list[object](events), sample(every=every)))
    assert ran.events == events[::every]
    assert ran.stages[1].discarded["sampled"] == len(events) - len(events[::every])


@pytest.mark.asyncio
@pytest.mark.parametrize(("fraction", "least", "most"), [(0.0, 0, 0), (0.25, 2300, 2700), (1.0, 10_000, 10_000)])
async def test_a_part_passes_by_chance(fraction: float, least: int, most: int) -> None:
    ran = await run_events(list(range(10_000)), sample(fraction=fraction))
    assert least <= len(ran.events) <= most


@pytest.mark.asyncio
async def test_all_events_of_a_key_pass_or_none_does_and_so_in_every_run() -> None:
    events = [n % 500 for n in range(5000)]
    first = await run_events(list[object](events), sample(fraction=0.3, key="event"))
    second = await run_events(list[object](events), sample(fraction=0.3, key="event"))
    counts = Counter(first.events)
    assert first.events == second.events
    assert set(counts.values()) == {10}
    assert 100 <= len(counts) <= 200


@pytest.mark.asyncio
async def test_what_is_left_out_is_done_and_what_has_no_key_fails() -> None:
    source = Told(4)
    await run(source, sample(fraction=0.0, key="100 / (event - 2)"))
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE, Outcome.DONE]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every": 2, "fraction": 0.5},
        {"every": 0},
        {"fraction": 2},
        {"fraction": True},
        {"every": 2, "key": "event"},
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SampleOptions.model_validate(options)
