"""Telemetry events of batches: emitted while a handler is attached, and free while none is."""

import asyncio
from collections import Counter

import pytest

from headrace.pipeline.engine.stage_process import BATCH_STOP
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import EventName, Measurements, Metadata
from tests.fakes.flow_stages import Collect, Numbers, Pass, Silent
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


class Seen:
    """Adds up the events of each stage."""

    def __init__(self) -> None:
        self.counts: Counter[object] = Counter()
        self.batches: Counter[object] = Counter()

    def __call__(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        assert name == ("headrace", "stage", "batch", "stop")
        assert measurements["duration_seconds"] >= 0
        self.counts[metadata["stage"]] += int(measurements["count"])
        self.batches[metadata["stage"]] += 1


class LaterNumbers(Producer[int]):
    async def handle_demand(self, demand: int) -> list[int]:
        await asyncio.sleep(0)
        self.complete()
        return list(range(20))


class StreamedNumbers(Producer[int]):
    def handle_demand(self, demand: int) -> object:  # type: ignore[override] # a generator
        return self._numbers()

    async def _numbers(self) -> object:
        for number in range(20):
            yield number
        self.complete()


class Later(ProducerConsumer[int, int]):
    async def handle_events(self, events: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return events


class EachLater(Later):
    per_event = True


class CollectLater(Consumer[int]):
    async def handle_events(self, events: list[int]) -> None:
        await asyncio.sleep(0)


class Children(ConsumerSupervisor[int]):
    def run(self, event: int) -> None:
        pass


class FirstTwenty(Numbers):
    def __init__(self) -> None:
        super().__init__(20)


@pytest.mark.parametrize("source", [FirstTwenty, LaterNumbers, StreamedNumbers])
@pytest.mark.parametrize(("middle", "limit"), [(Pass, 1), (Later, 1), (Later, 3), (EachLater, 3)])
@pytest.mark.parametrize("sink", [Collect, CollectLater, Children])
async def test_every_event_is_in_one_telemetry_event_of_each_stage(
    source: type[Stage], middle: type[Stage], limit: int, sink: type[Stage]
) -> None:
    topology, seen = Topology(), Seen()
    topology.telemetry.attach("seen", BATCH_STOP, seen)
    settings = StageSettings(concurrency=Concurrency(limit))
    topology.add("source", source)
    topology.add("middle", middle, subscribe_to=SubscribeTo("source", 30, 15), settings=settings)
    topology.add("sink", sink, subscribe_to=SubscribeTo("middle", 10, 5))
    assert (await topology.run()).is_fine
    assert seen.counts == {"source": 20, "middle": 20, "sink": 20}


async def test_a_handler_may_come_and_go_while_stages_run() -> None:
    topology, seen = Topology(), Seen()
    topology.add("silent", Silent)
    topology.add("sink", Collect, subscribe_to="silent")
    async with topology:
        silent, process = topology.stage("silent"), topology._started().processes["sink"]
        plain = process.turns.run
        assert plain.args == (process.step.turn,)  # type: ignore[attr-defined] # a partial; nothing is paid
        for number, attach in enumerate([False, True, False, True], 1):
            if attach:
                topology.telemetry.attach("seen", ("headrace", "stage"), seen)
            else:
                topology.telemetry.detach("seen")
            await silent.emit(["event"])
            await until(lambda: topology.snapshot().stages[1].events_received == number)  # noqa: B023 - awaited here
    assert seen.counts == {"sink": 2}


async def test_handlers_of_other_events_cost_a_batch_nothing() -> None:
    topology = Topology()
    topology.telemetry.attach("crashes", ("headrace", "process"), Seen())
    topology.add("silent", Silent)
    topology.add("sink", Collect, subscribe_to="silent")
    async with topology:
        process = topology._started().processes["sink"]
        assert process.turns.run.args == (process.step.turn,)  # type: ignore[attr-defined] # a partial
