"""The rows of `make bench ARGS="hot --against REF"`: each runs one hot path once and returns its seconds."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import gathering, jobs_runs
from benchmarks.chains import Work, stages
from benchmarks.fans import AddOneEach, SumEach, acknowledged
from benchmarks.measure import all_arrived
from benchmarks.processes import calls, casts, children, started_tasks
from benchmarks.stages import AddOne, AddOneLater, Count, Ints, LooseInts, LoosePurchases, Purchases, SetField, Sum
from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.receive_http import ReceiveHttp, ReceiveHttpOptions

JOBS: Final = 4_000
REQUESTS: Final = 400
CONNECTIONS: Final = 4
HEAD: Final = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
REQUEST: Final = HEAD + b'{"n": 1}'


class AddOneWaiting(ProducerConsumer[int, int]):
    """Adds 1 to every integer, each in a coroutine of its own."""

    per_event = True
    one_to_one = True

    async def handle_events(self, events: list[int]) -> list[int]:
        """Wait one iteration of the loop, then return a new list."""
        await asyncio.sleep(0)
        return [event + 1 for event in events]


async def each(settings: StageSettings, middle: Callable[[], Any], total: int) -> float:
    """Return the seconds of a chain whose middle stage handles single events under `settings`."""
    topology, sink = Topology(), SumEach()
    topology.add("ints", lambda: Ints(total))
    topology.add("middle", middle, subscribe_to=SubscribeTo("ints", 100, 50), settings=settings)
    topology.add("sum", lambda: sink, subscribe_to=SubscribeTo("middle", 100, 50))
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived(sink.count, total)
    return seconds


async def requests(total: int = REQUESTS) -> float:
    """Return the seconds of `total` requests of one event each, over 4 connections that stay open."""
    source = ReceiveHttp(ReceiveHttpOptions.model_validate({"listen": "127.0.0.1:0"}, context={"import": True}))
    topology, sink = Topology(), Count()
    topology.add("http", lambda: source)
    topology.add("count", lambda: sink, subscribe_to="http")

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        for _ in range(total // CONNECTIONS):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            all_arrived(head.split()[1], b"202")
        writer.close()
        await writer.wait_closed()

    async with topology:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(send())
        seconds = time.perf_counter() - start
        await topology.drain(10)
    all_arrived(sink.count, total)
    return seconds


def chain(max_demand: int, min_demand: int, total: int, middle: Callable[[], Any] = AddOne) -> Work:
    """Return a chain of integers."""
    return Work(Ints, LooseInts, middle, Sum, total, max_demand, min_demand)


def in_loop(work: Callable[[], Coroutine[None, None, float]]) -> Callable[[], float]:
    """Return a function that runs `work` in a loop of its own."""
    return lambda: asyncio.run(work())


def on_file(work: Callable[[Path], Coroutine[None, None, float]]) -> Callable[[], float]:
    """Return a function that runs `work` in a loop of its own, on a store that is a new file."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(work(Path(folder) / "jobs.db"))

    return run


async def worked_off(path: Path, limit: int) -> float:
    """Return the seconds in which a queue runs jobs that wait in the file."""
    await jobs_runs.filled(path, JOBS)
    return await jobs_runs.worked_off(path, JOBS, "normal", limit)


ROWS: Final[dict[str, Callable[[], float]]] = {
    "chain 1000/500": in_loop(partial(stages, chain(1000, 500, 2_000_000), measure=False)),
    "chain 100/50": in_loop(partial(stages, chain(100, 50, 500_000), measure=False)),
    "chain 10/5": in_loop(partial(stages, chain(10, 5, 100_000), measure=False)),
    "chain 1/0": in_loop(partial(stages, chain(1, 0, 20_000), measure=False)),
    "metrics on 1000/500": in_loop(partial(stages, chain(1000, 500, 2_000_000))),
    "dicts 1000/500": in_loop(partial(stages, Work(Purchases, LoosePurchases, SetField, Count, 200_000, 1000, 500))),
    "acknowledged 100/50": in_loop(partial(acknowledged, 50_000)),
    "retry 100/50": in_loop(partial(each, StageSettings(retry=Retry()), AddOneEach, 300_000)),
    "concurrency 10": in_loop(partial(each, StageSettings(concurrency=Concurrency(10)), AddOneWaiting, 5_000)),
    "async stage 1000/500": in_loop(partial(stages, chain(1000, 500, 500_000, AddOneLater))),
    "batch of 100": in_loop(gathering.staged),
    "ConsumerSupervisor": in_loop(children),
    "Task.start": in_loop(started_tasks),
    "calls": in_loop(partial(calls, 10_000)),
    "casts": in_loop(casts),
    "jobs, limit 10": on_file(partial(worked_off, limit=10)),
    "jobs, limit 100": on_file(partial(worked_off, limit=100)),
    "enqueue_many": on_file(partial(jobs_runs.filled, total=20_000)),
    "receive_http": in_loop(requests),
}
"""Each row by name; the names stay, so that two commits can be compared."""
