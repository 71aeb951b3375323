"""Metrics of jobs count attempts from their telemetry events."""

from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    JobOutcome,
)
from headrace.jobs.metrics import OUTCOMES, JobMetrics, outcome_name
from headrace.jobs.running.queue import JOB_START, JOB_STOP, EndedAttempt
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.telemetry.events import Telemetry
from tests.fakes import job_workers as workers
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_stores import a_job


def metrics_of(clock: MovedClock, telemetry: Telemetry) -> JobMetrics:
    metrics = JobMetrics(WorkerCatalogue([workers.double]), clock, telemetry)
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
    (finished, _, _) = metrics_of(MovedClock(), Telemetry()).families
    assert set(finished.samples.values()) == {0}
    assert len(finished.samples) == 2 * len(OUTCOMES)


def test_an_attempt_is_counted_by_its_queue_its_worker_and_its_end() -> None:
    telemetry = Telemetry()
    metrics = metrics_of(MovedClock(), telemetry)
    names = (workers.double.name, "no.such", "another")
    jobs = [a_job(number, worker=name) for number, name in enumerate(names, 1)]
    telemetry.execute(JOB_START, {"count": 3}, {"queue": "default", "jobs": jobs})
    ended = [EndedAttempt(job, AttemptCompleted(), 0.5) for job in jobs]
    telemetry.execute(JOB_STOP, {"count": 3}, {"queue": "default", "attempts": ended})
    finished, duration, wait = metrics.families
    assert finished.samples["default", workers.double.name, "completed"] == 1
    assert finished.samples["default", "other", "completed"] == 2
    assert metrics.finished() == 3
    assert duration.tallies["default", "other"].sum == 1.0
    assert sum(duration.tallies["default", "other"].counts()) == 2
    assert sum(wait.tallies["default",].counts()) == 3


def test_a_clock_that_was_set_back_makes_no_wait_below_0() -> None:
    clock, telemetry = MovedClock(), Telemetry()
    metrics = metrics_of(clock, telemetry)
    clock.move(-2 * 365 * 86_400)
    telemetry.execute(JOB_START, {"count": 1}, {"queue": "default", "jobs": [a_job(1)]})
    assert list(metrics.families)[2].tallies["default",].sum == 0


def test_a_job_that_was_put_back_before_it_began_counts_under_its_worker_without_a_duration() -> None:
    telemetry = Telemetry()
    metrics = metrics_of(MovedClock(), telemetry)
    ended = [EndedAttempt(a_job(1, worker=workers.double.name), AttemptReleased(), None)]
    telemetry.execute(JOB_STOP, {"count": 1}, {"queue": "default", "attempts": ended})
    finished, duration, _ = metrics.families
    assert finished.samples["default", workers.double.name, "returned"] == 1
    assert sum(duration.tallies["default", workers.double.name].counts()) == 0
