"""A pipeline whose config has jobs: they are opened before its stages, and closed after them."""

import asyncio
from pathlib import Path

import pytest

from headrace.config.pipeline import Pipeline
from headrace.errors import HeadraceError
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import JobState, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import JobCount, store_of
from headrace.pipeline.stage.producer import Producer
from headrace.stages.transforms.run_jobs import RunJobs, RunJobsOptions
from headrace.telemetry.events import EventName
from tests.fakes import job_workers as workers
from tests.fakes.flow_stages import Collect
from tests.fakes.job_stores import StoreDown
from tests.fakes.stepping import run_of, until

pytestmark = pytest.mark.asyncio

MODULE = "tests.fakes.job_workers"


@pytest.fixture
def bench() -> workers.Bench:
    return workers.clear_bench()


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave `sys.path` as it was: a config puts its folder first."""
    monkeypatch.syspath_prepend(Path.cwd())


def text_of(folder: Path, rest: str = "") -> str:
    return f"""
name: shop
listen: off
jobs:
  store: sqlite:///{folder}/shop.db?synchronous=normal
  queues: {{default: 2}}
  modules: {MODULE}
  grace: 10s
{rest}
"""


def pipeline_of(folder: Path, rest: str = "") -> Pipeline:
    return Pipeline.from_text(text_of(folder, rest), environ={})


async def counts(folder: Path) -> list[JobCount]:
    """Return what the file holds, through a store of its own."""
    store = store_of(f"sqlite:///{folder}/shop.db")
    await store.open()
    try:
        return await store.counts()
    finally:
        await store.close()


async def state_of(folder: Path, job_id: int) -> tuple[JobState, int]:
    store = store_of(f"sqlite:///{folder}/shop.db")
    await store.open()
    try:
        job = await store.get(job_id)
        assert job is not None
        return job.state, job.attempt
    finally:
        await store.close()


async def test_jobs_run_beside_no_stage_at_all_and_the_run_ends_when_none_is_left(
    tmp_path: Path, bench: workers.Bench
) -> None:
    pipeline = pipeline_of(tmp_path)
    await pipeline.start()
    await workers.double.enqueue_many([(number,) for number in range(50)])
    outcome = await pipeline.join()
    assert outcome.is_fine
    assert pipeline.state == "completed"
    assert sorted(map(str, bench.calls)) == sorted(map(str, range(50)))
    assert await counts(tmp_path) == [JobCount("default", "completed", 50)]


async def test_jobs_of_the_last_run_are_worked_off_by_the_next(tmp_path: Path, bench: workers.Bench) -> None:
    first = pipeline_of(tmp_path)
    assert first.jobs is not None
    await first.jobs.store.open()
    await first.jobs.store.insert([workers.double.new(7)])
    await first.jobs.store.close()
    assert (await pipeline_of(tmp_path).run()).is_fine
    assert bench.calls == [7]


async def test_a_run_does_not_end_while_a_job_runs(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path, "stages: {a: {type: generate, count: 3}, b: {type: discard, subscribe_to: a}}")
    await pipeline.start()
    handle = await workers.wait.enqueue("gate")
    joined = asyncio.ensure_future(pipeline.join())
    await until(lambda: bench.running == 1)
    assert (pipeline.state, joined.done()) == ("running", False)
    bench.gates["gate"].set()
    assert (await joined).is_completed
    assert await state_of(tmp_path, handle.id) == ("completed", 1)


async def test_a_drain_gives_running_jobs_their_grace(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    await pipeline.start()
    handle = await workers.wait.enqueue("gate")
    await until(lambda: bench.running == 1)
    draining = asyncio.ensure_future(pipeline.drain())
    await until(lambda: pipeline.state == "draining")
    bench.gates["gate"].set()
    assert (await draining).is_drained
    assert await state_of(tmp_path, handle.id) == ("completed", 1)


async def test_a_stop_during_the_grace_puts_jobs_back_at_once(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    await pipeline.start()
    handle = await workers.wait.enqueue("gate")
    await until(lambda: bench.running == 1)
    draining = asyncio.ensure_future(pipeline.drain())
    await until(lambda: pipeline.state == "draining")
    await pipeline.stop()
    await draining
    assert bench.running == 0
    assert await state_of(tmp_path, handle.id) == ("available", 0)


async def test_what_is_enqueued_while_it_drains_waits_for_the_next_run(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    await pipeline.start()
    await workers.wait.enqueue("gate")
    await until(lambda: bench.running == 1)
    draining = asyncio.ensure_future(pipeline.drain())
    await until(lambda: pipeline.state == "draining")
    late = await workers.double.enqueue(7)
    bench.gates["gate"].set()
    await draining
    assert await state_of(tmp_path, late.id) == ("available", 0)


async def test_a_run_that_is_to_go_on_for_ever_ends_by_a_drain_alone(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    pipeline.is_forever = True
    await pipeline.start()
    joined = asyncio.ensure_future(pipeline.join())
    handle = await workers.double.enqueue(7)
    assert await handle.result(5) == 14
    assert not joined.done()
    assert (await pipeline.drain()).is_fine
    await joined


async def test_jobs_of_a_queue_that_is_paused_keep_no_run_going(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    await pipeline.start()
    assert pipeline.jobs is not None
    await pipeline.jobs.pause("default")
    await workers.double.enqueue(7)
    assert (await pipeline.join()).is_fine
    assert bench.calls == []


async def test_one_telemetry_gets_the_events_of_the_stages_and_the_jobs_of_a_run(
    tmp_path: Path, bench: workers.Bench
) -> None:
    pipeline = pipeline_of(tmp_path)
    pipeline.is_forever = True
    names: list[EventName] = []
    pipeline.telemetry.attach("test", ("headrace", "job"), lambda name, *_: names.append(name))
    await pipeline.start()
    assert await (await workers.double.enqueue(7)).result(5) == 14
    await pipeline.drain()
    assert names == [("headrace", "job", "start"), ("headrace", "job", "stop")]
    assert run_of(pipeline).scheduler.telemetry is pipeline.telemetry


async def test_a_store_that_cannot_be_opened_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop.db").mkdir()
    pipeline = pipeline_of(tmp_path)
    with pytest.raises(HeadraceError, match=r"shop\.db"):
        await pipeline.start()
    assert pipeline.state == "new"


async def test_stages_that_cannot_start_close_the_jobs(tmp_path: Path, bench: workers.Bench) -> None:
    missing = f"stages: {{a: {{type: read_lines, path: '{tmp_path}/no'}}, b: {{type: discard, subscribe_to: a}}}}"
    with pytest.raises(HeadraceError, match="no"):
        await pipeline_of(tmp_path, missing).start()
    assert (await pipeline_of(tmp_path).run()).is_fine


async def test_a_block_that_raises_puts_jobs_back(tmp_path: Path, bench: workers.Bench) -> None:
    async def in_a_block() -> None:
        async with pipeline_of(tmp_path):
            await workers.wait.enqueue("gate")
            await until(lambda: bench.running == 1)
            raise KeyError

    with pytest.raises(KeyError):
        await in_a_block()
    assert await counts(tmp_path) == [JobCount("default", "available", 1)]


async def test_a_crontab_is_looked_after(tmp_path: Path, bench: workers.Bench) -> None:
    cron = f"  cron: [{{schedule: '@reboot', worker: {MODULE}.double, args: {{number: 7}}}}]"
    pipeline = pipeline_of(tmp_path, cron)
    pipeline.is_forever = True
    async with pipeline:
        await until(lambda: bool(bench.calls))
    assert bench.calls == [7]


async def test_jobs_of_other_workers_keep_no_run_going(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    assert pipeline.jobs is not None
    await pipeline.start()
    await pipeline.jobs.store.insert([NewJob("elixir.Worker")])
    assert (await pipeline.join()).is_fine
    assert await counts(tmp_path) == [JobCount("default", "available", 1)]


async def test_a_stage_enqueues_and_the_jobs_run_before_the_run_ends(tmp_path: Path, bench: workers.Bench) -> None:
    stages = f"""
