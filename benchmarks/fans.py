"""Graphs other than chains: broadcast, fan-in, and a path with acknowledgements."""

import time
from functools import partial

from benchmarks.measure import all_arrived
from benchmarks.stages import AddOne, Ints, LooseInts, Sum
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology

TOTAL = 200_000


class MessageInts(Producer[Message[int]]):
    """Emits integers in messages, and counts their acknowledgements."""

    emits_messages = True

    def __init__(self, total: int) -> None:
        self.next = 0
        self.total = total
        self.told = 0

    def handle_demand(self, demand: int) -> list[Message[int]]:
        """Return the next `demand` messages."""
        start, self.next = self.next, min(self.next + demand, self.total)
        if self.next == self.total:
            self.complete()
        return [Message(number, acknowledgement=Acknowledgement(self._tell)) for number in range(start, self.next)]

    def _tell(self, outcome: Outcome) -> None:
        self.told += outcome is Outcome.DONE


class AddOneEach(AddOne):
    """Adds 1 to every integer, event by event."""

    per_event = True
    one_to_one = True


class SumEach(Sum):
    """Adds everything up, event by event."""

    per_event = True
    one_to_one = True


async def acknowledged(total: int = 50_000) -> float:
    """Return the seconds of a chain whose events are all acknowledged, each once."""
    source = MessageInts(total)
    topology = Topology()
    topology.add("ints", lambda: source)
    topology.add("middle", AddOneEach, subscribe_to=SubscribeTo("ints", 100, 50))
    topology.add("sum", SumEach, subscribe_to=SubscribeTo("middle", 100, 50))
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived(source.told, total)
    return seconds


def _itself(one: Sum) -> Sum:
    return one


async def broadcast(total: int = TOTAL) -> float:
    """Return the seconds of one source that broadcasts to three sums."""
    sums = [Sum() for _ in range(3)]
    topology = Topology()
    topology.add("ints", lambda: Ints(total), settings=StageSettings(dispatcher="broadcast"))
    for number, one in enumerate(sums):
        topology.add(f"sum{number}", partial(_itself, one), subscribe_to=SubscribeTo("ints", 100, 50))
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived([one.count for one in sums], [total] * 3)
    return seconds


def plain_tasks(total: int = TOTAL) -> float:
    """Return the seconds of these callbacks without stages, with a separate list for each consumer."""
    source, sums = LooseInts(total), [Sum() for _ in range(3)]
    start = time.perf_counter()
    while source.next < total:
        events = source.handle_demand(50)
        for one in sums:
            one.handle_events(list(events))
    return time.perf_counter() - start


async def fan_in(total: int = TOTAL) -> float:
    """Return the seconds of two sources that feed one chain."""
    sink = Sum()
    topology = Topology()
    for name in ("left", "right"):
        topology.add(name, lambda: Ints(total // 2))
    both = [SubscribeTo(name, 100, 50) for name in ("left", "right")]
    topology.add("middle", AddOne, subscribe_to=both)
    topology.add("sum", lambda: sink, subscribe_to=SubscribeTo("middle", 100, 50))
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived(sink.count, total)
    return seconds
