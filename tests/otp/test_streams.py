"""Streams and async callbacks in a pipeline: one task enters, pulls and closes them, so timeouts and groups behave."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.otp.process.process import CRASH
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers
from tests.fakes.processes import Oops, hops
from tests.fakes.stepping import run_of, until

pytestmark = [pytest.mark.usefixtures("vanished")]

Tasks = list[tuple[str, "asyncio.Task[object] | None"]]


class Streaming(Producer[int]):
    """Notes which task enters, pulls and closes its stream."""

    def __init__(self, count: int | None, tasks: Tasks) -> None:
        self.count = count
        self.tasks = tasks

    def note(self, what: str) -> None:
        self.tasks.append((what, asyncio.current_task()))

    def handle_demand(self, demand: int) -> AsyncIterator[int]:
        return self.stream()

    async def stream(self) -> AsyncIterator[int]:
        self.note("enter")
        try:
            async for number in self.numbers():
                self.note("pull")
                yield number
            self.complete()
        finally:
            await asyncio.sleep(0)
            self.note("close")

    async def numbers(self) -> AsyncIterator[int]:
        number = 0
        while self.count is None or number < self.count:
            await asyncio.sleep(0)
            number += 1
            yield number

    async def terminate(self, reason: object) -> None:
        self.note("terminate")


class UnderTimeout(Streaming):
    """Yields from within a timeout that is never up."""

    async def numbers(self) -> AsyncIterator[int]:
        async with asyncio.timeout(1000):
            async for number in super().numbers():
                yield number


class UnderGroup(Streaming):
    """Yields from within a TaskGroup, whose task it awaits."""

    async def numbers(self) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            async for number in super().numbers():
                yield await group.create_task(_same(number))


class TimingOut(Streaming):
    """Waits in vain before each number, until a timeout is up."""

    async def numbers(self) -> AsyncIterator[int]:
        async for number in super().numbers():
            try:
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                yield number


async def _same(number: int) -> int:
    await asyncio.sleep(0)
    return number


KINDS = pytest.mark.parametrize("kind", [Streaming, UnderTimeout, UnderGroup, TimingOut])


def _assert_one_task(tasks: Tasks) -> None:
    assert tasks[0][0] == "enter"
    assert [what for what, _ in tasks[-2:]] == ["close", "terminate"]
    [task] = {task for _, task in tasks}
    assert task is not None
    assert task.get_name() == "source"


@KINDS
@pytest.mark.asyncio
async def test_one_task_enters_pulls_and_closes_a_stream_that_ends(kind: type[Streaming]) -> None:
    tasks: Tasks = []
    sink = Collect()
    topology = Topology()
    topology.add("source", lambda: kind(30, tasks))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 7, 3))
    await topology.start()
    assert (await topology.join()).is_fine
    assert sink.events == list(range(1, 31))
    _assert_one_task(tasks)


@KINDS
@pytest.mark.parametrize("way", ["stop", "drain"])
@pytest.mark.asyncio
async def test_one_task_enters_pulls_and_closes_a_stream_that_is_cut_short(kind: type[Streaming], way: str) -> None:
    tasks: Tasks = []
    sink = Collect()
    topology = Topology()
    topology.add("source", lambda: kind(None, tasks))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("source", 7, 3))
    await topology.start()
    await until(lambda: len(sink.events) >= 20)
    await (topology.stop() if way == "stop" else topology.drain())
    assert sink.events == list(range(1, len(sink.events) + 1))
    _assert_one_task(tasks)


@pytest.mark.asyncio
async def test_a_stream_that_nobody_asks_is_closed_by_the_task_that_pulled_it() -> None:
    tasks: Tasks = []
    topology = Topology()
    stage = topology.add("source", lambda: Streaming(None, tasks))
    await topology.start()
    stream = stage.stream(max_demand=1)
    assert await anext(stream) == 1
    await hops()
    await topology.stop()
    _assert_one_task(tasks)
    assert [event async for event in stream] == []


class Crossing(ProducerConsumer[int, int]):
    """Handles batches under a timeout, in tasks of a group; one of them fails once."""

    def __init__(self, failures: list[int]) -> None:
        self.failures = failures

    async def handle_events(self, events: list[int]) -> list[int]:
        async with asyncio.timeout(1000), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.handle(event)) for event in events]
        return [task.result() for task in tasks]

    async def handle(self, event: int) -> int:
        await asyncio.sleep(0)
        if event in self.failures:
            self.failures.remove(event)
            raise Oops
        return -event


@pytest.mark.asyncio
async def test_a_group_within_a_callback_gives_its_results() -> None:
    sink = Collect()
    topology = Topology()
    topology.add("numbers", lambda: Numbers(100))
    topology.add("crossing", lambda: Crossing([]), subscribe_to=SubscribeTo("numbers", 10, 5))
    topology.add("sink", lambda: sink, subscribe_to="crossing")
    await topology.start()
    assert (await topology.join()).is_fine
    assert sink.events == [-number for number in range(1, 101)]


@pytest.mark.asyncio
async def test_a_group_that_fails_within_a_callback_is_a_crash_and_the_stage_goes_on_after_its_restart() -> None:
    sink = Collect()
    failures = [17]
    topology = Topology()
    topology.add("numbers", lambda: Numbers(100))
    topology.add("crossing", lambda: Crossing(failures), subscribe_to=SubscribeTo("numbers", 10, 5))
    topology.add("sink", lambda: sink, subscribe_to="crossing")
    await topology.start()
    outcome = await topology.join()
    assert outcome.events_lost == 5
    assert outcome.is_completed
    assert sink.events == [-number for number in range(1, 101) if not 16 <= number <= 20]
    assert run_of(topology).processes["crossing"].restarts == 1


class TimedOut(Consumer[int]):
    """Gives up waiting for something after its first batch."""

    def __init__(self, handled: list[list[int]]) -> None:
        self.handled = handled

    async def handle_events(self, events: list[int]) -> None:
        if len(self.handled) == 1:
            self.handled.append([])
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        self.handled.append(events)


@pytest.mark.asyncio
async def test_a_timeout_that_is_up_within_a_callback_is_a_crash_with_timeout_error() -> None:
    handled: list[list[int]] = []
    topology = Topology()
    topology.add("numbers", lambda: Numbers(20))
    topology.add("sink", lambda: TimedOut(handled), subscribe_to=SubscribeTo("numbers", 10, 5))
    reasons: list[object] = []
    await topology.start()
    topology.telemetry.attach("test", CRASH, lambda _, __, metadata: reasons.append(metadata["reason"]))
    outcome = await topology.join()
    assert outcome.is_completed
    assert [type(reason) for reason in reasons] == [TimeoutError]
    assert handled == [[1, 2, 3, 4, 5], [], [11, 12, 13, 14, 15], [16, 17, 18, 19, 20]]


@pytest.mark.asyncio
async def test_a_sync_generator_is_closed_when_it_is_cut_short() -> None:
    closed: list[str] = []

    class Generating(Producer[int]):
        def handle_demand(self, demand: int) -> Iterator[int]:
            try:
                yield from iter(int, 1)
            finally:
                closed.append("closed")

    sink = Collect()
    topology = Topology()
    topology.add("source", Generating)
    topology.add("sink", lambda: sink, subscribe_to="source")
    await topology.start()
    await until(lambda: len(sink.events) > 100)
    await topology.stop()
    assert closed == ["closed"]


def test_a_loop_that_ends_while_a_pipeline_runs_closes_its_streams_and_lets_terminate_run() -> None:
    tasks: Tasks = []

    async def main() -> None:
        sink = Collect()
        topology = Topology()
        topology.add("source", lambda: Streaming(None, tasks))
        topology.add("sink", lambda: sink, subscribe_to="source")
        await topology.start()
        await until(lambda: len(sink.events) > 10)
        raise Oops

    with pytest.raises(Oops):
        asyncio.run(main())
    _assert_one_task(tasks)
