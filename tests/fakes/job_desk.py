"""A service of jobs on a file, for tests of what goes wrong around it: its worker waits at a gate."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import AnyWorker, worker
from tests.fakes.job_clock import MovedClock


class Desk:
    """What the workers of one test were given, and the gate at which they wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = MovedClock()
        self.calls: list[object] = []
        self.gate = asyncio.Event()

        async def wait(number: int) -> int:
            self.calls.append(number)
            await self.gate.wait()
            return number

        self.function = wait
        self.wait = worker(name="wait", record=True)(wait)

    def service(
        self, workers: Sequence[AnyWorker] = (), queues: Sequence[str] = ("default",), grace_seconds: float = 0.0
    ) -> Jobs:
        settings = JobsSettings(node="here", grace_seconds=grace_seconds, now=self.clock)
        store = SqliteStore(self.path, now=self.clock)
        return Jobs(store, WorkerCatalogue(workers or [self.wait]), dict.fromkeys(queues, 3), settings)
