"""The metrics of jobs: attempts ended here, the state of queues, and the counts of jobs in the store."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from headrace.errors import HeadraceError
from headrace.jobs.job import STATES
from headrace.jobs.jobs import Jobs
from headrace.jobs.metrics import OTHER
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.queue import QueueStatistics
from headrace.jobs.stores.store import JobCount
from headrace.telemetry.counts import Family
from headrace.telemetry.prometheus import collect

COUNT_SECONDS: Final = 5.0
"""The store counts its jobs at most once in this time, however often it is scraped."""

CURRENT: Final = "headrace_jobs_current"
LIMIT: Final = "headrace_queue_limit"
PAUSED: Final = "headrace_queue_paused"
RUNNING: Final = "headrace_queue_running"

_NO_JOB: Final = JobFilter(ids=frozenset({0}))


@dataclass(frozen=True, slots=True)
class JobsSnapshot:
    """The values of the metrics of jobs; `counts` is None while the store cannot be asked."""

    families: Sequence[Family]
    queues: Mapping[str, QueueStatistics]
    counts: Sequence[JobCount] | None


class JobsProbe:
    """Reads the state of the jobs of a run."""

    def __init__(self, jobs: Jobs, clock: Callable[[], float] = time.monotonic) -> None:
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
        failed = next((one.store_error for one in self.jobs.statistics().values() if one.store_error is not None), None)
        if failed is not None:
            return failed
        try:
            await self.jobs.store.has(_NO_JOB)
        except HeadraceError as error:
            return str(error)
        return None


def job_metrics(snapshot: JobsSnapshot) -> Iterator[Metric]:
    """Yield all metrics of jobs."""
    yield from collect(snapshot.families)
    yield _gauge(LIMIT, "Jobs of a queue that may run here at a time.", snapshot, lambda queue: queue.limit)
    yield _gauge(RUNNING, "Jobs of a queue that run here.", snapshot, lambda queue: queue.running)
    yield _gauge(PAUSED, "Whether a queue claims nothing more, 1, or does, 0.", snapshot, lambda queue: queue.is_paused)
    if snapshot.counts is not None:
        yield _current(snapshot.queues, snapshot.counts)


def _gauge(name: str, text: str, snapshot: JobsSnapshot, read: Callable[[QueueStatistics], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("queue",))
    for queue, statistics in snapshot.queues.items():
        family.add_metric((queue,), float(read(statistics)))
    return family


def _current(queues: Mapping[str, QueueStatistics], counts: Sequence[JobCount]) -> Metric:
    """Return the counts of jobs; queues that do not run here count as one, since there may be any number of them."""
    family = GaugeMetricFamily(CURRENT, "Jobs in the store, by queue and state.", labels=("queue", "state"))
    found: Counter[tuple[str, str]] = Counter()
    for one in counts:
        found[one.queue if one.queue in queues else OTHER, one.state] += one.count
    for queue in (*queues, OTHER):
        for state in STATES:
            family.add_metric((queue, state), found[queue, state])
    return family
