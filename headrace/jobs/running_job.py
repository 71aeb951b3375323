"""`RunningJob` and `current_job()`: the running job, as its function sees it."""

import json
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from headrace.jobs.errors import BadCheckpoint, BadProgress, NoRunningJob
from headrace.jobs.job import Job, from_text

PROGRESS: Final = "progress"
"""The key of a job's meta for its progress, such as `{"fraction": 0.5, "note": "…"}`."""

CHECKPOINT: Final = "checkpoint"
"""The key of a job's meta for its cursor."""

DEADLINE: Final = "deadline"
"""The key of a job's meta for its deadline: the time, as text, after which the job must not begin."""

NOTE_LIMIT: Final = 1000
"""Characters of a note that are kept."""

RESULTS: Final = "dep_results"
"""The key of a running job's meta for the results of the steps before it; the store never has it."""

_TOO_DEEP: Final = "a value that is nested too deep"

ProgressWriter = Callable[["RunningJob"], None]
"""Called, in the job's thread, when there is progress to write and there was none before."""


class RunningJob:
    """One attempt of a job.

    It keeps progress and checkpoint until the engine writes them, about every second and at the end of the attempt,
    whatever its outcome. Every method is thread-safe.
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
        """The job as it was claimed."""
        return self._job

    @property
    def id(self) -> int:
        """The job's id in its store."""
        return self._job.id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._job.attempt

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job is discarded if this attempt fails."""
        return self._job.attempt >= self._job.max_attempts

    @property
    def args(self) -> Mapping[str, object]:
        """The args as JSON values, decrypted."""
        return self._job.args

    @property
    def meta(self) -> Mapping[str, object]:
        """The meta of the job when it was claimed."""
        return self._job.meta

    @property
    def results(self) -> Mapping[str, object]:
        """The results of the steps before this one in a workflow, by their names, as JSON values.

        A worker's `restored` decodes one by its annotation.
        """
        found = self._job.meta.get(RESULTS)
        return found if isinstance(found, dict) else {}

    @property
    def deadline(self) -> datetime | None:
        """The time (aware UTC) after which the job must not begin, if it has one."""
        return deadline_of(self._job)

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt should end; a function in a thread checks this, and returns.

        It is true if the job was cancelled, if its timeout is over, or if its process stops. In the last case the job
        runs again, whatever a function that has checked this returns.
        """
        return self.cancel_reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why the attempt should end, or None."""
        self._has_noticed = self._has_noticed or self._cancelled is not None
        return self._cancelled

    @property
    def gives_way(self) -> bool:
        """Whether the function has read that its process stops, and so may have returned with its work unfinished."""
        return self._is_stopping and self._has_noticed

    @property
    def cursor(self) -> object:
        """The cursor of the latest `checkpoint`, in this attempt or an earlier one; None if there is none."""
        with self._lock:
            return self._changes.get(CHECKPOINT, self._job.meta.get(CHECKPOINT))

    def progress(self, fraction: float, note: str = "") -> None:
        """Report the done fraction, from 0 to 1, and a note. It is written about once a second."""
        if not 0 <= fraction <= 1:
            raise BadProgress(fraction)
        self._note(PROGRESS, {"fraction": float(fraction), "note": str(note)[:NOTE_LIMIT]})

    def checkpoint(self, cursor: object) -> None:
        """Keep `cursor`, a JSON value, from which the next attempt can continue.

        It is written within about a second, and when the attempt ends. After a crash of the OS process the cursor may
        be that much older, so the work after it is done twice.
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
        """Mark the attempt as cancelled; the first reason stays. Called by the engine.

        `is_stop` means that the process stops, so the job must run again.
        """
        if self._cancelled is None:
            self._cancelled, self._is_stopping = reason, is_stop

    def take_changes(self) -> dict[str, object]:
        """Return the changes to merge into the job's meta, and forget them. Called by the engine."""
        if not self._changes:
            return {}
        with self._lock:
            changes, self._changes = self._changes, {}
            if CHECKPOINT in changes:
                self._job.meta[CHECKPOINT] = changes[CHECKPOINT]
        return changes

    def take_in(self, notes: Mapping[str, object]) -> None:
        """Add the progress and checkpoint that the job noted in another OS process. Called by the engine."""
        for key, value in notes.items():
            self._note(key, value)

    def _note(self, key: str, value: object) -> None:
        with self._lock:
            is_first = not self._changes
            self._changes[key] = value
        if is_first and self._write_progress is not None:
            self._write_progress(self)


RUNNING_JOB: Final[ContextVar[RunningJob]] = ContextVar("headrace running job")
"""The running job of this context."""


def current_job() -> RunningJob:
    """Return the job that runs this code. Raises `NoRunningJob` outside a job."""
    try:
        return RUNNING_JOB.get()
    except LookupError:
        raise NoRunningJob from None


def deadline_of(job: Job) -> datetime | None:
    """Return the time after which a job must not begin; None also for an unreadable one of another program."""
    text = job.meta.get(DEADLINE) if job.meta else None
    try:
        return from_text(text) if isinstance(text, str) else None
    except ValueError:
        return None
