"""A producer's side: what has been asked counts from the moment it was asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import DispatcherName, StageSettings
from tests.fakes.flow_stages import Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started


async def _producer(settings: StageSettings) -> tuple[Silent, StageProcess]:
    silent = Silent()
    process = alone(silent, Scheduler(), settings)
    assert process.output is not None
    await started(process)
    return silent, process


@pytest.mark.asyncio
@pytest.mark.parametrize("dispatcher", ["demand", "broadcast"])
@pytest.mark.parametrize("consumers", [1, 2])
async def test_nothing_overflows_that_was_asked_for_before_it_was_emitted(
    dispatcher: DispatcherName, consumers: int
) -> None:
    silent, process = await _producer(StageSettings(dispatcher=dispatcher, buffer_size=2))
    raw = [RawConsumer(str(number), process) for number in range(consumers)]
    silent.emit_nowait([1, 2])
    for consumer in raw:
        consumer.ask(6)
    silent.emit_nowait([3, 4, 5, 6])
    await rest(process.scheduler)
    assert process.counts.discarded["overflow"] == 0
    if dispatcher == "broadcast" or consumers == 1:
        assert all([event for got in one.deliveries for event in got] == [1, 2, 3, 4, 5, 6] for one in raw)
    assert process._output.sent() == 6


@pytest.mark.asyncio
async def test_what_is_sent_to_several_is_counted_once() -> None:
    silent, process = await _producer(StageSettings(dispatcher="broadcast"))
    first, second = RawConsumer("first", process), RawConsumer("second", process)
    first.ask(5)
    second.ask(3)
    silent.emit_nowait([1, 2, 3, 4])
    assert (first.got, second.got, process._output.sent(), process._output.buffer.size) == (0, 0, 3, 1)
    await rest(process.scheduler)
    assert (first.got, second.got) == (3, 3)
    second.leave()
    await rest(process.scheduler)
    assert (first.got, process._output.sent()) == (4, 4)


@pytest.mark.asyncio
async def test_what_is_sent_stays_counted_while_consumers_come_and_go() -> None:
    silent, process = await _producer(StageSettings())
    first = RawConsumer("first", process)
    first.ask(10)
    silent.emit_nowait([1, 2, 3])
    second = RawConsumer("second", process)
    second.ask(20)
    silent.emit_nowait([4, 5])
    await rest(process.scheduler)
    assert process._output.sent() == 5
    second.is_taking = False
    silent.emit_nowait([6, 7, 8])
    assert process._output.sent() == 8
    second.leave()
    assert process._output.sent() == first.subscription.delivered + second.subscription.delivered == 8
    await rest(process.scheduler)
    assert sorted(event for got in (*first.deliveries, *second.deliveries) for event in got) == list(range(1, 9))  # type: ignore[type-var] # these events are numbers


@pytest.mark.asyncio
async def test_what_was_asked_before_all_others_left_is_not_forgotten() -> None:
    silent, process = await _producer(StageSettings())
    first, second = RawConsumer("first", process), RawConsumer("second", process)
    first.ask(2)
    second.ask(3)
    second.leave()
    await rest(process.scheduler)
    assert silent.demands == [2]
    silent.emit_nowait([1, 2])
    await rest(process.scheduler)
    assert first.deliveries == [[1, 2]]


@pytest.mark.asyncio
async def test_what_is_buffered_is_served_although_mail_waits_for_a_stream_to_give_way() -> None:
    class Waiting(Producer[int]):
        async def handle_demand(self, demand: int) -> AsyncIterator[int]:
            await asyncio.Event().wait()
            yield 0

    waiting = Waiting()
    process = alone(waiting, Scheduler())
    assert process.output is not None
    consumer = RawConsumer("consumer", process)
    await started(process)
    consumer.ask(2)
    await rest(process.scheduler)
    waiting.emit_nowait([1, 2, 3])
    Ref(process).info("mail")
    consumer.ask(1)
    await rest(process.scheduler)
    assert consumer.deliveries == [[1, 2], [3]]
    process.stop()
    await process.terminated


@pytest.mark.asyncio
async def test_what_the_last_of_a_broadcast_had_not_begun_was_sent_all_the_same() -> None:
    silent, process = await _producer(StageSettings(dispatcher="broadcast"))
    last = RawConsumer("last", process)
    last.is_taking = False
    last.ask(5)
    silent.emit_nowait([1, 2, 3])
    assert last.leave() == [1, 2, 3]
    assert (process._output.sent(), process._output.buffer.size) == (3, 0)
