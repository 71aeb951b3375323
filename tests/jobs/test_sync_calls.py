"""Code without an event loop reads, awaits, cancels and retries jobs: in threads, without a loop, after a fork."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.jobs.errors import LoopStopped, OnEventLoop, ResultTimeout
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.sync_calls import run_sync
from headrace.jobs.testing.tester import JobsTester
from tests.fakes import job_workers as workers
from tests.fakes.forking import in_fork
from tests.fakes.stepping import until


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.db'}"


@contextmanager
def without_a_running_loop(jobs: Jobs) -> Iterator[None]:
    with asyncio.Runner() as runner:
        runner.run(jobs.open())
        try:
            yield
        finally:
            runner.run(jobs.close())


@pytest.mark.asyncio
async def test_threads_await_results_of_jobs_that_run_on_the_loop(tmp_path: Path) -> None:
    def doubled(number: int) -> int:
        return workers.double.enqueue_sync(number).result_sync(5)

    async with Jobs(url_in(tmp_path), workers.double, {"default": 10}):
        results = await asyncio.gather(*(asyncio.to_thread(doubled, number) for number in range(10)))
    assert results == [number * 2 for number in range(10)]


@pytest.mark.asyncio
async def test_a_thread_cancels_a_job_while_it_runs_and_retries_it(tmp_path: Path) -> None:
    workers.clear_bench()
    async with Jobs(url_in(tmp_path), workers.wait, {"default": 1}) as jobs:
        handle = await workers.wait.enqueue("a")
        await until(lambda: workers.BENCH.running == 1)
        assert await asyncio.to_thread(jobs.cancel_sync, handle.id) == [handle.id]
        await until(lambda: workers.BENCH.running == 0)
        assert (await asyncio.to_thread(handle.job_sync)).state == "cancelled"
        assert not await asyncio.to_thread(handle.cancel_sync)
        workers.BENCH.gates["a"].set()
        assert await asyncio.to_thread(jobs.retry_sync, handle.id) == [handle.id]
        await until(lambda: jobs.metrics.finished(["completed"]) == 1)


def test_sync_calls_need_no_running_loop(tmp_path: Path) -> None:
    jobs = Jobs(url_in(tmp_path), workers.double)
    with without_a_running_loop(jobs):
        handle = workers.double.enqueue_sync(1)
        found = jobs.get_sync(handle.id)
        assert found is not None
        assert found.state == "available"
        with pytest.raises(ResultTimeout):
            handle.result_sync(0.01)
        assert handle.cancel_sync()
        assert jobs.run_sync(jobs.store.count(JobFilter(states=frozenset({"cancelled"})))) == 1
        assert jobs.get_sync(handle.id + 1) is None


def test_threads_without_a_loop_await_a_job_of_another_service(tmp_path: Path) -> None:
    async def run_two() -> None:
        async with Jobs(url_in(tmp_path), WorkerCatalogue([workers.double]), {"default": 2}) as other:
            await until(lambda: other.metrics.finished(["completed"]) == 1)

    jobs = Jobs(url_in(tmp_path), WorkerCatalogue([workers.double]))
    with without_a_running_loop(jobs), ThreadPoolExecutor(4) as threads:
        handle = workers.double.enqueue_sync(4)
        results = [threads.submit(handle.result_sync, 5) for _ in range(3)]
        jobs.catalogue.loosen(jobs)  # another service of this process may have the worker now
        asyncio.run(run_two())
        assert [result.result() for result in results] == [8, 8, 8]


@pytest.mark.asyncio
async def test_a_forked_child_reads_awaits_and_cancels(tmp_path: Path) -> None:
    async with Jobs(url_in(tmp_path), workers.double, {"default": 1}):
        done = await workers.double.enqueue(4)
        assert await done.result(5) == 8
        late = await workers.double.schedule_in(60, 5)
        assert in_fork(lambda: done.result_sync(5)) == "8"
        assert in_fork(lambda: done.job_sync().state) == "completed"
        assert in_fork(late.cancel_sync) == "True"
        assert (await late.job()).state == "cancelled"
        assert await (await workers.double.enqueue(6)).result(5) == 12


@pytest.mark.asyncio
async def test_a_sync_call_on_an_event_loop_is_refused_rather_than_hang(tmp_path: Path) -> None:
    async with Jobs(url_in(tmp_path), workers.double) as jobs:
        handle = await workers.double.enqueue(1)
        with pytest.raises(OnEventLoop, match=r"'result' was called in its sync form .* await result\(\.\.\.\) there"):
            handle.result_sync()
        with pytest.raises(OnEventLoop, match="'cancel'"):
            jobs.cancel_sync(handle.id)
        assert (await handle.job()).state == "available"


def test_a_caller_whose_loop_stops_gets_an_error_rather_than_hang() -> None:
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(loop.run_until_complete, asyncio.sleep(0.1))
        with pytest.raises(LoopStopped, match="the sync form of 'sleep' has no result"):
            run_sync(asyncio.sleep(60), loop)
        running.result()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.raises(LoopStopped):
        run_sync(asyncio.sleep(60), loop)


def test_a_tester_answers_sync_calls_also_on_a_loop() -> None:
    with JobsTester(WorkerCatalogue([workers.double]), "inline"):
        assert workers.double.enqueue_sync(2).result_sync(1) == 4

        async def in_a_coroutine() -> int:
            return workers.double.enqueue_sync(3).result_sync(1)

        assert asyncio.run(in_a_coroutine()) == 6
