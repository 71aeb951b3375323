"""The job that runs, as its own function sees it: who it is, how far it has come, whether it should stop."""

import json
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from headrace.jobs.errors import BadCheckpoint, BadProgress, NoRunningJob
from headrace.jobs.job import Job, from_text

PROGRESS: Final = "progress"
"""The key of a job's meta that holds `{"fraction": 0.5, "note": "…"}`."""

CHECKPOINT: Final = "checkpoint"
"""The key of a job's meta that holds its cursor."""

DEADLINE: Final = "deadline"
"""The key of a job's meta that holds the time after which it is not to run any more, as text."""

NOTE_LIMIT: Final = 1000
"""Characters of a note that are kept: it is a line for people to read."""

RESULTS: Final = "dep_results"
"""The key of a running job's meta, never of a kept one's, that holds the results of what it came after."""

_TOO_DEEP: Final = "a value that is nested too deep"

ProgressWriter = Callable[["RunningJob"], None]
"""Called, in whatever thread the job runs, when there is something to write and there was nothing before."""


class RunningJob:
    """One attempt of a job.

    What it notes down (progress, a checkpoint) is kept here until the engine takes it, about every second and at the
    end of the attempt, however that ends. Every method may be called from any thread.
    """

    __slots__ = ("_cancelled", "_changes", "_has_noticed", "_is_stopping", "_job", "_lock", "_write_progress")

    def __init__(self, job: Job, write_progress: ProgressWriter | None = None) -> None:
        self._job = job
        self._write_progress = write_progress
        self._changes: dict[str, object] = {}
        self._cancelled: str | None = None
        self._is_stopping = False
        self._has_noticed = False
        self._lock = threading.Lock()

    @property
    def job(self) -> Job:
        """The job with all its columns, as it was claimed."""
        return self._job

    @property
    def id(self) -> int:
        """The job's number in its store."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._job.attempt

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job is discarded should this attempt fail."""
        return self._job.attempt >= self._job.max_attempts

    @property
    def args(self) -> Mapping[str, object]:
        """The args as JSON values, in clear."""
        return self._job.args

    @property
    def meta(self) -> Mapping[str, object]:
        """The meta as it was when the job was claimed."""
        return self._job.meta

    @property
    def results(self) -> Mapping[str, object]:
        """What the steps of a workflow returned that this one came after, by their names, as JSON values.

        A worker's `restored` makes of one what its annotation says.
        """
        found = self._job.meta.get(RESULTS)
        return found if isinstance(found, dict) else {}

    @property
    def deadline(self) -> datetime | None:
        """The time (aware UTC) after which the job is not to begin any more, if it has one."""
        return deadline_of(self._job)

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt is to end: a function in a thread asks, and ends itself.

        The job was cancelled, its time is over, or its process stops; then it runs again, whatever the function that
        asked returns.
        """
        return self.cancel_reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why the attempt is to end, or None."""
        self._has_noticed = self._has_noticed or self._cancelled is not None
        return self._cancelled

    @property
    def gives_way(self) -> bool:
        """Whether its function knows that its process stops, and so may have ended before it was done."""
        return self._is_stopping and self._has_noticed

    @property
    def cursor(self) -> object:
        """What `checkpoint` was given last, in this attempt or an earlier one; None before the first."""
        with self._lock:
            return self._changes.get(CHECKPOINT, self._job.meta.get(CHECKPOINT))

    def progress(self, fraction: float, note: str = "") -> None:
        """Say how much is done, from 0 to 1, and in a few words what; it is written at most about once a second."""
        if not 0 <= fraction <= 1:
            raise BadProgress(fraction)
        self._note(PROGRESS, {"fraction": float(fraction), "note": str(note)[:NOTE_LIMIT]})

    def checkpoint(self, cursor: object) -> None:
        """Keep `cursor`, a JSON value: the next attempt finds it as its own `cursor` and goes on from there.

        It is written within about a second, and when the attempt ends; after a crash of the OS process the cursor may
        be that much older, so what lies between is done twice.
        """
        try:
            text = json.dumps(cursor, allow_nan=False, ensure_ascii=False)
            text.encode()
        except RecursionError:  # its repr would raise that, too
            raise BadCheckpoint(_TOO_DEEP) from None
        except (TypeError, ValueError):
            raise BadCheckpoint(cursor) from None
        self._note(CHECKPOINT, json.loads(text))

    def cancel(self, reason: str, *, is_stop: bool = False) -> None:
        """Mark it as called off; the first reason stands. It is a word for who runs the job.

        `is_stop` is that its process stops, for which the job is not to blame.
        """
        if self._cancelled is None:
            self._cancelled, self._is_stopping = reason, is_stop

    def take_changes(self) -> dict[str, object]:
        """Hand over what is to be merged into the job's meta. It is a word for who runs the job."""
        if not self._changes:
            return {}
        with self._lock:
            changes, self._changes = self._changes, {}
            if CHECKPOINT in changes:
                self._job.meta[CHECKPOINT] = changes[CHECKPOINT]
        return changes

    def take_in(self, notes: Mapping[str, object]) -> None:
        """Note down what the job has noted in another OS process. It is a word for who runs the job."""
        for key, value in notes.items():
            self._note(key, value)

    def _note(self, key: str, value: object) -> None:
        with self._lock:
            is_first = not self._changes
            self._changes[key] = value
        if is_first and self._write_progress is not None:
            self._write_progress(self)


RUNNING_JOB: Final[ContextVar[RunningJob]] = ContextVar("headrace running job")
"""Set in the context of each attempt, by who runs it."""


def current_job() -> RunningJob:
    """Return the job on whose behalf this code runs. Raises `NoRunningJob` where none does."""
    try:
        return RUNNING_JOB.get()
    except LookupError:
        raise NoRunningJob from None


def deadline_of(job: Job) -> datetime | None:
    """Return the time after which a job is not to begin any more; None also for what others wrote under that key."""
    text = job.meta.get(DEADLINE) if job.meta else None
    try:
        return from_text(text) if isinstance(text, str) else None
    except ValueError:
        return None
