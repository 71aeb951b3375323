"""Workers with a real store and the service around them: what they are handed, and what they hand back."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.jobs import Jobs
from headrace.jobs.running.encryption import ArgsCipher, new_key
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RunningJob, current_job
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker

WAIT = 20.0
"""Seconds after which a test gives up."""


@dataclass(frozen=True)
class Order:
    sku: int
    price: Decimal | None
    placed_at: datetime


ORDER = Order(7, None, datetime(2026, 11, 24, 12, tzinfo=UTC))


@worker(record=True)
async def later(order: Order, *, job: RunningJob | None = None) -> Order:
    assert job is current_job()
    return Order(order.sku + 1, order.price, order.placed_at)


@worker(record=True, backoff=0)
async def pages() -> list[object]:
    job = current_job()
    if job.attempt == 1:
        job.checkpoint({"page": 3, "token": None})
        raise ConnectionError
    return [job.attempt, job.cursor]


@worker(encrypted=True, unique=True, record=True)
async def pay(card: str) -> int:
    return len(card)


def read(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest_asyncio.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    settings = JobsSettings(cipher=ArgsCipher([new_key()]))
    async with Jobs(
        SqliteStore(tmp_path / "jobs.db"), WorkerCatalogue([later, pages, pay]), {"default": 2}, settings
    ) as jobs:
        yield jobs


@pytest.mark.asyncio
async def test_rich_arguments_and_results_come_through_the_store_as_they_were(jobs: Jobs) -> None:
    handle = await later.enqueue(ORDER)
    assert await handle.result(WAIT) == Order(8, None, ORDER.placed_at)


@pytest.mark.asyncio
async def test_the_next_attempt_goes_on_from_the_cursor_of_the_last_nulls_and_all(jobs: Jobs) -> None:
    handle = await pages.enqueue()
    assert await handle.result(WAIT) == [2, {"page": 3, "token": None}]


@pytest.mark.asyncio
async def test_a_thread_enqueues_and_the_loop_runs_it(jobs: Jobs) -> None:
    ids: list[int] = []
    thread = threading.Thread(target=lambda: ids.append(later.enqueue_sync(ORDER).id))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert await jobs.result(ids[0], WAIT) == {"sku": 8, "price": None, "placed_at": "2026-11-24T12:00:00Z"}


@pytest.mark.asyncio
async def test_encrypted_args_are_in_clear_for_the_worker_and_nowhere_else(jobs: Jobs, tmp_path: Path) -> None:
    first, second = await pay.enqueue_many([("4111 1111",), ("4111 1111",)])
    assert (first.is_conflict, second.is_conflict, second.id) == (False, True, first.id)
    assert await first.result(WAIT) == 9
    kept = read(tmp_path)
    assert b"encrypted" in kept
    assert b"4111" not in kept


@pytest.mark.asyncio
async def test_a_job_of_ones_own_transaction_runs_once_it_is_committed(jobs: Jobs, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.db")
    with connection:
        handle = later.enqueue_in(connection, ORDER)
    connection.close()
    assert (await handle.result(WAIT)).sku == 8
