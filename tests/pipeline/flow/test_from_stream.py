"""Any iterable, async iterable or aiostream stream as a producer."""

import asyncio
import csv
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Self

import pytest
from aiostream import pipe, stream

from headrace.errors import BadOption, RestartsExhausted, Unrecoverable
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Gated
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled, until

COUNT = 100


async def _async_numbers(count: int | None = COUNT) -> AsyncIterator[int]:
    for number in itertools.count(1) if count is None else range(1, count + 1):
        if number % 7 == 0:
            await asyncio.sleep(0)
        yield number


class _OwnIterator:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.last = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self.last == COUNT:
            raise StopAsyncIteration
        self.last += 1
        return self.last


SOURCES: dict[str, Callable[[], Iterable[object]]] = {
    "list": lambda: list(range(1, COUNT + 1)),
    "range": lambda: range(1, COUNT + 1),
    "iterator": lambda: iter(range(1, COUNT + 1)),
    "generator": lambda: (number for number in range(1, COUNT + 1)),
}


def _next(number: int, *_: int) -> int:
    return number + 1


ASYNC_SOURCES: dict[str, Callable[[], AsyncIterable[object]]] = {
    "async generator": _async_numbers,
    "async iterator": _OwnIterator,
    "aiostream": lambda: stream.range(1, COUNT + 1),
    "aiostream with pipes": lambda: stream.count(0, interval=0) | pipe.map(_next) | pipe.take(COUNT),
    "aiostream over a generator": lambda: stream.iterate(_async_numbers()),
}


async def _run(factory: Callable[[], Producer[object]], max_demand: int = 10) -> tuple[RunOutcome, list[object]]:
    topology, collect = Topology(), Collect()
    topology.add("source", factory)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("source", max_demand))
    await topology.start()
    outcome = await topology.join()
    check_end(run_of(topology))
    return outcome, collect.events


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 10, 1000])
@pytest.mark.parametrize("name", SOURCES)
async def test_an_iterable_is_a_producer_that_completes_when_it_ends(name: str, max_demand: int) -> None:
    outcome, events = await _run(Producer.from_stream(SOURCES[name]()), max_demand)
    assert outcome.is_fine
    assert events == list(range(1, COUNT + 1))


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 10, 1000])
@pytest.mark.parametrize("name", ASYNC_SOURCES)
async def test_an_async_iterable_is_a_producer_that_completes_when_it_ends(name: str, max_demand: int) -> None:
    outcome, events = await _run(Producer.from_stream(ASYNC_SOURCES[name]()), max_demand)
    assert outcome.is_fine
    assert events == list(range(1, COUNT + 1))


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ASYNC_SOURCES)
async def test_what_handle_demand_returns_may_be_any_of_them_too(name: str) -> None:
    class Returns(Producer[object]):
        def handle_demand(self, demand: int) -> AsyncIterable[object]:
            return ASYNC_SOURCES[name]()

    topology, collect = Topology(), Collect()
    topology.add("source", Returns)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("source", COUNT, 0))
    await topology.start()
    await until(lambda: len(collect.events) >= COUNT)
    await topology.drain()
    assert collect.events[:COUNT] == list(range(1, COUNT + 1))


@pytest.mark.asyncio
async def test_a_stream_is_closed_in_the_task_that_read_it_when_the_run_ends_before_it() -> None:
    tasks: list[object] = []

    async def endless() -> AsyncIterator[int]:
        tasks.append(asyncio.current_task())
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup():
                async for number in _async_numbers(None):
                    yield number
        finally:
            tasks.append(asyncio.current_task())

    topology, collect = Topology(), Collect()
    topology.add("source", Producer.from_stream(stream.iterate(endless()) | pipe.map(_next)))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("source", 10))
    await topology.start()
    await until(lambda: len(collect.events) > 50)
    outcome = await topology.drain()
    assert outcome.is_fine
    assert tasks[0] is not None
    assert tasks == [tasks[0]] * 2


