"""Several lines become one, in the order of a key, whatever the pieces in which they come; none is lost."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of
from headrace.stages.transforms.merge import Merge, MergeOptions, OrderedMerge
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.jumping import jumped, when

LINES = st.lists(st.lists(st.integers(0, 50)).map(sorted), min_size=1, max_size=4)


def merge(**options: object) -> Merge:
    return Merge(MergeOptions.model_validate(options))


@given(LINES, st.data())
def test_lines_that_are_in_order_become_one_that_is(lines: list[list[int]], data: st.DataObject) -> None:
    merged, out = OrderedMerge(1000, None), list[object]()
    rest = {at: list(line) for at, line in enumerate(lines)}
    for at in rest:
        merged.begin(at)
    while rest:
        at = data.draw(st.sampled_from(sorted(rest)))
        if rest[at]:
            number = rest[at].pop(0)
            merged.put(at, number, (number, at), 0.0)
        else:
            del rest[at]
            merged.end(at)
        out += merged.take(0.0)
    out += merged.rest()
    numbers = [pair[0] for pair in out]  # type: ignore[index] # pairs
    assert numbers == sorted(number for line in lines for number in line)
    for at, line in enumerate(lines):
        assert [pair[0] for pair in out if pair[1] == at] == line  # type: ignore[index] # pairs


@given(LINES, st.integers(1, 5))
def test_no_more_are_held_than_said(lines: list[list[int]], most: int) -> None:
    merged = OrderedMerge(most, None)
    merged.begin("silent")
    out: list[object] = []
    for at, line in enumerate(lines):
        for number in line:
            merged.put(at, number, number, 0.0)
            out += merged.take(0.0)
            assert len(merged) <= most
    assert sorted([*out, *merged.rest()], key=str) == sorted((n for line in lines for n in line), key=str)


@given(st.lists(st.integers()), st.lists(st.integers()), st.integers(1, 9))
def test_a_stage_merges_its_producers(first: list[int], second: list[int], max_demand: int) -> None:
    async def main() -> list[Any]:
        topology, sink = Topology("test", cancel="temporary"), Kept()
        topology.add("first", Producer.from_stream(sorted(first)))
        topology.add("second", Producer.from_stream(sorted(second)))
        both = [SubscribeTo(name, max_demand) for name in ("first", "second")]
        topology.add("merge", lambda: merge(order_by="event"), subscribe_to=both)
        topology.add("sink", lambda: sink, subscribe_to="merge")
        await topology.start()
        assert (await topology.join()).is_fine
        return sink.data

    assert asyncio.run(main()) == sorted([*first, *second])


def test_a_silent_producer_is_waited_for_so_long() -> None:
    async def main() -> None:
        topology, sink = Topology(), Kept()
        topology.add("silent", Inbox)
        topology.add("door", Inbox)
        topology.add("merge", lambda: merge(order_by="event", max_wait="5s"), subscribe_to=["silent", "door"])
        topology.add("sink", lambda: sink, subscribe_to="merge")
        await topology.start()
        began = asyncio.get_running_loop().time()
        await topology.stage("door").emit([2, 1])
        await when(lambda: len(sink.data) == 2)
        assert 5 <= asyncio.get_running_loop().time() - began < 11
        assert sink.data == [1, 2]
        await topology.drain()

    jumped(main())


@pytest.mark.asyncio
async def test_sources_hear_when_their_events_have_gone_and_what_has_no_place_fails() -> None:
    topology, sink = Topology("test", cancel="temporary"), Kept()
    sources = [Told(10), Told(4)]
    topology.add("first", lambda: sources[0])
    topology.add("second", lambda: sources[1])
    topology.add("merge", lambda: merge(order_by="100 / (event - 3)"), subscribe_to=["first", "second"])
    topology.add("sink", lambda: sink, subscribe_to="merge")
    await topology.start()
    assert (await topology.join()).events_failed == 2
    for source in sources:
        assert source.outcomes() == [Outcome.FAILED if n == 3 else Outcome.DONE for n in range(1, source.emitted + 1)]
    assert sorted(map(data_of, sink.data), key=str) == sorted(
        [n for n in (*range(1, 11), *range(1, 5)) if n != 3], key=str
    )


@pytest.mark.asyncio
async def test_without_an_order_events_go_as_they_come() -> None:
    topology, sink = Topology(), Kept()
    topology.add("numbers", Producer.from_stream([3, 1, 2]))
    topology.add("merge", merge, subscribe_to="numbers")
    topology.add("sink", lambda: sink, subscribe_to="merge")
    await topology.start()
    await topology.join()
    assert sink.data == [3, 1, 2]


def test_nothing_waits_without_an_order() -> None:
    with pytest.raises(ValidationError, match="without `order_by` nothing waits"):
        MergeOptions.model_validate({"max_wait": "1s"})
