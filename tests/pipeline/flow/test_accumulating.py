"""A stage that accumulates: what it is told and sends once it goes on is as if it had replayed all in order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.stage.settings import DispatcherName, StageSettings
from tests.fakes.flow_stages import Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started

Steps = list[tuple[str, int]]


class _Replayed:
    """GenStage's rule for one subscriber, or for all together, step by step."""

    def __init__(self, missed: int) -> None:
        self.missed = missed
        self.waiting = 0
        self.told = 0
        self.sent = 0

    def emit(self, count: int) -> None:
        met = min(count, self.missed)
        self.missed -= met
        self.waiting += count - met
        self.sent += met

    def ask(self, demand: int) -> None:
        met = min(demand, self.waiting)
        self.waiting -= met
        self.sent += met
        self.missed += demand - met
        self.told += demand - met


async def _replay(dispatcher: DispatcherName, before: int, steps: Steps, consumers: int) -> None:
    silent = Silent()
    process = alone(silent, Scheduler(), StageSettings(dispatcher=dispatcher, buffer_size=10_000))
    assert process.output is not None
    await started(process)
    raw = [RawConsumer(str(number), process) for number in range(consumers)]
    for consumer in raw:
        consumer.ask(before)
    await rest(process.scheduler)
    model = _Replayed(before if dispatcher == "broadcast" else before * consumers)
    silent.demands.clear()
    process.demand("accumulate")
    for word, count in steps:
        if word == "emit":
            silent.emit_nowait([None] * count)
            model.emit(count)
        else:
            for consumer in raw:
                consumer.ask(count)
                await rest(process.scheduler)
            model.ask(count if dispatcher == "broadcast" else count * consumers)
    await rest(process.scheduler)
    assert silent.demands == []
    assert sum(consumer.got for consumer in raw) == 0
    process.demand("forward")
    await rest(process.scheduler)
    assert sum(silent.demands) == model.told
    assert process.output.sent() == model.sent
    assert process.output.buffered() == model.waiting
    process.stop()
    await process.terminated


@given(
    st.sampled_from(["demand", "broadcast", "round_robin"]),
    st.integers(0, 6),
    st.lists(st.tuples(st.sampled_from(["emit", "ask"]), st.integers(1, 9)), max_size=8),
    st.integers(1, 3),
)
def test_asks_and_events_are_replayed_in_the_order_in_which_they_came(
    dispatcher: DispatcherName, before: int, steps: Steps, consumers: int
) -> None:
    asyncio.run(_replay(dispatcher, before, steps, consumers))


@pytest.mark.asyncio
async def test_a_consumer_may_leave_and_do_without_what_it_asked_for_meanwhile() -> None:
    silent = Silent()
    process = alone(silent, Scheduler(), StageSettings(demand="accumulate"))
    assert process.output is not None
    await started(process)
    first, second = RawConsumer("first", process), RawConsumer("second", process)
    for consumer in (first, second):
        consumer.ask(10)
    await rest(process.scheduler)
    assert second.subscription.withdraw_some(4) == 0
    second.subscription.window.outstanding -= 4
    silent.emit_nowait([1, 2, 3])
    first.leave()
    process.demand("forward")
    await rest(process.scheduler)
    assert second.deliveries == [[1, 2, 3]]
    assert silent.demands == [6]


@pytest.mark.asyncio
async def test_a_stage_that_accumulates_holds_no_more_than_its_buffer() -> None:
    silent = Silent()
    process = alone(silent, Scheduler(), StageSettings(demand="accumulate", buffer_size=3))
    await started(process)
    silent.emit_nowait([1, 2])
    silent.emit_nowait([3, 4, 5])
    assert process.counts.discarded["overflow"] == 2


@pytest.mark.asyncio
async def test_a_drain_goes_on_with_what_was_accumulated() -> None:
    silent = Silent()
    process = alone(silent, Scheduler(), StageSettings(demand="accumulate"))
    assert process.output is not None
    await started(process)
    consumer = RawConsumer("consumer", process)
    consumer.ask(5)
    silent.emit_nowait([1, 2])
    process.drain()
    await process.terminated
    assert consumer.deliveries == [[1, 2]]
