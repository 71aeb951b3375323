"""`Pipeline`: a topology made of a config, with its services."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from typing_extensions import override

from headrace.config.build import build, build_dead_letters, build_jobs
from headrace.config.check.config import Config
from headrace.config.files import load_file, load_text
from headrace.config.keys.pipeline import ListenKeys
from headrace.dead_letters.service import DeadLetterService
from headrace.dead_letters.store import DeadLetterStore
from headrace.errors import HeadraceError
from headrace.jobs.jobs import Jobs
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from headrace.telemetry.events import LOG

CHECK_SECONDS: Final = 0.05
"""How often it is looked whether any job is left, once all stages have completed."""


class JobsService:
    """Opens and closes the jobs of a run, whoever asks first; several may wait for one end."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.are_awaited = False
        """Whether stages wait for jobs, so that those are claimed until the stages have ended."""
        self.is_open = False
        self.failure: HeadraceError | None = None
        self._has_logged = False
        self.is_drained = False
        """Whether its end was asked for, and did not come by itself."""
        self._is_draining = asyncio.Event()
        self._start_lock = asyncio.Lock()

    @property
    def is_draining(self) -> bool:
        """Whether nothing more is taken in."""
        return self._is_draining.is_set()

    async def open(self) -> None:
        """Open the store and run the queues. Raises what the store raises, and nothing is open then."""
        await self.jobs.open()
        self.is_open = True

    async def rest(self, *, is_forever: bool) -> None:
        """Wait until no job is left that could run now, or until the end begins; `is_forever` waits for that alone."""
        while not self._is_draining.is_set() and (is_forever or not await self._is_idle()):
            try:
                async with asyncio.timeout(None if is_forever else CHECK_SECONDS):
                    await self._is_draining.wait()
            except TimeoutError:
                continue

    async def _is_idle(self) -> bool:
        """Return whether no job is left; one is, for all we know, while the store cannot be asked."""
        try:
            return await self.jobs.is_idle()
        except HeadraceError as error:
            if not self._has_logged:
                LOG.error("the store cannot be asked whether any job is left, and is asked again: %s", error)
            self._has_logged = True
            return False

    def start_drain(self) -> None:
        """Claim nothing more that no stage waits for, because the end was asked for."""
        self.is_drained = self.is_drained or (self.is_open and not self._is_draining.is_set())
        self._is_draining.set()
        if not self.are_awaited:
            self.jobs.pause_claiming()

    def begin_end(self) -> None:
        """Claim nothing more, from now on; what runs goes on."""
        self._is_draining.set()
        self.jobs.pause_claiming()

    async def close(self) -> None:
        """Give running jobs their grace, put back what is not done, close the store.

        A store that fails at that is `failure`, and closed all the same.
        """
        self.begin_end()
        async with self._start_lock:
            if not self.is_open:
                return
            try:
                await self.jobs.close()
            except HeadraceError as error:
                LOG.error("the jobs could not be closed in good order: %s", error)
                self.failure = error
            self.is_open = False

    async def stop(self) -> None:
        """Put back what runs, at once, and close the store; a grace that is being given ends, too."""
        self.begin_end()
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
    """What the pipeline was made of; None when it was made in Python."""

    is_forever: bool = False
    """Whether the run goes on until it is drained, also where nothing is left to do; set it before the start."""

    _jobs_run: JobsService | None = None

    @cached_property
    def _end_asked(self) -> asyncio.Event:
        """Whether a drain or a stop was asked for, for a run that goes on for ever."""
        return asyncio.Event()

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
        """The jobs that run with the stages; set it before the start, where the pipeline is made in Python."""
        return self._jobs_run.jobs if self._jobs_run else None

    @jobs.setter
    def jobs(self, jobs: Jobs) -> None:
        self._jobs_run = JobsService(jobs)
        self.needs_stages = False

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

    @property
    @override
    def state(self) -> str:
        run, state = self._jobs_run, super().state
        if run is None or state in {"new", "running", "draining"}:
            return state
        if run.is_open:
            return "draining" if run.is_draining else "running"
        if run.failure is not None:
            return "failed"
        return "drained" if run.is_drained and state == "completed" else state

    @override
    async def start(self) -> None:
        run = self._jobs_run
        if run is None:
            await super().start()
            return
        run.are_awaited = any(getattr(spec.first, "waits_for_jobs", False) for spec in self._specs.values())
        await run.open()
        try:
            await super().start()
        except BaseException:
            await run.stop()
            raise

    @override
    async def join(self) -> RunOutcome:
        outcome, run = await super().join(), self._jobs_run
        if run is None and self.is_forever and outcome.is_completed:
            await self._end_asked.wait()
            return self.outcome()
        if run is not None:
            if outcome.is_completed:
                await run.rest(is_forever=self.is_forever)
            await run.close()
        return self._with_jobs(outcome)

    @override
    async def drain(self, deadline_seconds: float | None = None) -> RunOutcome:
        self._end_asked.set()
        if self._jobs_run is None:
            return await super().drain(deadline_seconds)
        self._jobs_run.start_drain()
        outcome = await super().drain(deadline_seconds)
        await self._jobs_run.close()
        return self._with_jobs(outcome)

    @override
    async def stop(self) -> RunOutcome:
        self._end_asked.set()
        outcome = await super().stop()
        if self._jobs_run is not None:
            await self._jobs_run.stop()
        return self._with_jobs(outcome)

    @override
    def outcome(self) -> RunOutcome:
        return self._with_jobs(super().outcome())

    def _with_jobs(self, outcome: RunOutcome) -> RunOutcome:
        """Return how the run ended, its jobs included: drained, where those still had something to do."""
        run = self._jobs_run
        if run is None:
            return outcome
        is_drained = outcome.is_drained or (run.is_drained and outcome.is_completed)
        return replace(outcome, is_drained=is_drained, reason=outcome.reason or run.failure)
