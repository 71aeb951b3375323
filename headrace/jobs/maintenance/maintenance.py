"""`Maintenance`: the leader, the stager, the pruner and the other periodic tasks of jobs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Final, Literal, Protocol

from headrace.errors import HeadraceError, short_repr
from headrace.jobs.flows.advance import AdvancerStore, advance_all, groups_of_all
from headrace.jobs.job import Job, after
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import CHANGE_BATCH, Maintains, PruneRule
from headrace.otp.scheduler import every
from headrace.telemetry.events import LOG, log_failure

LEASE_SECONDS: Final = 10.0
"""How long the lease of a dead leader lasts. Due jobs wait as long, so it is shorter than Oban's 30 s."""

RENEW_SECONDS: Final = 3.0
"""How often the leader renews its lease, and the other processes try to take it."""


class Leader:
    """The leader lease, seen from one OS process. `node` names this process."""

    def __init__(
        self, store: Maintains, node: str, *, name: str = "headrace", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is monotonic, so that a change of the wall clock makes no lease longer."""
        self.node = node
        self.name = name
        self._store = store
        self._clock = clock
        self._leads_until: float | None = None

    @property
    def is_leading(self) -> bool:
        """Whether this process has the lease, and it has not expired."""
        return self._leads_until is not None and self._clock() < self._leads_until

    async def acquire(self) -> bool:
        """Take or renew the lease; return whether this process has it.

        If the store answers after the lease has expired, say behind a long write, it is asked again. On cancellation,
        and if the store raises, a lease that this process has expires in its time.
        """
        while True:
            asked_at = self._clock()
            is_ours = await self._store.lead(self.name, self.node, LEASE_SECONDS)
            self._leads_until = asked_at + LEASE_SECONDS if is_ours else None
            if self.is_leading or not is_ours:
                return is_ours

    async def resign(self) -> None:
        """Give the lease back, so that another process can lead at once."""
        if self._leads_until is not None:
            self._leads_until = None
            await self._store.resign(self.name, self.node)


AGAIN_SECONDS: Final = 1.0
"""How long a periodic task waits after an error, before it tries again."""


class PeriodicTask(Protocol):
    """A task that the leader runs periodically."""

    @property
    def name(self) -> str:
        """Its name in the log."""

    async def run(self) -> float:
        """Run once; return the seconds until the next run. It may be cancelled at any await."""


class Maintenance:
    """Runs the periodic tasks while this OS process leads, each on its own: a long run does not delay other tasks.

    Run it as a task, and cancel that to stop: it gives the lease back, and another process leads at once.
    """

    def __init__(
        self,
        leader: Leader,
        tasks: Sequence[PeriodicTask],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leader = leader
        self._tasks = tasks
        self._sleep = sleep

    async def run(self) -> None:
        """Lead whenever no other process does, until cancelled."""
        try:
            await every(RENEW_SECONDS, self._lead_if_free, at_once=True, sleep=self._sleep)
        finally:
            await self._resign()

    async def _lead_if_free(self, _: float) -> None:
        if await self._acquire():
            await self._lead()

    async def _lead(self) -> None:
        """Run the periodic tasks until the lease is lost."""
        LOG.info("%s does the maintenance of the jobs from now on", self._leader.node)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._go_on(task), name=f"{task.name} of jobs") for task in self._tasks]
            await self._sleep(RENEW_SECONDS)
            while await self._acquire():
                await self._sleep(RENEW_SECONDS)
            for task in tasks:
                task.cancel()
        LOG.warning("%s no longer does the maintenance of the jobs: another process has the lease", self._leader.node)

    async def _go_on(self, task: PeriodicTask) -> None:
        """Run a periodic task whenever it is due, also after errors: otherwise no job would be staged or rescued.

        An error that repeats is logged once, until the task succeeds.
        """
        logged: str | None = None
        while True:
            seconds = AGAIN_SECONDS
            if self._leader.is_leading:
                try:
                    seconds = await task.run()
                    logged = None
                except Exception as error:  # noqa: BLE001 - the maintenance must continue
                    if short_repr(error) != logged:
                        logged = short_repr(error)
                        log_failure(error, "the periodic task %r of the jobs failed, and is tried again", task.name)
            await self._sleep(seconds)

    async def _acquire(self) -> bool:
        """Renew the lease; while the store fails, a lease that this process has stays valid until it expires."""
        try:
            return await self._leader.acquire()
        except HeadraceError as error:
            LOG.error("%s cannot renew or take the lease of the maintenance of the jobs: %s", self._leader.node, error)
            return self._leader.is_leading

    async def _resign(self) -> None:
        try:
            await self._leader.resign()
        except HeadraceError as error:
            LOG.warning("%s could not give back the maintenance of the jobs: %s", self._leader.node, error)


PRUNE_SECONDS: Final = 30.0
"""How often the pruner runs, as in Oban."""

PAUSE_SECONDS: Final = 0.05
"""The pause between two batches of a prune, so that claims come first, also in other OS processes."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long, and at most how many, jobs are kept that ended in `state`; None is no limit."""

    state: Literal["completed", "cancelled", "discarded"]
    seconds: float | None = None
    count: int | None = None


KEPT: Final = (
    Retention("completed", _DAY, 1_000_000),
    Retention("cancelled", 7 * _DAY, 100_000),
    Retention("discarded", 180 * _DAY, 100_000),
)
"""The default retention. Discarded jobs are kept as long as Sidekiq keeps its dead jobs."""


class Pruner:
    """Deletes ended jobs that exceed their retention, one batch a run."""

    name = "prune"

    def __init__(self, store: Maintains, keep: Sequence[Retention], now: Callable[[], datetime]) -> None:
        self._store = store
        self._keep = [one for one in keep if one.seconds is not None or one.count is not None]
        self._now = now
        self.pruned = 0
        """Jobs deleted so far."""

    async def run(self) -> float:
        """Delete a batch by each rule; return the seconds until the next run, fewer if there may be more jobs."""
        is_done = True
        for keep in self._keep:
            before = None if keep.seconds is None else after(self._now(), -keep.seconds)
            count = await self._store.prune(PruneRule(keep.state, before, keep.count), CHANGE_BATCH)
            self.pruned += count
            is_done = is_done and count < CHANGE_BATCH
        return PRUNE_SECONDS if is_done else PAUSE_SECONDS


STAGE_LIMIT: Final = 500
"""Jobs that one transaction makes available at most, so that no claim waits for long."""

STAGE_SECONDS: Final = 0.9
"""The longest time between two runs, for jobs that another OS process schedules and for a clock that is set.

Due jobs of this process start at most so late; jobs of other processes start at the next poll of their queues.
"""


class Stager:
    """Makes due jobs available, and calls `available` with the name of each queue that got some."""

    name = "stage"

    def __init__(self, store: Maintains, now: Callable[[], datetime], available: Callable[[str], None]) -> None:
        self._store = store
        self._now = now
        self._available = available

    async def run(self) -> float:
        """Stage due jobs; return the seconds until the next job is due, at most STAGE_SECONDS."""
        for queue in await self._store.stage(STAGE_LIMIT):
            self._available(queue)
        due_at = await self._store.due_at()
        if due_at is None:
            return STAGE_SECONDS
        return min(max((due_at - self._now()).total_seconds(), 0.0), STAGE_SECONDS)


ADVANCE_SECONDS: Final = 1.0
"""The shortest time between two sweeps."""

REST: Final = 20
"""The pause after a sweep, as a multiple of its duration: with very many jobs it takes 5 % of a core."""

ADVANCE_LIMIT: Final = 500
"""A sweep reads this many of the newest suspended jobs, and as many older ones, in turn."""


class AdvanceSweep:
    """Advances the groups of suspended jobs, in case the process in which their jobs ended has died."""

    name = "advance"

    def __init__(self, store: AdvancerStore, clock: Callable[[], float] = perf_counter) -> None:
        self._store = store
        self._clock = clock
        self._before: int | None = None

    async def run(self) -> float:
        """Advance groups; return the seconds until the next run."""
        began = self._clock()
        newest = await self._page(None)
        older = await self._page(self._before or min((job.id for job in newest), default=None)) if newest else []
        self._before = older[-1].id if older else None
        await advance_all(self._store, groups_of_all([*newest, *older]))
        return max(ADVANCE_SECONDS, REST * (self._clock() - began))

    async def _page(self, before_id: int | None) -> list[Job]:
        which = JobFilter(states=frozenset({"suspended"}), before_id=before_id)
        return await self._store.find(which, ADVANCE_LIMIT)


DISCARD_SECONDS: Final = 30.0
"""The shortest time between two runs. Only another program, or a person, inserts such jobs."""


class DiscardExhausted:
    """Discards available jobs without an attempt left; `exhausted` gets their ids."""

    name = "discard"

    def __init__(
        self,
        store: Maintains,
        exhausted: Callable[[Sequence[int]], Awaitable[None]],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._store = store
        self._exhausted = exhausted
        self._clock = clock

    async def run(self) -> float:
        """Discard jobs; return the seconds until the next run."""
        began = self._clock()
        ids = await self._store.discard_exhausted(CHANGE_BATCH)
        seconds = self._clock() - began
        await self._exhausted(ids)
        return 0.0 if len(ids) == CHANGE_BATCH else max(DISCARD_SECONDS, REST * seconds)
