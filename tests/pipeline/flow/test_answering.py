"""Producer-consumers with a `handle_demand` of their own, and stages that want to know who asks."""

from collections.abc import Awaitable
from typing import cast

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Numbers, Silent
from tests.fakes.stepping import settled

pytestmark = pytest.mark.asyncio


class Cache(ProducerConsumer[object, object]):
    """Answers from what it holds, first; then passes on what comes."""

    def __init__(self, held: list[object], *, is_async: bool = False) -> None:
        self.held = held
        self.is_async = is_async
        self.demands: list[int] = []

    def handle_demand(self, demand: int) -> list[object] | Awaitable[list[object]]:
        self.demands.append(demand)
        found, self.held = self.held[:demand], self.held[demand:]
        return self._later(found) if self.is_async else found

    async def _later(self, found: list[object]) -> list[object]:
        return found

    def handle_events(self, events: list[object]) -> list[object]:
        return events


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_cache_in_the_middle_answers_before_what_is_upstream(*, is_async: bool) -> None:
    """GenStage never calls `handle_demand` on a producer_consumer (its issues 214 and 61)."""
    topology, cache, collect = Topology(), Cache(["a", "b"], is_async=is_async), Collect()
    topology.add("numbers", lambda: Numbers(12))
    topology.add("cache", lambda: cache, subscribe_to=SubscribeTo("numbers", max_demand=10))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("cache", max_demand=5, min_demand=0))
    outcome = await topology.run()
    assert outcome.is_fine
    assert collect.events == ["a", "b", *range(1, 13)]


async def test_it_is_told_of_each_ask_once_and_not_of_what_the_buffer_serves() -> None:
    topology, cache, silent, collect = Topology(), Cache([]), Silent(), Collect()
    topology.add("silent", lambda: silent)
    topology.add("cache", lambda: cache, subscribe_to="silent")
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("cache", max_demand=10, min_demand=5))
    topology.add("other", Collect, subscribe_to=SubscribeTo("cache", max_demand=3, min_demand=0))
    await topology.start()
    await settled(topology)
    assert sum(cache.demands) == 13
    silent.emit_nowait(list(range(26)))
    await settled(topology)
    assert sum(cache.demands) == 26  # 13 were sent, 13 buffered: those served as many of the asks that followed
    await topology.drain()


async def test_after_a_restart_it_is_told_anew_what_is_missing() -> None:
    topology, silent = Topology(), Silent()
    caches: list[Cache] = []

    def make() -> Cache:
        caches.append(Cache([] if len(caches) < 2 else ["again"]))
        return caches[-1]

    collect = Failing()
    topology.add("silent", lambda: silent)
    handle = topology.add("cache", make, subscribe_to="silent")
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("cache", max_demand=4))
    await topology.start()
    await settled(topology)
    handle.ref.cast_nowait(cast("object", _crash))  # type: ignore[arg-type] # a function is sent as it is
    await settled(topology)
    assert [cache.demands for cache in caches][-1] == [4]
    await topology.drain()


def _crash(_: object) -> None:
    raise KeyError("sku")


async def test_a_producer_knows_who_asks() -> None:
    """GenStage's users ask for `from` in `handle_demand` (its issue 248)."""

    class Asked(Silent):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[dict[str, int]] = []

        def handle_demand(self, demand: int) -> list[object]:
            self.seen.append(self.demand_by_consumer())
            return super().handle_demand(demand)

    topology, asked = Topology(), Asked()
    topology.add("asked", lambda: asked)
    topology.add("few", Collect, subscribe_to=SubscribeTo("asked", max_demand=2))
    topology.add("many", Collect, subscribe_to=SubscribeTo("asked", max_demand=200))
    await topology.start()
    await settled(topology)
    assert asked.seen[-1] == {"few": 2, "many": 200}
    await topology.drain()
