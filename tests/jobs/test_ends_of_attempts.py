"""Whatever ends an attempt, its job goes on: to its next attempt, or to `discarded` with all that follows from that."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.jobs.errors import JobDiscarded
from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.chunk import chunk_worker
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import Job, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.maintenance import PeriodicTask
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import (
    CRASH_LIMIT,
    CRASH_REASON,
    EXHAUSTED_REASON,
    LeaseOwner,
)
from headrace.jobs.worker import worker
from tests.fakes.job_clock import MovedClock
from tests.fakes.stepping import until
from tests.fakes.store_kinds import STORE_KINDS

pytestmark = pytest.mark.asyncio


class Abort(BaseException):
    """An error of the test's own that is no Exception."""


async def await_a_cancelled_task() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    inner.cancel()
    await inner


def raising(error: BaseException) -> Callable[[], object]:
    async def at_once() -> None:
        raise error

    async def after_a_wait() -> None:
        await asyncio.sleep(0)
        raise error

    return at_once if isinstance(error, Abort) else after_a_wait


ENDS = {
    "cancelled inside": await_a_cancelled_task,
    "CancelledError": raising(asyncio.CancelledError("own")),
    "SystemExit": raising(SystemExit(1)),
    "GeneratorExit": raising(GeneratorExit()),
    "Abort": raising(Abort("own")),
    "BaseExceptionGroup": raising(BaseExceptionGroup("many", [Abort("own"), ValueError("too")])),
}


