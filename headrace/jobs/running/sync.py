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
    """Applies what is kept about queues when it has changed, and only then: what was said here stands until it is."""

    def __init__(self, store: QueueControls, limits: Mapping[str, int], scaled: Callable[[], None]) -> None:
        """`limits` are those of the config, for queues of which nothing else is kept.

        `scaled` is called after settings were applied.
        """
        self._store = store
        self._limits = dict(limits)
        self._scaled = scaled
        self._known: dict[str, QueueSettings] = {}

    def refresh(self, settings: Sequence[QueueSettings]) -> None:
        """Set the settings that the queues begin with."""
        self._known = {one.queue: one for one in settings}

    async def check(self, queues: Mapping[str, JobQueue]) -> None:
        """Apply what has changed. Raises what the store raises."""
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
"""How often the leader does it: with the 15 s after which a silent lease owner is dead, its jobs are back within 30 s.

Each process does it within a second where the store knows that the lease owner's OS process is dead."""


class Lifeline:
    """Takes back what dead processes ran. The store decides who is dead, and tells the queues.

    `exhausted` gets the ids of jobs that are discarded because each process that ran them died.
    """

    name = "rescue"

    def __init__(self, store: Maintains, exhausted: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        self._store = store
        self._exhausted = exhausted
        self.rescued = 0
        self.discarded = 0

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again."""
        rescued = await self._store.rescue()
        for job in rescued:
            if job.state == "available":
                self.rescued += 1
                LOG.warning("job %d of queue %r is run again: the process that ran it has died", job.id, job.queue)
            else:
                self.discarded += 1
                LOG.error("job %d of queue %r is set aside: each process that ran it has died", job.id, job.queue)
        await self._exhausted([job.id for job in rescued if job.state == "discarded"])
        return RESCUE_SECONDS


WATCH_SECONDS: Final = 1.0
"""How often it is seen what was cancelled elsewhere while it runs here, and written what running jobs noted down."""

UNKNOWN_WORKER_TURNS: Final = 60
"""Every how many of these it is looked whether jobs wait that no worker of this process is for."""

UNKNOWN_WORKER_LIMIT: Final = 100
"""Jobs that are looked at for that."""


class QueueSync:
    """Checks the store each second."""

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
        """Whether queue settings are applied no more: no queue claims again."""

    def note(self, running: RunningJob) -> None:
        """Have written, soon, what a running job has noted down."""
        self._noted[running.id] = running

    async def run(self, own: frozenset[str]) -> None:
        """Go on until cancelled; `own` are the queues whose workers are those of the catalogue."""
        turns = count()
        await every(WATCH_SECONDS, lambda _: self._turn(own, next(turns)), at_once=True)

    async def _turn(self, own: frozenset[str], turn: int) -> None:
        try:
            if turn:
                await self._check(own, has_unknown_workers_turn=(turn - 1) % UNKNOWN_WORKER_TURNS == 0)
            await self._rescue_orphans()
        except Exception as error:  # noqa: BLE001 - without it no job could be called off any more
            log_failure(error, "the store cannot be asked what was cancelled, nor take in the progress of jobs")

    async def _rescue_orphans(self) -> None:
        """Take back at once what a process ran that is known to be dead: a leader may yet have to be found."""
        if await self._store.has_orphans():
            await self._rescue.run()

    async def _check(self, own: frozenset[str], *, has_unknown_workers_turn: bool) -> None:
        if has_unknown_workers_turn:
            await self._log_unknown_workers(own)
        for queue in list(self._queues.values()):
            await queue.check_running()
        if not self.is_claiming_paused:
            await self._settings_sync.check(self._queues)
        await self._write_notes()

    async def _log_unknown_workers(self, own: frozenset[str]) -> None:
        """Log each worker once whose jobs wait in our queues although this process does not have it."""
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
