"""Laws of a producer's side, whatever the dispatcher: nothing lost or doubled, order kept, and nobody left waiting."""

import asyncio
from collections.abc import Iterator
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started
from tests.pipeline.flow.test_output_markers import Informed


def _route(event: object) -> int | None:
    """Return 0, 1 or 2; None for some, and what is no partition for others."""
    assert isinstance(event, int)
    return {9: None, 8: 7}.get(event % 10, event % 3)


def _is_even(event: object) -> bool:
    return isinstance(event, int) and event % 2 == 0


DISPATCHERS = {
    "demand": StageSettings(buffer_size=15),
    "broadcast": StageSettings(dispatcher="broadcast", buffer_size=15, buffer_keep="first"),
    "round_robin": StageSettings(dispatcher="round_robin", buffer_size=15),
    "weighted": StageSettings(dispatcher="weighted", buffer_size=15),
    "partition": StageSettings(dispatcher=partial(PartitionDispatcher, 3, hash=_route, max_queue=4), buffer_size=15),
}
WORDS = (
    *("subscribe", "subscribe", "ask", "ask", "ask", "leave", "hold", "emit", "answer", "answer", "answer", "answer"),
    *("accumulate", "forward", "forward", "forward", "resize", "mark", "rest", "rest", "rest", "rest", "rest", "rest"),
)
STEPS = st.tuples(st.sampled_from(WORDS), st.integers(0, 11))


class _Bench:
    """One producer that emits when it is told to, and consumers that come, ask, wait and leave."""

    def __init__(self, dispatcher: str) -> None:
        self.dispatcher = dispatcher
        self.informed = Informed()
        process = alone(self.informed, Scheduler(), DISPATCHERS[dispatcher])
        assert process.output is not None
        self.process = process
        self.consumers: list[RawConsumer] = []
        self.all: list[RawConsumer] = []
        self.since: dict[str, int] = {}
        self.next = 0
        self.lost: list[object] = []
        """What a consumer had not begun and nobody else could take."""
        self.marks = 0
        self.is_accumulating = False
        self.is_in_order = True
        """Until what one had not begun goes to others: it is older than what those have got."""

    def do(self, word: str, number: int) -> None:
        consumer = self.consumers[number % len(self.consumers)] if self.consumers else None
        if word == "subscribe" and len(self.consumers) < 5:
            self._subscribe(number)
        elif word == "ask" and consumer is not None:
            consumer.ask(number + 1)
        elif word == "hold" and consumer is not None:
            consumer.is_taking = not consumer.is_taking
        elif word == "leave" and consumer is not None:
            self.consumers.remove(consumer)
            self.is_in_order = self.is_in_order and not consumer.subscription.queue
            self.lost += consumer.leave()
        elif word == "emit":
            self._emit(number)
        elif word == "answer":
            self._emit(sum(self.informed.demands))
            self.informed.demands.clear()
        elif word in {"accumulate", "forward"}:
            self.is_accumulating = word == "accumulate"
            self.process.demand("accumulate" if self.is_accumulating else "forward")
        elif word == "resize":
            self.process._output.resize(number + 5, "first" if number % 2 else "last")
        elif word == "mark":
            self.marks += 1
            self.process._output.info(self.marks)

    def _subscribe(self, number: int) -> None:
        to = {
            "broadcast": SubscribeTo("stage", selector=_is_even if number % 3 == 0 else None),
            "weighted": SubscribeTo("stage", weight=number % 4 + 1),
            "partition": SubscribeTo("stage", partition=number % 3),
        }.get(self.dispatcher, SubscribeTo("stage"))
        consumer = RawConsumer(str(len(self.all)), self.process, to=to)
        self.all.append(consumer)
        self.consumers.append(consumer)

    def _emit(self, count: int) -> None:
        self.informed.emit_nowait(list(range(self.next, self.next + count)))
        self.next += count

    def _got(self) -> Iterator[list[int]]:
        for consumer in self.all:
            waiting = [events for events, _ in consumer.subscription.queue if events is not None]
            yield [
                event for delivery in [*consumer.deliveries, *waiting] for event in delivery if isinstance(event, int)
            ]

    def check(self) -> None:
        """Check what holds at any moment."""
        outlet, counts = self.process._output, self.process.counts
        for consumer, got in zip(self.all, self._got(), strict=True):
            assert got == sorted(got) or not self.is_in_order
            assert len(got) <= consumer.asked
            assert consumer.subscription.pending >= 0
            if self.dispatcher == "partition":
                assert all(_route(event) == consumer.subscription.partition for event in got)
        if self.dispatcher != "broadcast":
            got = [event for line in self._got() for event in line]
            assert len(got) == len(set(got))
            assert self.lost == []
            assert outlet.sent() == len(got)
        assert self.next == outlet.sent() + outlet.buffered() + sum(counts.discarded.values())

    def check_rest(self) -> None:
        """Check what holds once there is nothing left to do."""
        self.check()
        outlet = self.process._output
        assert len(self.informed.messages) + outlet.waiting_messages == self.marks
        assert self.informed.messages == sorted(self.informed.messages, key=str) or self.marks > 9
        if not self.is_accumulating:
            unmet = outlet.dispatcher.unmet() if outlet.single is None else outlet.single.pending
            assert unmet <= self.process.ledger.owed or unmet <= 0
            assert outlet.buffer.size == 0 or unmet <= 0
            assert all(consumer.subscription.asked == 0 for consumer in self.consumers)
        if not outlet.buffered():
            assert outlet.waiting_messages == 0


async def _run(dispatcher: str, steps: list[tuple[str, int]]) -> None:
    bench = _Bench(dispatcher)
    await started(bench.process)
    for word, number in steps:
        bench.do(word, number)
        if word == "rest":
            await rest(bench.process.scheduler)
            bench.check_rest()
        else:
            bench.check()
    await rest(bench.process.scheduler)
    bench.check_rest()
    bench.process.stop()
    await bench.process.terminated
    assert bench.process._output.buffered() == 0
    bench.check()


@settings(max_examples=300)
@given(st.sampled_from(sorted(DISPATCHERS)), st.lists(STEPS, min_size=20, max_size=60))
def test_nothing_is_lost_doubled_or_left_waiting(dispatcher: str, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(dispatcher, steps))
