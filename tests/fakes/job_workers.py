"""Workers whose jobs tests run: they double, wait, fail, answer, and note what they were called with."""

import asyncio
import threading
from collections import defaultdict

from headrace.jobs.job import Cancel, Discard, Job, Snooze
from headrace.jobs.running_job import RunningJob, current_job
from headrace.jobs.worker import worker


class Bench:
    """What the workers of one test noted, and the gates at which they wait."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.exhausted: list[tuple[int, str]] = []
        self.gates: dict[object, asyncio.Event] = defaultdict(asyncio.Event)
        self.thread_gates: dict[object, threading.Event] = defaultdict(threading.Event)
        self.running = 0


BENCH = Bench()


def clear_bench() -> Bench:
    """Forget what other tests noted."""
    BENCH.__init__()  # type: ignore[misc] # the workers are functions of a module, and know this one only
    return BENCH


def note_exhausted(job: Job, error: str) -> None:
    BENCH.exhausted.append((job.id, error))


@worker(record=True)
async def double(number: int) -> int:
    BENCH.calls.append(number)
    return number * 2


@worker(record=True, executor="inline")
def triple(number: int) -> int:
    return number * 3


@worker(record=True)
async def times(text: str, count: int = 1) -> str:
    return text * count


@worker
async def wait(key: str) -> None:
    BENCH.running += 1
    try:
        BENCH.calls.append(key)
        await BENCH.gates[key].wait()
    finally:
        BENCH.running -= 1


@worker(max_attempts=2, backoff=10.0, on_exhausted=note_exhausted)
async def fail(reason: str) -> None:
    BENCH.calls.append(current_job().attempt)
    raise ValueError(reason)


@worker
async def answer(kind: str) -> object:
    BENCH.calls.append(kind)
    return {"snooze": Snooze(30), "cancel": Cancel("not today"), "discard": Discard("never")}[kind]


@worker(timeout_seconds=0.01, max_attempts=1)
async def hang() -> None:
    await asyncio.Event().wait()


@worker
async def report(job: RunningJob, key: str) -> None:
    job.progress(0.5, f"half of {key}")
    job.checkpoint({"at": 7})
    await BENCH.gates[key].wait()


@worker(expires_in_seconds=60.0)
async def soon() -> None:
    BENCH.calls.append("soon")


@worker(record=True)
def block(key: str) -> str:
    """Hold a thread until its gate is open, and say whether the job was called off meanwhile."""
    BENCH.calls.append(key)
    BENCH.thread_gates[key].wait()
    return "called off" if current_job().is_cancelled else "done"
