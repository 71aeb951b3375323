"""The end of a job releases the jobs after it, without a read of all waiting jobs."""

import pytest

from headrace.jobs.flows.workflow import Workflow, WorkflowRun
from headrace.jobs.job import Job, NewJob
from headrace.jobs.rules.flows import graph_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.memory_store import MemoryStore
from tests.fakes.job_groups import CALLED_OFF, DONE, GIVEN_UP, StoreService
from tests.fakes.job_stores import StoreDown
from tests.fakes.kept_jobs import ME

pytestmark = pytest.mark.asyncio

JOB = NewJob("shop.build")


class CountingStore(MemoryStore):
    """Counts the jobs that it was asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        found = await super().find(which, limit, is_newest_first=is_newest_first)
        self.shown += len(found)
        return found


class FailingStore(MemoryStore):
    """Releases nothing while it is told to fail."""

    fails = False

    async def release(self, which: JobFilter) -> list[int]:
        if self.fails:
            raise StoreDown
        return await super().release(which)


def line(count: int) -> Workflow:
    """Return a workflow in which each step comes after the one before it."""
    flow = Workflow("line")
    for number in range(count):
        flow.add(JOB, str(number), after=[str(number - 1)] if number else [])
    return flow


def funnel(count: int) -> Workflow:
    """Return a workflow in which one step comes after all others."""
    flow = Workflow("funnel")
    flow.add(JOB, "last", after=[flow.add(JOB, str(number)) for number in range(count)])
    return flow


async def ran(service: StoreService, flow: Workflow) -> WorkflowRun:
    """Run a workflow to its end."""
    run = await flow.start(service)
    while names := await service.claim():
        for name in names:
            await service.end(name)
    return run


async def test_a_long_line_shows_a_few_jobs_for_each_that_ends() -> None:
    store = CountingStore()
    run = await ran(StoreService(store), line(200))
    assert store.shown < 200 * 5
    assert set((await run.states()).values()) == {"completed"}


async def test_a_step_after_very_many_is_not_looked_at_with_all_of_them_each_time() -> None:
    store = CountingStore()
    run = await ran(StoreService(store), funnel(200))
    assert store.shown < 200 * 5
    assert set((await run.states()).values()) == {"completed"}


async def test_a_failure_in_the_middle_of_a_line_calls_off_all_that_comes_after_it(service: StoreService) -> None:
    for outcome in (GIVEN_UP, CALLED_OFF):
        run = await line(5).start(service)
        for name in "012":
            assert await service.claim() == [name]
            await service.end(name, outcome if name == "2" else DONE)
        assert list((await run.states()).values())[3:] == ["cancelled", "cancelled"]


async def test_a_step_that_is_deleted_while_others_run_counts_as_called_off(service: StoreService) -> None:
    run = await funnel(12).start(service)
    names = await service.claim()
    await service.end(names[0])
    await service.store.cancel(JobFilter(ids=frozenset({service.running[names[1]].id})))
    await service.store.delete(JobFilter(states=frozenset({"cancelled"})))
    for name in names[2:]:
        await service.end(name)
    assert (await run.states())["last"] == "cancelled"


async def test_what_was_inserted_later_is_found_as_well(service: StoreService) -> None:
    run = await line(2).start(service)
    await service.claim()
    await service.end("0")
    (last,) = (step for step in line(3).jobs() if step.meta["name"] == "2")
    await service.insert([NewJob("late", meta={**last.meta, "workflow_id": run.id}, state="suspended")])
    assert await service.claim() == ["1"]
    await service.end("1")
    await run.advance()  # the upkeep does so
    assert await service.claim() == ["2"]


async def test_what_a_store_could_not_settle_is_settled_the_next_time() -> None:
    store = FailingStore()
    service = StoreService(store)
    await line(3).start(service)
    await service.claim()
    await service.end("0")
    await service.claim()
    store.fails = True
    with pytest.raises(StoreDown):
        await service.end("1")
    store.fails = False
    await service.advancer.advance()
    assert await service.claim() == ["2"]


async def test_workflows_that_were_forgotten_for_others_go_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.jobs.flows.advance.KEPT_STEPS", 3)
    service = StoreService(MemoryStore())
    runs = [await line(3).start(service) for _ in range(5)]
    for _ in range(3):
        for job in await service.store.claim(ME, 100):
            service.running["it"] = job
            await service.end("it")
    assert [set((await run.states()).values()) for run in runs] == [{"completed"}] * 5


async def test_a_graph_is_of_a_whole_workflow_only() -> None:
    store = MemoryStore()
    run = await line(3).start(StoreService(store))
    steps = list((await run.jobs()).values())
    graph = graph_of(steps)
    assert graph is not None
    assert graph.followers([steps[0].id]) == {steps[1].id}
    assert graph.followers([steps[2].id, 999]) == set()
    assert graph_of(steps[1:]) is None
