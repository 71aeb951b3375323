"""The service: what is enqueued is run by its workers, and comes to the end that it should."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.errors import JobCancelled, JobDiscarded, JobExpired, NoJob, NoQueue, NotBound, NotRecorded
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import Job, JobState, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import sync as service
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes import job_workers as workers
from tests.fakes.job_clock import MovedClock
from tests.fakes.stepping import until
from tests.fakes.store_kinds import STORE_KINDS

pytestmark = pytest.mark.asyncio

NAME = "tests.fakes.job_workers"


@pytest.fixture(params=STORE_KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock) -> JobStore:
    return STORE_KINDS[request.param](tmp_path / "jobs.db", clock)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture
async def bench() -> workers.Bench:
    return workers.clear_bench()


@asynccontextmanager
async def running(
    store: JobStore, clock: Callable[[], object], limit: int = 3, grace_seconds: float = 0.0
) -> AsyncIterator[Jobs]:
    settings = JobsSettings(node="here", grace_seconds=grace_seconds, now=clock)  # type: ignore[arg-type] # a clock
    async with Jobs(store, WorkerCatalogue.of_modules([NAME]), {"default": limit}, settings) as jobs:
        yield jobs


async def job_that(jobs: Jobs, job_id: int, fits: Callable[[Job], bool]) -> Job:
    """Return the job once it fits; the test's timeout is the deadline."""
    while True:
        job = await jobs.store.get(job_id)
        if job is not None and fits(job):
            return job
        await asyncio.sleep(0)


async def reaches(jobs: Jobs, job_id: int, state: JobState) -> Job:
    """Return the job once it is in that state."""
    return await job_that(jobs, job_id, lambda job: job.state == state)


@pytest.mark.usefixtures("bench")
async def test_a_job_runs_and_its_result_is_told(store: JobStore, clock: MovedClock) -> None:
    async with running(store, clock):
        handles = [await workers.double.enqueue(21), await workers.triple.enqueue(2)]
        assert [await handle.result(5) for handle in handles] == [42, 6]
        assert not handles[0].is_conflict


async def test_many_wait_for_one_job_and_one_gives_up(store: JobStore, clock: MovedClock, bench: workers.Bench) -> None:
    async with running(store, clock):
        handle = await workers.wait.enqueue("a")
        waits = [asyncio.ensure_future(handle.result(5)) for _ in range(3)]
        with pytest.raises(TimeoutError):
            await handle.result(0.001)
        waits[0].cancel()
        bench.gates["a"].set()
        with pytest.raises(NotRecorded, match="records no result"):
            await waits[1]
        with pytest.raises(NotRecorded):
            await waits[2]