@dataclass
class Bench:
    """A service with one worker that ends as `end` does, and what its on_exhausted was called with."""

    jobs: Jobs
    clock: MovedClock
    end: Callable[[], object] = ENDS["SystemExit"]
    exhausted: list[tuple[int, str]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    async def state(self, job_id: int) -> str:
        job = await self.jobs.get(job_id)
        assert job is not None
        return f"{job.state} {job.attempt}/{job.max_attempts}"


@pytest_asyncio.fixture(params=STORE_KINDS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    clock = MovedClock()
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", clock)

    def report(job: Job, error: str) -> None:
        found.exhausted.append((job.id, error))

    @worker(name="first", on_exhausted=report, record=True, backoff=1.0, chain=True)
    async def first() -> None:
        await found.end()  # type: ignore[misc] # an async function

    @worker(name="second")
    async def second(name: str) -> None:
        found.ran.append(name)

    settings = JobsSettings(node="here", grace_seconds=0.0, now=clock)
    found = Bench(Jobs(store, WorkerCatalogue([first, second]), {"default": 5}, settings), clock)
    async with found.jobs:
        yield found


def new(bench: Bench, name: str, *args: object, max_attempts: int = 1) -> NewJob:
    found = bench.jobs.catalogue.get(name)
    assert found is not None
    return found.with_options(max_attempts=max_attempts).new(*args)


@pytest.mark.parametrize("end", ENDS)
async def test_a_job_is_discarded_when_its_last_attempt_ends_by_no_exception(bench: Bench, end: str) -> None:
    bench.end = ENDS[end]
    (inserted,) = await bench.jobs.insert([new(bench, "first", max_attempts=2)])
    assert inserted is not None
    await until(lambda: bench.jobs.metrics.finished(["failed"]) == 1)
    assert await bench.state(inserted.id) == "retryable 1/2"
    assert bench.exhausted == []
    bench.clock.move(2)
    await bench.jobs.store.stage(10)
    bench.jobs.queues["default"].has_work()
    with pytest.raises(JobDiscarded, match="cancelled" if end == "cancelled inside" else "own|Exit"):
        await bench.jobs.result(inserted.id, 5)
    assert await bench.state(inserted.id) == "discarded 2/2"
    assert [job_id for job_id, _ in bench.exhausted] == [inserted.id]
    await until(lambda: bench.jobs.metrics.finished(["discarded"]) == 1)
    assert bench.jobs.statistics()["default"].running == 0


async def test_what_waits_for_a_job_goes_on_when_its_last_attempt_ends_by_system_exit(bench: Bench) -> None:
    flow, batch = Workflow(), Batch("nightly", on_ended=new(bench, "second", "batch"))
    flow.add(new(bench, "second", "step"), after=[flow.add(new(bench, "first"))], on_failure="ignore")
    batch.add(new(bench, "first"))  # of one chain with the step: it waits for that one
    await flow.start(bench.jobs)
    await batch.start(bench.jobs)
    await until(lambda: sorted(bench.ran) == ["batch", "step"])
    assert len(bench.exhausted) == 2


@pytest.mark.parametrize("end", ["SystemExit", "cancelled inside"])
async def test_each_job_of_a_chunk_ends_when_the_chunk_ends_by_no_exception(tmp_path: Path, end: str) -> None:
    @chunk_worker(size=3, name="chunk", max_attempts=1)
    async def chunk(items: list[int]) -> list[int]:
        await ENDS[end]()  # type: ignore[misc] # an async function
        return items

    async with Jobs(SqliteStore(tmp_path / "jobs.db"), WorkerCatalogue([chunk]), {"default": 5}):
        for handle in await chunk.enqueue_many([(1,), (2,), (3,)]):
            with pytest.raises(JobDiscarded):
                await handle.result(5)


async def crashed(bench: Bench) -> int:
    """Return the id of a job that ran each time that its OS process died; the last time is not rescued yet."""
    store, dead = bench.jobs.store, LeaseOwner("there", "dead", "crashing")
    job = replace(new(bench, "first", max_attempts=20), queue="crashing", state="available")
    (inserted,) = await bench.jobs.insert([job])
    assert inserted is not None
    for turn in range(CRASH_LIMIT):
        assert len(await store.claim(dead, 1)) == 1
        await store.leave(dead)
        for _ in range(MISSED_HEARTBEATS + 1):
            await store.heartbeat()
        if turn < CRASH_LIMIT - 1:
            await store.rescue()
    return inserted.id


def task_of(bench: Bench, name: str) -> PeriodicTask:
    (task,) = [task for task in bench.jobs.periodic_tasks() if task.name == name]
    return task


async def test_on_exhausted_is_called_for_a_job_that_crashed_each_process(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await crashed(bench)
    await task_of(bench, "rescue").run()  # or the service itself did it meanwhile
    await until(lambda: bench.exhausted != [])
    assert await bench.state(job_id) == "discarded 1/20"
    assert bench.exhausted == [(job_id, CRASH_REASON)]
    assert f"job {job_id} of worker 'first' is discarded after attempt 1 of 20: {CRASH_REASON}" in caplog.text


async def test_on_exhausted_is_called_for_a_job_that_a_hand_inserted_without_attempts(bench: Bench) -> None:
    job = replace(new(bench, "first"), max_attempts=0, state="available")
    (inserted,) = await bench.jobs.insert([job])
    assert inserted is not None
    await task_of(bench, "discard").run()
    await until(lambda: bench.exhausted != [])
    assert await bench.state(inserted.id) == "discarded 0/0"
    assert bench.exhausted == [(inserted.id, EXHAUSTED_REASON)]


async def test_the_log_names_a_discarded_job_whose_on_exhausted_is_in_another_process(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.jobs.insert([NewJob("elsewhere", max_attempts=0)])
    await task_of(bench, "discard").run()
    text = "no on_exhausted is called for job 1: this process does not list the module of its worker 'elsewhere'"
    await until(lambda: text in caplog.text)
    assert (await bench.state(1)).startswith("discarded")


async def test_an_on_exhausted_that_hangs_does_not_hold_up_maintenance() -> None:
    gate = asyncio.Event()
    called: list[int] = []

    async def hang(job: Job, _: str) -> None:
        called.append(job.id)
        await gate.wait()

    @worker(name="stuck", on_exhausted=hang)
    async def stuck() -> None: ...

    async with Jobs(MemoryStore(), WorkerCatalogue([stuck]), {"default": 1}, JobsSettings(grace_seconds=0.0)) as jobs:
        await jobs.insert([NewJob("stuck", max_attempts=0)])
        (task,) = [task for task in jobs.periodic_tasks() if task.name == "discard"]
        async with asyncio.timeout(2):
            await task.run()
        await until(lambda: called == [1])
        gate.set()
