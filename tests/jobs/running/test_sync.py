"""Queues apply the settings that other processes store."""

import pytest

from headrace.jobs.job import AttemptCompleted, Job, JobOutcome
from headrace.jobs.running.queue import JobQueue, QueueContext
from headrace.jobs.running.sync import QueueSettingsSync
from headrace.jobs.running.task_pool import PlainAttempts
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.otp.scheduler import Scheduler

pytestmark = pytest.mark.asyncio


async def complete(_: Job) -> JobOutcome:
    return AttemptCompleted()


def queue_of(store: MemoryStore) -> JobQueue:
    return JobQueue(LeaseOwner("here", "u-1", "default"), 5, PlainAttempts(complete), QueueContext(store, Scheduler()))


def applied() -> None:
    """Called after settings were applied."""


async def test_a_queue_pauses_goes_on_and_scales_as_is_said_elsewhere() -> None:
    store = MemoryStore()
    queue, sync = queue_of(store), QueueSettingsSync(store, {"default": 5}, applied)
    await store.change_queue("default", is_paused=True, limit=7)
    await sync.check({"default": queue})
    assert (queue.is_paused, queue.limit) == (True, 7)
    await store.change_queue("default", is_paused=False)
    await sync.check({"default": queue})
    assert (queue.is_paused, queue.limit) == (False, 7)
    await store.forget_queue("default")
    await sync.check({"default": queue})
    assert (queue.is_paused, queue.limit) == (False, 5)


async def test_what_was_said_here_stands_until_something_else_is_said() -> None:
    store = MemoryStore()
    await store.change_queue("default", limit=7)
    queue, sync = queue_of(store), QueueSettingsSync(store, {"default": 5}, applied)
    sync.refresh(await store.queue_settings())
    queue.pause()
    await sync.check({"default": queue})
    assert (queue.is_paused, queue.limit) == (True, 5)


async def test_queues_of_others_are_left_alone() -> None:
    store = MemoryStore()
    await store.change_queue("mails", is_paused=True, limit=7)
    queue = queue_of(store)
    await QueueSettingsSync(store, {"default": 5, "mails": 3}, applied).check({"default": queue})
    assert (queue.is_paused, queue.limit) == (False, 5)
