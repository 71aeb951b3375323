"""Applies cancellations and queue settings of other OS processes; writes progress."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Final

from headrace.jobs.job import MetaChange
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.queue import JobQueue
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RunningJob
from headrace.jobs.stores.store import JobStore, Maintains, QueueControls, QueueSettings
from headrace.otp.scheduler import every
from headrace.telemetry.events import LOG, log_failure


class QueueSettingsSync:
    """Applies the stored settings of queues when they have changed; until then, changes made here stay."""

    def __init__(self, store: QueueControls, limits: Mapping[str, int], scaled: Callable[[], None]) -> None:
        """`limits` are in the config, for queues without stored settings; `scaled` is called after a check."""
        self._store = store
        self._limits = dict(limits)
        self._scaled = scaled
        self._known: dict[str, QueueSettings] = {}

    def refresh(self, settings: Sequence[QueueSettings]) -> None:
        """Remember the settings with which the queues started."""
        self._known = {one.queue: one for one in settings}

    async def check(self, queues: Mapping[str, JobQueue]) -> None:
        """Apply changed settings. Raises the errors of the store."""
        settings = {one.queue: one for one in await self._store.queue_settings()}
        for name, limit in self._limits.items():
            queue, before, now = queues.get(name), self._known.get(name), settings.get(name)
            if queue is not None and before != now:
                self._apply(queue, now or QueueSettings(name), limit)
        self._known = settings
        self._scaled()

    def _apply(self, queue: JobQueue, settings: QueueSettings, limit: int) -> None:
        queue.scale(settings.limit or limit)
        if settings.is_paused:
            queue.pause()
        else:
            queue.resume()


RESCUE_SECONDS: Final = 5.0
"""How often the leader rescues jobs. A silent lease owner is dead after 15 s, so its jobs run again within 30 s.

If the store knows that an OS process is dead, each other process rescues its jobs within a second."""


class Lifeline:
    """Rescues the jobs of dead processes; the store decides which are dead.

    `exhausted` gets the ids of discarded jobs: each process that ran them died.
    """

    name = "rescue"

    def __init__(self, store: Maintains, exhausted: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        self._store = store
        self._exhausted = exhausted

    async def run(self) -> float:
        """Rescue jobs; return the seconds until the next run."""
        rescued = await self._store.rescue()
        for job in rescued:
            if job.state == "available":
                LOG.warning("job %d of queue %r is run again: the process that ran it has died", job.id, job.queue)
            else:
                LOG.error("job %d of queue %r is discarded: each process that ran it has died", job.id, job.queue)
        await self._exhausted([job.id for job in rescued if job.state == "discarded"])
        return RESCUE_SECONDS


WATCH_SECONDS: Final = 1.0
"""How often running jobs that other processes cancelled are ended, and progress is written."""

UNKNOWN_WORKER_TURNS: Final = 60
"""The number of turns between two logs of jobs with unknown workers."""

UNKNOWN_WORKER_LIMIT: Final = 100
"""How many available jobs are read to find unknown workers."""


class QueueSync:
    """Syncs the queues of this process with the store, each second."""

    def __init__(
        self,
        store: JobStore,
        catalogue: WorkerCatalogue,
        queues: Mapping[str, JobQueue],
        settings_sync: QueueSettingsSync,
        rescue: Lifeline,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._queues = queues
        self._settings_sync = settings_sync
        self._rescue = rescue
        self._noted: dict[int, RunningJob] = {}
        self.is_claiming_paused = False
        """Whether stored settings are ignored, since no queue may claim again."""

    def note(self, running: RunningJob) -> None:
        """Write the progress and checkpoint of a running job soon."""
        self._noted[running.id] = running

    async def run(self, own: frozenset[str]) -> None:
        """Sync until cancelled; `own` are the queues that run the workers of the catalogue."""
        turns = count()
        await every(WATCH_SECONDS, lambda _: self._turn(own, next(turns)), at_once=True)

    async def _turn(self, own: frozenset[str], turn: int) -> None:
        try:
            if turn:
                await self._check(own, has_unknown_workers_turn=(turn - 1) % UNKNOWN_WORKER_TURNS == 0)
            if await self._store.has_orphans():  # no wait for the leader, which may be the dead process
                await self._rescue.run()
        except Exception as error:  # noqa: BLE001 - without the sync no running job could be cancelled
            log_failure(error, "the store cannot show which jobs were cancelled, nor write the progress of jobs")

    async def _check(self, own: frozenset[str], *, has_unknown_workers_turn: bool) -> None:
        if has_unknown_workers_turn:
            await self._log_unknown_workers(own)
        for queue in list(self._queues.values()):
            await queue.check_running()
        if not self.is_claiming_paused:
            await self._settings_sync.check(self._queues)
        await self._write_notes()

    async def _log_unknown_workers(self, own: frozenset[str]) -> None:
        """Log, once each, the workers that this process does not have and whose jobs wait in its queues."""
        which = JobFilter(states=frozenset({"available"}), queues=own)
        waiting = await self._store.find(which, UNKNOWN_WORKER_LIMIT, is_newest_first=False)
        for name in self._catalogue.unknown_workers(job.worker for job in waiting):
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