@pytest.mark.asyncio
async def test_a_slow_stream_delivers_what_it_has_without_waiting_for_a_whole_batch() -> None:
    arrivals: asyncio.Queue[int] = asyncio.Queue()

    async def slow() -> AsyncIterator[int]:
        while True:
            yield await arrivals.get()

    topology, collect = Topology(), Collect()
    topology.add("slow", Producer.from_stream(slow()))
    topology.add("collect", lambda: collect, subscribe_to="slow")
    await topology.start()
    for number in range(1, 4):
        arrivals.put_nowait(number)
        await settled(topology)
        assert collect.events == list(range(1, number + 1))
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_a_stream_is_pulled_for_no_more_than_was_asked() -> None:
    pulled = 0

    async def endless() -> AsyncIterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    topology, gated = Topology(), Gated()
    topology.add("endless", Producer.from_stream(endless()))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("endless", 7, 3))
    await topology.start()
    await gated.entered.wait()
    await settled(topology)
    assert pulled == 7
    await topology.stop()


async def _breaks_later() -> AsyncIterator[int]:
    for number in range(50):
        yield number
    raise KeyError("source")


def _breaks() -> Iterator[int]:
    yield from range(50)
    raise KeyError("source")


@pytest.mark.asyncio
@pytest.mark.parametrize("generator", [_breaks, _breaks_later])
async def test_a_generator_that_raised_never_looks_complete(
    generator: Callable[[], Iterable[int] | AsyncIterator[int]],
) -> None:
    topology, collect = Topology(), Collect()
    topology.add("source", Producer.from_stream(generator()))
    topology.add("collect", lambda: collect, subscribe_to="source")
    await topology.start()
    outcome = await topology.join()
    assert len(collect.events) + outcome.events_lost == 50
    assert not outcome.is_fine
    assert isinstance(outcome.reason, Unrecoverable)
    assert str(outcome.reason) == (
        "the generator that 'source' emits raised KeyError: 'source', and cannot go on after that: "
        "let it catch the errors that it can survive, or give from_stream an iterable that can begin again"
    )
    assert isinstance(outcome.reason.__cause__, KeyError)


class _Flaky:
    """An iterator that fails once in its middle and can go on."""

    def __init__(self) -> None:
        self.last = 0
        self.has_failed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        if self.last == 5 and not self.has_failed:
            self.has_failed = True
            raise KeyError("source")
        if self.last == COUNT:
            raise StopIteration
        self.last += 1
        return self.last


@pytest.mark.asyncio
async def test_an_iterator_that_can_goes_on_where_it_was_after_a_crash() -> None:
    outcome, events = await _run(Producer.from_stream(_Flaky()))
    assert events == list(range(1, COUNT + 1))
    assert (outcome.is_completed, outcome.events_failed, outcome.is_fine) == (True, 1, False)


@pytest.mark.asyncio
async def test_one_bad_line_of_a_source_that_goes_on_counts_as_failed() -> None:
    outcome, events = await _run(Producer.from_stream(map(int, ["1", "2", "x", "4"])))
    assert events == [1, 2, 4]
    assert (outcome.is_completed, outcome.events_failed, outcome.is_fine) == (True, 1, False)


def _disk_lines() -> Iterator[str]:
    yield from ["1", "2", "3"]
    raise OSError("disk")


async def _disk_lines_later() -> AsyncIterator[str]:
    for line in _disk_lines():
        yield line


class _Wrapped:
    """An async iterator around a generator."""

    def __init__(self, source: AsyncIterator[object]) -> None:
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        return await anext(self._source)


FAILING: dict[str, Callable[[], Iterable[object] | AsyncIterable[object]]] = {
    "map": lambda: map(str, _disk_lines()),
    "enumerate": lambda: enumerate(_disk_lines()),
    "csv.reader": lambda: csv.reader(_disk_lines()),
    "itertools.chain": lambda: itertools.chain(_disk_lines(), ["4"]),
    "async iterator": lambda: _Wrapped(_disk_lines_later()),
    "aiostream": lambda: stream.iterate(_disk_lines_later()),
    "aiostream with pipes": lambda: stream.iterate(_disk_lines_later()) | pipe.take(10),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FAILING)
