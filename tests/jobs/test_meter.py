"""What is counted of jobs."""

import pytest

from headrace.jobs.catalogue import Catalogue
from headrace.jobs.job import Acknowledgement, CalledOff, Completed, Failed, Job, Outcome, Returned, Snoozed
from headrace.jobs.meter import OUTCOMES, Meter, outcome_name
from tests.fakes import job_workers as workers
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_stores import a_job

pytestmark = pytest.mark.asyncio


async def complete(_: Job) -> Outcome:
    return Completed()


def meter_of(clock: MovedClock) -> Meter:
    meter = Meter(Catalogue([workers.double]), clock)
    meter.begin("default")
    return meter


async def test_every_way_to_end_has_a_name_and_begins_at_0() -> None:
    ends: list[Outcome] = [Completed(), Failed("a", 1), Failed("a", None), CalledOff("a"), Snoozed(1), Returned()]
    assert [outcome_name(end) for end in ends] == list(OUTCOMES)
    (finished, _, _) = meter_of(MovedClock()).families
    assert set(finished.samples.values()) == {0}
    assert len(finished.samples) == 2 * len(OUTCOMES)


async def test_an_attempt_is_counted_by_its_queue_its_worker_and_its_end() -> None:
    clock = MovedClock()
    meter = meter_of(clock)
    for number, name in enumerate((workers.double.name, "no.such", "another"), 1):
        await meter.around("default", complete)(a_job(number, worker=name))
    meter.told("default", [Acknowledgement(number, 1, Completed()) for number in (1, 2, 3)])
    finished, duration, wait = meter.families
    assert finished.samples["default", workers.double.name, "completed"] == 1
    assert finished.samples["default", "other", "completed"] == 2
    assert meter.finished() == 3
    assert sum(duration.tallies["default", "other"].counts()) == 2
    assert sum(wait.tallies["default",].counts()) == 3


async def test_a_clock_that_was_set_back_makes_no_wait_below_0() -> None:
    clock = MovedClock()
    meter = meter_of(clock)
    clock.move(-2 * 365 * 86_400)
    await meter.around("default", complete)(a_job(1))
    assert list(meter.families)[2].tallies["default",].sum == 0


async def test_an_attempt_that_is_cancelled_is_measured_too() -> None:
    async def cancelled(_: Job) -> Outcome:
        raise KeyboardInterrupt

    meter = meter_of(MovedClock())
    with pytest.raises(KeyboardInterrupt):
        await meter.around("default", cancelled)(a_job(1))
    assert sum(list(meter.families)[1].tallies["default", "other"].counts()) == 1
