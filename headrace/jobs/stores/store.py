"""The six roles of a job store, `JobStore`, which has them all, and stores by URL."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Literal, Protocol, cast, get_args

from headrace.database.urls import NUL, has_nul
from headrace.errors import describe
from headrace.jobs.errors import BadJobs, BadStore
from headrace.jobs.job import Inserted, Job, JobAck, JobState, MetaChange, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import QueueLimits

CHANGE_BATCH: Final = 500
"""Jobs that one transaction changes or deletes at most, so that a claim never waits for long."""

CRASH_LIMIT: Final = 3
"""A job over which so many OS processes died is discarded."""

CRASH_REASON: Final = f"crashed the process {CRASH_LIMIT} times"

EXHAUSTED_REASON: Final = "it was available without an attempt left: attempt is not below max_attempts"


@dataclass(frozen=True, slots=True)
class LeaseOwner:
    """The queue of one OS process that holds jobs. `uuid` is new at each start, so a node's name may return.

    `workers` are the names of the workers that it can run; jobs of other workers stay available. None is all. `limits`
    hold for the queue over all OS processes; give all lease owners of a queue the same.
    """

    node: str
    uuid: str
    queue: str
    workers: tuple[str, ...] | None = None
    limits: QueueLimits | None = None


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a queue are in a state."""

    queue: str
    state: JobState
    count: int


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job that ran while its OS process died: `available` again, or discarded after CRASH_LIMIT deaths."""

    id: int
    queue: str
    state: Literal["available", "discarded"]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The settings of a queue that were changed while it ran: its limit (None: the config's), and if it is paused."""

    queue: str
    limit: int | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class PruneRule:
    """Which jobs that ended in `state` to delete.

    Each that ended before `ended_before`, and all but the `keep` newest; None is no such bound.
    """

    state: Literal["completed", "cancelled", "discarded"]
    ended_before: datetime | None = None
    keep: int | None = None


Role = Literal["inserts", "claims", "finds", "changes", "maintains", "queue_controls"]
"""The names of the protocols below; a store lists those that it implements."""

ROLES: Final[frozenset[Role]] = frozenset(get_args(Role))


