"""GenStage's vectors for a producer's demand, buffer and dispatchers, as seen on a running one, stepped.

A, B, ... ask by hand. `hd(n)` is `handle_demand(n)`, which emits nothing; `emit` is done from outside of it. What
reaches different receivers in one step has no mutual order.
"""

import re
from collections.abc import Callable

import pytest

from headrace.pipeline.process.scheduler import Scheduler
from headrace.pipeline.stage.producer_process import ProducerProcess
from headrace.pipeline.stage.settings import StageSettings
from tests.fakes.flow_stages import Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started


def _is_even(event: object) -> bool:
    return isinstance(event, int) and event % 2 == 0


DEMAND, BROADCAST = StageSettings(), StageSettings(dispatcher="broadcast")
VECTORS: dict[str, tuple[StageSettings, str]] = {
    "D2": (
        DEMAND,
        (
            "A asks 10 => hd(10); B asks 10 => hd(10); emit 1..15 => A 1..10, B 11..15; emit 16..17 => B 16..17; "
            "emit 18..25 => B 18..20, buffered 5"
        ),
    ),
    "D3": (
        DEMAND,
        (
            "A asks 10 => hd(10); B asks 5 => hd(5); emit 1..3 => A 1..3; emit 4..7 => A 4..7; emit 8..9 => B 8..9; "
            "emit 10..13 => A 10..12, B 13..13"
        ),
    ),
    "D5, cured": (
        DEMAND,
        (
            "A asks 10 => hd(10); A dies => ; emit 1..4 => buffered 4; B asks 3 => B 1..3, buffered 1; "
            "B asks 10 => B 4..4, hd(3)"
        ),
    ),
    "D6": (DEMAND, "emit 1..5 => buffered 5; A asks 3 => A 1..3, buffered 2; A asks 10 => A 4..5, hd(8)"),
    "D7": (
        StageSettings(buffer_size=3),
        "emit 1..5 => discarded 2, buffered 3; A asks 10 => A 3..5, hd(7)",
    ),
    "D8": (
        StageSettings(buffer_size=3, buffer_keep="first"),
        "emit 1..5 => discarded 2, buffered 3; emit 6..7 => discarded 2, buffered 3; A asks 10 => A 1..3, hd(7)",
    ),
    "buffer before callback": (
        DEMAND,
        "emit 1..5 => buffered 5; A asks 3 => A 1..3, buffered 2; A asks 2 => A 4..5; A asks 8 => hd(8)",
    ),
    "B1": (
        BROADCAST,
        (
            "B subscribes => ; A asks 10 => ; B asks 5 => hd(5); emit 1..5 => A 1..5, B 1..5; B asks 5 => hd(5); "
            "emit 6..12 => A 6..10, B 6..10, buffered 2"
        ),
    ),
    "B2": (BROADCAST, "B subscribes => ; A asks 10 => ; B asks 2 => hd(2); B dies => hd(8)"),
    "B4": (
        BROADCAST,
        "even subscribes => ; A asks 4 => ; even asks 4 => hd(4); emit 1..4 => A 1..4, even 2 4; A asks 4 => hd(2)",
    ),
    "what is refused holds nobody up": (
        BROADCAST,
        "even subscribes => ; even asks 2 => hd(2); emit 1..5 => even 2 4, buffered 1",
    ),
    "broadcast to none": (
        BROADCAST,
        "emit 1..3 => buffered 3; A asks 2 => A 1..2, buffered 1; A asks 2 => A 3..3, hd(1)",
    ),
    "a late one holds all": (
        BROADCAST,
        (
            "A asks 4 => hd(4); B subscribes => ; emit 1..4 => buffered 4; B asks 3 => A 1..3, B 1..3, buffered 1; "
            "B dies => A 4..4"
        ),
    ),
}


class _Bench:
    """One silent producer, and consumers by name."""

    def __init__(self, settings: StageSettings) -> None:
        self.silent = Silent()
        process = alone(self.silent, Scheduler(), settings)
        assert isinstance(process, ProducerProcess)
        self.process = process
        self.consumers: dict[str, RawConsumer] = {}

    def consumer(self, name: str) -> RawConsumer:
        if name not in self.consumers:
            selector: Callable[[object], bool] | None = _is_even if name == "even" else None
            self.consumers[name] = RawConsumer(name, self.process, selector)
        return self.consumers[name]

    async def do(self, action: str) -> list[str]:
        """Do one step, let the machine run to its rest, and return what it did."""
        discarded = self.process.counts.discarded["overflow"]
        if found := re.fullmatch(r"emit (\d+)\.\.(\d+)", action):
            self.silent.emit_nowait(list(range(int(found[1]), int(found[2]) + 1)))
        elif found := re.fullmatch(r"(\w+) asks (\d+)", action):
            self.consumer(found[1]).ask(int(found[2]))
        elif found := re.fullmatch(r"(\w+) dies", action):
            assert self.consumers.pop(found[1]).leave() == []
        else:
            self.consumer(action.removesuffix(" subscribes"))
        await rest(self.process.scheduler)
        return self._seen(self.process.counts.discarded["overflow"] - discarded)

    def _seen(self, discarded: int) -> list[str]:
        seen = [f"hd({demand})" for demand in self.silent.demands]
        self.silent.demands.clear()
        for name, consumer in self.consumers.items():
            events = [event for delivery in consumer.deliveries for event in delivery]
            consumer.deliveries.clear()
            if events and name == "even":
                seen.append(f"even {' '.join(map(str, events))}")
            elif events:
                assert events == list(range(int(str(events[0])), int(str(events[-1])) + 1))
                seen.append(f"{name} {events[0]}..{events[-1]}")
        if discarded:
            seen.append(f"discarded {discarded}")
        if self.process.outlet.buffer.size:
            seen.append(f"buffered {self.process.outlet.buffer.size}")
        return seen


@pytest.mark.asyncio
@pytest.mark.parametrize("name", VECTORS)
async def test_a_producer_serves_and_asks_as_genstage_does(name: str) -> None:
    settings, vector = VECTORS[name]
    bench = _Bench(settings)
    await started(bench.process)
    for step in vector.split("; "):
        action, _, expected = step.partition(" => ")
        assert sorted(await bench.do(action)) == sorted(filter(None, expected.split(", "))), step


@pytest.mark.asyncio
async def test_asks_of_one_step_arrive_as_one_sum() -> None:
    bench = _Bench(DEMAND)
    await started(bench.process)
    bench.consumer("A").ask(10)
    bench.consumer("A").ask(5)
    assert await bench.do("A subscribes") == ["hd(15)"]


@pytest.mark.asyncio
async def test_what_a_consumer_had_not_begun_goes_to_the_next_one_before_all_else() -> None:
    bench = _Bench(DEMAND)
    await started(bench.process)
    bench.consumer("A").is_taking = False
    await bench.do("A asks 3")
    await bench.do("emit 1..5")
    await bench.do("A dies")
    assert await bench.do("B asks 10") == ["hd(5)", "B 1..5"]
