"""Jobs that a test runs: at once, by hand, or a queue at a time, as real runs would, and with what they raise."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headrace.jobs.errors import BadArguments, JobDiscarded, JobDropped, NoRunningJob, NotBound
from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import AttemptCompleted, AttemptFailed, NewJob
from headrace.jobs.results import Found, JobRegistry, NotFound, Pending
from headrace.jobs.rules.flows import chained
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import current_job
from headrace.jobs.settings import JobsSettings
from headrace.jobs.testing import BadJobsTest, Drained, JobFailed, JobNotRun, JobsTester
from tests.fakes.shop_workers import Parcel, answer, hang, mail, order, pack, price, refuse


def test_the_workers_are_handed_back_when_the_test_is_over() -> None:
    with JobsTester(WorkerCatalogue([order])):
        order.enqueue_sync("a")
        with pytest.raises(NotBound, match="close that one first"), JobsTester(WorkerCatalogue([order])):
            pytest.fail("two testers have one worker")
    with pytest.raises(NotBound):
        order.enqueue_sync("a")


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(BadJobsTest, match="the mode of the jobs of a test is 'fake': use inline or manual"):
        JobsTester(WorkerCatalogue([order]), "fake")  # type: ignore[arg-type] # that is what is refused


# Inline


@pytest.mark.asyncio
async def test_inline_runs_a_job_before_its_enqueuer_goes_on(shop: JobsTester, said: list[str]) -> None:
    with shop.inline():
        handle = await order.enqueue("a", depth=2)
        assert said == ["order a", "order a+", "order a++"]
        assert (await handle.job()).state == "completed"
        with shop.manual():
            await order.enqueue("b")
        await order.schedule_in(3600, "c")
    assert said[3:] == ["order c"]
    shop.assert_enqueued(order, args={"sku": "b"}, count=1)
    with pytest.raises(NoRunningJob):
        current_job()


@pytest.mark.asyncio
async def test_inline_raises_what_the_worker_raises_and_keeps_the_job(shop: JobsTester) -> None:
    with shop.inline():
        with pytest.raises(KeyError, match="no such") as raised:
            await refuse.enqueue("no such")
        assert raised.traceback[-1].name == "refuse"
        with pytest.raises(JobFailed, match=r"took longer than the 0.001 s"):
            await hang.enqueue()
    shop.assert_enqueued(refuse, state="retryable")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "state"), [("snooze", "scheduled"), ("cancel", "cancelled"), ("discard", "discarded")]
)
async def test_an_answer_is_no_failure(shop: JobsTester, kind: str, state: str) -> None:
    with shop.inline():
        assert (await (await answer.enqueue(kind)).job()).state == state


@pytest.mark.asyncio
async def test_a_def_runs_in_the_thread_of_the_test_and_enqueues_from_there(shop: JobsTester, said: list[str]) -> None:
    with shop.inline():
        handle = await pack.enqueue(Parcel("a", 2))
        assert await handle.result(1) == Parcel("a", 4)
    assert said == ["pack a", "mail ann"]


def test_inline_needs_no_event_loop(shop: JobsTester, said: list[str]) -> None:
    with shop.inline():
        order.enqueue_sync("a")
        with pytest.raises(KeyError):
            refuse.enqueue_sync("b")
    assert said == ["order a", "refuse 1"]


@pytest.mark.asyncio
async def test_a_unique_job_that_is_there_is_not_run_again(shop: JobsTester) -> None:
    with shop.inline():
        first, second = [await price.enqueue("abc") for _ in range(2)]
    assert (second.id, second.is_conflict) == (first.id, True)
    assert await second.result() == 3


# One job


@pytest.mark.asyncio
async def test_perform_job_answers_as_a_real_run_would(shop: JobsTester, said: list[str]) -> None:
    assert await shop.perform_job(order, "a") == "A"
    assert await shop.perform_job(pack, Parcel("a", 1)) == Parcel("a", 2)
    shop.assert_enqueued(mail, args={"to": "ann"})
    shop.refute_enqueued(order)
    assert said == ["order a", "pack a"]


def test_perform_job_works_where_no_coroutine_is(shop: JobsTester) -> None:
    assert shop.perform_job_sync(order, sku="a") == "A"
    with pytest.raises(KeyError, match="c"):
        shop.perform_job_sync(refuse, "c")


@pytest.mark.asyncio
async def test_perform_job_refuses_what_would_not_be_enqueued(shop: JobsTester) -> None:
    with pytest.raises(BadArguments, match="'sku'"):
        await shop.perform_job(order, 7)  # type: ignore[arg-type] # that is what is refused


@pytest.mark.asyncio
async def test_an_outcome_tells_what_becomes_of_an_attempt(shop: JobsTester) -> None:
    first = await shop.outcome_of(refuse.new("x"))
    assert isinstance(first, AttemptFailed)
    assert first.retry_seconds == 60.0
    last = await shop.outcome_of(refuse.new("x"), attempt=2)
    assert isinstance(last, AttemptFailed)
    assert last.retry_seconds is None
    done = await shop.outcome_of(price.new("x"))
    assert isinstance(done, AttemptCompleted)
    assert done.meta is not None
    assert done.meta["progress"] == {"fraction": 0.5, "note": "x"}


@pytest.mark.asyncio
async def test_middleware_goes_around_what_a_test_runs(said: list[str]) -> None:
    def dropped(job: NewJob) -> NewJob | None:
        return None if job.args.get("sku") == "drop" else job

    settings = JobsSettings(enqueue_middleware=[dropped])
    with JobsTester(WorkerCatalogue([order]), settings=settings) as tester:
        assert (await order.enqueue("drop")).is_dropped
        with pytest.raises(JobDropped):
            await tester.perform_job(order, "drop")
        await tester.perform_job(order, "keep")
    assert said == ["order keep"]


# A queue


@pytest.mark.asyncio
async def test_a_drain_runs_what_waits_and_counts_what_came_of_it(shop: JobsTester) -> None:
    for kind in ("snooze", "cancel", "discard"):
        await answer.enqueue(kind)
    await refuse.enqueue("x")
    await order.enqueue("a", depth=2)
    await mail.enqueue("ann")
    assert await shop.drain_queue() == Drained(completed=3, retryable=1, discarded=1, cancelled=1, snoozed=1)
    assert await shop.drain_queue() == Drained()
    assert (await shop.drain_queue("mail")).total == 1


@pytest.mark.asyncio
async def test_a_drain_takes_the_most_urgent_first_and_what_waits_for_its_time_only_if_told(
    shop: JobsTester, said: list[str]
) -> None:
    await order.schedule_in(60, "late")
    await order.schedule_in(30, "soon")
    await order.enqueue("now")
    await order.with_options(priority=0).enqueue("b")
    await order.with_options(priority=9).enqueue("last")
    await shop.drain_queue()
    assert said == ["order now", "order b", "order last"]
    shop.clock.move(30)
    assert (await shop.drain_queue()).completed == 1
    assert (await shop.drain_queue(with_scheduled=shop.clock())).total == 0
    assert (await shop.drain_queue(with_scheduled=True)).total == 1
    assert said[3:] == ["order soon", "order late"]


@pytest.mark.asyncio
async def test_a_drain_ends_though_a_job_comes_back_each_time(shop: JobsTester) -> None:
    await answer.enqueue("snooze")
    await refuse.enqueue("x")
    assert await shop.drain_queue(with_scheduled=True) == Drained(snoozed=1, retryable=1)
    assert await shop.drain_queue(with_scheduled=True) == Drained(snoozed=1, discarded=1)


@pytest.mark.asyncio
async def test_a_drain_may_be_bounded(shop: JobsTester) -> None:
    await order.enqueue("a", depth=5)
    await order.enqueue("b")
    assert (await shop.drain_queue(with_recursion=False)).completed == 2
    assert (await shop.drain_queue(with_limit=2)).completed == 2
    assert (await shop.drain_queue(with_limit=0)).completed == 0
    assert (await shop.drain_queue()).completed == 3


@pytest.mark.asyncio
async def test_a_drain_without_safety_raises_what_the_worker_raises(shop: JobsTester) -> None:
    await refuse.enqueue("x")
    with pytest.raises(KeyError, match="x"):
        await shop.drain_queue(with_safety=False)


@pytest.mark.asyncio
async def test_a_job_that_was_called_off_meanwhile_is_not_run(shop: JobsTester) -> None:
    handle = await order.enqueue("a")
    await shop.jobs.cancel(JobFilter(ids=frozenset({handle.id})))
    assert (await shop.drain_queue()).total == 0


def test_a_drain_needs_no_event_loop(shop: JobsTester, said: list[str]) -> None:
    order.enqueue_sync("a")
    assert shop.drain_queue_sync(with_limit=1).completed == 1
    assert said == ["order a"]


# With the rest of the house


@pytest.mark.asyncio
async def test_a_result_that_only_the_test_could_make_is_not_waited_for(shop: JobsTester) -> None:
    handle = await price.enqueue("abc")
    with pytest.raises(JobNotRun, match=r"job 1 of worker '.*price' is available, and no queue will run it"):
        await handle.result()
    await shop.drain_queue()
    assert await handle.result() == 3


@pytest.mark.asyncio
async def test_a_registry_answers_in_tests(shop: JobsTester) -> None:
    registry = JobRegistry(price, expires_in_seconds=60)
    assert await registry.find("abc") == NotFound()
    await registry.add("abc")
    assert await registry.find("abc") == Pending()
    await shop.drain_queue()
    assert await registry.find("abc") == Found(3, shop.clock())
    shop.clock.move(61)
    assert await registry.find("abc") == NotFound()


@pytest.mark.asyncio
async def test_a_step_runs_after_those_before_it_and_gets_their_results(shop: JobsTester, said: list[str]) -> None:
    flow = Workflow()
    first = flow.add(price.new("abc"), "first")
    flow.add(price.new("abcde"), "second", after=[first])
    run = await flow.start(shop.jobs)
    shop.assert_enqueued(price, state="suspended")
    assert (await shop.drain_queue()).completed == 2
    assert (await run.jobs())["second"].meta["return"] == 6
    with shop.inline():
        batch = Batch(on_ended=mail.new("boss"))
        batch.add(order.new("a"), order.new("b"))
        await batch.start(shop.jobs)
    assert said == ["order a", "order b", "mail boss"]


@pytest.mark.asyncio
async def test_the_jobs_of_a_chain_run_one_after_the_other(shop: JobsTester, said: list[str]) -> None:
    jobs = [chained(order.new(sku), name="orders") for sku in "abc"]
    await shop.jobs.insert(jobs)
    assert [job.state for job in shop.all_enqueued(order)] == ["available", "suspended", "suspended"]
    assert (await shop.drain_queue()).completed == 3
    with shop.inline():
        await shop.jobs.insert(jobs)
    assert said == [f"order {sku}" for sku in "abcabc"]


@pytest.mark.asyncio
async def test_what_a_transaction_enqueues_is_kept_and_not_run(
    shop: JobsTester, said: list[str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, shop.inline():
        order.enqueue_in(connection, "a")
        assert connection.in_transaction
    assert said == []
    assert (await shop.drain_queue()).completed == 1


@pytest.mark.asyncio
async def test_a_job_that_is_broken_off_waits_again(shop: JobsTester, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(BaseException):
        """What pytest's own words raise, too."""

    async def stop(sku: str, depth: int = 0) -> str:
        raise Stop

    monkeypatch.setattr(order, "function", stop)
    await order.enqueue("a")
    with pytest.raises(Stop):
        await shop.drain_queue()
    assert shop.assert_enqueued(order, state="available").attempt == 0


@pytest.mark.asyncio
async def test_a_job_that_was_given_up_says_so_to_who_waits(shop: JobsTester) -> None:
    handle = await answer.enqueue("discard")
    await shop.drain_queue()
    with pytest.raises(JobDiscarded, match="never"):
        await handle.result()