class Inserts(Protocol):
    """Inserts jobs, and records the last runs of cron entries."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Insert jobs, but no duplicates of unique ones; return a result for each, in order. Durable at return."""

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Thread-safe version of `insert` that blocks."""

    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Insert jobs in the transaction of a user's own connection, in its thread; the user commits.

        Raises `NotSqlite` where the store takes no such connection, and `BadTransaction`.
        """

    async def insert_once(self, name: str, at: datetime, job: NewJob) -> Inserted | None:
        """Insert a job of the crontab, unless the last run of `name` is `at` or later: then return None."""

    async def record_run(self, name: str, at: datetime) -> None:
        """Record a last run, unless a later one is recorded: where an entry of the crontab begins."""

    async def set_last_run_back(self, name: str, seen: datetime, at: datetime) -> bool:
        """Set a last run from `seen` to `at`; return whether it was `seen`: the clock was set back."""

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return the last run of each entry of the crontab."""


class Claims(Protocol):
    """Hands jobs to lease owners, and takes their acknowledgements."""

    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        """Claim at most `count` available jobs of the lease owner's queue, most urgent and oldest first.

        With limits it claims as the limits allow: a full partition keeps no later job out. From then on the
        store writes heartbeats for the lease owner, from a thread of its own, until it leaves. On cancellation the
        claimed jobs are released.
        """

    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Write how attempts ended.

        An attempt that the lease owner no longer holds is ignored: its job was cancelled, deleted or rescued.
        A cancelled job takes the error of its `AttemptCancelled` all the same. Not durable at return: after a power cut
        a job that ended in the last moments may run again.
        """

    def acknowledge_sync(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Thread-safe version of `acknowledge` that blocks."""

    async def merge(self, changes: Sequence[MetaChange]) -> None:
        """Merge into the meta of running jobs; changes by an attempt that lost its lease are ignored.

        Raises TypeError or ValueError for a value that JSON cannot hold.
        """

    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        """Return which of these jobs the lease owner lost: they were cancelled, deleted or rescued while they ran."""

    async def begin_stop(self, owner: LeaseOwner) -> None:
        """Record that the lease owner was asked to stop: from now on its death is no crash of its jobs."""

    async def leave(self, owner: LeaseOwner) -> None:
        """Write no more heartbeats for the lease owner. Jobs that it has not acknowledged are rescued in time."""

    async def heartbeat(self) -> None:
        """Write the heartbeats of our lease owners, and read all; the store does so itself every HEARTBEAT_SECONDS."""


class Finds(Protocol):
    """Reads jobs, and notices the changes of other OS processes."""

    change_seconds: float | None = None
    """How often to ask `has_changed`; None where no other OS process can change anything."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the newest job with the unique key of `job`, in whatever state it is."""

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Thread-safe version of `conflict_of` that blocks."""

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        """Return at most `limit` matching jobs, by id."""

    async def count(self, which: JobFilter) -> int:
        """Return how many jobs match."""

    async def has(self, which: JobFilter) -> bool:
        """Return whether any job matches."""

    async def counts(self) -> list[JobCount]:
        """Return how many jobs there are, by queue and state; none of 0."""

    async def available_queues(self) -> list[str]:
        """Return the queues in which jobs are available, quickly."""

    def has_changed(self) -> bool:
        """Return whether any OS process may have committed a change since the last call."""
        return False


StoreChange = Literal["cancel", "retry", "run_now", "release", "suspend", "delete"]


class Changes(Protocol):
    """Changes jobs from outside. Each method returns the ids of the changed jobs.

    Many jobs are changed in batches of CHANGE_BATCH, each in a transaction of its own.
    """

    async def change(self, what: StoreChange, which: JobFilter) -> list[int]:
        """Change the matching jobs as the method of that name does: the one method that a store implements."""

    async def cancel(self, which: JobFilter) -> list[int]:
        """Cancel jobs that have not ended, executing ones at once; `lost` shows their lease owner that they were."""
        return await self.change("cancel", which)

    async def retry(self, which: JobFilter) -> list[int]:
        """Make jobs available that are neither available nor executing; give them an attempt if they have none left."""
        return await self.change("retry", which)

    async def run_now(self, which: JobFilter) -> list[int]:
        """Make scheduled and retryable jobs available."""
        return await self.change("run_now", which)

    async def release(self, which: JobFilter) -> list[int]:
        """Make suspended jobs available, or scheduled when their time is yet to come."""
        return await self.change("release", which)

    async def release_next(self, chain_id: str) -> list[int]:
        """Release the oldest suspended member of a chain unless another one may run; in one transaction."""

    async def suspend(self, which: JobFilter) -> list[int]:
        """Suspend jobs that do not execute, until they are released; ended ones may run once more."""
        return await self.change("suspend", which)

    async def delete(self, which: JobFilter) -> list[int]:
        """Delete jobs that do not execute."""
        return await self.change("delete", which)


class Maintains(Protocol):
    """Runs the periodic tasks over all jobs, and chooses the OS process that does so."""

    async def stage(self, limit: int) -> set[str]:
        """Make due jobs available, at most `limit`; return their queues."""

    async def due_at(self) -> datetime | None:
        """Return when the first scheduled or retryable job is due, past or not; None when there is none."""

    async def has_orphans(self) -> bool:
        """Return whether the jobs of an OS process that is known to be dead wait for their rescue: a cheap question.

        False where only heartbeats can tell.
        """

    async def rescue(self) -> list[Rescued]:
        """Rescue the jobs of dead lease owners. It costs no attempt; after CRASH_LIMIT deaths a job is discarded.

        A job is never rescued for its age. Jobs that no headrace claimed, such as an Elixir node's, are left alone.
        """

    async def discard_exhausted(self, limit: int) -> list[int]:
        """Discard available jobs without an attempt left, at most `limit`; return their ids."""

    async def prune(self, rule: PruneRule, limit: int = CHANGE_BATCH) -> int:
        """Delete jobs by the rule, at most `limit`; return how many. As many as the limit: there may be more."""

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        """Make `node` the leader for so long, or for so long again, unless another one is; return whether it is.

        The time counts from its transaction, which may wait for a long write.
        """

    async def resign(self, name: str, node: str) -> None:
        """Let another node lead."""


class QueueControls(Protocol):
    """Keeps the settings of queues that were changed while they ran."""

    async def queue_settings(self) -> list[QueueSettings]:
        """Return the settings of all changed queues."""

    async def change_queue(self, queue: str, *, limit: int | None = None, is_paused: bool | None = None) -> None:
        """Change settings of a queue, also after a restart; None leaves one unchanged."""

    async def forget_queue(self, queue: str) -> None:
        """Restore the settings of the config."""


def available_of(jobs: Iterable[NewJob]) -> Iterator[str]:
    """Yield the queues of the jobs that an insert makes available."""
    for job in jobs:
        if job.state == "available" or (job.state is None and job.scheduled_at is None):
            yield job.queue


class Listeners:
    """The functions that a store calls with the queue whenever it makes jobs available, in the thread that did so."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[str], None]] = []

    def add(self, listener: Callable[[str], None] | None) -> None:
        """Add a function, if there is one."""
        if listener is not None:
            self._listeners.append(listener)

    def inserted(self, jobs: Iterable[NewJob]) -> None:
        """Call them for jobs that were inserted as available."""
        self.available(available_of(jobs))

    def available(self, queues: Iterable[str]) -> None:
        """Call them once for each queue."""
        for queue in dict.fromkeys(queues):
            for listener in self._listeners:
                listener(queue)


class JobStore(Inserts, Claims, Finds, Changes, Maintains, QueueControls, Protocol):
    """Keeps jobs.

    Every method is one transaction, unless its docstring names several: when it returns it happened as a whole, or not
    at all. On cancellation it may happen all the same. Each raises a HeadraceError when the store cannot be used.
    """

    roles: frozenset[Role] = ROLES
    """The roles that it implements; commands that need another one are refused."""

    is_shared: bool = True
    """Whether other OS processes can use its jobs."""

    path: Path | None = None
    """The file that holds the jobs, if it is one file."""

    async def open(self, inserted: Callable[[str], None] | None = None) -> None:
        """Make the tables if there are none.

        `inserted` is called with the queue whenever this store makes jobs available, in the inserting thread.
        """

    async def close(self) -> None:
        """Finish the accepted writes, then close the file or the connection."""

    def close_sync(self) -> None:
        """Thread-safe version of `close` that blocks."""


GROUP: Final = "headrace.stores"
"""The entry-point group of stores, ours and guests' alike: the scheme of a URL, and a function that takes the URL.

The function makes a store that is not open yet, and touches neither file nor network; it raises `BadStore`.
"""

MakeStore = Callable[[str], JobStore]


def store_names() -> tuple[str, ...]:
    """Return the schemes that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def store_of(url: str) -> JobStore:
    """Return the store of a URL such as `sqlite:///var/shop.db` or `memory:`, not open yet. Raises `BadStore`."""
    scheme, colon, _ = url.partition(":")
    if colon and has_nul(url):
        raise BadStore(scheme, NUL)
    found = tuple(entry_points(group=GROUP, name=scheme)) if colon else ()
    if not found:
        known = ", ".join(f"{name}:" for name in store_names())
        raise BadStore(scheme if colon else url, f"is no store: begin with one of {known}")
    try:
        make = cast("MakeStore", found[0].load())
    except Exception as error:
        raise BadStore(scheme, f"is installed, and cannot be loaded: {describe(error)}") from error
    return make(url)


def store_or_of(store: JobStore | str) -> JobStore:
    """Return a store that was handed in by itself or by its URL. Raises `BadStore`, or `BadJobs` for neither."""
    if isinstance(store, str):
        return store_of(store)
    if isinstance(store, type) or not hasattr(store, "claim"):
        raise BadJobs(store, "store", "a store or its URL, as in 'sqlite:///shop.db'")
    return store
