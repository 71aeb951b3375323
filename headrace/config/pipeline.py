"""`Pipeline`: a topology made of a config, with its services."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from headrace.config.build import build, build_dead_letters, build_jobs
from headrace.config.check.config import Config
from headrace.config.files import load_file, load_text
from headrace.config.keys.pipeline import ListenKeys
from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.store import DeadLetterStore
from headrace.errors import HeadraceError
from headrace.jobs.jobs import Jobs
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import LOG

CLOSE_SECONDS: Final = 60.0
"""How long the jobs of a run may take to close beyond the grace of running jobs."""


class JobsService:
    """Runs jobs beside the stages of a run, as a `Service`."""

    name = "jobs"
    has_own_work = True
    dead_letter_handler = None

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.failure: HeadraceError | None = None
        self._are_awaited = False
        self._is_open = False
        self._has_logged = False
        self._close_lock = asyncio.Lock()

    @property
    def close_seconds(self) -> float:
        """How long `close` may take: the grace of running jobs, and some time to write their states."""
        return self.jobs.settings.grace_seconds + CLOSE_SECONDS

    async def open(self) -> None:
        """Open the store and run the queues. Raises what the store raises, and nothing is open then."""
        await self.jobs.open()
        self._is_open = True

    async def attach(self, run: Run) -> None:
        """Find out whether stages of the run wait for jobs."""
        callbacks = (process.first for process in run.processes.values())
        self._are_awaited = any(getattr(one, "waits_for_jobs", False) for one in callbacks)

    def drain(self) -> None:
        """Claim no more jobs. Where stages wait for jobs, they are claimed until the stages have ended."""
        if not self._are_awaited:
            self.jobs.pause_claiming()

    async def is_idle(self) -> bool:
        """Return whether no job is left that could run now; False while the store cannot be asked."""
        try:
            return await self.jobs.is_idle()
        except HeadraceError as error:
            if not self._has_logged:
                LOG.error("the store cannot be asked whether any job is left, and is asked again: %s", error)
            self._has_logged = True
            return False

    async def close(self) -> None:
        """Give running jobs their grace, put back unfinished ones, and close the store.

        The error of a store that fails meanwhile is `failure`; the store is closed all the same.
        """
        self.jobs.pause_claiming()
        async with self._close_lock:
            if not self._is_open:
                return
            try:
                await self.jobs.close()
            except HeadraceError as error:
                LOG.error("the jobs could not be closed in good order: %s", error)
                self.failure = error
            self._is_open = False

    async def stop(self) -> None:
        """Put running jobs back at once, and close the store. It also ends a grace period."""
        self.jobs.pause_claiming()
        self.jobs.stop_grace()
        await self.close()


class Pipeline(Topology):
    """Stages by name, from Python by `add`, or from a config.

    From a config a producer's end leaves its consumers running (`cancel: temporary`), and a stage with several
    subscribers gives every event to each of them (`dispatcher: broadcast`). In Python both are as in GenStage.

    With `jobs` the run opens them before its stages start, and closes them after those have ended; it has completed
    when every stage has, and no job of its queues is available or executing.
    """

    config: Config | None = None
    """The config that the pipeline was made of; None when it was made in Python."""

    @classmethod
    def from_file(cls, path: Path | str, *, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of a config file; raises ConfigError with everything that is wrong in it.

        The file's folder and its `python_path` come first on `sys.path` from then on.
        """
        return cls.from_config(load_file(path, environ=environ))

    @classmethod
    def from_text(cls, text: str, *, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of the YAML text of a config; `folder` stands for its file's, the current one when None."""
        return cls.from_config(load_text(text, folder=folder, environ=environ))

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make a pipeline of a config that was checked before."""
        pipeline = cls(config.name, cancel="temporary")
        pipeline.config = config
        pipeline.redact = config.redactor
        if config.jobs is not None:
            pipeline.jobs = build_jobs(config.jobs, redact=config.redactor)
        pipeline.stall_seconds = config.stall_seconds
        if config.dead_letters is not None:
            pipeline.dead_letters = build_dead_letters(config.dead_letters)
        build(config, pipeline, pipeline.jobs)
        return pipeline

    @property
    def listen(self) -> ListenKeys | None:
        """Where the config has the listener bind; None for `off`, and for a pipeline made in Python."""
        return self.config.listen if self.config else None

    @property
    def jobs(self) -> Jobs | None:
        """The jobs that run beside the stages; set it before the start, where the pipeline is made in Python."""
        service = self.service(JobsService)
        return None if service is None else service.jobs

    @jobs.setter
    def jobs(self, jobs: Jobs) -> None:
        service = self.service(JobsService)
        if service is None:
            self.add_service(JobsService(jobs))
        else:
            service.jobs = jobs

    @property
    def dead_letters(self) -> DeadLetterStore | None:
        """Where events that failed for good are stored until they are replayed; the run opens and closes it.

        Set it once, before the start.
        """
        service = self.service(DeadLetterService)
        return None if service is None else service.store

    @dead_letters.setter
    def dead_letters(self, store: DeadLetterStore) -> None:
        self.add_service(DeadLetterService(store, self.name, lambda text: self.redact(text)))  # noqa: PLW0108 - it may be set later
