"""Events from outside: they wait for room, are refused without it, and none of them is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError as ThreadCancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import BufferFull, GraphError, NoProcess
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


def gated_inbox(buffer_size: int, max_demand: int = 4) -> tuple[Topology, Gated]:
    topology, gated = Topology(), Gated()
    topology.add("inbox", Inbox, settings=StageSettings(buffer_size=buffer_size))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("inbox", max_demand=max_demand))
    return topology, gated


@pytest.mark.asyncio
async def test_whoever_emits_waits_while_there_is_no_room() -> None:
    """Broadway's push_messages ignores demand (its issue 198)."""
    topology, gated = gated_inbox(buffer_size=3)
    await topology.start()
    inbox = topology.stage("inbox")
    await settled(topology)
    await inbox.emit([1, 2, 3, 4])  # asked for
    await inbox.emit([5, 6, 7])  # buffered
    with pytest.raises(BufferFull, match=r"stage 'inbox' has no room for the events \(it buffers 3\)"):
        inbox.emit_nowait([8])
    late = asyncio.ensure_future(inbox.emit([8, 9]))
    later = asyncio.ensure_future(inbox.emit([10]))
    await settled(topology)
    assert (late.done(), later.done()) == (False, False)
    with pytest.raises(BufferFull):
        inbox.emit_nowait([11])  # nobody goes in front of those who wait
    gated.gate.set()
    await asyncio.gather(late, later)
    outcome = await topology.drain()
    assert outcome.is_fine
    assert gated.events == list(range(1, 11))
    check_end(run_of(topology))


@pytest.mark.asyncio
@pytest.mark.parametrize("buffer_size", [0, 1, 3])
async def test_a_list_longer_than_the_buffer_goes_in_piece_by_piece(buffer_size: int) -> None:
    topology, collect = Topology(), Collect()
    topology.add("inbox", Inbox, settings=StageSettings(buffer_size=buffer_size))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("inbox", max_demand=2, min_demand=0))
    await topology.start()
    await topology.stage("inbox").emit(range(50))
    outcome = await topology.drain()
    assert outcome.is_fine
    assert collect.events == list(range(50))


@pytest.mark.asyncio
async def test_what_is_cancelled_while_it_waits_is_not_emitted() -> None:
    topology, gated = gated_inbox(buffer_size=2, max_demand=1)
    await topology.start()
    inbox = topology.stage("inbox")
    await settled(topology)
    await inbox.emit([1])
    await inbox.emit([2, 3])
    waits = [asyncio.ensure_future(inbox.emit([number])) for number in (4, 5)]
    await settled(topology)
    waits[0].cancel()
    gated.gate.set()
    await waits[1]
    await topology.drain()
    assert gated.events == [1, 2, 3, 5]


@pytest.mark.asyncio
async def test_who_gives_up_holds_up_nobody_behind_it() -> None:
    topology, gated = gated_inbox(buffer_size=3, max_demand=1)
    await topology.start()
    inbox = topology.stage("inbox")
    await settled(topology)
    await inbox.emit([1])
    await inbox.emit([2, 3])
    waits = [asyncio.ensure_future(inbox.emit(events)) for events in ([4, 5], [6])]
    await settled(topology)
    assert not waits[1].done()
    waits[0].cancel()
    await waits[1]
    gated.gate.set()
    await topology.drain()
    assert gated.events == [1, 2, 3, 6]


@pytest.mark.asyncio
async def test_who_waits_comes_in_when_the_buffer_is_made_larger() -> None:
    topology, gated = gated_inbox(buffer_size=1, max_demand=1)
    await topology.start()
    inbox = topology.stage("inbox")
    await settled(topology)
    await inbox.emit([1])
    await inbox.emit([2])
    waits = asyncio.ensure_future(inbox.emit([3]))
    await settled(topology)
    assert not waits.done()
    inbox.resize(2)
    await waits
    gated.gate.set()
    await topology.drain()
    assert gated.events == [1, 2, 3]


