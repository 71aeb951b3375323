"""One model of how jobs end: outcome, attempts left, group, drain and store, in every mixture.

The model says in which state a job stands after one attempt, whether `on_exhausted` was called, and what that means for
the job that waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.jobs.flows.advance import advance_all
from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import Cancel, Discard, NewJob, Snooze
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.flows import chained, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from headrace.jobs.worker import worker
from tests.fakes.job_clock import MovedClock
from tests.fakes.stepping import until


class Abort(BaseException):
    """An error of the test's own that is no Exception."""


async def cancelled_inside() -> object:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    inner.cancel()
    return await inner


def returning(answer: object) -> Callable[[], Awaitable[object]]:
    async def end() -> object:
        return answer

    return end


def raising(error: BaseException) -> Callable[[], Awaitable[object]]:
    async def end() -> object:
        raise error

    return end


State = Literal["completed", "cancelled", "scheduled", "failed", "discarded"]

ENDS: Final[dict[str, tuple[Callable[[], Awaitable[object]], State]]] = {
    "answer": (returning(None), "completed"),
    "snooze": (returning(Snooze(60)), "scheduled"),
    "cancel": (returning(Cancel("no")), "cancelled"),
    "discard": (returning(Discard("no")), "discarded"),
    "ValueError": (raising(ValueError("no")), "failed"),
    "SystemExit": (raising(SystemExit(1)), "failed"),
    "GeneratorExit": (raising(GeneratorExit()), "failed"),
    "CancelledError": (raising(asyncio.CancelledError()), "failed"),
    "cancelled inside": (cancelled_inside, "failed"),
    "Abort": (raising(Abort()), "failed"),
    "BaseExceptionGroup": (raising(BaseExceptionGroup("many", [Abort(), ValueError()])), "failed"),
}
"""What a worker does at its end, and the state that follows; `failed` depends on the attempts left."""

GROUPS: Final = ("none", "chain", "batch", "workflow")

DRAINS: Final = ("none", "before the end", "at the end")
"""When the service is closed: once all is quiet, while the worker waits and does not end, or as it ends."""


@dataclass(frozen=True)
class Case:
    """One job with `left` attempts after this one, in a group, that ends so, in a service that is closed then."""

    end: str
    left: int
    group: str
    drain: str
    waits: bool
    is_sqlite: bool

    def state(self) -> str:
        """Return the state of the job after one attempt."""
        if self.drain == "before the end":
            return "available"
        state = ENDS[self.end][1]
        return ("retryable" if self.left else "discarded") if state == "failed" else state

    def is_exhausted(self) -> bool:
        """Return whether `on_exhausted` is called."""
        return self.state() == "discarded"

    def next_state(self) -> str | None:
        """Return the state of the job that waits for the first one, once groups are settled; None where none does."""
        state = self.state()
        if self.group == "none":
            return None
        if state not in {"completed", "cancelled", "discarded"}:
            return "suspended"
        if self.group == "workflow" and state != "completed":
            return "cancelled"
        return "available"


CASES = st.builds(
    Case,
    end=st.sampled_from(list(ENDS)),
    left=st.integers(0, 2),
    group=st.sampled_from(GROUPS),
    drain=st.sampled_from(DRAINS),
    waits=st.booleans(),
    is_sqlite=st.booleans(),
)


@dataclass
class Stage:
    """What the worker of one case waits for, and what became of it."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[int] = field(default_factory=list)
    exhausted: list[int] = field(default_factory=list)


async def insert(jobs: Jobs, case: Case, first: NewJob, after: NewJob) -> None:
    """Insert the first job, and the one that waits for it, if any does: that one is of a queue that no process runs."""
    if case.group == "workflow":
        flow = Workflow()
        flow.add(after, "after", after=[flow.add(first, "first")])
        await flow.start(jobs)
    elif case.group == "batch":
        batch = Batch("batch", on_ended=after)
        batch.add(first)
        await batch.start(jobs)
    else:
        both = [chained(one, name="chain") for one in (first, after)] if case.group == "chain" else [first]
        await jobs.insert(both)


async def outcome(case: Case, folder: Path) -> tuple[str, str | None, int, int]:
    """Run the case; return both states, how often `on_exhausted` was called, and the attempts that count."""
    clock, stage = MovedClock(), Stage()

    @worker(name="first", backoff=60.0, on_exhausted=lambda job, _: stage.exhausted.append(job.id))
    async def first() -> object:
        stage.started.append(1)
        if case.waits or case.drain != "none":
            await stage.gate.wait()
        return await ENDS[case.end][0]()

    @worker(name="after", queue="elsewhere")
    async def after() -> None: ...

    store: JobStore = SqliteStore(folder / "jobs.db", now=clock) if case.is_sqlite else MemoryStore(now=clock)
    grace = 60.0 if case.drain == "at the end" else 0.0
    options = JobsSettings(node="here", grace_seconds=grace, now=clock, logs_failures=False)
    jobs = Jobs(store, WorkerCatalogue([first, after]), {"default": 1}, options)
    await jobs.open()
    await insert(jobs, case, first.with_options(max_attempts=case.left + 1).new(), after.new())
    await until(lambda: stage.started == [1])
    if case.drain == "none":
        stage.gate.set()
        await until(lambda: jobs.statistics()["default"].running == 0)
        await until(lambda: jobs.statistics()["default"].unacknowledged == 0)
    closing = asyncio.ensure_future(jobs.close())
    if case.drain == "at the end":
        queue = jobs.queues["default"]
        await until(lambda: queue._is_stopping)
        stage.gate.set()
    await closing
    return *await looked(case, folder, store), len(stage.exhausted), len(stage.started)


async def looked(case: Case, folder: Path, closed: JobStore) -> tuple[str, str | None]:
    """Return the states of both jobs as another process finds them, once it has settled their groups."""
    store: JobStore = SqliteStore(folder / "jobs.db") if case.is_sqlite else closed
    if case.is_sqlite:
        await store.open()
    found = await store.find(JobFilter(), 10, is_newest_first=False)
    await advance_all(store, {group for job in found for group in groups_of(job.meta)})
    states: dict[str, str] = {job.worker: job.state for job in await store.find(JobFilter(), 10)}
    await store.close()
    return states["first"], states.get("after")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=CASES)
@example(Case("cancelled inside", 0, "workflow", "none", waits=False, is_sqlite=True))
@example(Case("SystemExit", 0, "chain", "at the end", waits=True, is_sqlite=False))
@example(Case("Abort", 1, "batch", "before the end", waits=True, is_sqlite=True))
def test_a_job_ends_as_the_model_says_whatever_ends_it(case: Case) -> None:
    with TemporaryDirectory() as folder:
        first, after, exhausted, began = asyncio.run(outcome(case, Path(folder)))
    assert first == case.state()
    assert after == case.next_state()
    assert exhausted == int(case.is_exhausted())
    assert began == 1
