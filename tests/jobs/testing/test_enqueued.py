"""What a test says of what was enqueued: it holds for exactly the jobs that fit, and a failure shows the others."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.job import NewJob
from headrace.jobs.running.encryption import ArgsCipher, new_key
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.testing import BadJobsTest, JobsTester
from headrace.jobs.worker import worker
from tests.fakes import shop_workers
from tests.fakes.shop_workers import Parcel, answer, charge, mail, order, pack

NAME = shop_workers.__name__
SKUS = st.sampled_from(["a", "b", "", "ü"])


@given(st.lists(st.tuples(SKUS, st.integers(0, 2))), SKUS, st.integers(0, 2))
def test_exactly_what_fits_is_found_and_refuted(calls: list[tuple[str, int]], sku: str, depth: int) -> None:
    with JobsTester(WorkerCatalogue([order, mail])) as tester:
        for call in calls:
            order.enqueue_sync(*call)
        fits = [job.id for job in tester.all_enqueued(order, args={"sku": sku, "depth": depth})]
        assert fits == [number for number, call in enumerate(calls, 1) if call == (sku, depth)]
        if fits:
            assert tester.assert_enqueued(order, args={"sku": sku, "depth": depth}, count=len(fits)).id == fits[0]
            with pytest.raises(AssertionError, match="none should"):
                tester.refute_enqueued(order, args={"sku": sku, "depth": depth})
        else:
            tester.refute_enqueued(order, args={"sku": sku, "depth": depth})
            with pytest.raises(AssertionError, match="no job is enqueued that fits"):
                tester.assert_enqueued(order, args={"sku": sku, "depth": depth})


def test_arguments_fit_as_json_and_as_what_their_annotations_make_of_them(shop: JobsTester) -> None:
    pack.enqueue_sync(Parcel("a", 3))
    mail.enqueue_sync("ann", day=date(2026, 11, 24))
    shop.assert_enqueued(pack, args={"parcel": Parcel("a", 3)})
    shop.assert_enqueued(pack, args={"parcel": {"sku": "a"}})
    shop.refute_enqueued(pack, args={"parcel": Parcel("a")})
    shop.refute_enqueued(pack, args={"parcel": {"count": "3"}})
    shop.assert_enqueued(mail, args={"day": date(2026, 11, 24)})
    shop.assert_enqueued(mail, args={"day": "2026-11-24"})
    shop.refute_enqueued(mail, args={"day": None})


def test_every_other_word_about_a_job_is_looked_at(shop: JobsTester) -> None:
    mail.with_options(priority=3, tags=["Spam"]).enqueue_sync("ann")
    shop.assert_enqueued(mail, queue="mail", priority=3, tags=["spam"], state="available", meta={})
    shop.assert_enqueued(f"{NAME}.mail")
    shop.assert_enqueued(queue="mail")
    for wants in ({"queue": "default"}, {"priority": 0}, {"tags": ["mail"]}, {"meta": {"a": 1}}):
        shop.refute_enqueued(mail, **wants)


@pytest.mark.asyncio
async def test_times_fit_within_a_tolerance(shop: JobsTester) -> None:
    await order.schedule_in(60, "a")
    at = shop.clock() + timedelta(seconds=60)
    shop.assert_enqueued(order, scheduled_at=at, scheduled_in_seconds=60.5)
    shop.refute_enqueued(order, scheduled_in_seconds=62)
    shop.assert_enqueued(order, scheduled_in_seconds=70, tolerance_seconds=10)
    with pytest.raises(AssertionError, match="it is scheduled 10 s too late"):
        shop.assert_enqueued(order, scheduled_in_seconds=50)
    with pytest.raises(BadJobsTest, match="has no time zone"):
        shop.assert_enqueued(order, scheduled_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused
    shop.clock.move(60)
    shop.assert_enqueued(order, state="available")


def test_a_failure_shows_what_is_enqueued_nearest_first(shop: JobsTester) -> None:
    mail.enqueue_sync("bob")
    order.enqueue_sync("a", depth=2)
    order.enqueue_sync("b", depth=1)
    with pytest.raises(AssertionError) as failure:
        shop.assert_enqueued(order, args={"sku": "b", "depth": 2})
    lines = str(failure.value).splitlines()
    assert lines[:2] == [
        f"no job is enqueued that fits: worker {NAME}.order, args {{'sku': 'b', 'depth': 2}}",
        "3 are enqueued, nearest first:",
    ]
    assert [line.rpartition(": ")[2].strip() for line in lines[2:4]] == ["args.depth is 1", "args.sku is 'a'"]
    assert f"job 1 {NAME}.mail in queue mail, available, args {{'to': 'bob'}}: its worker is {NAME}.mail" in lines[4]


def test_a_failure_says_that_nothing_is_there_or_that_it_was_run(shop: JobsTester, said: list[str]) -> None:
    with pytest.raises(AssertionError, match="nothing is enqueued at all"):
        shop.assert_enqueued(order)
    with shop.inline():
        order.enqueue_sync("a")
    with pytest.raises(AssertionError, match=r"ran or were cancelled:\n    job 1 .*order in queue default, completed"):
        shop.assert_enqueued(order)
    shop.assert_enqueued(order, state="completed")
    assert said == ["order a"]


def test_a_wrong_number_of_jobs_fails_and_a_long_list_is_cut(shop: JobsTester) -> None:
    for number in range(12):
        order.enqueue_sync(str(number))
    with pytest.raises(AssertionError, match=r"12 enqueued jobs fit, and 2 should(?s:.*)and 2 more"):
        shop.assert_enqueued(order, count=2)


def test_what_no_job_could_be_is_refused_so_that_no_refutation_is_empty(shop: JobsTester) -> None:
    @worker
    async def unlisted() -> None: ...

    with pytest.raises(BadJobsTest, match=r"'skus' is no parameter of worker '.*order': did you mean 'sku'"):
        shop.refute_enqueued(order, args={"skus": "a"})
    with pytest.raises(BadJobsTest, match="quene is no expectation of a test about a job: did you mean queue"):
        shop.refute_enqueued(order, quene="mail")  # type: ignore[call-arg] # that is what is refused
    with pytest.raises(BadJobsTest, match=r"'.*unlisted' is none of this test: list its module"):
        shop.refute_enqueued(unlisted)


@pytest.mark.asyncio
async def test_jobs_of_strangers_are_seen_by_name(shop: JobsTester) -> None:
    await shop.jobs.insert([NewJob("elsewhere.build", {"pair": [1, True]})])
    shop.assert_enqueued("elsewhere.build", args={"pair": (1, True)})
    shop.refute_enqueued("elsewhere.build", args={"pair": [1]})


def test_secret_arguments_are_compared_and_never_shown(said: list[str]) -> None:
    settings = JobsSettings(cipher=ArgsCipher([new_key()]))
    with JobsTester(WorkerCatalogue([charge]), settings=settings) as tester:
        charge.enqueue_sync("4242")
        tester.assert_enqueued(charge, args={"card": "4242"})
        with pytest.raises(AssertionError) as failure:
            tester.assert_enqueued(charge, args={"card": "1111"})
        assert "args secret: args.card differs" in str(failure.value)
        assert "4242" not in str(failure.value)
        assert tester.drain_queue_sync().completed == 1
    assert said == ["charge 4242"]


def test_a_variant_of_a_worker_stands_for_the_worker(shop: JobsTester) -> None:
    answer.with_options(priority=5).enqueue_sync("snooze")
    shop.assert_enqueued(answer)
    shop.assert_enqueued(answer.with_options(priority=1), priority=5)


def test_the_clock_begins_with_the_real_time_and_stands_still() -> None:
    before = datetime.now(UTC)
    with JobsTester(WorkerCatalogue([order])) as tester:
        assert before <= tester.clock() <= datetime.now(UTC)
        assert tester.clock() == tester.clock()
        with pytest.raises(BadJobsTest, match="no time zone"):
            tester.clock.move_to(datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused
