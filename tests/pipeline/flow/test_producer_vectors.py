"""GenStage's vectors for a producer's demand, buffer and dispatchers, as seen on a running one, stepped.

A, B, ... ask by hand; `even` and `odd` select such numbers, or have a partition each. `hd(n)` is `handle_demand(n)`,
which emits nothing; `emit` is done from outside of it. What reaches different receivers in one step has no mutual
order.
"""

import re
from functools import partial

import pytest

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from tests.fakes.flow_stages import Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started


def _is_even(event: object) -> bool:
    return isinstance(event, int) and event % 2 == 0


DEMAND, BROADCAST = StageSettings(), StageSettings(dispatcher="broadcast")
PARTITION = StageSettings(dispatcher=partial(PartitionDispatcher, 2))
ACCUMULATE = StageSettings(demand="accumulate")
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
    "D9": (
        ACCUMULATE,
        "A asks 10 => ; A asks 5 => ; emit 1..2 => buffered 2; forward => A 1..2, hd(15); emit 3..15 => A 3..15",
    ),
    "events that were accumulated before the asks": (
        ACCUMULATE,
        "emit 1..2 => buffered 2; A asks 10 => buffered 2; emit 3..4 => buffered 4; forward => A 1..4, hd(8)",
    ),
    "more events than asks": (
        ACCUMULATE,
        "A asks 3 => ; emit 1..5 => buffered 5; forward => A 1..3, hd(3), buffered 2; A asks 4 => A 4..5, hd(2)",
    ),
    "accumulating again": (
        DEMAND,
        (
            "A asks 10 => hd(10); accumulate => ; A asks 5 => ; emit 1..5 => buffered 5; forward => A 1..5, hd(5); "
            "emit 6..15 => A 6..15; A asks 1 => hd(1)"
        ),
    ),
    "the first of a broadcast alone takes nothing": (
        StageSettings(dispatcher="broadcast", demand="accumulate"),
        "A asks 4 => ; emit 1..2 => buffered 2; B asks 3 => buffered 2; forward => A 1..2, B 1..2, hd(1)",
    ),
    "P1": (
        PARTITION,
        (
            "even subscribes => ; odd subscribes => ; even asks 4 => hd(4); odd asks 4 => hd(4); "
            "emit 1..8 => even 2 4 6 8, odd 1 3 5 7"
        ),
    ),
    "P2, bounded": (
        PARTITION,
        (
            "even asks 10 => hd(10); emit 1..10 => even 2 4 6 8 10, buffered 5, hd(5); odd asks 3 => odd 1 3 5, "
            "buffered 2; odd asks 4 => odd 7 9, hd(2)"
        ),
    ),
    "P4, cured": (
        PARTITION,
        (
            "even asks 4 => hd(4); odd subscribes => ; emit 1..4 => even 2 4, buffered 2, hd(2); "
            "odd dies => buffered 2; odd asks 3 => odd 1 3, hd(1)"
        ),
    ),
    "a full partition stops the stage": (
        StageSettings(dispatcher=partial(PartitionDispatcher, 2, max_queue=3), buffer_size=2),
        (
            "even asks 10 => hd(3); odd subscribes => ; emit 1..5 => even 2 4, buffered 3; emit 6..6 => even 6, "
            "buffered 3; emit 7..9 => discarded 1, buffered 5; odd asks 1 => odd 1, even 8, buffered 3; "
            "odd asks 9 => odd 3 5 9, hd(3)"
        ),
    ),
    "round robin": (
        StageSettings(dispatcher="round_robin"),
        "even asks 10 => hd(10); odd asks 3 => hd(3); emit 1..8 => even 1 3 5 7 8, odd 2 4 6; emit 9..9 => even 9",
    ),
    "weighted": (
        StageSettings(dispatcher="weighted"),
        "even asks 9 => hd(9); odd asks 9 => hd(9); emit 1..8 => even 1 2 3 4 5 6, odd 7 8; emit 9..9 => even 9",
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
        assert process.output is not None
        self.process = process
        self.dispatcher = settings.dispatcher
        self.consumers: dict[str, RawConsumer] = {}

    def consumer(self, name: str) -> RawConsumer:
        if name not in self.consumers:
            self.consumers[name] = RawConsumer(name, self.process, to=self._to(name))
        return self.consumers[name]

    def _to(self, name: str) -> SubscribeTo:
        if name == "even" and self.dispatcher == "broadcast":
            return SubscribeTo("silent", selector=_is_even)
        if name == "even" and self.dispatcher == "weighted":
            return SubscribeTo("silent", weight=3)
        if isinstance(self.dispatcher, partial):
            return SubscribeTo("silent", partition=0 if name == "even" else 1)
        return SubscribeTo("silent")

    async def do(self, action: str) -> list[str]:
        """Do one step, let the machine run to its rest, and return what it did."""
        discarded = self.process.counts.discarded["overflow"]
        if found := re.fullmatch(r"emit (\d+)\.\.(\d+)", action):
            self.silent.emit_nowait(list(range(int(found[1]), int(found[2]) + 1)))
        elif found := re.fullmatch(r"(\w+) asks (\d+)", action):
            self.consumer(found[1]).ask(int(found[2]))
        elif action in {"forward", "accumulate"}:
            self.process.demand("forward" if action == "forward" else "accumulate")
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
            if events and name in {"even", "odd"}:
                seen.append(f"{name} {' '.join(map(str, events))}")
            elif events:
                assert events == list(range(int(str(events[0])), int(str(events[-1])) + 1))
                seen.append(f"{name} {events[0]}..{events[-1]}")
        if discarded:
            seen.append(f"discarded {discarded}")
        if self.process._output.buffered():
            seen.append(f"buffered {self.process._output.buffered()}")
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
