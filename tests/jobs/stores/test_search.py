"""Finding and counting jobs: a filter means the same in every store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.clock import utc_now
from headrace.jobs.job import STATES, NewJob
from headrace.jobs.rules.job_filter import JobFilter, Scalar
from headrace.jobs.stores.store import JobCount, JobStore
from tests.fakes.kept_jobs import ALL, ME, inserted
from tests.fakes.store_kinds import STORE_KINDS

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS: st.SearchStrategy[Scalar] = st.sampled_from([None, True, False, 0, 1, 1.5, "1", "true", "", "ü"])
GROUPS = st.sampled_from(["workflow_id", "batch_id", "chain_id", "a"])
JOBS = st.builds(
    NewJob,
    worker=NAMES,
    queue=NAMES,
    tags=st.lists(NAMES, max_size=2),
    state=st.sampled_from(STATES),
    args=st.dictionaries(NAMES, SCALARS | st.dictionaries(NAMES, SCALARS, max_size=1), max_size=2),
    meta=st.dictionaries(GROUPS, SCALARS, max_size=2),
)


def _some(values: st.SearchStrategy[str]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.frozensets(values, max_size=2)


FILTERS = st.builds(
    JobFilter,
    ids=st.none() | st.frozensets(st.integers(1, 20), max_size=10),
    states=_some(st.sampled_from(STATES)),
    queues=_some(NAMES),
    workers=_some(NAMES),
    tags=_some(NAMES),
    args=st.dictionaries(st.sampled_from(["a", "b", "a.a", "a.b"]), SCALARS, max_size=2),
    meta=st.dictionaries(GROUPS, st.sampled_from(["1", "true", "", "ü"]), max_size=1),
    before_id=st.none() | st.integers(1, 20),
)


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(jobs=st.lists(JOBS, max_size=8), which=st.lists(FILTERS, min_size=1, max_size=6))
def test_what_is_found_is_what_fits(
    runner: asyncio.Runner, kept: JobStore, jobs: list[NewJob], which: list[JobFilter]
) -> None:
    async def check() -> None:
        await kept.insert(jobs)
        everything = await kept.find(ALL, 10_000, is_newest_first=False)
        for one in which:
            fitting = [job for job in everything if one.matches(job)]
            assert await kept.find(one, 10_000, is_newest_first=False) == fitting
            assert await kept.find(one, 2) == fitting[::-1][:2]
            assert await kept.count(one) == len(fitting)
            assert await kept.has(one) == bool(fitting)

    runner.run(check())


@pytest.mark.asyncio
async def test_pages_follow_each_other_without_a_gap(store: JobStore) -> None:
    ids = await inserted(store, *(NewJob("build") for _ in range(10)))
    pages: list[int] = []
    which = ALL
    while page := await store.find(which, 3):
        pages += [job.id for job in page]
        which = JobFilter(before_id=page[-1].id)
    assert pages == ids[::-1]


@pytest.mark.asyncio
async def test_jobs_are_counted_by_queue_and_state(store: JobStore) -> None:
    await inserted(store, NewJob("a"), NewJob("a"), NewJob("a", queue="slow", state="scheduled"))
    await store.claim(ME, 1)
    counts = await store.counts()
    assert sorted(counts, key=lambda one: (one.queue, one.state)) == [
        JobCount("default", "available", 1),
        JobCount("default", "executing", 1),
        JobCount("slow", "scheduled", 1),
    ]


@pytest.mark.asyncio
async def test_a_job_that_is_not_there_is_none(store: JobStore) -> None:
    assert await store.get(1) is None
