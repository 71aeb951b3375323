"""Metrics of jobs: name, help and labels of each, and how to read its value."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

from headrace.errors import HeadraceError
from headrace.jobs.job import (
    STATES,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptSnoozed,
    Job,
    JobOutcome,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.queue import JOB_EXCEPTION, JOB_START, JOB_STOP, EndedAttempt, QueueStatistics
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.store import Finds, JobCount
from headrace.telemetry.counts import Families, Family, FamilySpec, HistogramCounts, LabelValues
from headrace.telemetry.events import EventName, Measurements, Metadata, Telemetry

OTHER: Final = "other"
"""The label of workers that no listed module has, and of queues that do not run here. It limits the number of
series."""

OUTCOMES: Final = ("completed", "failed", "discarded", "cancelled", "snoozed", "returned")
"""How an attempt ends: `failed` is tried again, `discarded` is not, and a stop of the process causes `returned`."""

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
CURRENT: Final = FamilySpec(
    "gauge",
    "headrace_jobs_current",
    "Jobs in the store, by queue and state.",
    ("queue", "state"),
    has_stage_labels=False,
)


def _queue_gauge(name: str, text: str) -> FamilySpec:
    return FamilySpec("gauge", name, text, ("queue",), has_stage_labels=False)


QUEUE_GAUGES: Final[Mapping[FamilySpec, Callable[[QueueStatistics], float]]] = {
    _queue_gauge("headrace_queue_limit", "Jobs of a queue that may run here at a time."): lambda queue: queue.limit,
    _queue_gauge("headrace_queue_running", "Jobs of a queue that run here."): lambda queue: queue.running,
    _queue_gauge("headrace_queue_paused", "Whether a queue claims nothing more, 1, or does, 0."): lambda queue: (
        queue.is_paused
    ),
}

COUNT_SECONDS: Final = 5.0
"""The store counts its jobs at most once in this time, however often it is scraped."""

_NO_JOB: Final = JobFilter(ids=frozenset({0}))


class JobMetrics:
    """Counts the attempts of one service from its telemetry events."""

    def __init__(self, catalogue: WorkerCatalogue, now: Callable[[], datetime], telemetry: Telemetry) -> None:
        self.families = Families()
        self._finished = self.families.declare(FINISHED)
        self._duration = self.families.declare(DURATION)
        self._wait = self.families.declare(WAIT)
        self._names = {name: worker.name for name in catalogue.names if (worker := catalogue.get(name)) is not None}
        self._now = now
        self._waits: dict[str, HistogramCounts] = {}
        self._durations: dict[str, dict[str, HistogramCounts]] = {}
        for name, handler in ((JOB_START, self._started), (JOB_STOP, self._ended), (JOB_EXCEPTION, self._ended)):
            telemetry.attach(f"{self!r} {name[-1]}", name, handler)

    def begin(self, queue: str) -> None:
        """Count the attempts of a queue, each counter from 0."""
        workers = (*dict.fromkeys(self._names.values()), OTHER)
        self._waits[queue] = self._wait.tally((queue,))
        self._durations[queue] = {worker: self._duration.tally((queue, worker)) for worker in workers}
        for worker in workers:
            for outcome in OUTCOMES:
                self._finished.add((queue, worker, outcome), 0)

    def finished(self, outcomes: Iterable[str] = OUTCOMES) -> int:
        """Return how many attempts have ended in one of these ways."""
        wanted = frozenset(outcomes)
        return int(sum(count for (_, _, outcome), count in self._finished.samples.items() if outcome in wanted))

    def _started(self, _: EventName, __: Measurements, metadata: Metadata) -> None:
        wait, now = self._waits.get(cast("str", metadata["queue"])), self._now
        if wait is None:  # a queue of another service that shares the telemetry
            return
        for job in cast("Sequence[Job]", metadata["jobs"]):
            seconds = ((job.attempted_at or now()) - job.scheduled_at).total_seconds()
            wait.observe(seconds if seconds > 0 else 0.0)  # below 0 the clock was set back

    def _ended(self, _: EventName, __: Measurements, metadata: Metadata) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        queue = cast("str", metadata["queue"])
        durations, name_of = self._durations.get(queue), self._names.get
        if durations is None:
            return
        for one in cast("Sequence[EndedAttempt]", metadata["attempts"]):
            worker = name_of(one.job.worker, OTHER)
            counts[worker, outcome_name(one.outcome)] += 1
            if one.seconds is not None:
                durations[worker].observe(one.seconds)
        for (worker, outcome), count in counts.items():
            self._finished.add((queue, worker, outcome), count)


def outcome_name(outcome: JobOutcome) -> str:
    """Return the label of an outcome, one of OUTCOMES."""
    if isinstance(outcome, AttemptCompleted):
        return "completed"
    if isinstance(outcome, AttemptFailed):
        return "discarded" if outcome.retry_seconds is None else "failed"
    if isinstance(outcome, AttemptCancelled):
        return "cancelled"
    return "snoozed" if isinstance(outcome, AttemptSnoozed) else "returned"


class MeasuredJobs(Protocol):
    """A service whose metrics are read: `Jobs`."""

    @property
    def store(self) -> Finds:
        """The store that counts the jobs."""

    metrics: JobMetrics

    def statistics(self) -> Mapping[str, QueueStatistics]:
        """Return the statistics of each queue that runs here."""


@dataclass(frozen=True, slots=True)
class JobsSnapshot:
    """The values of one scrape; `counts` is None while the store fails."""

    families: Sequence[Family]
    queues: Mapping[str, QueueStatistics]
    counts: Sequence[JobCount] | None

    def all_families(self) -> Iterator[Family]:
        """Yield each metric of jobs."""
        yield from self.families
        for spec, read in QUEUE_GAUGES.items():
            yield _gauge(spec, {(name,): float(read(queue)) for name, queue in self.queues.items()})
        if self.counts is not None:
            found: Counter[LabelValues] = Counter(
                {(name, state): 0 for name in (*self.queues, OTHER) for state in STATES}
            )
            for one in self.counts:
                found[one.queue if one.queue in self.queues else OTHER, one.state] += one.count
            yield _gauge(CURRENT, found)


def _gauge(spec: FamilySpec, samples: Mapping[LabelValues, float]) -> Family:
    family = Family(spec)
    family.samples.update(samples)
    return family


class JobsProbe:
    """Reads the values of the metrics, and checks the store."""

    def __init__(self, jobs: MeasuredJobs, clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs = jobs
        self._clock = clock
        self._counts: Sequence[JobCount] | None = None
        self._counted_at = float("-inf")

    async def take(self) -> JobsSnapshot:
        """Return the current values. It raises nothing: a store that fails has no counts."""
        now = self._clock()
        if now - self._counted_at >= COUNT_SECONDS:
            self._counted_at = now
            try:
                self._counts = await self.jobs.store.counts()
            except HeadraceError:
                self._counts = None
        return JobsSnapshot(self.jobs.metrics.families.copy(), self.jobs.statistics(), self._counts)

    async def error(self) -> str | None:
        """Return why the store cannot be used now, or None when it can."""
        for queue in self.jobs.statistics().values():
            if queue.store_error is not None:
                return queue.store_error
        try:
            await self.jobs.store.has(_NO_JOB)
        except HeadraceError as error:
            return str(error)
        return None
