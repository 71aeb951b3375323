"""Chains: jobs of one key run one at a time, in the order in which they were inserted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.clock import utc_now
from headrace.jobs.flows.advance import advance_all
from headrace.jobs.job import AttemptFailed, AttemptReleased, JobOutcome, NewJob
from headrace.jobs.maintenance.maintenance import AdvanceSweep
from headrace.jobs.rules.flows import chained, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import JobStore
from tests.fakes.job_groups import CALLED_OFF, DONE, GIVEN_UP, StoreService, cleared
from tests.fakes.store_kinds import STORE_KINDS


def bill(number: int, customer: str = "a") -> NewJob:
    return chained(NewJob("bill", {"n": f"{customer}{number}", "customer": customer}), ["customer"])


async def insert(service: StoreService, *jobs: NewJob) -> None:
    await service.insert(jobs)
    await advance_all(service.store, [group for job in jobs for group in groups_of(job.meta)])


@pytest.mark.asyncio
async def test_jobs_of_one_key_run_one_after_the_other(service: StoreService) -> None:
    await insert(service, bill(1), bill(2), bill(1, "b"), bill(3))
    assert await service.claim() == ["a1", "b1"]
    await insert(service, bill(4))
    assert await service.claim() == []
    for number in (1, 2, 3):
        await service.end(f"a{number}")
        assert await service.claim() == [f"a{number + 1}"]


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", [GIVEN_UP, CALLED_OFF])
async def test_a_chain_goes_on_after_a_failure(service: StoreService, outcome: JobOutcome) -> None:
    await insert(service, bill(1), bill(2))
    await service.claim()
    await service.end("a1", outcome)
    assert await service.claim() == ["a2"]


@pytest.mark.asyncio
async def test_a_job_that_is_tried_again_holds_up_the_rest(service: StoreService) -> None:
    await insert(service, bill(1), bill(2))
    await service.claim()
    await service.end("a1", AttemptFailed("no luck", 60))
    assert await service.claim() == []
    await service.store.run_now(JobFilter())
    assert await service.claim() == ["a1"]


def test_a_chain_is_of_a_worker_and_its_keys_or_of_a_name() -> None:
    job = NewJob("bill", {"customer": 7, "sum": 1})
    other = NewJob("mail", {"customer": 7})
    ids = [chained(one, ["customer"]).meta["chain_id"] for one in (job, NewJob("bill", {"customer": 7}), other)]
    assert ids[0] == ids[1] != ids[2]
    assert chained(job, ["customer"], "c").meta == chained(other, ["customer"], "c").meta
    assert chained(job).meta != chained(job, ["customer"]).meta


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=STORE_KINDS)
def kept(request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path: Path) -> Iterator[JobStore]:
    kept = STORE_KINDS[request.param](tmp_path / "jobs.db", utc_now)
    runner.run(kept.open())
    yield kept
    runner.run(kept.close())


OUTCOMES: list[JobOutcome] = [DONE, GIVEN_UP, CALLED_OFF, AttemptReleased()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=10), seed=st.integers(0, 2**32))
def test_one_of_each_chain_runs_at_a_time_in_order_and_all_do(
    runner: asyncio.Runner, kept: JobStore, keys: list[str], seed: int
) -> None:
    async def check() -> None:
        service, task, random = StoreService(kept), AdvanceSweep(kept), Random(seed)
        await cleared(kept)
        waiting = [bill(number, key) for number, key in enumerate(keys)]
        began: list[str] = []
        while waiting or await kept.has(JobFilter(states=frozenset({"suspended", "available", "executing"}))):
            what = random.choice(["insert", "claim", "end", "advance"])
            if what == "insert" and waiting:
                await service.insert([waiting.pop(0)])
            elif what == "claim":
                began += await service.claim(random.randint(1, 3))
                assert len({name[0] for name in service.running}) == len(service.running)
            elif what == "end" and service.running:
                name = random.choice(sorted(service.running))
                outcome = random.choice(OUTCOMES)
                await service.end(name, outcome, steps=random.choice([None, 0, 1, 2, 3]))
            elif what == "advance":
                await asyncio.gather(task.run(), AdvanceSweep(kept).run())
        first = list(dict.fromkeys(began))
        for key in "abc":
            assert [name for name in first if name[0] == key] == [f"{k}{n}" for n, k in enumerate(keys) if k == key]

    runner.run(check())
