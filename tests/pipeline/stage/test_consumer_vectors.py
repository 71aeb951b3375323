"""GenStage's vectors for a consumer and a producer-consumer, as seen on a running one; each step runs to its rest."""

import pytest

from headrace.errors import DemandError
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
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

PRODUCER_CONSUMERS = {
    "M1": "10/5: subscribe => ask 10; send 10 => ; A asks 3 => batch 5, ask 5, batch 5, ask 5, A 1..3, 7 buffered; "
    "A asks 7 => A 4..10; A asks 1 => ",
    "M1, asked before": "10/5: subscribe => ask 10; A asks 3 => ; "
    "send 10 => batch 5, ask 5, batch 5, ask 5, A 1..3, 7 buffered; A asks 8 => A 4..10; "
    "send 10 => batch 5, ask 5, batch 5, ask 5, A 11..11, 9 buffered",
}

FINITE = {  # where GenStage says down, completed is an end of its own here
    "E1": "10/5: 1..7 => batch 5, batch 2, handle_cancel completed normal",
    "E1, nothing": "10/5: 1..0 => handle_cancel completed normal",
    "E1, one by one": "1/0: 1..2 => batch 1, batch 1, handle_cancel completed normal",
}


def parsed(vector: str) -> tuple[Window, list[tuple[str, list[str]]]]:
    """Return the window of a vector, and its steps: what is done, and what must follow."""
    sizes, steps = vector.split(": ")
    most, least = sizes.split("/")
    pairs = [step.split(" => ") for step in steps.split("; ")]
    return Window(int(most), None if least == "default" else int(least)), [
        (done, list(filter(None, expected.split(", ")))) for done, expected in pairs
    ]


class _Noting(Consumer[object]):
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.events: list[object] = []

    def handle_events(self, events: list[object]) -> None:
        self.log.append(f"batch {len(events)}")
        self.events += events


class _NotingEnd(_Noting):
    def handle_cancel(self, kind: str, reason: object, subscription: object) -> None:
        self.log.append(f"handle_cancel {kind} {reason}")


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
    assert process.input is not None
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
@pytest.mark.parametrize("name", PRODUCER_CONSUMERS)
async def test_a_producer_consumer_works_only_while_its_own_subscribers_miss_events(name: str) -> None:
    window, steps = parsed(PRODUCER_CONSUMERS[name])
    log: list[str] = []
    process = alone(_NotingPass(log), Scheduler())
    assert process.input is not None
    assert process.output is not None
    producer, consumer = RawProducer("producer", process, window, log=log), RawConsumer("A", process)
    sent = 0
    for done, expected in steps:
        log.clear()
        consumer.deliveries.clear()
        if done == "subscribe":
            await started(process)
        elif done.startswith("send "):
            count = int(done.removeprefix("send "))
            producer.send(range(sent + 1, sent + count + 1))
            sent += count
        else:
            consumer.ask(int(done.removeprefix("A asks ")))
        await rest(process.scheduler)
        got = [event for delivery in consumer.deliveries for event in delivery]
        log += [f"A {got[0]}..{got[-1]}"] if got else []
        log += [f"{process.output.buffer.size} buffered"] if process.output.buffer.size else []
        assert log == expected, done


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FINITE)
async def test_a_finite_producer_is_read_to_its_end_which_comes_last(name: str) -> None:
    window, steps = parsed(FINITE[name])
    topology, log = Topology(), list[str]()
    topology.add("numbers", Producer.from_stream(range(1, int(steps[0][0].removeprefix("1..")) + 1)))
    to = SubscribeTo("numbers", window.max_demand, window.min_demand)
    topology.add("noting", lambda: _NotingEnd(log), subscribe_to=to)
    async with topology:
        assert (await topology.join()).is_fine
    assert log == steps[0][1]


@pytest.mark.asyncio
async def test_a_producer_consumer_that_emits_fewer_goes_on_until_its_subscribers_have_enough() -> None:
    log: list[str] = []

    class Tenth(ProducerConsumer[int, int]):
        def handle_events(self, events: list[int]) -> list[int]:
            log.append(f"batch {len(events)}")
            return [event for event in events if event % 10 == 0]

    process = alone(Tenth(), Scheduler())
    assert process.input is not None
    assert process.output is not None
    producer, consumer = RawProducer("producer", process, Window(10, 5), log=log), RawConsumer("A", process)
    await started(process)
    consumer.ask(2)
    for first in (1, 11, 21):
        producer.send(range(first, first + 10))
        await rest(process.scheduler)
    assert consumer.deliveries == [[10], [20]]
    assert log == ["ask 10", *["batch 5", "ask 5", "batch 5", "ask 5"] * 2]
    assert producer.subscription.unfinished() == 10
