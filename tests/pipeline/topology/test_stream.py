"""Reading a stage as an async iterator, under back-pressure."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import cast

import pytest
from aiostream import pipe, stream

from headrace.errors import DemandError, GraphError, NoProcess, ProcessDown, ReaderTooSlow, RestartsExhausted
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import Told
from tests.fakes.flow_stages import Collect, Gated, Numbers, Pass, Silent
from tests.fakes.stepping import run_of, settled, until


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 2, 10, 1000])
async def test_a_stage_is_read_to_its_end_in_order(max_demand: int) -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(100))
    handle = topology.add("pass", Pass, subscribe_to="numbers")
    async with topology:
        events = [event async for event in handle.stream(max_demand)]
        assert events == list(range(1, 101))
        assert (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_a_stage_is_asked_for_more_only_as_its_events_are_read() -> None:
    topology, numbers = Topology(), Numbers()
    handle = topology.add("numbers", lambda: numbers)
    await topology.start()
    async with aclosing(handle.stream(4, 2)) as events:
        for last in range(1, 13):
            assert await anext(events) == last
            await settled(topology)
            assert numbers.emitted <= last + 4
    assert numbers.demands == [4, 2, 2, 2, 2, 2]
    await topology.stop()


@pytest.mark.asyncio
async def test_a_stream_works_with_pipes_under_back_pressure() -> None:
    topology, numbers = Topology(), Numbers()
    handle = topology.add("numbers", lambda: numbers)
    async with topology:
        piped = stream.iterate(handle.stream(10)) | pipe.map(lambda number, *_: cast("int", number) * 2) | pipe.take(25)
        async with piped.stream() as streamer:
            assert [event async for event in streamer] == list(range(2, 52, 2))
        await settled(topology)
        assert numbers.emitted <= 25 + 10
        assert run_of(topology).processes["numbers"].output.subscriptions == []  # type: ignore[union-attr] # a producer


@pytest.mark.asyncio
async def test_a_stream_takes_operators_and_is_left_when_they_are() -> None:
    topology, numbers = Topology(), Numbers()
    handle = topology.add("numbers", lambda: numbers)
    async with topology:
        piped = handle.stream(10) | pipe.map(lambda number, *_: number * 2) | pipe.take(25)
        async with piped.stream() as streamer:
            assert [event async for event in streamer] == list(range(2, 52, 2))
        assert _outlet(topology, "numbers").subscriptions == []
        merged = handle.stream(4) | pipe.merge(handle.stream(4)) | pipe.take(20)
        assert sorted(await (merged | pipe.list())) == list(range(26, 46))
        assert _outlet(topology, "numbers").subscriptions == []


@pytest.mark.asyncio
async def test_a_stream_is_an_async_generator_in_all_respects() -> None:
    topology = Topology()
    handle = topology.add("numbers", Numbers)
    async with topology:
        stream_ = handle.stream(4)
        assert isinstance(stream_, AsyncGenerator)
        assert (await anext(stream_), await stream_.asend(None)) == (1, 2)
        for error in (OSError, OSError("thrown")):
            reader = handle.stream(4)
            await anext(reader)
            with pytest.raises(OSError):  # noqa: PT011 - the one that was thrown
                await reader.athrow(error)
        await stream_.aclose()
        assert _outlet(topology, "numbers").subscriptions == []


@pytest.mark.asyncio
async def test_what_a_reader_had_not_read_when_it_left_goes_to_the_next_one() -> None:
    topology, numbers = Topology(), Numbers()
    handle = topology.add("numbers", lambda: numbers)
    await topology.start()
    async with aclosing(handle.stream(10, 5)) as events:
        first = [await anext(events) for _ in range(3)]
    async with aclosing(handle.stream(10, 5)) as events:
        second = [await anext(events) for _ in range(12)]
    assert [*first, *second] == list(range(1, 16))
    await topology.stop()
    check_read(topology, numbers, 15)


def check_read(topology: Topology, numbers: Numbers, read: int) -> None:
    """Assert that a stage that only readers read has lost nothing that it did not count."""
    stage = topology.snapshot().stages[0]
    assert stage.events_sent == read
    assert numbers.emitted == read + stage.buffer_events + sum(stage.discarded.values())


@pytest.mark.asyncio
async def test_a_reader_that_left_no_longer_holds_a_broadcast_back() -> None:
    topology, numbers, collect = Topology(), Numbers(100), Collect()
    handle = topology.add("numbers", lambda: numbers, settings=StageSettings(dispatcher="broadcast"))
    gated = Gated()
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 4))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", 4))
    await topology.start()
    async with aclosing(handle.stream(4)) as events:
        reading = asyncio.ensure_future(anext(events))
        await settled(topology)
        gated.gate.set()
        assert await reading == 5
        await settled(topology)
        assert len(collect.events) < 100
    assert (await topology.join()).is_fine
    assert collect.events == gated.events == list(range(1, 101))


@pytest.mark.asyncio
async def test_a_reader_of_a_stage_that_fails_for_good_gets_its_last_error() -> None:
    class Broken(Producer[int]):
        def handle_demand(self, demand: int) -> list[int]:
            raise KeyError("source")

    topology = Topology(max_restarts=1)
    handle = topology.add("broken", Broken)
    await topology.start()
    with pytest.raises(KeyError):
        await anext(handle.stream())
    assert isinstance((await topology.join()).reason, RestartsExhausted)


@pytest.mark.asyncio
async def test_a_reader_reads_on_over_a_restart_of_the_stage() -> None:
    class Fails(Numbers):
        def handle_demand(self, demand: int) -> list[int]:
            if len(self.demands) == 3:
                self.demands.append(0)
                raise KeyError("once")
            return super().handle_demand(demand)

    numbers, topology = Fails(100), Topology()
    handle = topology.add("numbers", lambda: numbers)
    await topology.start()
    assert [event async for event in handle.stream(10)] == list(range(1, 101))
    await topology.join()


@pytest.mark.asyncio
async def test_a_new_reader_of_a_stage_that_crashed_for_good_gets_its_crash() -> None:
    class Broken(Producer[int]):
        def __init__(self, error: BaseException) -> None:
            self.error = error

        async def handle_demand(self, demand: int) -> list[int]:
            raise self.error

    topology, cancelled = Topology(cancel="temporary"), asyncio.CancelledError()
    temporary = StageSettings(restart="temporary")
    broken = topology.add("broken", lambda: Broken(KeyError("source")), settings=temporary)
    cut_off = topology.add("cut off", lambda: Broken(cancelled), settings=temporary)
    topology.add("silent", Silent)
    topology.add("sink", Collect, subscribe_to=["silent", "broken", "cut off"])
    await topology.start()
    await settled(topology)
    with pytest.raises(KeyError):
        await anext(broken.stream())
    with pytest.raises(ProcessDown) as caught:
        await anext(cut_off.stream())
    assert caught.value.reason is cancelled
    await topology.stop()


async def _fail_on(reader: AsyncGenerator[object, None], number: object) -> list[object]:
    """Read until an event comes whose handling fails; return what was read."""
    read: list[object] = []
    with suppress(OSError):
        async with aclosing(reader):
            async for event in reader:
                read.append(event)
                if event == number:
                    raise OSError(event)
    return read


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 4])
async def test_a_message_whose_reader_failed_is_delivered_again(max_demand: int) -> None:
    topology, told = Topology(), Told(5)
    handle = topology.add("told", lambda: told)
    await topology.start()
    assert await _fail_on(handle.stream(max_demand), 3) == [1, 2, 3]
    assert told.told == {1: [Outcome.DONE], 2: [Outcome.DONE]}
    assert [event async for event in handle.stream(max_demand)] == [3, 4, 5]
    assert (await topology.join()).is_fine
    assert set(told.outcomes()) == {Outcome.DONE}


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [1, None])
async def test_a_message_whose_reader_failed_has_failed_where_no_other_can_get_it(count: int | None) -> None:
    topology, told = Topology(), Told(count)
    handle = topology.add("told", lambda: told)
    await topology.start()
    assert await _fail_on(handle.stream(3), 1) == [1]
    await topology.drain(1)
    assert set(told.outcomes()) == {Outcome.FAILED}


@pytest.mark.asyncio
@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_message_that_a_reader_held_for_too_long_is_done_only_if_it_goes_on(*, goes_on: bool) -> None:
    topology, told = Topology(), Told(None)
    handle = topology.add("told", lambda: told)
    await topology.start()
    reader = handle.stream(1, timeout_seconds=0.01)
    assert await anext(reader) == 1
    await until(lambda: not _outlet(topology, "told").subscriptions)
    if goes_on:
        with pytest.raises(ReaderTooSlow):
            await anext(reader)
    await reader.aclose()
    assert told.told[1] == [Outcome.DONE if goes_on else Outcome.FAILED]
    await topology.stop()


def _outlet(topology: Topology, stage: str) -> StageOutput:
    process = run_of(topology).processes[stage]
    assert process.output is not None
    return process.output


@pytest.mark.asyncio
async def test_a_stream_of_a_stopped_run_ends() -> None:
    topology = Topology()
    handle = topology.add("silent", Silent)
    await topology.start()

    async def read() -> list[object]:
        return [event async for event in handle.stream()]

    reading = asyncio.ensure_future(read())
    await settled(topology)
    await topology.stop()
    assert await reading == []
    assert await read() == []


@pytest.mark.asyncio
async def test_a_stream_that_cannot_be_is_refused_when_it_is_made() -> None:
    topology = Topology()
    handle = topology.add("numbers", lambda: Numbers(3))
    sink = topology.add("collect", Collect, subscribe_to="numbers")
    with pytest.raises(NoProcess):
        handle.stream()
    await topology.start()
    with pytest.raises(GraphError, match="is a consumer and emits nothing: read the stage that feeds it"):
        sink.stream()
    with pytest.raises(GraphError, match="does not exist; there are: "):
        topology.stage("nobody")
    with pytest.raises(DemandError):
        handle.stream(max_demand=0)
    with pytest.raises(DemandError):
        handle.stream(5, 5)
    await topology.join()


@pytest.mark.asyncio
async def test_a_reader_that_is_cancelled_gives_all_back() -> None:
    topology, silent, collect = Topology(), Silent(), Collect()
    handle = topology.add("silent", lambda: silent)
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("silent", 2, 0))
    await topology.start()

    async def read() -> None:
        async with aclosing(handle.stream(100)) as events:
            async for _ in events:
                await asyncio.Event().wait()

    reading = asyncio.ensure_future(read())
    await settled(topology)
    silent.emit_nowait(list(range(10)))
    await settled(topology)
    assert collect.events == []
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await topology.drain()).is_fine
    assert collect.events == list(range(1, 10))
    stage = topology.snapshot().stages[0]
    assert (stage.events_sent, stage.buffer_events) == (10, 0)


@pytest.mark.asyncio
async def test_a_reader_that_stands_still_loses_its_place_and_what_it_has_not_read() -> None:
    topology, collect = Topology(), Collect()
    handle = topology.add("numbers", lambda: Numbers(10))
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    reader = handle.stream(6, 0, timeout_seconds=0.001)
    assert await anext(reader) == 1
    await until(lambda: not run_of(topology).processes["numbers"].output.subscriptions)  # type: ignore[union-attr]
    topology.stage("collect").subscribe("numbers")
    with pytest.raises(ReaderTooSlow, match="the reader of stage 'numbers' did not read for"):
        await anext(reader)
    assert (await topology.join()).is_fine
    assert collect.events == list(range(2, 11))


@pytest.mark.asyncio
async def test_a_reader_that_waits_for_events_is_not_late() -> None:
    topology, silent = Topology(), Silent()
    handle = topology.add("silent", lambda: silent)
    await topology.start()
    reader = handle.stream(6, 0, timeout_seconds=0.001)
    first = asyncio.ensure_future(anext(reader))
    ticks = run_of(topology).scheduler.loop.create_future()
    run_of(topology).scheduler.loop.call_later(0.005, ticks.set_result, None)
    await ticks
    silent.emit_nowait([1])
    assert await first == 1
    await reader.aclose()
    await topology.drain()


@pytest.mark.asyncio
async def test_a_reader_reads_one_partition_of_a_partitioned_stage() -> None:
    parity = partial(PartitionDispatcher, 2, hash=lambda event: cast("int", event) % 2)
    topology, collect = Topology(), Collect()
    handle = topology.add("numbers", lambda: Numbers(6), settings=StageSettings(dispatcher=parity))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("numbers", partition=0))
    async with topology:
        assert [event async for event in handle.stream(partition=1)] == [1, 3, 5]
    assert collect.events == [2, 4, 6]


@pytest.mark.asyncio
@pytest.mark.parametrize(("readers", "max_demand"), [(20, 10), (2, 300)])
async def test_events_that_were_asked_for_are_not_lost_where_their_readers_leave(readers: int, max_demand: int) -> None:
    async def ticks() -> AsyncGenerator[int, None]:
        for number in range(400):
            yield number
            if number % 10 == 0:
                await asyncio.sleep(0)

    topology = Topology()
    settings = StageSettings(buffer_size=20)
    handle = topology.add("ticks", Producer.from_stream(ticks()), settings=settings)
    await topology.start()
    streams = [handle.stream(max_demand) for _ in range(readers)]
    seen = [await anext(reader) for reader in streams]
    for reader in streams[1:]:
        await reader.aclose()
    await settled(topology)
    async for event in streams[0]:
        seen.append(event)  # noqa: PERF401 - what was read first is there already
    assert sorted(seen) == list(range(400))
    assert (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_events_that_no_consumer_asked_for_still_overflow_beside_those_that_were_put_back() -> None:
    topology, silent = Topology(), Silent()
    handle = topology.add("silent", lambda: silent, settings=StageSettings(buffer_size=5))
    await topology.start()
    reader = handle.stream(10)
    reading = asyncio.ensure_future(anext(reader))
    await settled(topology)
    silent.emit_nowait(list(range(10)))
    assert await reading == 0
    await reader.aclose()
    silent.emit_nowait(list(range(10, 20)))
    assert topology.snapshot().stages[0].discarded["overflow"] == 5
    silent.complete()
    assert [event async for event in handle.stream()] == [*range(1, 10), *range(15, 20)]
    await topology.join()
