"""Workflows: no step runs before those that it comes after, and every step comes to an end."""

import re

import pytest

from headrace.jobs.errors import BadWorkflow
from headrace.jobs.flows.workflow import Workflow, WorkflowRun, retry_flow
from headrace.jobs.job import JobOutcome, NewJob, Unique
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.maintenance import AdvanceSweep
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.memory_store import MemoryStore
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_groups import CALLED_OFF, DONE, GIVEN_UP, StoreService

JOB = NewJob("shop.build")


def diamond(**words: str) -> Workflow:
    """Return a workflow in which b and c come after a, and d after both."""
    flow = Workflow("diamond", **words)  # type: ignore[arg-type] # on_failure, or nothing
    a = flow.add(JOB, "a")
    sides = [flow.add(JOB, name, after=[a]) for name in "bc"]
    flow.add(JOB, "d", after=sides)
    return flow


def test_the_meta_of_a_step_has_the_keys_of_oban_pro() -> None:
    flow = Workflow("w")
    first = flow.add(NewJob("shop.build", meta={"by": "ann"}))
    second = flow.add(JOB, after=[first], on_failure="ignore")
    assert (first.name, second.name) == ("build", "build_2")
    one, two = flow.jobs()
    assert (one.state, two.state) == (None, "suspended")
    shared = {"workflow_id": flow.id, "workflow_name": "w"}
    assert one.meta == {"by": "ann", **shared, "name": "build", "deps": []}
    ignores = {"ignore_cancelled": True, "ignore_discarded": True, "ignore_deleted": True}
    assert two.meta == {**shared, "name": "build_2", "deps": ["build"], **ignores}


def test_a_circle_is_refused_with_its_steps() -> None:
    flow = Workflow("w")
    flow.add(JOB, "a", after=["c"])
    flow.add(JOB, "b", after=["a"])
    flow.add(JOB, "c", after=["b"])
    with pytest.raises(BadWorkflow, match=re.escape("the workflow 'w' goes in a circle: ")):
        flow.jobs()


def test_what_does_not_fit_together_is_refused() -> None:
    flow = Workflow("w")
    with pytest.raises(BadWorkflow, match="has no steps: add at least one"):
        flow.jobs()
    flow.add(JOB, "fetch")
    with pytest.raises(BadWorkflow, match="has two steps of the name 'fetch': give each its own"):
        flow.add(JOB, "fetch")
    flow.add(JOB, "b", after=["fecth"])
    with pytest.raises(BadWorkflow, match=r"has no step 'fecth' for 'b' to come after: did you mean 'fetch'\?"):
        flow.jobs()


def test_steps_may_come_after_those_that_are_yet_to_be_added() -> None:
    flow = Workflow()
    flow.add(JOB, "b", after=["a"])
    flow.add(JOB, "a")
    assert [job.label for job in flow.jobs()] == ["a", "b"]


@pytest.mark.asyncio
async def test_a_step_runs_when_all_before_it_are_done(service: StoreService) -> None:
    run = await diamond().start(service)
    assert await service.claim() == ["a"]
    await service.end("a")
    assert await service.claim() == ["b", "c"]
    await service.end("b")
    assert await service.claim() == []
    assert await run.states() == {"a": "completed", "b": "completed", "c": "executing", "d": "suspended"}
    await service.end("c")
    assert await service.claim() == ["d"]


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", [GIVEN_UP, CALLED_OFF])
async def test_what_comes_after_a_failure_is_called_off(service: StoreService, outcome: object) -> None:
    run = await diamond().start(service)
    await service.claim()
    await service.end("a")
    await service.claim()
    await service.end("b", outcome)  # type: ignore[arg-type] # an outcome
    states = await run.states()
    assert (states["c"], states["d"]) == ("executing", "cancelled")


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", [GIVEN_UP, CALLED_OFF])
async def test_a_failure_may_be_ignored(service: StoreService, outcome: object) -> None:
    await diamond(on_failure="ignore").start(service)
    await service.claim()
    await service.end("a", outcome)  # type: ignore[arg-type] # an outcome
    assert await service.claim() == ["b", "c"]


@pytest.mark.asyncio
async def test_a_deleted_step_counts_as_called_off(service: StoreService) -> None:
    run = await diamond().start(service)
    await service.store.delete(JobFilter(ids=frozenset({(await run.jobs())["a"].id})))
    await run.advance()
    assert set((await run.states()).values()) == {"cancelled"}


