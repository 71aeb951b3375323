"""Figures of a run that no stage counts itself."""

import asyncio

import pytest

from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology


class CrashesOnce(Consumer[int]):
    crashes = 1

    def handle_events(self, events: list[int]) -> None:
        if CrashesOnce.crashes:
            CrashesOnce.crashes -= 1
            raise KeyError("once")


@pytest.mark.asyncio
async def test_a_crash_is_counted_by_its_class() -> None:
    CrashesOnce.crashes = 1
    topology = Topology()
    topology.add("numbers", Producer.from_stream(range(10)))
    topology.add("crashes", CrashesOnce, subscribe_to="numbers")
    await topology.run()
    snapshot = topology.snapshot()
    assert {stage.name: dict(stage.errors) for stage in snapshot.stages} == {"numbers": {}, "crashes": {"KeyError": 1}}


@pytest.mark.asyncio
async def test_how_late_the_timers_of_the_loop_come_is_measured() -> None:
    topology = Topology()
    topology.add("numbers", Producer.from_stream(range(10)))
    async with topology:
        while topology.snapshot().loop_lag_seconds == 0:  # noqa: ASYNC110 - it is measured, and tells nobody
            await asyncio.sleep(0)
        assert 0 < topology.snapshot().loop_lag_seconds < 60
