"""GenStage's vectors for a consumer and a producer-consumer, as seen on a running one; each step runs to its rest."""

import pytest

from headrace.ground.errors import DemandError
from headrace.pipeline.demand.window import Window
from headrace.pipeline.process.scheduler import Scheduler
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_process import ConsumerProcess
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.producer_consumer_process import ProducerConsumerProcess
from tests.fakes.raw_ends import RawConsumer, RawProducer
from tests.fakes.stepping import alone, rest, started

CONSUMERS = {
    "C1": "10/5: subscribe => ask 10; send 10 => batch 5, ask 5, batch 5, ask 5; "
    "send 10 => batch 5, ask 5, batch 5, ask 5",
    "C2": "10/5: subscribe => ask 10; send 1 => batch 1; send 1 => batch 1; send 1 => batch 1; send 1 => batch 1; "
    "send 1 => batch 1, ask 5; send 1 => batch 1; send 1 => batch 1; send 1 => batch 1; send 1 => batch 1; "
    "send 1 => batch 1, ask 5",
    "C3": "10/5: subscribe => ask 10; send 3 => batch 3; send 3 => batch 3, ask 6; send 3 => batch 3; "
    "send 3 => batch 3, ask 6",
    "C4": "10/5: subscribe => ask 10; send 7 => batch 5, ask 5, batch 2; send 3 => batch 3, ask 5",
    "C5": "10/0: subscribe => ask 10; send 10 => batch 10, ask 10; send 4 => batch 4; send 6 => batch 6, ask 10",
    "C6": "1/0: subscribe => ask 1; send 1 => batch 1, ask 1; send 1 => batch 1, ask 1",
    "C7": "1/default: subscribe => ask 1; send 1 => batch 1, ask 1; send 1 => batch 1, ask 1",
    "C8": "10/9: subscribe => ask 10; send 3 => batch 1, ask 1, batch 1, ask 1, batch 1, ask 1",
    "C10": "1000/750: subscribe => ask 1000; send 100 => batch 100; send 100 => batch 100; "
    "send 100 => batch 100, ask 300; send 100 => batch 100",
}


def parsed(vector: str) -> tuple[Window, list[tuple[str, list[str]]]]:
    """Return the window of a vector, and its steps: what is done, and what must follow."""
    sizes, steps = vector.split(": ")
    most, least = sizes.split("/")
    pairs = [step.split(" => ") for step in steps.split("; ")]
    return Window(int(most), None if least == "default" else int(least)), [
        (done, expected.split(", ")) for done, expected in pairs
    ]


class _Noting(Consumer[object]):
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.events: list[object] = []

    def handle_events(self, events: list[object]) -> None:
        self.log.append(f"batch {len(events)}")
        self.events += events


class _NotingPass(ProducerConsumer[object, object]):
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def handle_events(self, events: list[object]) -> list[object]:
        self.log.append(f"batch {len(events)}")
        return events


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CONSUMERS)
async def test_a_consumer_batches_and_asks_as_genstage_does(name: str) -> None:
    window, steps = parsed(CONSUMERS[name])
    log: list[str] = []
    consumer = _Noting(log)
    process = alone(consumer, Scheduler())
    assert isinstance(process, ConsumerProcess)
    producer = RawProducer("producer", process, window, log=log)
    sent = 0
    for done, expected in steps:
        log.clear()
        if done == "subscribe":
            await started(process)
        else:
            count = int(done.removeprefix("send "))
            producer.send(range(sent, sent + count))
            sent += count
            await rest(process.scheduler)
        assert log == expected, done
    assert consumer.events == list(range(sent))


@pytest.mark.parametrize(
    ("most", "least", "sentence"),
    [
        (10, 10, "min_demand is 10, and must be a whole number from 0 to 9 (below max_demand)"),
        (0, None, "max_demand is 0, and must be a whole number, 1 or more"),
        (10, -1, "min_demand is -1, and must be a whole number from 0 to 9 (below max_demand)"),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_what_is_allowed(most: int, least: int | None, sentence: str) -> None:
    with pytest.raises(DemandError) as caught:
        Window(most, least)
    assert str(caught.value) == sentence


@pytest.mark.asyncio
async def test_a_producer_consumer_works_only_while_its_own_subscribers_miss_events() -> None:
    """M1."""
    log: list[str] = []
    process = alone(_NotingPass(log), Scheduler())
    assert isinstance(process, ProducerConsumerProcess)
    producer, consumer = RawProducer("producer", process, Window(10, 5), log=log), RawConsumer("A", process)

    async def step(*expected: str) -> None:
        await rest(process.scheduler)
        assert log == list(expected)
        log.clear()

    await started(process)
    await step("ask 10")
    producer.send(range(1, 11))
    await step()
    consumer.ask(3)
    await step("batch 5", "ask 5", "batch 5", "ask 5")
    assert consumer.deliveries == [[1, 2, 3]]
    assert process.outlet.buffer.size == 7
    consumer.ask(7)
    await step()
    assert consumer.deliveries == [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10]]
    consumer.ask(1)
    await step()
    assert consumer.got == 10


@pytest.mark.asyncio
async def test_a_producer_consumer_that_emits_fewer_goes_on_until_its_subscribers_have_enough() -> None:
    log: list[str] = []

    class Tenth(ProducerConsumer[int, int]):
        def handle_events(self, events: list[int]) -> list[int]:
            log.append(f"batch {len(events)}")
            return [event for event in events if event % 10 == 0]

    process = alone(Tenth(), Scheduler())
    assert isinstance(process, ProducerConsumerProcess)
    producer, consumer = RawProducer("producer", process, Window(10, 5), log=log), RawConsumer("A", process)
    await started(process)
    consumer.ask(2)
    for first in (1, 11, 21):
        producer.send(range(first, first + 10))
        await rest(process.scheduler)
    assert consumer.deliveries == [[10], [20]]
    assert log == ["ask 10", *["batch 5", "ask 5", "batch 5", "ask 5"] * 2]
    assert producer.subscription.unfinished() == 10
