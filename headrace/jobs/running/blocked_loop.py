"""Names workers whose jobs are enqueued in a way that blocks the event loop."""

import asyncio
from collections.abc import Sequence

from headrace.jobs.job import NewJob
from headrace.telemetry.events import LOG


class BlockedLoop:
    """Logs, once for each worker, that its `enqueue_sync` is called on an event loop."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def check(self, jobs: Sequence[NewJob]) -> None:
        """Call it before a wait for the disk."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        for worker in {job.worker for job in jobs} - self._named:
            self._named.add(worker)
            text = (
                "enqueue_sync of worker %r holds up the event loop until the disk has the job: await its enqueue there"
            )
            LOG.warning(text, worker)
