"""Those who wait for room in a stage and are cancelled: a list is in, or none of it; of a long one, a beginning."""

import asyncio

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.flow_stages import Collect, Gated, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("count", [3, 20])
async def test_a_cancelled_emit_leaves_out_what_had_no_room_and_lets_the_next_one_in(how: How, count: int) -> None:
    async def attempt(step: int) -> bool:
        topology, gated = Topology(), Gated()
        handle = topology.add("source", Silent, settings=StageSettings(buffer_size=4))
        topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("source", 2, 0))
        await topology.start()
        await settled(topology)
        await handle.emit(range(-4, 0))  # two are asked for, and two are buffered
        emitting = asyncio.create_task(cancelled_at(handle.emit(range(count)), step, how))
        await settled(topology)
        later = asyncio.create_task(handle.emit([100]))
        await settled(topology)
        gated.gate.set()
        was_cancelled = await emitting
        await later
        await topology.drain()
        own = [event for event in gated.events if isinstance(event, int) and 0 <= event < 100]
        assert own == list(range(len(own)))
        assert len(own) == count or was_cancelled
        assert len(own) in {0, count} or count > 4
        assert gated.events == [*range(-4, 0), *own, 100]
        check_end(run_of(topology))
        return was_cancelled

    assert await at_every_step(attempt) == 1


@pytest.mark.asyncio
async def test_an_emit_that_is_cancelled_as_its_stage_ends_leaves_no_error_unheard() -> None:
    topology, collect = Topology(), Collect()
    handle = topology.add("source", Silent, settings=StageSettings(buffer_size=1))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("source", 1, 0))
    await topology.start()
    run_of(topology).processes["collect"].pause()
    await handle.emit([1, 2])
    emitting = asyncio.create_task(handle.emit([3]))
    await settled(topology)
    run_of(topology).processes["source"].stop()
    emitting.cancel()
    await asyncio.wait([emitting])
    assert emitting.cancelled()
    await topology.stop()
