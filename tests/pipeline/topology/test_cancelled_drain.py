"""Callbacks that raise a CancelledError of their own while their stage drains."""

import asyncio

import pytest

from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Silent
from tests.fakes.stepping import settled


class _Cancelling(Silent):
    def cancel(self) -> None:
        raise asyncio.CancelledError


@pytest.mark.asyncio
async def test_a_drain_goes_on_after_mail_that_raised_a_cancellation() -> None:
    topology, collect = Topology(), Collect()
    handle = topology.add("cancelling", _Cancelling)
    topology.add("collect", lambda: collect, subscribe_to="cancelling")
    await topology.start()
    await settled(topology)
    handle.ref.cast_nowait(_Cancelling.cancel)
    assert (await asyncio.wait_for(topology.drain(60), 10)).is_fine
