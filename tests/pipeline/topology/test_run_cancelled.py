"""A run that is cancelled."""

import asyncio
import itertools

import pytest

from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology


@pytest.mark.asyncio
async def test_a_run_that_is_cancelled_stops_what_it_started() -> None:
    topology = Topology()
    topology.add("numbers", Producer.from_stream(itertools.count()))
    running = asyncio.ensure_future(topology.run())
    while topology.state != "running":  # noqa: ASYNC110 - a state tells nobody
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert topology.state == "stopped"
