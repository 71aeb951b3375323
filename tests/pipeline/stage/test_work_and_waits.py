"""What counts as work of a stage, on a clock that moves when it is told to, and who is named for holding the loop."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from headrace.clock import Clock
from headrace.otp.scheduler import Scheduler
from headrace.otp.task_supervisor import TaskSupervisor
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.generate import Generate, GenerateOptions
from headrace.stages.transforms.map import Map, MapOptions
from tests.fakes.flow_stages import Collect, Numbers
from tests.fakes.processes import ManualClock

pytestmark = pytest.mark.asyncio

WAIT, WORK = 100.0, 1.0
"""Seconds that a callback waits for an event, and works on it."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    monkeypatch.setattr(
        "headrace.pipeline.topology.topology.Scheduler", partial(Scheduler, clock=Clock(monotonic=clock))
    )
    return clock


async def work(clock: ManualClock) -> None:
    """Wait for a long time, and work for a short one."""
    asyncio.get_running_loop().call_soon(clock.advance, WAIT)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance(WORK)


async def _ran(topology: Topology) -> dict[str, StageSnapshot]:
    await topology.start()
    assert (await topology.join()).is_completed
    return {stage.name: stage for stage in topology.snapshot().stages}


def _source(clock: ManualClock, *, is_stream: bool) -> Callable[[], Producer[int]]:
    async def events() -> AsyncIterator[int]:
        for number in range(3):
            await work(clock)
            yield number

    class Asks(Producer[int]):
        def __init__(self) -> None:
            self.made = 0

        async def handle_demand(self, demand: int) -> list[int]:
            for _ in range(3):
                await work(clock)
            self.complete()
            return [1, 2, 3]

    return Producer.from_stream(events()) if is_stream else Asks


@pytest.mark.parametrize("is_stream", [True, False])
async def test_the_waits_of_a_source_do_not_count_as_work(clock: ManualClock, is_stream: bool) -> None:  # noqa: FBT001
    topology = Topology()
    topology.add("source", _source(clock, is_stream=is_stream))
    topology.add("collect", Collect, subscribe_to="source")
    source = (await _ran(topology))["source"]
    assert source.busy_seconds == pytest.approx(3 * WORK)
    assert source.blocked_seconds["demand"] < WAIT


class _Works(Consumer[int]):
    per_event = True

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    async def handle_events(self, events: list[int]) -> None:
        for _ in events:
            await work(self.clock)


class _WorksOnBatches(_Works):
    per_event = False


class _WorksByChildren(ConsumerSupervisor[int]):
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    async def run(self, event: int) -> None:
        await work(self.clock)


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("kind", [_Works, _WorksOnBatches, _WorksByChildren])
async def test_the_waits_of_a_consumer_do_not_count_as_work(clock: ManualClock, kind: Any, concurrency: int) -> None:
    settings = StageSettings(concurrency=Concurrency(1 if kind is _WorksByChildren else concurrency))
    topology = Topology()
    topology.add("numbers", lambda: Numbers(4))
    topology.add("works", lambda: kind(clock), subscribe_to=SubscribeTo("numbers", 1), settings=settings)
    works = (await _ran(topology))["works"]
    assert works.busy_seconds == pytest.approx(4 * WORK)
    assert works.handle_duration.sum >= 4 * WAIT


async def test_calls_in_threads_count_as_work() -> None:
    class Sleeps(Consumer[int]):
        per_event = True

        def handle_events(self, events: list[int]) -> None:
            time.sleep(0.02)

    topology = Topology()
    topology.add("numbers", lambda: Numbers(2))
    settings = StageSettings(concurrency=Concurrency(1, "thread"))
    topology.add("sleeps", Sleeps, subscribe_to="numbers", settings=settings)
    assert (await _ran(topology))["sleeps"].busy_seconds >= 0.04


class _Holds(Consumer[int]):
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    async def handle_events(self, events: list[int]) -> None:
        self.clock.advance(0.2)


class _HoldsByChildren(ConsumerSupervisor[int]):
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    async def run(self, event: int) -> None:
        self.clock.advance(0.2)


class _HoldsBySyncChildren(_HoldsByChildren):
    def run(self, event: int) -> None:  # type: ignore[override] # either will do
        self.clock.advance(0.2)


@pytest.mark.parametrize(
    ("kind", "name"), [(_Holds, "work"), (_HoldsByChildren, "work.1"), (_HoldsBySyncChildren, "work.1")]
)
async def test_a_stage_or_child_that_holds_the_loop_in_its_last_step_is_named_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, kind: Any, name: str
) -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("work", lambda: kind(clock), subscribe_to=SubscribeTo("numbers", 1))
    await _ran(topology)
    advice = "make its callback async, or give it less to do at a time"
    assert [record.getMessage() for record in caplog.records if "held" in record.getMessage()] == [
        f"'{name}' held the event loop for 200 ms: {advice}"
    ]


async def test_a_task_that_holds_the_loop_in_its_last_step_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()

    async def block() -> None:
        clock.advance(0.2)

    def block_at_once() -> None:
        clock.advance(0.2)

    async with TaskSupervisor("tasks", Scheduler(clock=Clock(monotonic=clock))) as tasks:
        for function in (block, block, block_at_once, block_at_once):
            await tasks.start_child(function).result()
    names = [record.getMessage().split()[0] for record in caplog.records]
    assert names == ["'block'", "'block_at_once'"]


async def test_the_advice_fits_stages_whose_code_is_not_the_users(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def source() -> Iterator[int]:
        clock.advance(0.2)
        yield 1

    topology = Topology()
    topology.add("source", Producer.from_stream(source()))
    topology.add("collect", Collect, subscribe_to="source")
    options = MapOptions.model_validate({"set": {"n": "event.n"}})
    with caplog.at_level(logging.WARNING):
        await _ran(topology)
    assert "give from_stream an async source, or one that yields its next event sooner" in caplog.text
    for built_in in (Generate(GenerateOptions(count=1)), Map(options)):
        built_in_topology = Topology()
        handle = built_in_topology.add("win", lambda made=built_in: made, subscribe_to=None)  # type: ignore[misc]
        await built_in_topology.start()
        await handle.ref.call(lambda _: clock.advance(0.2))
        await built_in_topology.stop()
    said = [record.getMessage() for record in caplog.records if "'win'" in record.getMessage()]
    advice = "subscribe with a lower max_demand, so that there is less to do at a time, or give the machine less to do"
    assert said == [f"'win' held the event loop for 200 ms: {advice}"] * 2
