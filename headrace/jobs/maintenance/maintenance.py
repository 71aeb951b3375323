"""`Maintenance`: the leader, the stager, the pruner and the other periodic tasks of jobs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Final, Literal, Protocol

from headrace.errors import HeadraceError, short_repr
from headrace.jobs.flows.advance import AdvancerStore, advance_all
from headrace.jobs.job import Job, after
from headrace.jobs.rules.flows import JobGroups, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import CHANGE_BATCH, Maintains, PruneRule
from headrace.otp.scheduler import every
from headrace.telemetry.events import LOG

LEASE_SECONDS: Final = 10.0
"""How long a leader that died is waited for. Jobs that are due wait as long then, so it is less than Oban's 30 s."""

RENEW_SECONDS: Final = 3.0
"""How often the leader renews its lease, and the others ask for it."""


class Leader:
    """The lease as one OS process has it. `node` names the process, among all that use the store."""

    def __init__(
        self, store: Maintains, node: str, *, name: str = "headrace", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds and is never set: a lease is not made longer by who sets the time of day."""
        self.node = node
        self.name = name
        self._store = store
        self._clock = clock
        self._leads_until: float | None = None

    @property
    def is_leading(self) -> bool:
        """Whether the lease is ours and has not run out: it does so by itself when nobody renews it."""
        return self._leads_until is not None and self._clock() < self._leads_until

    async def acquire(self) -> bool:
        """Take the lease or renew it; return whether it is ours.

        An answer that came too late, say behind a long write, proves nothing: then it asks again. On cancellation, and
        when the store raises, what we have runs out in its time.
        """
        while True:
            asked_at = self._clock()
            is_ours = await self._store.lead(self.name, self.node, LEASE_SECONDS)
            self._leads_until = asked_at + LEASE_SECONDS if is_ours else None
            if self.is_leading or not is_ours:
                return is_ours

    async def resign(self) -> None:
        """Let another one lead, at once."""
        if self._leads_until is not None:
            self._leads_until = None
            await self._store.resign(self.name, self.node)


AGAIN_SECONDS: Final = 1.0
"""How long a periodic task waits after the store failed, before it tries again."""


class PeriodicTask(Protocol):
    """One thing that is done again and again."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again. May be cancelled at any await."""


class Maintenance:
    """The periodic tasks of one OS process, each on its own: a long one makes no other one late.

    Run it as a task, and cancel that to stop: the lease is given back, and another process leads at once.
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
        """Lead whenever nobody else does, until cancelled."""
        try:
            await every(RENEW_SECONDS, self._lead_if_free, at_once=True, sleep=self._sleep)
        finally:
            await self._resign()

    async def _lead_if_free(self, _: float) -> None:
        if await self._acquire():
            await self._lead()

    async def _lead(self) -> None:
        """Run the periodic tasks until the lease is lost; then none of them goes on."""
        LOG.info("%s does the maintenance of the jobs from now on", self._leader.node)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._go_on(task), name=f"{task.name} of jobs") for task in self._tasks]
            await self._sleep(RENEW_SECONDS)
            while await self._acquire():
                await self._sleep(RENEW_SECONDS)
            for task in tasks:
                task.cancel()
        LOG.warning("%s no longer does the maintenance of the jobs: its lease is another one's", self._leader.node)

    async def _go_on(self, task: PeriodicTask) -> None:
        """Run a periodic task whenever it is due, also after errors: without it no job would be staged or rescued.

        An error of the store is logged once, until the task works again.
        """
        logged: str | None = None
        while True:
            seconds = AGAIN_SECONDS
            if self._leader.is_leading:
                try:
                    seconds = await task.run()
                    logged = None
                except HeadraceError as error:
                    if str(error) != logged:
                        logged = str(error)
                        LOG.error("the periodic task %r of the jobs failed, and is tried again: %s", task.name, error)
                except Exception as error:  # noqa: BLE001 - the maintenance goes on
                    if short_repr(error) != logged:
                        logged = short_repr(error)
                        LOG.exception("the periodic task %r of the jobs broke, and is tried again", task.name)
            await self._sleep(seconds)

    async def _acquire(self) -> bool:
        """Renew the lease; while the store cannot be asked, it is ours until it runs out."""
        try:
            return await self._leader.acquire()
        except HeadraceError as error:
            LOG.error("%s cannot ask who does the maintenance of the jobs: %s", self._leader.node, error)
            return self._leader.is_leading

    async def _resign(self) -> None:
        try:
            await self._leader.resign()
        except HeadraceError as error:
            LOG.warning("%s could not give back the maintenance of the jobs: %s", self._leader.node, error)


PRUNE_SECONDS: Final = 30.0
"""How often it is looked for what is too old (Oban's)."""

PAUSE_SECONDS: Final = 0.05
"""Between two pieces, so that claims come first, also those of other OS processes."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of the jobs that ended in `state`: for so many seconds, and so many at most; None is without end."""

    state: Literal["completed", "cancelled", "discarded"]
    seconds: float | None = None
    count: int | None = None


KEPT: Final = (
    Retention("completed", _DAY, 1_000_000),
    Retention("cancelled", 7 * _DAY, 100_000),
    Retention("discarded", 180 * _DAY, 100_000),
)
"""What is kept unless it is said otherwise: what failed for good as long as Sidekiq keeps its dead jobs."""


class Pruner:
    """Deletes what is no longer kept, one piece a turn."""

    name = "prune"

    def __init__(self, store: Maintains, keep: Sequence[Retention], now: Callable[[], datetime]) -> None:
        self._store = store
        self._keep = [one for one in keep if one.seconds is not None or one.count is not None]
        self._now = now
        self.pruned = 0

    async def run(self) -> float:
        """Do a piece of each rule; return in how many seconds the next is due: soon, where there may be more."""
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
"""How long it is not looked at most: what another OS process schedules, a clock that was set.

Jobs of this process start at most so late, those of others one look of their queues later.
"""


class Stager:
    """Makes available what is due, and tells the queue of each: `available` gets its name."""

    name = "stage"

    def __init__(self, store: Maintains, now: Callable[[], datetime], available: Callable[[str], None]) -> None:
        self._store = store
        self._now = now
        self._available = available

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again: when the next job is, or after a while."""
        for queue in await self._store.stage(STAGE_LIMIT):
            self._available(queue)
        due_at = await self._store.due_at()
        if due_at is None:
            return STAGE_SECONDS
        return min(max((due_at - self._now()).total_seconds(), 0.0), STAGE_SECONDS)


ADVANCE_SECONDS: Final = 1.0
"""How often it is looked for them at most."""

REST: Final = 20
"""So many times as long as a look took there is none: with very many groups that wait, it takes 5 % of a core."""

ADVANCE_LIMIT: Final = 500
"""Suspended jobs that are looked at each time: so many of the newest, and as many of the others in turn."""


class AdvanceSweep:
    """Checks suspended jobs, and releases those that need wait no longer."""

    name = "advance"

    def __init__(self, store: AdvancerStore, clock: Callable[[], float] = perf_counter) -> None:
        """`clock` tells seconds, from whenever it likes."""
        self._store = store
        self._clock = clock
        self._before: int | None = None

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again."""
        began = self._clock()
        newest = await self._page(None)
        older = await self._page(self._before or min((job.id for job in newest), default=None)) if newest else []
        self._before = older[-1].id if older else None
        await advance_all(self._store, dict.fromkeys(_groups([*newest, *older])))
        return max(ADVANCE_SECONDS, REST * (self._clock() - began))

    async def _page(self, before_id: int | None) -> list[Job]:
        which = JobFilter(states=frozenset({"suspended"}), before_id=before_id)
        return await self._store.find(which, ADVANCE_LIMIT)


def _groups(jobs: list[Job]) -> list[JobGroups]:
    return [group for job in jobs for group in groups_of(job.meta)]


DISCARD_SECONDS: Final = 30.0
"""How often at most. No attempt of this headrace leaves such a job: a hand or another program inserted it."""

DISCARD_REST: Final = 20
"""The rest between two looks is at least so many times as long as a look: it takes 5 % of a core at most."""


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
        """Do it; return in how many seconds it is due again."""
        began = self._clock()
        ids = await self._store.discard_exhausted(CHANGE_BATCH)
        seconds = self._clock() - began
        await self._exhausted(ids)
        return 0.0 if len(ids) == CHANGE_BATCH else max(DISCARD_SECONDS, DISCARD_REST * seconds)