@pytest.mark.asyncio
async def test_a_branch_is_cancelled(service: StoreService) -> None:
    run = await diamond().start(service)
    jobs = await run.jobs()
    assert await run.cancel("b") == [jobs["b"].id, jobs["d"].id]
    await service.claim()
    await service.end("a")
    assert await service.claim() == ["c"]
    assert len(await run.cancel()) == 1
    assert await run.states() == {"a": "completed", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    with pytest.raises(BadWorkflow, match="has no step 'x': it has a, b, c, d"):
        await run.cancel("x")


@pytest.mark.asyncio
async def test_a_branch_is_run_once_more(service: StoreService) -> None:
    run = await diamond().start(service)
    await service.claim()
    await service.end("a", GIVEN_UP)
    assert set((await run.states()).values()) == {"discarded", "cancelled"}
    again = WorkflowRun(run.id, service)  # whoever knows its id, in whatever process
    assert len(await again.retry("a")) == 4
    assert await run.states() == {"a": "available", "b": "suspended", "c": "suspended", "d": "suspended"}
    for names in (["a"], ["b", "c"], ["d"]):
        assert await service.claim() == names
        for name in names:
            await service.end(name)
    assert len(await run.retry("b")) == 2
    assert await run.states() == {"a": "completed", "b": "available", "c": "completed", "d": "suspended"}


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", [GIVEN_UP, CALLED_OFF])
async def test_what_was_called_off_after_a_step_waits_when_that_is_retried(
    service: StoreService, outcome: JobOutcome
) -> None:
    run = await diamond().start(service)
    jobs = await run.jobs()
    await service.claim()
    await service.end("a")
    await service.claim()
    await service.end("b", outcome)
    assert await retry_flow(service.store, JobFilter(ids=frozenset({jobs["b"].id}))) == [jobs["b"].id, jobs["d"].id]
    assert await run.states() == {"a": "completed", "b": "available", "c": "executing", "d": "suspended"}
    for name in "cb":
        await service.claim()
        assert "d" not in service.running
        await service.end(name)
    assert await service.claim() == ["d"]


@pytest.mark.asyncio
async def test_a_branch_that_was_cancelled_runs_in_its_order_when_it_is_retried(service: StoreService) -> None:
    run = await diamond().start(service)
    await service.insert([JOB])
    assert len(await run.cancel("b")) == 2
    await service.store.cancel(JobFilter(ids=frozenset({(await run.jobs())["c"].id})))
    cancelled = JobFilter(states=frozenset({"cancelled"}))
    assert len(await retry_flow(service.store, cancelled)) == 3
    assert await run.states() == {"a": "available", "b": "available", "c": "available", "d": "suspended"}
    assert await retry_flow(service.store, cancelled) == []
    await service.claim()
    await service.end("b")
    assert "d" not in await service.claim()
    await service.end("c")
    assert await service.claim() == ["d"]


@pytest.mark.asyncio
async def test_a_step_that_comes_after_another_failure_is_called_off_again(service: StoreService) -> None:
    run = await diamond().start(service)
    await service.claim()
    await service.end("a")
    await service.claim()
    await service.end("b", GIVEN_UP)
    await service.end("c", GIVEN_UP)
    await retry_flow(service.store, JobFilter(ids=frozenset({(await run.jobs())["b"].id})))
    assert await run.states() == {"a": "completed", "b": "available", "c": "discarded", "d": "cancelled"}
    await retry_flow(service.store, JobFilter(states=frozenset({"discarded"})))
    assert await run.states() == {"a": "completed", "b": "available", "c": "available", "d": "suspended"}


@pytest.mark.asyncio
async def test_a_retry_of_many_leaves_alone_what_ended_well_after_a_failure(service: StoreService) -> None:
    run = await diamond(on_failure="ignore").start(service)
    for names in (["a"], ["b", "c"], ["d"]):
        assert await service.claim() == names
        for name in names:
            await service.end(name, GIVEN_UP if name == "a" else DONE)
    other = await diamond().start(service)
    await other.cancel()
    ended = JobFilter(states=frozenset({"discarded", "cancelled"}))
    assert len(await retry_flow(service.store, ended)) == 5
    assert await run.states() == {"a": "available", "b": "completed", "c": "completed", "d": "completed"}
    assert await other.states() == {"a": "available", "b": "suspended", "c": "suspended", "d": "suspended"}


@pytest.mark.asyncio
async def test_a_service_retries_steps_in_their_order(group_clock: MovedClock) -> None:
    async with Jobs(MemoryStore(now=group_clock), []) as jobs:
        run = await diamond().start(jobs)
        await run.cancel()
        assert len(await jobs.retry(JobFilter(states=frozenset({"cancelled"})))) == 4
        assert await run.states() == {"a": "available", "b": "suspended", "c": "suspended", "d": "suspended"}


@pytest.mark.asyncio
async def test_a_step_that_was_there_already_is_waited_for_where_it_is(service: StoreService) -> None:
    unique = NewJob("shop.stock", {"n": "stock"}, unique=Unique(period_seconds=None))
    await service.insert([unique])
    flow = Workflow()
    flow.add(JOB, "b", after=[flow.add(unique, "a")])
    run = await flow.start(service)
    assert await service.claim() == ["stock"]
    assert await run.states() == {"b": "suspended"}
    await service.end("stock")
    await AdvanceSweep(service.store).run()  # whoever ended it knew of no workflow
    assert await service.claim() == ["b"]
    again = Workflow()
    again.add(JOB, "c", after=[again.add(unique, "a")])
    await again.start(service)
    assert await service.claim() == ["c"]  # it was done before


@pytest.mark.asyncio
async def test_what_was_not_let_go_of_is_found_by_the_upkeep(service: StoreService) -> None:
    task = AdvanceSweep(service.store)
    run = await diamond().start(service)
    for names in (["a"], ["b", "c"], ["d"]):
        assert await task.run() > 0
        assert await service.claim() == names
        for name in names:
            await service.end(name, DONE, steps=0)
    assert set((await run.states()).values()) == {"completed"}


@pytest.mark.asyncio
async def test_the_upkeep_rests_the_longer_the_more_it_has_to_look_at(service: StoreService) -> None:
    assert await AdvanceSweep(service.store, iter([0.0, 0.04]).__next__).run() == 1.0
    assert await AdvanceSweep(service.store, iter([0.0, 0.5]).__next__).run() == 10.0


@pytest.mark.asyncio
async def test_the_upkeep_comes_to_all_that_wait(service: StoreService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.jobs.maintenance.maintenance.ADVANCE_LIMIT", 3)
    task = AdvanceSweep(service.store)
    for number in range(10):
        flow = Workflow()
        flow.add(JOB, f"b{number}", after=[flow.add(JOB, f"a{number}")])
        await flow.start(service)
    for name in await service.claim():
        await service.end(name, steps=0)
    ran = 0
    for _ in range(6):
        await task.run()
        ran += len(await service.claim())
    assert ran == 10
