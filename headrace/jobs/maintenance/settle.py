"""Settle: workflows, chains and batches go on whose jobs nobody has let go of, for whoever would have was killed."""

from collections.abc import Callable
from time import perf_counter
from typing import Final

from headrace.jobs.flows.advance import Settles, settle_all
from headrace.jobs.job import Job
from headrace.jobs.rules.flows import Group, groups_of
from headrace.jobs.rules.job_filter import JobFilter

SETTLE_SECONDS: Final = 1.0
"""How often it is looked for them at most."""

REST: Final = 20
"""So many times as long as a look took there is none: with very many groups that wait, it takes 5 % of a core."""

SETTLE_LIMIT: Final = 500
"""Suspended jobs that are looked at each time: so many of the newest, and as many of the others in turn."""


class Settle:
    """Looks at suspended jobs, and lets go of those that need wait no longer."""

    name = "settle"

    def __init__(self, store: Settles, clock: Callable[[], float] = perf_counter) -> None:
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
        await settle_all(self._store, dict.fromkeys(_groups([*newest, *older])))
        return max(SETTLE_SECONDS, REST * (self._clock() - began))

    async def _page(self, before_id: int | None) -> list[Job]:
        which = JobFilter(states=frozenset({"suspended"}), before_id=before_id)
        return await self._store.find(which, SETTLE_LIMIT)


def _groups(jobs: list[Job]) -> list[Group]:
    return [group for job in jobs for group in groups_of(job.meta)]