stages:
  numbers: {{type: generate, count: 30}}
  asked: {{type: enqueue_jobs, subscribe_to: numbers, worker: {MODULE}.double, args: {{number: event}}}}
"""
    assert (await pipeline_of(tmp_path, stages).run()).is_fine
    assert sorted(map(str, bench.calls)) == sorted(map(str, range(30)))


async def test_a_drain_runs_the_jobs_that_stages_wait_for(tmp_path: Path, bench: workers.Bench) -> None:
    stages = f"""
stages:
  numbers: {{type: generate, count: 40}}
  doubled: {{type: run_jobs, subscribe_to: numbers, worker: {MODULE}.double, args: {{number: event}}}}
  end: {{type: discard, subscribe_to: doubled}}
"""
    pipeline = pipeline_of(tmp_path, stages)
    await pipeline.start()
    await until(lambda: bool(bench.calls))
    assert (await pipeline.drain()).is_fine
    assert {one.state for one in await counts(tmp_path)} == {"completed"}


async def test_a_stage_takes_the_jobs_of_a_queue_that_no_worker_runs(tmp_path: Path, bench: workers.Bench) -> None:
    stages = """
stages:
  taken: {type: take_jobs, queue: mails}
  end: {type: discard, subscribe_to: taken}
"""
    pipeline = pipeline_of(tmp_path, stages)
    assert pipeline.jobs is not None
    await pipeline.start()
    await pipeline.jobs.insert([NewJob("a.mail", queue="mails")])
    queue = pipeline.jobs.queues["mails"]
    await until(lambda: pipeline.snapshot().stages[1].events_received == 1 and not queue.statistics().running)
    assert (await pipeline.drain()).is_fine
    assert await counts(tmp_path) == [JobCount("mails", "completed", 1)]


async def test_a_run_does_not_end_before_its_workflows_have(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    assert pipeline.jobs is not None
    await pipeline.start()
    steps = Workflow("steps")
    last = steps.add(workers.double.new(0), "0")
    for number in range(1, 8):
        last = steps.add(workers.double.new(number), str(number), after=[last])
    await steps.start(pipeline.jobs)
    assert (await pipeline.join()).is_fine
    assert bench.calls == list(range(8))
    assert await counts(tmp_path) == [JobCount("default", "completed", 8)]


async def test_a_store_that_cannot_be_closed_in_order_makes_the_run_fail(
    tmp_path: Path, bench: workers.Bench, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = Pipeline("shop")
    pipeline.jobs = Jobs(ClosesBadly(), WorkerCatalogue([workers.double]), {"default": 1})
    await pipeline.start()
    outcome = await pipeline.join()
    assert isinstance(outcome.reason, StoreDown)
    assert (outcome.is_fine, pipeline.state) == (False, "failed")
    assert FULL in caplog.text


async def test_a_store_that_fails_for_a_while_keeps_the_run_going(tmp_path: Path, bench: workers.Bench) -> None:
    store = ClosesBadly(looks_that_fail=3, is_closing_badly=False)
    pipeline = Pipeline("shop")
    pipeline.jobs = Jobs(store, WorkerCatalogue([workers.double]), {"default": 1})
    await pipeline.start()
    assert (await pipeline.join()).is_fine
    assert store.looks_that_fail == 0


async def test_what_another_process_says_of_a_queue_is_heeded(tmp_path: Path, bench: workers.Bench) -> None:
    pipeline = pipeline_of(tmp_path)
    pipeline.is_forever = True
    async with pipeline:
        assert pipeline.jobs is not None
        queue = pipeline.jobs.queues["default"]
        other = store_of(f"sqlite:///{tmp_path}/shop.db")
        await other.open()
        await other.change_queue("default", is_paused=True, limit=7)
        await until(lambda: queue.is_paused)
        await other.close()
        assert queue.limit == 7


FULL = "the disk is full"


class ClosesBadly(MemoryStore):
    """A store in memory whose disk is full."""

    def __init__(self, looks_that_fail: int = 0, *, is_closing_badly: bool = True) -> None:
        super().__init__()
        self.looks_that_fail = looks_that_fail
        self.is_closing_badly = is_closing_badly

    async def has(self, which: JobFilter) -> bool:
        if self.looks_that_fail:
            self.looks_that_fail -= 1
            raise StoreDown(FULL)
        return await super().has(which)

    async def close(self) -> None:
        await super().close()
        if self.is_closing_badly:
            raise StoreDown(FULL)


async def test_a_drain_of_a_pipeline_made_in_python_runs_the_jobs_that_stages_wait_for(bench: workers.Bench) -> None:
    jobs = Jobs(MemoryStore(), WorkerCatalogue([workers.double]), {"default": 2})
    options = RunJobsOptions.model_validate({"worker": workers.double.name, "args": {"number": "event"}})
    collect = Collect()
    pipeline = Pipeline("shop")
    pipeline.jobs = jobs
    pipeline.add("numbers", Producer.from_stream(range(30)))
    pipeline.add("doubled", lambda: RunJobs(options, jobs), subscribe_to="numbers")
    pipeline.add("end", lambda: collect, subscribe_to="doubled")
    await pipeline.start()
    await until(lambda: bool(bench.calls))
    assert (await pipeline.drain()).is_fine
    assert collect.events == [number * 2 for number in range(30)]
