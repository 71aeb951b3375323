"""Ends the OS process of a run where threads would keep it up: they cannot be ended by anything else."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Final

from headrace.jobs.job import Job
from headrace.telemetry.events import LOG

EXIT_SECONDS: Final = 5.0
"""How long the event loop may take to close after a run has ended: it waits for what `asyncio.to_thread` runs."""


class ExitBound:
    """Bounds how long the event loop of a run that has ended takes to close."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, code: int) -> None:
        """End the process with the exit code `code` in EXIT_SECONDS, unless it is cancelled before."""
        self._timer = threading.Timer(EXIT_SECONDS, self._end, (code,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Let the process end by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, code: int) -> None:
        others = {threading.main_thread(), threading.current_thread()}
        names = ", ".join(sorted(thread.name for thread in threading.enumerate() if thread not in others))
        LOG.error("the run has ended, but threads keep its process up, which is ended now: %s", names)
        end_process(code)


def name_running(jobs: Sequence[Job]) -> bool:
    """Log the jobs that still run in threads; return whether there are any, so that the process must be ended."""
    if jobs:
        names = ", ".join(f"{job.id} ({job.worker})" for job in jobs)
        LOG.error("the process ends while jobs run in threads; they run again, at the cost of no attempt: %s", names)
    return bool(jobs)


def end_process(code: int) -> None:
    """End the process with what it has printed and logged written out."""
    for handler in LOG.handlers + logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