async def test_a_wrapped_generator_that_raised_never_looks_complete(name: str) -> None:
    outcome, events = await _run(Producer.from_stream(FAILING[name]()))
    assert len(events) + outcome.events_lost >= 3
    assert (outcome.is_fine, outcome.events_failed) == (False, 1)
    if name != "itertools.chain":  # which goes on with its next part
        assert str(outcome.reason) == (
            "the source that 'source' emits was cut off by OSError: disk, and yielded nothing after the restart: "
            "let it catch the errors that it can survive, or give from_stream an iterable that can begin again"
        )


@pytest.mark.asyncio
@pytest.mark.parametrize("wrap", [aiter, _Wrapped, stream.iterate])
async def test_a_source_whose_awaited_work_was_cancelled_never_looks_complete(
    wrap: Callable[[AsyncIterator[object]], AsyncIterable[object]],
) -> None:
    async def requests() -> AsyncIterator[object]:
        yield 1
        work = asyncio.ensure_future(asyncio.sleep(60))
        work.cancel()
        await work

    outcome, events = await _run(Producer.from_stream(wrap(requests())))
    assert len(events) + outcome.events_lost == 1
    assert isinstance(outcome.reason, Unrecoverable)
    assert isinstance(outcome.reason.__cause__, asyncio.CancelledError)
    assert outcome.events_failed == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("source", [lambda: iter(number for number in itertools.count()), lambda: _async_numbers(None)])
async def test_a_generator_that_a_crash_of_its_stage_closed_never_looks_complete(
    source: Callable[[], Iterable[object]],
) -> None:
    topology, gated = Topology(), Gated()
    handle = topology.add("source", Producer.from_stream(source()))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("source", 10))
    await topology.start()
    await gated.entered.wait()
    handle.ref.cast_nowait(_raise)
    gated.gate.set()
    outcome = await topology.join()
    assert isinstance(outcome.reason, Unrecoverable)
    assert "was cut off by ZeroDivisionError" in str(outcome.reason)


def _raise(_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.asyncio
async def test_a_drain_that_cancels_an_idle_stream_is_fine() -> None:
    async def idle() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    topology, collect = Topology(), Collect()
    topology.add("source", Producer.from_stream(idle()))
    topology.add("collect", lambda: collect, subscribe_to="source")
    await topology.start()
    await settled(topology)
    outcome = await topology.drain()
    assert collect.events == [1]
    assert outcome.is_fine


class _Broken:
    """An iterable that begins again and fails again."""

    def __iter__(self) -> Iterator[int]:
        return _breaks()


@pytest.mark.asyncio
async def test_an_iterable_begins_again_after_a_crash_until_its_supervisor_gives_up() -> None:
    outcome, events = await _run(Producer.from_stream(_Broken()))
    assert isinstance(outcome.reason, RestartsExhausted)
    assert len(events) + outcome.events_lost == 4 * 50


async def _closes_itself_later() -> AsyncIterator[object]:
    yield 1
    raise GeneratorExit


def _closes_itself() -> Iterator[object]:
    yield 1
    raise GeneratorExit


@pytest.mark.asyncio
@pytest.mark.parametrize("source", [_closes_itself, _closes_itself_later, lambda: _Wrapped(_closes_itself_later())])
async def test_a_source_that_raises_generator_exit_never_looks_complete(
    source: Callable[[], Iterable[object] | AsyncIterable[object]],
) -> None:
    outcome, events = await _run(Producer.from_stream(source()))
    assert len(events) + outcome.events_lost == 1
    assert isinstance(outcome.reason, Unrecoverable)
    assert outcome.events_failed == 1


@pytest.mark.parametrize("source", [5, None, _closes_itself, _async_numbers])
def test_what_is_no_stream_is_refused_before_anything_runs(source: Iterable[object]) -> None:
    with pytest.raises(BadOption) as refused:
        Producer.from_stream(source)
    assert str(refused.value) == (
        f"the source given to from_stream is {source!r}, and must be "
        "an iterable or an async iterable; a function that makes one has to be called"
    )
