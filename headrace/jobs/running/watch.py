"""Watches over the jobs that run in this process: what was said elsewhere comes in, what they noted down goes out."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

from headrace.jobs.job import MetaChange
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.catalogue import Catalogue
from headrace.jobs.running.heeding import Heeding
from headrace.jobs.running.queue import JobQueue
from headrace.jobs.running.rescue import Rescue
from headrace.jobs.running_job import RunningJob
from headrace.jobs.stores.store import JobStore
from headrace.telemetry.events import LOG, log_failure

WATCH_SECONDS: Final = 1.0
"""How often it is seen what was cancelled elsewhere while it runs here, and written what running jobs noted down."""

STRANGER_TURNS: Final = 60
"""Every how many of these it is looked whether jobs wait that no worker of this process is for."""

STRANGER_LIMIT: Final = 100
"""Jobs that are looked at for that."""


class Watch:
    """Looks now and then; `heeded` is called when what was said of queues elsewhere has been heard."""

    def __init__(
        self,
        store: JobStore,
        catalogue: Catalogue,
        queues: Mapping[str, JobQueue],
        heeding: Heeding,
        rescue: Rescue,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._queues = queues
        self._heeding = heeding
        self._rescue = rescue
        self.heeded: Callable[[], None] = lambda: None
        self._noted: dict[int, RunningJob] = {}
        self.is_held = False
        """Whether what is said of queues is not heard any more: none of them claims again."""

    def note(self, running: RunningJob) -> None:
        """Have written, soon, what a running job has noted down."""
        self._noted[running.id] = running

    async def run(self, own: frozenset[str]) -> None:
        """Go on until cancelled; `own` are the queues whose workers are those of the catalogue."""
        for turn in count():
            try:
                await self._rescue_orphans()
                await asyncio.sleep(WATCH_SECONDS)
                await self._look(own, is_for_strangers=turn % STRANGER_TURNS == 0)
            except Exception as error:  # noqa: BLE001 - without it no job could be called off any more
                log_failure(error, "the store cannot be asked what was cancelled, nor told how far jobs are")
                await asyncio.sleep(WATCH_SECONDS)

    async def _rescue_orphans(self) -> None:
        """Take back at once what a process ran that is known to be dead: a leader may yet have to be found."""
        if await self._store.has_orphans():
            await self._rescue.run()

    async def _look(self, own: frozenset[str], *, is_for_strangers: bool) -> None:
        if is_for_strangers:
            await self._name_strangers(own)
        for queue in list(self._queues.values()):
            await queue.look_after()
        if not self.is_held:
            await self._heeding.look(self._queues)
            self.heeded()
        await self._write_notes()

    async def _name_strangers(self, own: frozenset[str]) -> None:
        """Say once of each worker that it is none of ours, though its jobs wait in our queues."""
        which = JobFilter(states=frozenset({"available"}), queues=own)
        waiting = await self._store.find(which, STRANGER_LIMIT, is_newest_first=False)
        for name in self._catalogue.strangers(job.worker for job in waiting):
            LOG.warning("jobs of worker %r wait for another process: no module that is listed here has it", name)

    async def _write_notes(self) -> None:
        noted, self._noted = self._noted, {}
        changes = [
            MetaChange(one.id, one.attempt, one.job.attempted_by, meta)
            for one in noted.values()
            if (meta := one.take_changes())
        ]
        if changes:
            await self._store.merge(changes)
