"""How many Python functions a batch, an event and a job call: a count has no noise, so it guards the hot paths."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

import pytest

from headrace.jobs import Jobs, WorkerCatalogue, worker
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology

BATCH: Final = 50
"""Events a batch, at the window 100/50."""

LIMITS: Final = {
    "plain": 20.0,
    "acknowledged": 360.0,
    "retry": 37.0,
    "child": 106.0,
    "job": 230.0,
}
"""Calls at the commit that introduced this test, CPython 3.11: a limit may fall, never rise."""


class Numbers(Producer[Any]):
    """Emits `total` integers, each in a message where `is_acknowledged`."""

    def __init__(self, total: int) -> None:
        self.next = 0
        self.total = total

    def handle_demand(self, demand: int) -> list[Any]:
        start, self.next = self.next, min(self.next + demand, self.total)
        if self.next == self.total:
            self.complete()
        return self.made(start)

    def made(self, start: int) -> list[Any]:
        return list(range(start, self.next))


class Messages(Numbers):
    emits_messages = True

    def made(self, start: int) -> list[Any]:
        return list(map(_message, range(start, self.next)))


def _ignore(outcome: Outcome) -> None:
    pass


def _message(number: int) -> Message[int]:
    return Message(number, acknowledgement=Acknowledgement(_ignore))


class Same(ProducerConsumer[int, int]):
    def handle_events(self, events: list[int]) -> list[int]:
        return events


class SameEach(Same):
    per_event = True
    one_to_one = True


class Drop(Consumer[int]):
    def handle_events(self, events: list[int]) -> None:
        pass


class DropEach(Drop):
    per_event = True
    one_to_one = True


class Child(ConsumerSupervisor[int]):
    async def run(self, event: int) -> None:
        pass


async def _run(topology: Topology) -> None:
    outcome = await topology.run()
    assert outcome.is_fine


def _chain(source: type[Numbers], middle: type[Same], sink: type[Drop], total: int, **settings: Any) -> Topology:
    topology = Topology()
    topology.add("numbers", lambda: source(total))
    topology.add("same", middle, subscribe_to=SubscribeTo("numbers", 100, 50), settings=StageSettings(**settings))
    topology.add("drop", sink, subscribe_to=SubscribeTo("same", 100, 50))
    return topology


async def _plain(batches: int) -> None:
    await _run(_chain(Numbers, Same, Drop, batches * BATCH))


async def _acknowledged(batches: int) -> None:
    await _run(_chain(Messages, SameEach, DropEach, batches * BATCH))


async def _retry(batches: int) -> None:
    await _run(_chain(Numbers, SameEach, DropEach, batches * BATCH, retry=Retry()))


async def _child(events: int) -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(events))
    topology.add("child", Child, subscribe_to=SubscribeTo("numbers", 100, 50))
    await _run(topology)


async def _job(count: int) -> None:
    ran: list[int] = []
    is_all = asyncio.Event()

    @worker(name="counted")
    async def counted(number: int) -> None:
        ran.append(number)
        if len(ran) == count:
            is_all.set()

    async with Jobs(MemoryStore(), WorkerCatalogue([counted]), {"default": 10}):
        await counted.enqueue_many([{"number": number} for number in range(count)])
        await is_all.wait()
    assert sorted(ran) == list(range(count))


def _calls(work: Callable[[int], Awaitable[None]], units: int) -> int:
    """Return how many Python functions were called in this thread while `work` handled `units`."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event == "call":
            count += 1

    async def run() -> None:
        await work(units)

    sys.setprofile(note)
    try:
        asyncio.run(run())
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("name", "work"),
    [("plain", _plain), ("acknowledged", _acknowledged), ("retry", _retry), ("child", _child), ("job", _job)],
)
def test_a_hot_path_calls_no_more_functions_than_it_did(
    name: str, work: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Slices that end by the clock would make the count depend on how fast the machine is.
    defaults = Scheduler.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "slice_seconds", 1e9)
    _calls(work, 20)
    few, many = _calls(work, 100), _calls(work, 500)
    found = (many - few) / 400
    assert found <= LIMITS[name], f"{name}: {found:.2f} calls, and {LIMITS[name]:.2f} is the limit"
