"""One source with four consumers, by demand, in turn or by partition, against plain tasks with queues."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from benchmarks.measure import all_arrived
from benchmarks.stages import Ints, LooseInts, Sum
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology

TOTAL: Final = 500_000
CONSUMERS: Final = 4
BATCH: Final = 50

Queues = list["asyncio.Queue[list[int] | None]"]


def remainder(event: int) -> int:
    """Return the partition of an integer."""
    return event % CONSUMERS


BY_DEMAND: Final = StageSettings()
IN_TURN: Final = StageSettings(dispatcher="round_robin")
BY_PARTITION: Final = StageSettings(
    dispatcher=partial(PartitionDispatcher, partitions=CONSUMERS, hash=remainder)  # type: ignore[arg-type] # of ints
)


async def shared(settings: StageSettings, total: int = TOTAL) -> float:
    """Return the seconds of one source whose events go to four sums, each event to one of them."""
    sums = [Sum() for _ in range(CONSUMERS)]
    is_partitioned = settings is BY_PARTITION
    topology = Topology()
    topology.add("ints", partial(Ints, total), settings=settings)
    for number, one in enumerate(sums):
        partition = number if is_partitioned else None
        to = SubscribeTo("ints", 2 * BATCH, BATCH, partition=partition)
        topology.add(f"sum{number}", partial(_itself, one), subscribe_to=to)
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    _check(sums, total, is_partitioned=is_partitioned)
    return seconds


def _itself(one: Sum) -> Sum:
    return one


def _check(sums: list[Sum], total: int, *, is_partitioned: bool) -> None:
    all_arrived((sum(one.count for one in sums), sum(one.sum for one in sums)), (total, total * (total - 1) // 2))
    if is_partitioned:
        expected = [sum(range(number, total, CONSUMERS)) for number in range(CONSUMERS)]
        all_arrived([one.sum for one in sums], expected)


Put = Callable[[Queues, list[int], int], Coroutine[None, None, None]]


async def _put_in_turn(queues: Queues, events: list[int], turn: int) -> None:
    await queues[turn % len(queues)].put(events)


async def _put_by_partition(queues: Queues, events: list[int], _: int) -> None:
    parts: list[list[int]] = [[] for _ in queues]
    for event in events:
        parts[remainder(event)].append(event)
    for queue, part in zip(queues, parts, strict=True):
        await queue.put(part)


async def _plain(count: int, put: Put, total: int) -> float:
    """Return the seconds of four tasks that take batches from `count` queues of two."""
    source, sums = LooseInts(total), [Sum() for _ in range(CONSUMERS)]
    queues: Queues = [asyncio.Queue(maxsize=2 * CONSUMERS // count) for _ in range(count)]

    async def consume(queue: "asyncio.Queue[list[int] | None]", one: Sum) -> None:
        while (events := await queue.get()) is not None:
            one.handle_events(events)

    async def produce() -> None:
        turn = 0
        while source.next < total:
            await put(queues, source.handle_demand(BATCH), turn)
            turn += 1
        for number in range(CONSUMERS):
            await queues[number % count].put(None)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        for number, one in enumerate(sums):
            tasks.create_task(consume(queues[number % count], one))
    seconds = time.perf_counter() - start
    _check(sums, total, is_partitioned=put is _put_by_partition)
    return seconds


async def one_queue(total: int = TOTAL) -> float:
    """Return the seconds of four tasks that take batches from one queue."""
    return await _plain(1, _put_in_turn, total)


async def queues_in_turn(total: int = TOTAL) -> float:
    """Return the seconds of four tasks with a queue each, which get batches in turn."""
    return await _plain(CONSUMERS, _put_in_turn, total)


async def queues_by_partition(total: int = TOTAL) -> float:
    """Return the seconds of four tasks with a queue each, which get their partition of each batch."""
    return await _plain(CONSUMERS, _put_by_partition, total)
