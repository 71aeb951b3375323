"""What is counted of jobs."""

from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    JobAck,
    JobOutcome,
)
from headrace.jobs.metrics import OUTCOMES, JobMetrics, outcome_name
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from tests.fakes import job_workers as workers
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_stores import a_job


def meter_of(clock: MovedClock) -> JobMetrics:
    metrics = JobMetrics(WorkerCatalogue([workers.double]), clock)
    metrics.begin("default")
    return metrics


def test_every_way_to_end_has_a_name_and_begins_at_0() -> None:
    ends: list[JobOutcome] = [
        AttemptCompleted(),
        AttemptFailed("a", 1),
        AttemptFailed("a", None),
        AttemptCancelled("a"),
        AttemptSnoozed(1),
        AttemptReleased(),
    ]
    assert [outcome_name(end) for end in ends] == list(OUTCOMES)
    (finished, _, _) = meter_of(MovedClock()).families
    assert set(finished.samples.values()) == {0}
    assert len(finished.samples) == 2 * len(OUTCOMES)


def test_an_attempt_is_counted_by_its_queue_its_worker_and_its_end() -> None:
    clock = MovedClock()
    metrics = meter_of(clock)
    names = (workers.double.name, "no.such", "another")
    jobs = [a_job(number, worker=name) for number, name in enumerate(names, 1)]
    metrics.started("default")(jobs)
    for job in jobs:
        metrics.attempt_finished("default")(job, 0.5)
    metrics.acknowledged("default", [JobAck(number, 1, AttemptCompleted()) for number in (1, 2, 3)])
    finished, duration, wait = metrics.families
    assert finished.samples["default", workers.double.name, "completed"] == 1
    assert finished.samples["default", "other", "completed"] == 2
    assert metrics.finished() == 3
    assert duration.tallies["default", "other"].sum == 1.0
    assert sum(duration.tallies["default", "other"].counts()) == 2
    assert sum(wait.tallies["default",].counts()) == 3


def test_a_clock_that_was_set_back_makes_no_wait_below_0() -> None:
    clock = MovedClock()
    metrics = meter_of(clock)
    clock.move(-2 * 365 * 86_400)
    metrics.started("default")([a_job(1)])
    assert list(metrics.families)[2].tallies["default",].sum == 0
