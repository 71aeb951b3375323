"""`Pipeline`: a topology made of a config, with its services."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headrace.config.build import build
from headrace.config.check.config import Config
from headrace.config.files import load_file, load_text
from headrace.config.keys.pipeline import ListenKeys
from headrace.pipeline.topology.topology import Topology

if TYPE_CHECKING:
    from headrace.config.jobs import JobsService
    from headrace.dead_letters.service import DeadLetterService
    from headrace.dead_letters.store import DeadLetterStore
    from headrace.jobs.jobs import Jobs


class Pipeline(Topology):
    """A topology that can also be made from a config file.

    In a config a producer's end leaves its consumers running (`cancel: temporary`), and a stage with several
    subscribers gives every event to each of them (`dispatcher: broadcast`). In Python both are as in GenStage.

    A run opens its `jobs` before its stages start, and closes them after the stages have ended; it has completed
    when every stage has, and no job of its queues is available or executing.
    """

    config: Config | None = None
    """The config that the pipeline was made of; None when it was made in Python."""

    _jobs_service: "JobsService | None" = None
    _dead_letter_service: "DeadLetterService | None" = None

    @classmethod
    def from_file(cls, path: Path | str, *, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of a config file. Raises `ConfigError` with all findings.

        The file's folder and its `python_path` are put first on `sys.path`.
        """
        return cls.from_config(load_file(path, environ=environ))

    @classmethod
    def from_text(cls, text: str, *, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of the YAML text of a config.

        `folder` stands for the folder of its file, by default the current one.
        """
        return cls.from_config(load_text(text, folder=folder, environ=environ))

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make a pipeline of a checked config."""
        pipeline = cls(config.name, cancel="temporary")
        pipeline.config = config
        pipeline.redact = config.redactor
        pipeline.stall_seconds = config.stall_seconds
        if config.jobs is not None:
            from headrace.config.jobs import build_jobs

            pipeline.jobs = build_jobs(config.jobs, redact=config.redactor, telemetry=pipeline.telemetry)
        if config.dead_letters is not None:
            from headrace.dead_letters.sqlite_store import dead_letters_of

            pipeline.dead_letters = dead_letters_of(config.dead_letters.store, config.dead_letters.limits())
        build(config, pipeline, pipeline.jobs)
        return pipeline

    @property
    def listen(self) -> ListenKeys | None:
        """The keys of the listener; None for `off`, and for a pipeline made in Python."""
        return self.config.listen if self.config else None

    @property
    def jobs(self) -> "Jobs | None":
        """The jobs that run beside the stages; set it before the start, where the pipeline is made in Python."""
        return None if self._jobs_service is None else self._jobs_service.jobs

    @jobs.setter
    def jobs(self, jobs: "Jobs") -> None:
        from headrace.config.jobs import JobsService

        if self._jobs_service is None:
            self._jobs_service = JobsService(jobs)
            self.add_service(self._jobs_service)
        else:
            self._jobs_service.jobs = jobs

    @property
    def dead_letters(self) -> "DeadLetterStore | None":
        """Where events that failed for good are stored until they are replayed; the run opens and closes it.

        Set it once, before the start.
        """
        return None if self._dead_letter_service is None else self._dead_letter_service.store

    @dead_letters.setter
    def dead_letters(self, store: "DeadLetterStore") -> None:
        from headrace.dead_letters.service import DeadLetterService

        self._dead_letter_service = DeadLetterService(store, self.name, lambda text: self.redact(text))  # noqa: PLW0108 - it may be set later
        self.add_service(self._dead_letter_service)
