"""Consumers that crash as they hear of the end of a subscription."""

import asyncio
from typing import Literal

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Gated, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


class _CrashesAtEnds(Gated):
    """Raises once when it is told of an end."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def handle_cancel(self, kind: str, reason: object, subscription: object) -> None:
        self.told.append(kind)
        if len(self.told) == 1:
            raise KeyError(kind)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["drain", "join"])
async def test_a_run_ends_though_a_consumer_crashed_as_it_cancelled_its_last_subscription(
    how: Literal["drain", "join"],
) -> None:
    topology, silent, crashes = Topology(), Silent(), _CrashesAtEnds()
    topology.add("silent", lambda: silent)
    handle = topology.add("crashes", lambda: crashes, subscribe_to=SubscribeTo("silent", 2, 0))
    await topology.start()
    silent.emit_nowait([1])
    await settled(topology)
    handle.subscriptions()[0].cancel()
    silent.complete()
    await settled(topology)
    ending = asyncio.ensure_future(topology.drain() if how == "drain" else topology.join())
    await settled(topology)
    crashes.gate.set()
    assert (await ending).is_fine
    assert (crashes.events, crashes.told) == ([1], ["cancel"])
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_consumer_that_crashed_at_the_end_of_its_last_producer_completes_after_its_restart() -> None:
    topology, silent, crashes = Topology(), Silent(), _CrashesAtEnds()
    crashes.gate.set()
    topology.add("silent", lambda: silent)
    topology.add("crashes", lambda: crashes, subscribe_to=SubscribeTo("silent", 2, 0))
    await topology.start()
    silent.emit_nowait([1])
    silent.complete()
    assert (await topology.join()).is_fine
    assert (crashes.events, crashes.told) == ([1], ["completed"])
    check_end(run_of(topology))
