"""Workflows of any shape, with ends of any kind, let go of by processes that may die at any moment."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.clock import utc_now
from headrace.jobs.flows.workflow import OnFailure, Workflow
from headrace.jobs.job import INCOMPLETE, JobOutcome, NewJob
from headrace.jobs.maintenance.maintenance import AdvanceSweep
from headrace.jobs.stores.store import JobStore
from tests.fakes.job_groups import CALLED_OFF, DONE, GIVEN_UP, StoreService, cleared
from tests.fakes.store_kinds import STORE_KINDS

OUTCOMES: list[JobOutcome] = [DONE, DONE, DONE, GIVEN_UP, CALLED_OFF]
POLICIES: list[OnFailure] = ["cancel", "ignore"]


@st.composite
def plans(draw: st.DrawFn) -> list[tuple[list[int], OnFailure, JobOutcome, int | None]]:
    """Draw steps: those before it, what becomes of it after a failure, how it ends, and when who saw that dies."""
    count = draw(st.integers(1, 9))
    return [
        (
            draw(st.lists(st.integers(0, place - 1), unique=True, max_size=3)) if place else [],
            draw(st.sampled_from(POLICIES)),
            draw(st.sampled_from(OUTCOMES)),
            draw(st.none() | st.integers(0, 4)),
        )
        for place in range(count)
    ]


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
@given(plan=plans(), seed=st.integers(0, 2**32))
def test_every_step_ends_and_none_runs_before_its_time(
    runner: asyncio.Runner,
    kept: JobStore,
    plan: list[tuple[list[int], OnFailure, JobOutcome, int | None]],
    seed: int,
) -> None:
    async def check() -> None:
        service, task, random = StoreService(kept), AdvanceSweep(kept), Random(seed)
        await cleared(kept)
        flow = Workflow()
        for place, (after, policy, _, _) in enumerate(plan):
            flow.add(NewJob("w"), str(place), after=map(str, after), on_failure=policy)
        run = await flow.start(service)
        while set((await run.states()).values()) & INCOMPLETE:
            await service.claim(random.randint(1, 3))
            if service.running:
                name = random.choice(sorted(service.running))
                await service.end(name, plan[int(name)][2], steps=plan[int(name)][3])
            else:
                await task.run()
        expected = _expected(plan)
        assert sorted(service.ran, key=int) == [str(place) for place in expected]
        for place in expected:
            before = [str(one) for one in plan[place][0] if one in expected]
            assert all(service.ran.index(one) < service.ran.index(str(place)) for one in before)

    runner.run(check())


def _expected(plan: list[tuple[list[int], OnFailure, JobOutcome, int | None]]) -> list[int]:
    """Return which steps run: all whose predecessors end well, but for those that run after a failure, too."""
    is_done: list[bool] = []
    runs: list[int] = []
    for place, (after, policy, outcome, _) in enumerate(plan):
        may_run = policy == "ignore" or all(is_done[one] for one in after)
        is_done.append(may_run and outcome is DONE)
        if may_run:
            runs.append(place)
    return runs
