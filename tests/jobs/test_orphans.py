"""Jobs of an OS process that died are run again at once; those of one that lives are never taken away."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs.job import AttemptCompleted, Job, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.worker import worker
from tests.fakes.dying import die
from tests.fakes.elixir_rows import raw
from tests.fakes.kept_jobs import ended
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "orphan_child.py"


def killed_at_work(path: Path) -> None:
    """Have an OS process run a job, and kill it."""
    with subprocess.Popen([sys.executable, "-P", str(PROGRAM), str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"1\n"
        child.kill()


@pytest.mark.asyncio
async def test_the_job_of_a_killed_process_runs_again_as_soon_as_another_one_starts(tmp_path: Path) -> None:
    is_running = asyncio.Event()

    @worker(name="linger")
    async def linger(number: int) -> None:
        is_running.set()

    path = tmp_path / "jobs.db"
    await asyncio.to_thread(killed_at_work, path)
    async with Jobs(SqliteStore(path), WorkerCatalogue([linger]), {"default": 1}):
        async with asyncio.timeout(5):  # by heartbeats it takes 15 s and more
            await is_running.wait()
        assert raw(path, "select json_extract(meta, '$.crashes') from oban_jobs") == [(1,)]


@pytest.mark.asyncio
async def test_the_lease_of_a_killed_leader_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    await asyncio.to_thread(killed_at_work, path)
    store = SqliteStore(path)
    await store.open()
    assert not await store.lead("headrace", "new", 10.0)
    assert await store.has_orphans()
    assert len(await store.rescue()) == 1
    assert await store.lead("headrace", "new", 10.0)
    assert not await store.has_orphans()
    await store.close()


Step = tuple[str, int]

STEPS = st.lists(
    st.tuples(st.sampled_from(["claim", "end", "leave", "die", "rescue", "heartbeat"]), st.integers(0, 2)), max_size=25
)


@given(STEPS)
@settings(max_examples=20)
def test_only_the_jobs_of_dead_owners_are_rescued_and_all_of_them_are(steps: Sequence[Step]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(Owners(Path(folder) / "jobs.db").go_through(steps))


class Owners:
    """Three stores that share a file as three OS processes do, and one that rescues."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.observer = SqliteStore(path)
        self.stores = [SqliteStore(path) for _ in range(3)]
        self.claimants = [LeaseOwner(f"node {number}", f"u-{number}", "default") for number in range(3)]
        self.dead_jobs: set[int] = set()
        self.left: set[int] = set()
        """Of these the OS process lives on: only their silence tells that nothing more comes of their jobs."""
        self.deaths = 0

    async def go_through(self, steps: Sequence[Step]) -> None:
        for store in (self.observer, *self.stores):
            await store.open()
        await self.observer.insert([NewJob("build") for _ in range(30)])
        for step, number in (*steps, ("rescue", 0)):
            await getattr(self, step)(number)
        for store in (self.observer, *self.stores):
            await store.close()

    async def claim(self, number: int) -> None:
        await self.stores[number].claim(self.claimants[number], 2)
        self.left.discard(number)

    async def end(self, number: int) -> None:
        for job in await self.running(number):
            await ended(self.stores[number], job, AttemptCompleted(), self.claimants[number])

    async def leave(self, number: int) -> None:
        await self.stores[number].leave(self.claimants[number])
        self.left.add(number)

    async def heartbeat(self, number: int) -> None:
        await self.stores[number].heartbeat()

    async def die(self, number: int) -> None:
        if number not in self.left:
            self.dead_jobs |= {job.id for job in await self.running(number)}
        self.left.discard(number)
        die(self.stores[number])
        self.deaths += 1
        self.claimants[number] = LeaseOwner(f"node {number}", f"u-{number}-{self.deaths}", "default")
        self.stores[number] = SqliteStore(self.path)
        await self.stores[number].open()

    async def rescue(self, _: int) -> None:
        assert {one.id for one in await self.observer.rescue()} == self.dead_jobs
        self.dead_jobs.clear()

    async def running(self, number: int) -> list[Job]:
        found = await self.observer.find(JobFilter(states=frozenset({"executing"})), 100)
        return [job for job in found if job.attempted_by[1] == self.claimants[number].uuid]
