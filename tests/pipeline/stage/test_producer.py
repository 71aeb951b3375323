"""What `handle_demand` may return, what it must not, and what becomes of what it had yielded when it raises."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from headrace.errors import BadReturn, RestartsExhausted
from headrace.pipeline.engine.producing import ProducerStep
from headrace.pipeline.flow.ingress import SyncGenerator
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

COUNT = 1000


class _Base(Producer[object]):
    """Counts from 1 to COUNT, at most what is asked."""

    def __init__(self) -> None:
        self.next = 1
        self.asked = 0

    def some(self, demand: int) -> list[object]:
        self.asked += demand
        first, self.next = self.next, min(self.next + demand, COUNT + 1)
        if self.next > COUNT:
            self.complete()
        return list(range(first, self.next))


class _AsList(_Base):
    def handle_demand(self, demand: int) -> list[object]:
        return self.some(demand)


class _AsTuple(_Base):
    def handle_demand(self, demand: int) -> tuple[object, ...]:
        return tuple(self.some(demand))


class _AsRange(_Base):
    def handle_demand(self, demand: int) -> range:
        some = self.some(demand)
        return range(self.next - len(some), self.next)


class _AsGenerator(_Base):
    def handle_demand(self, demand: int) -> Iterator[object]:
        yield from range(1, COUNT + 1)
        self.complete()


class _AsGeneratorPerDemand(_Base):
    def handle_demand(self, demand: int) -> Iterator[object]:
        yield from self.some(demand)


class _AsAsyncGenerator(_Base):
    async def handle_demand(self, demand: int) -> AsyncIterator[object]:
        for number in range(1, COUNT + 1):
            if number % 7 == 0:
                await asyncio.sleep(0)
            yield number
        self.complete()


class _AsAsyncGeneratorPerDemand(_Base):
    async def handle_demand(self, demand: int) -> AsyncIterator[object]:
        for event in self.some(demand):
            yield event
            await asyncio.sleep(0)


class _AsAwaitedList(_Base):
    async def handle_demand(self, demand: int) -> list[object]:
        await asyncio.sleep(0)
        return self.some(demand)


class _AsAwaitedGenerator(_Base):
    async def handle_demand(self, demand: int) -> Iterator[object]:
        await asyncio.sleep(0)
        return iter(self.some(demand))


FORMS: list[Callable[[], Producer[object]]] = [
    _AsList,
    _AsTuple,
    _AsRange,
    _AsGenerator,
    _AsGeneratorPerDemand,
    _AsAsyncGenerator,
    _AsAsyncGeneratorPerDemand,
    _AsAwaitedList,
    _AsAwaitedGenerator,
]


async def _run(producer: Callable[[], Producer[object]], max_demand: int = 10) -> tuple[RunOutcome, list[object]]:
    topology, collect = Topology(), Collect()
    topology.add("producer", producer)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("producer", max_demand))
    await topology.start()
    outcome = await topology.join()
    check_end(run_of(topology))
    return outcome, collect.events


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 10, 1000])
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_events_flows_in_order_to_its_end(
    form: Callable[[], Producer[object]], max_demand: int
) -> None:
    outcome, events = await _run(form, max_demand)
    assert outcome.is_fine
    assert events == list(range(1, COUNT + 1))


@pytest.mark.asyncio
async def test_a_generator_is_pulled_for_no_more_than_was_asked() -> None:
    pulled = 0

    class Endless(Producer[int]):
        def handle_demand(self, demand: int) -> Iterator[int]:
            nonlocal pulled
            while True:
                pulled += 1
                yield pulled

    topology = Topology()
    topology.add("endless", Endless)
    await topology_with_reader(topology, "endless", 7)
    assert pulled == 7


@pytest.mark.asyncio
async def test_an_async_generator_is_pulled_for_no_more_than_was_asked() -> None:
    pulled = 0

    class Endless(Producer[int]):
        async def handle_demand(self, demand: int) -> AsyncIterator[int]:
            nonlocal pulled
            while True:
                pulled += 1
                yield pulled

    topology = Topology()
    topology.add("endless", Endless)
    await topology_with_reader(topology, "endless", 7)
    assert pulled == 7


async def topology_with_reader(topology: Topology, name: str, max_demand: int) -> None:
    """Ask a stage once, for `max_demand` events, and stop."""
    await topology.start()
    stream = topology.stage(name).stream(max_demand)
    await anext(stream)
    await settled(topology)
    await topology.stop()


@pytest.mark.asyncio
async def test_who_returns_fewer_owes_the_rest_and_is_not_asked_for_it_again() -> None:
    topology, silent, collect = Topology(), Silent(), Collect()
    topology.add("silent", lambda: silent)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", 10, 5))
    await topology.start()
    await settled(topology)
    assert silent.demands == [10]
    silent.emit_nowait([1, 2, 3, 4])
    await settled(topology)
    assert silent.demands == [10]
    silent.emit_nowait([5])
    await settled(topology)
    assert silent.demands == [10, 5]
    silent.emit_nowait(list(range(6, 16)))
    await settled(topology)
    assert silent.demands == [10, 5, 5, 5]
    assert collect.events == list(range(1, 16))
    await topology.drain()


class _Bad(Producer[object]):
    def __init__(self, returned: object) -> None:
        self.returned = returned

    def handle_demand(self, demand: int) -> list[object]:
        return self.returned  # type: ignore[return-value] # the mistake under test


class _BadLater(_Bad):
    async def handle_demand(self, demand: int) -> list[object]:  # type: ignore[override] # either form is allowed
        return self.returned  # type: ignore[return-value] # the mistake under test


@pytest.mark.asyncio
@pytest.mark.parametrize("form", [_Bad, _BadLater])
@pytest.mark.parametrize("returned", [None, "text", b"bytes", {"a": 1}, 7, object()])
async def test_what_is_no_list_of_events_is_refused_with_one_sentence(
    form: Callable[[object], Producer[object]], returned: object
) -> None:
    outcome, events = await _run(lambda: form(returned))
    assert events == []
    assert isinstance(outcome.reason, RestartsExhausted)
    assert isinstance(outcome.reason.reason, BadReturn)
    assert str(outcome.reason.reason) == (
        f"handle_demand of stage 'producer' returned {type(returned).__name__}, and must return a list of events "
        "(empty when there are none), or another iterable of them"
    )
    assert str(outcome.reason).startswith("'producer' failed again after 3 restarts within 5 s")


class _Raises(_Base):
    def handle_demand(self, demand: int) -> list[object]:
        raise KeyError("source")


class _RaisesLater(_Base):
    async def handle_demand(self, demand: int) -> list[object]:
        await asyncio.sleep(0)
        raise KeyError("source")


class _RaisesAfterSome(_Base):
    def handle_demand(self, demand: int) -> Iterator[object]:
        yield from ("a", "b", "c")
        raise KeyError("source")


class _RaisesLaterAfterSome(_Base):
    async def handle_demand(self, demand: int) -> AsyncIterator[object]:
        for event in ("a", "b", "c"):
            yield event
        raise KeyError("source")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("form", "each_time"),
    [(_Raises, []), (_RaisesLater, []), (_RaisesAfterSome, ["a", "b", "c"]), (_RaisesLaterAfterSome, ["a", "b", "c"])],
)
async def test_what_was_yielded_before_an_error_is_delivered_each_time_until_the_run_gives_up(
    form: Callable[[], Producer[object]], each_time: list[object]
) -> None:
    topology, collect = Topology(max_restarts=2), Collect()
    topology.add("producer", form)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("producer", 10, cancel="transient"))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted)
    assert isinstance(outcome.reason.reason, KeyError)
    snapshot = topology.snapshot().stages
    assert snapshot[0].events_sent == 3 * len(each_time)
    assert len(collect.events) + outcome.events_lost == 3 * len(each_time)
    check_end(run_of(topology))


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_is_closed_and_not_pulled_any_more_when_its_run_stops(is_async: bool) -> None:  # noqa: FBT001
    pulled, closed = 0, 0

    class Sync(Producer[int]):
        def handle_demand(self, demand: int) -> Iterator[int]:
            nonlocal pulled, closed
            try:
                while True:
                    pulled += 1
                    yield pulled
            finally:
                closed += 1

    class Async(Producer[int]):
        async def handle_demand(self, demand: int) -> AsyncIterator[int]:
            nonlocal pulled, closed
            try:
                while True:
                    pulled += 1
                    yield pulled
            finally:
                closed += 1

    topology, collect = Topology(), Collect()
    topology.add("endless", Async if is_async else Sync)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("endless", 10))
    await topology.start()
    outcome = await topology.stop()
    assert closed == 1
    assert len(collect.events) + outcome.events_lost == pulled
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_generator_is_not_pulled_any_more_once_its_run_drains() -> None:
    pulled = 0

    class Endless(Producer[int]):
        def handle_demand(self, demand: int) -> Iterator[int]:
            nonlocal pulled
            while True:
                pulled += 1
                yield pulled

    topology, gated = Topology(), Gated()
    topology.add("endless", Endless)
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("endless", 1000, 0))
    await topology.start()
    await settled(topology)
    run = run_of(topology)
    endless = run.processes["endless"]
    assert isinstance(endless.step, ProducerStep)
    assert isinstance(endless.step.pull, SyncGenerator)
    run.scheduler._slice_seconds = endless.step.pull._slice_seconds = 0.0
    gated.gate.set()
    await until(lambda: 1000 < pulled < 2000)
    before = pulled
    outcome = await topology.drain()
    assert outcome.is_fine
    assert (pulled, len(gated.events)) == (before, before)


@pytest.mark.asyncio
async def test_more_than_was_asked_waits_in_the_buffer() -> None:
    class Generous(Producer[int]):
        def handle_demand(self, demand: int) -> list[int]:
            self.complete()
            return list(range(100))

    topology, collect = Topology(), Collect()
    topology.add("generous", Generous, settings=StageSettings(buffer_size=100))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("generous", 10))
    await topology.start()
    outcome = await topology.join()
    assert outcome.is_fine
    assert collect.events == list(range(100))


@pytest.mark.asyncio
async def test_a_stream_that_waits_is_cut_off_by_a_drain_and_keeps_nothing_back() -> None:
    never = asyncio.Event()

    class Waiting(Producer[int]):
        async def handle_demand(self, demand: int) -> AsyncIterator[int]:
            yield 1
            await never.wait()
            yield 2

    topology, collect = Topology(), Collect()
    topology.add("waiting", Waiting)
    topology.add("collect", lambda: collect, subscribe_to="waiting")
    await topology.start()
    await settled(topology)
    assert collect.events == [1]
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_a_handle_demand_that_waits_is_cut_off_by_a_drain_after_its_shutdown_time() -> None:
    class Waiting(Producer[int]):
        async def handle_demand(self, demand: int) -> list[int]:
            await asyncio.Event().wait()
            return [1]

    topology = Topology()
    topology.add("waiting", Waiting, settings=StageSettings(shutdown_seconds=0.0))
    topology.add("collect", Collect, subscribe_to="waiting")
    await topology.start()
    await settled(topology)
    assert (await topology.drain()).is_fine
