"""Readers of a stage that are cancelled, or whose stage is."""

import asyncio

import pytest

from headrace.ground.errors import ProcessDown
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.processes import Abort


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", [asyncio.CancelledError(), Abort("x")])
async def test_a_stage_that_was_cancelled_does_not_cancel_its_reader(reason: BaseException) -> None:
    class Cancelled(Producer[int]):
        async def handle_demand(self, demand: int) -> list[int]:
            raise reason

    topology = Topology(max_restarts=0)
    handle = topology.add("cancelled", Cancelled)
    await topology.start()
    with pytest.raises(ProcessDown, match="'cancelled' ended before it answered") as caught:
        await anext(handle.stream())
    assert caught.value.reason is reason
    await topology.join()
