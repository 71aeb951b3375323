"""A stage that handles several at a time, and is never idle: what it handles is as old as it is, and no older."""

import asyncio
from typing import Any

import pytest

from headrace.clock import Clock
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from tests.fakes.processes import ManualClock
from tests.fakes.raw_ends import RawConsumer, RawProducer
from tests.fakes.stepping import alone, rest, started

pytestmark = pytest.mark.asyncio

KINDS = pytest.mark.parametrize("per_event", [True, False])


class _Gated:
    """Has each event wait until its gate is opened."""

    def __init__(self, *, per_event: bool) -> None:
        self.per_event = per_event
        self.gates: dict[Any, asyncio.Future[None]] = {}

    async def wait(self, event: Any) -> None:
        gate = self.gates[event] = asyncio.get_running_loop().create_future()
        await gate

    def open(self, event: int) -> None:
        self.gates.pop(event).set_result(None)


class Sink(_Gated, Consumer[Any]):
    async def handle_events(self, events: list[Any]) -> None:
        await self.wait(events[0])


class Middle(_Gated, ProducerConsumer[Any, Any]):
    async def handle_events(self, events: list[Any]) -> list[Any]:
        await self.wait(events[0])
        return events


class Ages(RawConsumer):
    """Notes when what it gets was born."""

    def turn(self) -> int:
        self.ingestion_times = [
            *getattr(self, "ingestion_times", []),
            *(ingested_at for _, ingested_at in self.subscription.queue),
        ]
        return super().turn()


def said(*, is_ordered: bool) -> StageSettings:
    return StageSettings(concurrency=Concurrency(3, is_ordered=is_ordered))


@KINDS
@pytest.mark.parametrize("is_ordered", [True, False])
async def test_latency_does_not_grow_while_a_concurrent_sink_is_never_idle(
    *, per_event: bool, is_ordered: bool
) -> None:
    clock, sink = ManualClock(), Sink(per_event=per_event)
    process = alone(sink, Scheduler(clock=Clock(monotonic=clock)), said(is_ordered=is_ordered))
    assert process.input is not None
    producer = RawProducer("producer", process, Window(100, 99))
    await started(process)
    for number in range(20):
        producer.subscription.send([number], clock(), 1)
        await rest(process.scheduler)
        clock.advance(1.0)
        if number:
            sink.open(number - 1)  # two seconds old; the next one is under way already
            await rest(process.scheduler)
    latency = process.step.latency
    assert latency is not None
    assert latency.sum == 19 * 2.0
    assert sum(latency.counts()) == 19
    sink.open(19)
    await rest(process.scheduler)


@KINDS
async def test_what_lands_together_counts_each_batch_by_its_own_age(*, per_event: bool) -> None:
    clock, sink = ManualClock(), Sink(per_event=per_event)
    process = alone(sink, Scheduler(clock=Clock(monotonic=clock)), said(is_ordered=True))
    assert process.input is not None
    producer = RawProducer("producer", process, Window(100, 99))
    await started(process)
    for number in range(3):
        producer.subscription.send([number], clock(), 1)
        await rest(process.scheduler)
        clock.advance(1.0)
    for number in (2, 1, 0):
        sink.open(number)
        await rest(process.scheduler)
    latency = process.step.latency
    assert latency is not None
    assert latency.sum == 1.0 + 2.0 + 3.0
    assert sum(latency.counts()) == 3


@KINDS
async def test_outputs_are_as_old_as_what_they_came_of_and_the_oldest_that_land_together(*, per_event: bool) -> None:
    clock, middle = ManualClock(), Middle(per_event=per_event)
    process = alone(middle, Scheduler(clock=Clock(monotonic=clock)), said(is_ordered=True))
    assert process.input is not None
    assert process.output is not None
    producer, consumer = RawProducer("producer", process, Window(100, 99)), Ages("consumer", process)
    await started(process)
    consumer.ask(100)
    for number in range(3):
        producer.subscription.send([number], clock(), 1)
        await rest(process.scheduler)
        clock.advance(1.0)
    for number in (0, 2, 1):
        middle.open(number)
        await rest(process.scheduler)
    assert consumer.deliveries == [[0], [1, 2]]
    assert consumer.ingestion_times == [100.0, 101.0]