async def test_only_what_runs_or_could_run_keeps_a_service_from_rest(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(store, clock) as jobs:
        await jobs.insert([replace(workers.wait.new("spent"), max_attempts=0)])
        assert await jobs.is_idle()
        (last,) = await jobs.insert([replace(workers.wait.new("a"), max_attempts=1)])
        assert last is not None
        assert not await jobs.is_idle()
        await until(lambda: bench.calls == ["a"])
        await reaches(jobs, last.id, "executing")
        left_out = JobFilter(states=frozenset({"available", "executing"}), leaves_out_exhausted=True)
        assert [job.id for job in await store.find(left_out, 10)] == [last.id]
        assert await store.has(left_out)
        bench.gates["a"].set()
        await reaches(jobs, last.id, "completed")
        assert not await store.has(left_out)


class AnswersLate(MemoryStore):
    """Looks for what keeps a service from rest when it may, and lets go of nothing before it may."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__(now=clock)
        self.may_look = asyncio.Event()
        self.may_release = asyncio.Event()

    async def has(self, which: JobFilter) -> bool:
        if which.leaves_out_exhausted:
            await self.may_look.wait()
        return await super().has(which)

    async def release(self, which: JobFilter) -> list[int]:
        await self.may_release.wait()
        return await super().release(which)


async def test_a_service_is_not_at_rest_while_a_next_step_waits_to_be_let_go_of(
    clock: MovedClock, bench: workers.Bench
) -> None:
    store = AnswersLate(clock)
    async with running(store, clock) as jobs:
        looking = asyncio.ensure_future(jobs.is_idle())
        await asyncio.sleep(0)
        steps = Workflow("steps")
        first = steps.add(workers.double.new(1), "1")
        steps.add(workers.double.new(2), "2", after=[first])
        await steps.start(jobs)
        (step, _) = await store.find(JobFilter(), 10, is_newest_first=False)
        await reaches(jobs, step.id, "completed")
        store.may_look.set()
        assert not await looking
        store.may_release.set()
        await until(lambda: bench.calls == [1, 2])


async def test_a_job_that_fails_is_tried_again_and_then_given_up(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(store, clock) as jobs:
        handle = await workers.fail.enqueue("no luck")
        await reaches(jobs, handle.id, "retryable")
        clock.move(10.0)
        with pytest.raises(JobDiscarded, match="no luck"):
            await handle.result(5)
        job = await jobs.store.get(handle.id)
        assert job is not None
        assert [error.attempt for error in job.errors] == [1, 2]
        assert "ValueError: no luck" in job.errors[1].error
    assert bench.calls == [1, 2]
    assert [job_id for job_id, _ in bench.exhausted] == [handle.id]


@pytest.mark.parametrize(
    ("kind", "state"), [("snooze", "scheduled"), ("cancel", "cancelled"), ("discard", "discarded")]
)
async def test_a_worker_may_answer_otherwise_than_by_a_value(
    store: JobStore, clock: MovedClock, bench: workers.Bench, kind: str, state: JobState
) -> None:
    async with running(store, clock) as jobs:
        handle = await workers.answer.enqueue(kind)
        await reaches(jobs, handle.id, state)
        job = await jobs.store.get(handle.id)
        assert job is not None
        assert job.attempt == (0 if kind == "snooze" else 1)
    assert bench.calls == [kind]


@pytest.mark.usefixtures("bench")
async def test_an_attempt_ends_in_its_time(store: JobStore, clock: MovedClock) -> None:
    async with running(store, clock):
        handle = await workers.hang.enqueue()
        with pytest.raises(JobDiscarded, match="took longer than the"):
            await handle.result(5)


async def test_jobs_that_wait_and_jobs_that_run_are_cancelled(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(store, clock, limit=1) as jobs:
        handles = [await workers.wait.enqueue(key) for key in "ab"]
        await until(lambda: bench.calls == ["a"])
        assert sorted(await jobs.cancel(JobFilter(workers=frozenset({f"{NAME}.wait"})))) == sorted(
            handle.id for handle in handles
        )
        for handle in handles:
            with pytest.raises(JobCancelled):
                await handle.result(5)
        await until(lambda: bench.running == 0)
    assert bench.calls == ["a"]


async def test_what_a_job_notes_down_is_written_while_it_runs(
    store: JobStore, clock: MovedClock, bench: workers.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WATCH_SECONDS", 0.001)
    async with running(store, clock) as jobs:
        handle = await workers.report.enqueue(key="x")
        job = await job_that(jobs, handle.id, lambda job: "progress" in job.meta)
        assert job.meta["progress"] == {"fraction": 0.5, "note": "half of x"}
        assert job.meta["checkpoint"] == {"at": 7}
        bench.gates["x"].set()
        await reaches(jobs, handle.id, "completed")


async def test_what_has_expired_is_not_run(store: JobStore, clock: MovedClock, bench: workers.Bench) -> None:
    async with running(store, clock) as jobs:
        await jobs.pause("default")
        handle = await workers.soon.enqueue()
        clock.move(61.0)
        await jobs.resume("default")
        with pytest.raises(
            JobExpired, match=r"soon' was not run: the job expired at 2.* UTC, before .* more slots"
        ) as caught:
            await handle.result(5)
        assert caught.value.error == (await handle.job()).errors[-1].error
    assert isinstance(caught.value, JobDiscarded)
    assert bench.calls == []


async def test_what_was_said_about_a_queue_is_kept_over_a_restart(
    tmp_path: Path, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(SqliteStore(tmp_path / "jobs.db", now=clock), clock) as jobs:
        await jobs.scale("default", 7)
        await jobs.pause("default")
        with pytest.raises(NoQueue, match="this process runs no queue 'mail': it runs default"):
            await jobs.pause("mail")
        handle = await workers.double.enqueue(1)
    async with running(SqliteStore(tmp_path / "jobs.db", now=clock), clock) as jobs:
        statistics = jobs.statistics()["default"]
        assert (statistics.limit, statistics.is_paused) == (7, True)
        assert bench.calls == []
        await jobs.resume("default")
        await reaches(jobs, handle.id, "completed")


async def test_a_stop_puts_back_what_runs_and_costs_no_attempt(
    tmp_path: Path, clock: MovedClock, bench: workers.Bench
) -> None:
    store = SqliteStore(tmp_path / "jobs.db", now=clock)
    async with running(store, clock):
        handle = await workers.wait.enqueue("a")
        await until(lambda: bench.calls == ["a"])
    bench.gates["a"].set()
    async with running(SqliteStore(tmp_path / "jobs.db", now=clock), clock) as jobs:
        await reaches(jobs, handle.id, "completed")
        job = await jobs.store.get(handle.id)
        assert job is not None
        assert job.attempt == 1
    assert bench.calls == ["a", "a"]


async def test_a_thread_enqueues_and_a_stranger_is_told_so(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    with pytest.raises(NotBound):
        await workers.double.enqueue(1)
    async with running(store, clock) as jobs:
        handle = await asyncio.to_thread(workers.double.enqueue_sync, 4)
        assert await handle.result(5) == 8
        (stranger,) = await jobs.store.insert([NewJob("nobody.knows")])
        await workers.double.enqueue(5)
        await until(lambda: 5 in bench.calls)
        job = await jobs.store.get(stranger.id)
        assert job is not None
        assert job.state == "available"  # a worker that is not listed is never imported, nor is its job claimed
        with pytest.raises(NoJob):
            await jobs.result(999, 1)


async def test_a_thread_that_is_called_off_keeps_its_slot_until_it_returns(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(store, clock, limit=1) as jobs:
        first, second = await workers.block.enqueue("a"), await workers.block.enqueue("b")
        await until(lambda: bench.calls == ["a"])
        await jobs.cancel(JobFilter(ids=frozenset({first.id})))
        assert jobs.statistics()["default"].running == 1
        assert bench.calls == ["a"]
        for gate in (bench.thread_gates["a"], bench.thread_gates["b"]):
            gate.set()
        assert await second.result(5) == "done"
        with pytest.raises(JobCancelled):
            await first.result(5)


async def test_a_job_that_was_called_off_is_not_run_again_before_its_thread_returns(
    store: JobStore, clock: MovedClock, bench: workers.Bench
) -> None:
    async with running(store, clock) as jobs:
        handle = await workers.block.enqueue("a")
        await until(lambda: bench.calls == ["a"])
        this = JobFilter(ids=frozenset({handle.id}))
        try:
            await jobs.cancel(this)
            await store.retry(this)
            await job_that(jobs, handle.id, lambda job: (job.state, job.attempt) == ("executing", 2))
            await (await workers.double.enqueue(4)).result(5)
            assert (bench.calls, jobs.statistics()["default"].running) == (["a", 4], 1)
        finally:
            bench.thread_gates["a"].set()
        assert await handle.result(5) == "done"
        assert bench.calls == ["a", 4, "a"]


async def test_a_worker_runs_in_an_os_process_of_its_own(
    store: JobStore, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(workers.__file__).parent / "away")
    catalogue = WorkerCatalogue.of_modules(["away_worker"])
    (elsewhere,) = catalogue
    settings = JobsSettings(grace_seconds=0.0, now=clock, processes=1)
    async with Jobs(store, catalogue, {"default": 4}, settings) as jobs:
        well, raises, dies = [await elsewhere.enqueue(what) for what in ("work", "raise", "die")]
        assert await well.result(30) != os.getpid()
        with pytest.raises(JobDiscarded, match="KeyError: 'raise'"):
            await raises.result(30)
        with pytest.raises(JobDiscarded, match="ended with exit code 7 while it ran 'away_worker:elsewhere'"):
            await dies.result(30)
        job = await jobs.store.get(raises.id)
        assert job is not None
        assert job.meta["progress"] == {"fraction": 1.0, "note": "raise"}
        hangs = await elsewhere.enqueue("hang")
        await reaches(jobs, hangs.id, "executing")
        await jobs.cancel(JobFilter(ids=frozenset({hangs.id})))
        with pytest.raises(JobCancelled):
            await hangs.result(30)


@pytest.mark.usefixtures("bench")
async def test_a_worker_that_nobody_listed_is_named_once(
    store: JobStore, clock: MovedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(service, "UNKNOWN_WORKER_TURNS", 1)
    async with running(store, clock) as jobs:
        await jobs.insert([NewJob("nobody.knows"), NewJob("nobody.knows")])
        await until(lambda: "nobody.knows" in caplog.text)
        await (await workers.double.enqueue(1)).result(5)
    assert caplog.text.count("nobody.knows") == 1


async def test_what_a_job_noted_is_kept_though_it_is_put_back(
    tmp_path: Path, clock: MovedClock, bench: workers.Bench
) -> None:
    store = SqliteStore(tmp_path / "jobs.db", now=clock)
    async with running(store, clock) as jobs:
        handle = await workers.report.enqueue(key="x")
        await reaches(jobs, handle.id, "executing")
        await until(lambda: bool(jobs._sync._noted))
    async with running(SqliteStore(tmp_path / "jobs.db", now=clock), clock) as jobs:
        job = await jobs.store.get(handle.id)
        assert job is not None
        assert job.meta["checkpoint"] == {"at": 7}
        bench.gates["x"].set()
        await reaches(jobs, handle.id, "completed")


@pytest.mark.usefixtures("bench")
async def test_a_service_is_made_of_a_url_and_of_names_of_modules(tmp_path: Path) -> None:
    async with Jobs(f"sqlite:///{tmp_path}/shop.db", [NAME], {"default": 2}):
        assert await (await workers.double.enqueue(4)).result(5) == 8
    assert (tmp_path / "shop.db").exists()
