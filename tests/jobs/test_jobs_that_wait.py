"""Workflows, chains and batches in a running service: what waits goes on by itself, at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.errors import BadWorker, JobCancelled
from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import INCOMPLETE, AttemptCompleted, Job, JobOutcome, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.flows import chain_id_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.worker import worker
from tests.fakes import job_steps as workers
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_steps import Steps
from tests.fakes.stepping import until
from tests.fakes.store_kinds import STORE_KINDS

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def steps() -> Steps:
    return workers.clear_steps()


@pytest_asyncio.fixture(params=STORE_KINDS)
async def jobs(
    request: pytest.FixtureRequest, tmp_path: Path, group_clock: MovedClock, steps: Steps
) -> AsyncIterator[Jobs]:
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", group_clock)
    settings = JobsSettings(node="here", grace_seconds=0.0, now=group_clock)
    async with Jobs(store, WorkerCatalogue.of_modules(["tests.fakes.job_steps"]), {"default": 5}, settings) as jobs:
        yield jobs
        for gate in steps.gates.values():
            gate.set()


async def all_end(jobs: Jobs) -> None:
    """Return when no job waits or runs any more."""
    while await jobs.store.has(JobFilter(states=INCOMPLETE)):  # noqa: ASYNC110 - the store is asked until it is so
        await asyncio.sleep(0)


async def test_results_are_handed_on_and_brought_together(jobs: Jobs, steps: Steps) -> None:
    flow = Workflow("sums")
    parts = [flow.add(workers.fetch.new(number), f"part {number}") for number in range(20)]
    few = flow.add(workers.add_up.new(), "few", after=parts[:3])
    many = flow.add(workers.add_up.new(), "many", after=parts)
    flow.add(workers.tell.new(), after=[few, many])
    run = await flow.start(jobs)
    await all_end(jobs)
    assert set((await run.states()).values()) == {"completed"}
    assert steps.ran == [{"few": 3, "many": 190}]
    assert "dep_results" not in (await run.jobs())["tell"].meta  # they are kept once, where they were made


async def test_a_double_hands_its_result_on_too(jobs: Jobs, steps: Steps) -> None:
    unique = workers.fetch.with_options(unique=True)
    await (await unique.enqueue(7)).result(5)
    flow = Workflow()
    flow.add(workers.tell.new(), after=[flow.add(unique.new(7), "a"), flow.add(unique.new(8), "b")])
    await flow.start(jobs)
    await all_end(jobs)
    assert steps.ran == [{"a": 7, "b": 8}]


async def test_a_branch_that_runs_is_cancelled(jobs: Jobs, steps: Steps) -> None:
    flow = Workflow()
    first = flow.add(workers.stand.new("x"), "x")
    flow.add(workers.tell.new(), "y", after=[first])
    run = await flow.start(jobs)
    await until(lambda: steps.ran == ["x"])
    await run.cancel("x")
    await all_end(jobs)
    assert await run.states() == {"x": "cancelled", "y": "cancelled"}
    with pytest.raises(JobCancelled):
        await jobs.result((await run.jobs())["y"].id, 5)


async def test_what_is_cancelled_by_a_filter_takes_along_what_waits_for_it(jobs: Jobs, steps: Steps) -> None:
    flow = Workflow()
    flow.add(workers.tell.new(), "y", after=[flow.add(workers.stand.new("x"), "x")])
    run = await flow.start(jobs)
    await until(lambda: steps.ran == ["x"])
    await jobs.cancel(JobFilter(workers=frozenset({workers.stand.name})))
    await all_end(jobs)
    assert (await run.states())["y"] == "cancelled"


async def test_jobs_of_a_chain_run_in_order_and_one_at_a_time(jobs: Jobs, steps: Steps) -> None:
    await workers.bill.enqueue_many([(customer, number) for number in range(20) for customer in "ab"])
    await asyncio.to_thread(workers.bill.enqueue_sync, "a", 20)
    await all_end(jobs)
    assert steps.most == 1
    for customer, count in (("a", 21), ("b", 20)):
        assert [each[1] for each in steps.ran if each[0] == customer] == list(range(count))  # type: ignore[index]


async def test_the_callback_of_a_batch_runs_once_after_all(jobs: Jobs, steps: Steps) -> None:
    batch = Batch("nightly", on_ended=workers.report.new())
    batch.add(*(workers.stand.new(str(number)) for number in range(5)))
    run = await batch.start(jobs)
    await until(lambda: len(steps.ran) == 5)
    for number in range(5):
        assert run.id not in steps.ran
        steps.gates[str(number)].set()
    await all_end(jobs)
    assert steps.ran.count(run.id) == 1
    assert (await run.progress()).states == {"completed": 5}


async def test_the_chain_of_a_worker_names_parameters() -> None:
    assert workers.bill.new("a", 1).meta == {
        "chain_id": chain_id_of(workers.bill.name, {"customer": "a"}, ["customer"])
    }
    with pytest.raises(BadWorker, match=r"its chain is by 'custmer', which is no parameter of it: did you mean 'cust"):

        @worker(chain="custmer")
        async def one(customer: str) -> None: ...

    with pytest.raises(BadWorker, match="would show which of its encrypted args are equal"):

        @worker(chain="customer", encrypted=True)
        async def two(customer: str) -> None: ...

    @worker(chain=True)
    async def three(customer: str) -> None: ...

    assert three.new("a").meta == three.new("b").meta != {}


async def test_what_others_run_lets_go_of_the_next_too(jobs: Jobs, steps: Steps) -> None:
    async def run(job: Job) -> JobOutcome:
        steps.ran.append(job.meta["name"])
        return AttemptCompleted()

    taken = jobs.take("taken", run)
    flow = Workflow()
    elsewhere = workers.tell.with_options(queue="taken")
    flow.add(elsewhere.new(), "b", after=[flow.add(elsewhere.new(), "a")])
    await flow.start(jobs)
    taken.scale(1)
    await until(lambda: steps.ran == ["a", "b"])


async def test_what_comes_after_a_dropped_step_is_called_off(group_clock: MovedClock, steps: Steps) -> None:
    def drop(job: NewJob) -> NewJob | None:
        return None if job.worker == workers.stand.name else job

    settings = JobsSettings(now=group_clock, enqueue_middleware=[drop])
    catalogue = WorkerCatalogue.of_modules(["tests.fakes.job_steps"])
    async with Jobs(MemoryStore(now=group_clock), catalogue, {"default": 5}, settings) as jobs:
        flow = Workflow()
        flow.add(workers.tell.new(), "y", after=[flow.add(workers.stand.new("x"), "x")])
        run = await flow.start(jobs)
        await all_end(jobs)
        assert await run.states() == {"y": "cancelled"}
    assert steps.ran == []
