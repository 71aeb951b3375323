"""A consumer's side: several subscriptions are served in turn, each at its own pace."""

from collections.abc import Sequence

import pytest

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window
from tests.fakes.flow_stages import Collect, Pass
from tests.fakes.raw_ends import RawConsumer, RawProducer
from tests.fakes.stepping import alone, rest, started


def _sent(producer: RawProducer, *deliveries: Sequence[object]) -> None:
    for delivery in deliveries:
        producer.send(delivery)


@pytest.mark.asyncio
async def test_several_subscriptions_are_served_in_turn_a_batch_each() -> None:
    collect = Collect()
    process = alone(collect, Scheduler())
    assert process.input is not None
    producers = [RawProducer(name, process, Window(4, 2)) for name in "abc"]
    await started(process)
    for producer in producers:
        _sent(producer, [producer.name] * 4)
    await rest(process.scheduler)
    assert collect.batches == [[name] * 2 for name in "abcabc"]


@pytest.mark.asyncio
async def test_one_that_has_just_been_served_is_not_served_before_the_others_after_a_rest() -> None:
    collect = Collect()
    process = alone(collect, Scheduler())
    assert process.input is not None
    a, b = (RawProducer(name, process, Window(2, 1)) for name in "ab")
    await started(process)
    for _ in range(3):
        collect.batches.clear()
        _sent(b, "b")
        await rest(process.scheduler)
        _sent(b, "b", "b")
        _sent(a, "a", "a")
        await rest(process.scheduler)
        assert collect.batches == [["b"], ["a"], ["b"], ["a"], ["b"]]


@pytest.mark.asyncio
async def test_a_producer_consumer_finishes_a_delivery_before_it_turns_to_the_next_subscription() -> None:
    middle = Pass()
    process = alone(middle, Scheduler())
    assert process.input is not None
    assert process.output is not None
    a, b = (RawProducer(name, process, Window(4, 2)) for name in "ab")
    consumer = RawConsumer("consumer", process)
    await started(process)
    consumer.ask(100)
    _sent(a, "aaaa")
    _sent(b, "bbbb")
    await rest(process.scheduler)
    assert middle.batches == [["a", "a"], ["a", "a"], ["b", "b"], ["b", "b"]]


@pytest.mark.asyncio
async def test_an_end_is_acted_on_when_it_is_reached_and_never_before() -> None:
    collect = Collect()
    process = alone(collect, Scheduler())
    assert process.input is not None
    a, b = (RawProducer(name, process, Window(4, 2)) for name in "ab")
    await started(process)
    _sent(a, [1, 2, 3])
    a.end(KeyError("a"))
    _sent(b, [4, 5])
    await rest(process.scheduler)
    assert collect.batches == [[1, 2], [4, 5], [3]]
    assert [type(reason) for reason in collect.reasons] == [KeyError]
    assert b.taken_back == []
