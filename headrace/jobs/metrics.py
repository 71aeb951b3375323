"""What is counted of the jobs that end here: how, how long they ran, and how long they had waited."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, cast

from headrace.jobs.job import AttemptCancelled, AttemptCompleted, AttemptFailed, AttemptSnoozed, Job, JobOutcome
from headrace.jobs.running.queue import JOB_EVENTS, JOB_START, EndedAttempt
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.telemetry.counts import Families, FamilySpec, HistogramCounts
from headrace.telemetry.events import EventName, Measurements, Metadata, Telemetry

OTHER: Final = "other"
"""How a worker is called that no listed module has: its name may be anything, and there may be any number."""

OUTCOMES: Final = ("completed", "failed", "discarded", "cancelled", "snoozed", "returned")
"""How an attempt ends: `failed` is tried again, `discarded` is not, `returned` was ended by a stop."""

SECONDS: Final = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)
"""Bounds of the histograms."""

FINISHED: Final = FamilySpec(
    "counter",
    "headrace_jobs_finished_total",
    "Attempts of jobs that have ended here, by how they did.",
    ("queue", "worker", "outcome"),
    has_stage_labels=False,
)
DURATION: Final = FamilySpec(
    "histogram",
    "headrace_job_duration_seconds",
    "Time that an attempt of a job ran.",
    ("queue", "worker"),
    SECONDS,
    has_stage_labels=False,
)
WAIT: Final = FamilySpec(
    "histogram",
    "headrace_job_queue_wait_seconds",
    "Time from when a job could first be run, or be tried again, until it was.",
    ("queue",),
    SECONDS,
    has_stage_labels=False,
)


class JobMetrics:
    """Counts the attempts of the queues of one service, from their telemetry events."""

    def __init__(self, catalogue: WorkerCatalogue, now: Callable[[], datetime], telemetry: Telemetry) -> None:
        self.families = Families()
        self._finished = self.families.declare(FINISHED)
        self._duration = self.families.declare(DURATION)
        self._wait = self.families.declare(WAIT)
        self._names = {name: worker.name for name in catalogue.names if (worker := catalogue.get(name)) is not None}
        self._now = now
        self._waits: dict[str, HistogramCounts] = {}
        self._durations: dict[str, dict[str, HistogramCounts]] = {}
        telemetry.attach(repr(self), JOB_EVENTS, self._handle)

    @property
    def workers(self) -> tuple[str, ...]:
        """How workers are called: those that are listed, and one word for all others."""
        return (*dict.fromkeys(self._names.values()), OTHER)

    def begin(self, queue: str) -> None:
        """Count the attempts of a queue, each counter from 0."""
        self._waits[queue] = self._wait.tally((queue,))
        self._durations[queue] = {worker: self._duration.tally((queue, worker)) for worker in self.workers}
        for worker in self.workers:
            for outcome in OUTCOMES:
                self._finished.add((queue, worker, outcome), 0)

    def _handle(self, name: EventName, _: Measurements, metadata: Metadata) -> None:
        queue = cast("str", metadata["queue"])
        if queue not in self._durations:
            return
        if name == JOB_START:
            self._started(queue, cast("Sequence[Job]", metadata["jobs"]))
        else:
            self._ended(queue, cast("Sequence[EndedAttempt]", metadata["attempts"]))

    def _started(self, queue: str, jobs: Sequence[Job]) -> None:
        """Measure how long jobs have waited that are about to run."""
        wait, now = self._waits[queue], self._now
        for job in jobs:
            seconds = ((job.attempted_at or now()) - job.scheduled_at).total_seconds()
            wait.observe(seconds if seconds > 0 else 0.0)  # below 0 the clock was set back

    def _ended(self, queue: str, attempts: Sequence[EndedAttempt]) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        durations, name_of = self._durations[queue], self._names.get
        for one in attempts:
            worker = name_of(one.job.worker, OTHER)
            counts[worker, outcome_name(one.outcome)] += 1
            if one.seconds is not None:
                durations[worker].observe(one.seconds)
        for (worker, outcome), count in counts.items():
            self._finished.add((queue, worker, outcome), count)

    def finished(self, outcomes: Iterable[str] = OUTCOMES) -> int:
        """Return how many attempts have ended in one of these ways."""
        wanted = frozenset(outcomes)
        return int(sum(count for (_, _, outcome), count in self._finished.samples.items() if outcome in wanted))


def outcome_name(outcome: JobOutcome) -> str:
    """Return how a metric calls an outcome."""
    if isinstance(outcome, AttemptCompleted):
        return "completed"
    if isinstance(outcome, AttemptFailed):
        return "discarded" if outcome.retry_seconds is None else "failed"
    if isinstance(outcome, AttemptCancelled):
        return "cancelled"
    return "snoozed" if isinstance(outcome, AttemptSnoozed) else "returned"
