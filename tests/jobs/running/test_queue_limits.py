"""A queue whose limits let fewer jobs start than it has slots looks again when they let more, not when it polls."""

import asyncio

import pytest

from headrace.jobs.job import AttemptCompleted, Job, JobOutcome, NewJob
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
from headrace.jobs.running import queue as engine
from headrace.jobs.running.queue import JobQueue, QueueContext
from headrace.jobs.running.task_pool import PlainAttempts
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.otp.scheduler import Scheduler

pytestmark = pytest.mark.asyncio

COUNT = 8


async def work_off(limits: QueueLimits) -> int:
    """Work off all jobs with slots for each; return how many ran at once, at most."""
    store = MemoryStore()
    await store.insert([NewJob("build", {"customer": n % 2}) for n in range(COUNT)])
    ended, running, most = 0, 0, 0
    all_ended = asyncio.Event()

    async def execute(job: Job) -> JobOutcome:
        nonlocal ended, running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0)
        running, ended = running - 1, ended + 1
        if ended == COUNT:
            all_ended.set()
        return AttemptCompleted()

    queue = JobQueue(
        LeaseOwner("here", "uuid", "default", None, limits),
        COUNT,
        PlainAttempts(execute),
        QueueContext(store, Scheduler()),
    )
    queue.start()
    await all_ended.wait()
    await queue.stop(0.0)
    return most


@pytest.fixture(autouse=True)
def nothing_is_polled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "POLL_SECONDS", 3600.0)


async def test_what_ended_makes_room_for_the_next_under_a_global_limit() -> None:
    assert await work_off(QueueLimits(GlobalLimit(2))) == 2
    assert await work_off(QueueLimits(GlobalLimit(1, "args.customer"))) == 2


async def test_a_queue_looks_again_when_the_next_token_has_come() -> None:
    assert await work_off(QueueLimits(None, RateLimit(100, burst=1))) <= COUNT
    assert await work_off(QueueLimits(None, RateLimit(100, burst=2, partition="args.customer"))) <= COUNT
