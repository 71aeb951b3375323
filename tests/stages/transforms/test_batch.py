"""Events are gathered to lists within all bounds that are said, and none is lost or doubled."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.topology.topology import Topology
from headrace.stages.transforms.batch import Batch, BatchOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.jumping import jumped, when
from tests.stages.runs import Ran, run, run_events


def batch(**options: object) -> Batch:
    return Batch(BatchOptions.model_validate(options))


def triggers(ran: Ran) -> dict[str, float]:
    return {trigger: count for (trigger,), count in ran.family("headrace_batches_flushed_total").samples.items()}


@given(st.lists(st.integers()), st.integers(1, 7), st.integers(1, 20))
def test_batches_have_so_many_events_and_the_last_what_is_left(events: list[int], most: int, max_demand: int) -> None:
    ran = asyncio.run(run_events(list[object](events), batch(max_events=most), max_demand=max_demand))
    assert ran.events == [events[at : at + most] for at in range(0, len(events), most)]


@given(st.lists(st.text(max_size=30)), st.integers(10, 60), st.integers(1, 5))
def test_no_batch_is_larger_than_said_and_what_is_so_by_itself_fails(
    events: list[str], most_bytes: int, most: int
) -> None:
    sizes = [len(json.dumps(event, ensure_ascii=False).encode()) + 1 for event in events]
    ran = asyncio.run(run_events(list[object](events), batch(max_bytes=f"{most_bytes}B", max_events=most)))
    fitting = [event for event, size in zip(events, sizes, strict=True) if size < most_bytes]
    batches: Any = ran.events
    assert [event for one in batches for event in one] == fitting
    assert all(len(one) <= most for one in batches)
    texts = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in batches]
    assert all(len(text.encode()) <= most_bytes for text in texts)
    assert ran.outcome.events_failed == len(events) - len(fitting)


def test_a_list_is_a_key_and_comes_out_as_it_was() -> None:
    ran = asyncio.run(run_events([{"k": [1]}, {"k": [2]}, {"k": [1]}], batch(max_events=2, key="event.k")))
    assert ran.events == [{"key": [1], "events": [{"k": [1]}] * 2}, {"key": [2], "events": [{"k": [2]}]}]


@given(st.lists(st.integers(0, 50)), st.integers(1, 4), st.integers(1, 5))
def test_each_key_has_a_batch_of_its_own_and_no_more_are_open_than_said(
    events: list[int], most: int, max_keys: int
) -> None:
    ran = asyncio.run(run_events(list[object](events), batch(max_events=most, key="event % 5", max_keys=max_keys)))
    batches: Any = ran.events
    assert all(event % 5 == one["key"] for one in batches for event in one["events"])
    for key in range(5):
        of_key = [event for one in batches if one["key"] == key for event in one["events"]]
        assert of_key == [event for event in events if event % 5 == key]
    assert sum(triggers(ran).values()) == len(batches)
    assert ran.family("headrace_batch_held_events").samples == {(): 0}


def test_a_batch_goes_when_its_first_event_has_waited_long_enough() -> None:
    async def main() -> None:
        topology, sink = Topology(), Kept()
        topology.add("door", Inbox)
        topology.add("batch", lambda: batch(max_events=100, period="5s"), subscribe_to="door")
        topology.add("sink", lambda: sink, subscribe_to="batch")
        await topology.start()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await topology.stage("door").emit([1, 2])
        await when(lambda: len(sink.data) == 1)
        assert 5 <= loop.time() - began < 6
        await topology.stage("door").emit([3])
        await when(lambda: len(sink.data) == 2)
        assert 10 <= loop.time() - began < 12
        assert sink.data == [[1, 2], [3]]
        await topology.drain()

    jumped(main())


def test_it_counts_by_what_its_batches_were_flushed() -> None:
    ran = asyncio.run(run_events(["a", "bb", "cccccc", "d"], batch(max_events=2, max_bytes="12B")))
    assert ran.events == [["a", "bb"], ["cccccc"], ["d"]]
    assert triggers(ran) == {"count": 1, "bytes": 1, "end": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("options", [{"max_events": 3}, {"max_events": 3, "key": "event % 2"}])
async def test_the_source_waits_for_what_was_made_of_its_events(options: dict[str, object]) -> None:
    source = Told(20)
    ran = await run(source, batch(**options))
    assert source.outcomes() == [Outcome.DONE] * 20
    assert ran.outcome.is_fine


@pytest.mark.asyncio
async def test_an_event_without_a_key_fails_alone_and_its_source_hears_so() -> None:
    source = Told(4)
    ran = await run(source, batch(max_events=2, key="100 / (event - 2)"))
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE, Outcome.DONE]
    assert ran.outcome.events_failed == 1


@pytest.mark.parametrize("options", [{}, {"period": "1s"}, {"max_events": 0}, {"max_bytes": "0B"}])
def test_a_batch_needs_a_bound(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BatchOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"max_events": 7}, 7),
        ({"max_events": 7, "key": "event", "max_keys": 5}, 35),
        ({"max_bytes": "100B"}, 50),
        ({"max_bytes": "100B", "max_events": 20}, 20),
        ({"max_events": 7, "period": "1s"}, 0),
    ],
)
def test_a_batch_says_how_many_events_wait_in_it_without_a_time(options: dict[str, object], most: int) -> None:
    assert batch(**options).max_retained == most
