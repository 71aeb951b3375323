"""The registry of results: work is started once per key, and its result is found until it is too old."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.jobs.errors import BadArguments, BadWorker, JobDiscarded, NotBound
from headrace.jobs.jobs import Jobs
from headrace.jobs.results import FailedResult, Found, JobProgress, JobRegistry, NotFound, Pending
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import sync as service
from headrace.jobs.running.encryption import ArgsCipher, new_key
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore, PruneRule
from tests.fakes import job_results as workers
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.job_results import Noted, look_up

pytestmark = pytest.mark.asyncio

Open = Callable[[], AbstractAsyncContextManager[Jobs]]


@pytest.fixture
def noted() -> Noted:
    return workers.clear_notes()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock) -> Open:
    kept: JobStore = MemoryStore(now=clock)

    @asynccontextmanager
    async def open_jobs() -> AsyncIterator[Jobs]:
        store: JobStore = SqliteStore(tmp_path / "jobs.db", now=clock) if request.param == "sqlite" else kept
        settings = JobsSettings(grace_seconds=0.0, now=clock)
        catalogue = WorkerCatalogue([look_up, workers.forgetful])
        async with Jobs(store, catalogue, {"default": 3}, settings) as jobs:
            yield jobs

    return open_jobs


async def test_work_is_started_once_per_key_and_its_result_found(opened: Open, noted: Noted) -> None:
    registry = JobRegistry(look_up)
    async with opened():
        assert await registry.find("something") == NotFound()
        first = await registry.add("something")
        again = await registry.add("something")
        assert (first.is_conflict, again.is_conflict, again.id) == (False, True, first.id)
        assert isinstance(await registry.find("something"), Pending)
        noted.gates["something"].set()
        assert await first.result(5) == ("something", 9)
        assert await registry.find("something") == Found(("something", 9), NOON)
        assert (await registry.add("something")).is_conflict
        assert await registry.find("else") == NotFound()
    assert noted.calls == ["something"]


async def test_what_is_pending_says_how_far_it_is(opened: Open, noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WATCH_SECONDS", 0.001)
    registry = JobRegistry(look_up)
    async with opened():
        await registry.add("a")
        while await registry.find("a") == Pending():  # noqa: ASYNC110 - the store is asked until it has it
            await asyncio.sleep(0)
        assert await registry.find("a") == Pending(JobProgress(0.25, "begun"))
        noted.gates["a"].set()


async def test_a_result_survives_a_restart(opened: Open, noted: Noted) -> None:
    registry = JobRegistry(look_up)
    noted.gates["a"].set()
    async with opened():
        await (await registry.add("a")).result(5)
    async with opened():
        assert await registry.find("a") == Found(("a", 1), NOON)
    with pytest.raises(NotBound):
        await registry.find("a")


async def test_a_result_that_is_too_old_is_not_found_and_is_made_anew(
    opened: Open, noted: Noted, clock: MovedClock
) -> None:
    registry = JobRegistry(look_up, expires_in_seconds=60)
    noted.gates["a"].set()
    async with opened():
        first = await registry.add("a")
        await first.result(5)
        clock.move(60)
        assert await registry.find("a") == Found(("a", 1), NOON)
        clock.move(1)
        assert await registry.find("a") == NotFound()
        second = await registry.add("a")
        assert second.id != first.id
        await second.result(5)
        assert await registry.find("a") == Found(("a", 1), clock())
    assert noted.calls == ["a", "a"]


async def test_what_was_given_up_is_said_and_may_be_started_again(opened: Open, noted: Noted) -> None:
    registry = JobRegistry(look_up)
    noted.failing.add("a")
    noted.gates["a"].set()
    async with opened() as jobs:
        with pytest.raises(JobDiscarded):
            await (await registry.add("a")).result(5)
        found = await registry.find("a")
        assert isinstance(found, FailedResult)
        assert "ValueError: a" in found.error
        noted.failing.clear()
        assert await (await registry.add("a")).result(5) == ("a", 1)
        await jobs.pause("default")
        await registry.add("b")
        await jobs.cancel(JobFilter())
        assert await registry.find("b") == FailedResult("it was cancelled")


async def test_threads_add_and_find_too(opened: Open, noted: Noted) -> None:
    registry = JobRegistry(look_up)
    noted.gates["a"].set()
    async with opened():
        await (await asyncio.to_thread(registry.add_sync, "a")).result(5)
        assert await asyncio.to_thread(registry.find_sync, "a") == Found(("a", 1), NOON)


async def test_results_are_kept_while_others_are_pruned(opened: Open, noted: Noted, clock: MovedClock) -> None:
    noted.gates["a"].set()
    registry = JobRegistry(look_up, expires_in_seconds=3600)
    async with opened() as jobs:
        await (await registry.add("a")).result(5)
        assert await jobs.store.prune(PruneRule("completed", ended_before=clock() + timedelta(days=1))) == 0
        clock.move(3601)
        assert await jobs.store.prune(PruneRule("completed", ended_before=clock())) == 1


async def test_a_worker_that_records_nothing_has_no_registry() -> None:
    with pytest.raises(BadWorker, match="answers with its results, and it records none: give it record=True"):
        JobRegistry(workers.forgetful)
    with pytest.raises(BadArguments, match="'key'"):
        JobRegistry(look_up).new(7)  # type: ignore[arg-type] # what a type checker refuses is refused at run time too


async def test_a_handle_shows_its_job(opened: Open, noted: Noted) -> None:
    async with opened():
        handle = await look_up.enqueue("a")
        assert (await handle.job()).args == {"key": "a"}
        noted.gates["a"].set()


async def test_keys_that_are_encrypted_are_found_too(clock: MovedClock) -> None:
    registry = JobRegistry(workers.secret)
    settings = JobsSettings(now=clock, cipher=ArgsCipher([new_key()]))
    async with Jobs(MemoryStore(now=clock), WorkerCatalogue([workers.secret]), {"default": 3}, settings) as jobs:
        handle = await registry.add("abc")
        await handle.result(5)
        assert "encrypted" in (await handle.job()).args
        assert await registry.find("abc") == Found(3, NOON)
        assert await registry.find("b") == NotFound()
        assert (await registry.add("abc")).is_conflict
        assert await jobs.store.count(JobFilter()) == 1
