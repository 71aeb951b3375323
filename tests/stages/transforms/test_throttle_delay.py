"""Events come through at a rate, or after a time, on a loop whose clock jumps."""

import asyncio
from typing import Any

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of
from headrace.stages.transforms.delay import Delay, DelayOptions
from headrace.stages.transforms.throttle import Throttle, ThrottleOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Numbers
from tests.fakes.jumping import jumped, when


class Stamps(Consumer[Any]):
    """Notes what comes, and when."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, float]] = []

    def handle_events(self, events: list[Any]) -> None:
        now = asyncio.get_running_loop().time()
        self.seen += [(data_of(event), now) for event in events]

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.seen]


def graph(source: Any, stage: ProducerConsumer[Any, Any], max_demand: int = 1000) -> tuple[Topology, Any, Stamps]:
    topology, origin, sink = Topology(), source, Stamps()
    topology.add("source", lambda: origin)
    topology.add("stage", lambda: stage, subscribe_to=SubscribeTo("source", max_demand))
    topology.add("sink", lambda: sink, subscribe_to="stage")
    return topology, origin, sink


def throttle(rate: str) -> Throttle:
    return Throttle(ThrottleOptions.model_validate({"rate": rate}))


def delay(**options: object) -> Delay:
    return Delay(DelayOptions.model_validate(options))


@pytest.mark.parametrize(("rate", "per_second"), [("10/s", 10), ("2/s", 2), ("120/m", 2)])
@pytest.mark.parametrize("max_demand", [1, 5, 1000])
def test_in_any_time_no_more_come_through_than_the_rate_and_one_period(
    rate: str, per_second: int, max_demand: int
) -> None:
    async def main() -> None:
        topology, source, sink = graph(Numbers(60), throttle(rate), max_demand)
        await topology.start()
        assert (await topology.join()).is_fine
        assert [event for event, _ in sink.seen] == list(range(1, 61))
        burst = int(rate.partition("/")[0])
        times = sink.times
        for first in range(60):
            for last in range(first, 60):
                seconds = times[last] - times[first]
                assert last - first + 1 <= seconds * per_second + burst + 1
        assert max(source.demands) <= max(burst, 1)  # the source is asked for no more than may come
        assert times[-1] - times[0] >= (60 - burst) / per_second - 1

    jumped(main())


def test_what_a_throttle_holds_back_waits_at_its_source() -> None:
    async def main() -> None:
        source = Told(None)
        topology, _, sink = graph(source, throttle("5/s"))
        await topology.start()
        await when(lambda: len(sink.seen) >= 20)
        assert source.emitted <= len(sink.seen) + 10
        await topology.stop()

    jumped(main())


def test_each_event_is_held_for_its_time_and_comes_in_order() -> None:
    async def main() -> None:
        topology, source, sink = graph(Told(50), delay(time="30s"))
        await topology.start()
        began = asyncio.get_running_loop().time()
        assert (await topology.join()).is_fine
        assert [event for event, _ in sink.seen] == list(range(1, 51))
        assert all(30 <= at - began < 31 for at in sink.times)
        assert source.outcomes() == [Outcome.DONE] * 50

    jumped(main())


def test_no_more_are_held_than_said() -> None:
    async def main() -> None:
        source = Told(None)
        topology, _, sink = graph(source, delay(time="10s", max_events=8))
        await topology.start()
        await when(lambda: len(sink.seen) >= 40)
        assert source.emitted <= len(sink.seen) + 2 * 8
        rounds = {round(at / 10) for at in sink.times[:40]}
        assert len(rounds) >= 4  # eight every ten seconds
        await topology.stop()
        assert source.emitted == len(source.told)

    jumped(main())


def test_a_drain_waits_for_what_is_held() -> None:
    async def main() -> None:
        topology, source, sink = graph(Told(None), delay(time="5s", max_events=4))
        await topology.start()
        await when(lambda: source.emitted >= 4)
        outcome = await topology.drain(60)
        assert outcome.is_fine
        assert len(sink.seen) == source.emitted

    jumped(main())


def test_a_throttle_to_which_nothing_comes_does_not_look_for_tokens_again_and_again() -> None:
    looked: list[object] = []

    class Watched(Throttle):
        def handle_info(self, message: object) -> None:
            looked.append(message)
            super().handle_info(message)

    async def main() -> None:
        options = ThrottleOptions.model_validate({"rate": "10000/s"})
        topology, _, sink = graph(Inbox(), Watched(options), 10)
        await topology.start()
        await asyncio.sleep(100)  # of a clock that jumps
        assert len(looked) < 10
        await topology.stage("source").emit(range(50))
        await when(lambda: len(sink.seen) == 50)
        assert (await topology.drain()).is_fine

    jumped(main())