@pytest.mark.asyncio
async def test_those_who_wait_hear_when_the_stage_takes_nothing_more() -> None:
    ends: list[Callable[[Topology], Awaitable[object]]] = [Topology.drain, Topology.stop]
    for end in ends:
        topology, gated = gated_inbox(buffer_size=0)
        await topology.start()
        inbox = topology.stage("inbox")
        await settled(topology)
        await inbox.emit([1, 2, 3, 4])
        waits = asyncio.ensure_future(inbox.emit([5]))
        await settled(topology)
        gated.gate.set()
        ending = asyncio.ensure_future(end(topology))
        with pytest.raises(NoProcess, match="inbox"):
            await waits
        with pytest.raises(NoProcess):
            inbox.emit_nowait([6])
        await ending
        with pytest.raises(NoProcess):
            await inbox.emit([7])


@pytest.mark.asyncio
async def test_only_stages_that_emit_are_emitted_from() -> None:
    topology, gated = gated_inbox(buffer_size=1)
    await topology.start()
    with pytest.raises(GraphError, match="is a consumer and emits nothing"):
        topology.stage("gated").emit_nowait([1])
    with pytest.raises(GraphError, match="emit from the stage that feeds it"):
        await topology.stage("gated").emit([1])
    gated.gate.set()
    await topology.drain()


@pytest.mark.asyncio
async def test_what_a_producer_owes_keeps_its_place() -> None:
    topology, silent, gated = Topology(), Silent(), Gated()
    topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=2))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("silent", max_demand=4))
    await topology.start()
    await settled(topology)
    assert silent.demands == [4]
    topology.stage("silent").emit_nowait(["a", "b"])
    with pytest.raises(BufferFull):
        topology.stage("silent").emit_nowait(["c", "d", "e"])
    silent.emit_nowait([1, 2, 3, 4])  # it emits what it was asked for, and nothing is discarded
    gated.gate.set()
    outcome = await topology.drain()
    assert outcome.events_lost == 0
    assert gated.events == ["a", "b", 1, 2, 3, 4]


@pytest.mark.asyncio
async def test_a_stage_in_the_middle_takes_events_from_outside_too() -> None:
    topology, collect = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(3))
    handle = topology.add("pass", Pass, subscribe_to=None)
    topology.add("collect", lambda: collect, subscribe_to="pass")
    await topology.start()
    await handle.emit(["outside"])
    handle.subscribe("numbers")
    assert (await topology.join()).is_fine
    assert collect.events == ["outside", 1, 2, 3]


@given(st.lists(st.lists(st.integers(), max_size=7), max_size=12), st.integers(0, 5), st.integers(1, 5))
def test_nothing_that_many_emit_is_lost_or_out_of_order(
    lists: list[list[int]], buffer_size: int, max_demand: int
) -> None:
    async def run() -> None:
        topology, collect = Topology(), Collect()
        topology.add("inbox", Inbox, settings=StageSettings(buffer_size=buffer_size))
        topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("inbox", max_demand=max_demand))
        await topology.start()
        inbox = topology.stage("inbox")
        await asyncio.gather(*(inbox.emit([(sender, e) for e in events]) for sender, events in enumerate(lists)))
        outcome = await topology.drain()
        assert outcome.is_fine
        assert collect.events == [(sender, event) for sender, events in enumerate(lists) for event in events]

    asyncio.run(run())


@pytest.mark.asyncio
async def test_a_thread_waits_for_room_and_may_give_up() -> None:
    topology, gated = gated_inbox(buffer_size=1, max_demand=1)
    await topology.start()
    await settled(topology)

    def feed() -> str:
        topology.emit_threadsafe("inbox", [1]).result(5)
        topology.emit_threadsafe("inbox", [2]).result(5)
        late = topology.emit_threadsafe("inbox", [3])
        with pytest.raises(TimeoutError):
            late.result(0)
        assert late.cancel()
        with pytest.raises(ThreadCancelledError):
            late.result(0)
        return "gave up"

    assert await asyncio.to_thread(feed) == "gave up"
    gated.gate.set()
    await topology.drain()
    assert gated.events == [1, 2]
