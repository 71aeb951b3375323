"""Processes against the nearest plain asyncio: children, tasks, calls, casts, and memory."""

import asyncio
import time
import tracemalloc
from typing import Final

from benchmarks.measure import all_arrived
from benchmarks.stages import Ints
from headrace.otp.gen_server import GenServer
from headrace.otp.process.state import MAILBOX_LIMIT
from headrace.otp.ref import CALL_SECONDS
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task import Task
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.topology.topology import Topology

CHILDREN: Final = 10_000
AT_ONCE: Final = 100
MESSAGES: Final = 20_000
LIVE: Final = 10_000

Calls = asyncio.Queue["tuple[int, asyncio.Future[int]]"]


class Counter(GenServer):
    """A server that adds numbers up."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, number: int) -> int:
        """Add one number; return the sum."""
        self.count += number
        return self.count


class Children(ConsumerSupervisor[int]):
    """Starts a child for every event. The child does almost nothing."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self, event: int) -> None:
        """Count."""
        self.count += 1


async def children(total: int = CHILDREN) -> float:
    """Return the seconds of a consumer supervisor that runs a child for every event, 100 at once."""
    supervisor = Children()
    topology = Topology()
    topology.add("ints", lambda: Ints(total))
    topology.add("children", lambda: supervisor, subscribe_to=SubscribeTo("ints", AT_ONCE, AT_ONCE // 2))
    start = time.perf_counter()
    await topology.start()
    outcome = await topology.join()
    seconds = time.perf_counter() - start
    all_arrived((supervisor.count, outcome.is_fine), (total, True))
    return seconds


async def created_tasks(total: int = CHILDREN) -> float:
    """Return the seconds of `asyncio.create_task` for every event, behind a semaphore of 100."""
    count = 0
    room = asyncio.Semaphore(AT_ONCE)

    async def child() -> None:
        nonlocal count
        try:
            count += 1
        finally:
            room.release()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(total):
            await room.acquire()
            tasks.create_task(child())
    seconds = time.perf_counter() - start
    all_arrived(count, total)
    return seconds


class _Marks:
    """Counts finished tasks, and sets an event after the last one."""

    def __init__(self, total: int) -> None:
        self.count = 0
        self.total = total
        self.is_all = asyncio.get_running_loop().create_future()

    async def mark(self) -> None:
        """Count one."""
        self.count += 1
        if self.count == self.total:
            self.is_all.set_result(None)


async def started_tasks(total: int = CHILDREN) -> float:
    """Return the seconds of `Task.start` from within a process, with 100 at a time."""
    marks = _Marks(total)

    class Starter(GenServer):
        def start(self) -> None:
            for _ in range(AT_ONCE):
                Task.start(marks.mark)

    async with Supervisor("bench") as supervisor:
        starter = await supervisor.start_child(Starter)
        start = time.perf_counter()
        for _ in range(total // AT_ONCE):
            await starter.call(Starter.start)
        await marks.is_all
        return time.perf_counter() - start


async def forgotten_tasks(total: int = CHILDREN) -> float:
    """Return the seconds of `asyncio.create_task`, with a reference kept until it is done, 100 at a time."""
    marks = _Marks(total)
    kept: set[asyncio.Task[None]] = set()
    start = time.perf_counter()
    for _ in range(total // AT_ONCE):
        for _ in range(AT_ONCE):
            task = asyncio.create_task(marks.mark())
            kept.add(task)
            task.add_done_callback(kept.discard)
        await asyncio.sleep(0)
    await marks.is_all
    return time.perf_counter() - start


async def calls(total: int = MESSAGES) -> float:
    """Return the seconds of calls to a server, one after the other."""
    async with Supervisor("bench") as supervisor:
        counter = await supervisor.start_child(Counter)
        start = time.perf_counter()
        for _ in range(total):
            count = await counter.call(Counter.add, 1)
        seconds = time.perf_counter() - start
    all_arrived(count, total)
    return seconds


async def plain_calls(total: int = MESSAGES) -> float:
    """Return the seconds of such calls with a task, a queue, and a future with a timeout for each call."""
    queue: Calls = asyncio.Queue(MAILBOX_LIMIT)
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        count = 0
        while True:
            number, reply = await queue.get()
            count += number
            if not reply.done():
                reply.set_result(count)

    server = asyncio.create_task(serve())
    count = 0
    start = time.perf_counter()
    for _ in range(total):
        async with asyncio.timeout(CALL_SECONDS):
            reply = loop.create_future()
            await queue.put((1, reply))
            count = await reply
    seconds = time.perf_counter() - start
    server.cancel()
    all_arrived(count, total)
    return seconds


async def casts(total: int = MESSAGES) -> float:
    """Return the seconds of casts to a server, and of one call after them."""
    async with Supervisor("bench") as supervisor:
        counter = await supervisor.start_child(Counter)
        start = time.perf_counter()
        for _ in range(total):
            await counter.cast(Counter.add, 1)
        count = await counter.call(Counter.add, 0)
        seconds = time.perf_counter() - start
    all_arrived(count, total)
    return seconds


async def plain_casts(total: int = MESSAGES) -> float:
    """Return the seconds of such casts with a task and a queue of the same bound."""
    queue: asyncio.Queue[int] = asyncio.Queue(MAILBOX_LIMIT)
    count = 0

    async def serve() -> None:
        nonlocal count
        while True:
            count += await queue.get()
            queue.task_done()

    server = asyncio.create_task(serve())
    start = time.perf_counter()
    for _ in range(total):
        await queue.put(1)
    await queue.join()
    seconds = time.perf_counter() - start
    server.cancel()
    all_arrived(count, total)
    return seconds


async def server_bytes(count: int = LIVE) -> float:
    """Return the bytes of one server, of 10,000 waiting servers under one supervisor."""
    async with Supervisor("bench") as supervisor:
        tracemalloc.start()
        refs = [await supervisor.start_child(Counter, name=f"counter {number}") for number in range(count)]
        weight, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        all_arrived(sum([await ref.call(Counter.add, 1) for ref in refs]), count)
    return weight / count


async def task_bytes(count: int = LIVE) -> float:
    """Return the bytes of one task, of 10,000 tasks that each wait for a queue."""

    async def serve(queue: "asyncio.Queue[int]") -> None:
        total = 0
        while True:
            total += await queue.get()

    tracemalloc.start()
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(MAILBOX_LIMIT) for _ in range(count)]
    tasks = [asyncio.create_task(serve(queue), name=f"counter {number}") for number, queue in enumerate(queues)]
    await asyncio.sleep(0)
    weight, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    return weight / count
